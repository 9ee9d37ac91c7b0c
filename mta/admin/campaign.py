"""`mta campaign`: what waits, and what is held back: paused, resumed, cancelled.

An order is a key in MTA_CONTROL; every daemon watches it, and a daemon that starts reads it first. So it holds from any
node, and through restarts. Each is told on MTA_OPS, with who gave it and why.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from mta.admin.access import link
from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.operations import tell, who
from mta.admin.output import Output, Table, cell, many
from mta.config.settings import Config
from mta.config.units import Seconds
from mta.intake.orders import NO_CAMPAIGN, Order, Orders, OrderVerb, Target, encode_order, order_key
from mta.jetstream.connection import Link
from mta.jetstream.consumers import held_subjects
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL, PAYLOADS, RETRY
from mta.jetstream.subjects import parse_due, parse_payload, parse_retry, unescape
from mta.model import times
from mta.model.lane import Lane

_STYLES = {"running": "green", "paused": "yellow", "cancelled": "red"}
_DONE = {"pause": "Paused", "resume": "Resumed", "cancel": "Cancelled"}


class Waiting(Struct):
    """Payloads of a campaign: fresh ones in the stream, and those that wait for their next attempt or are due."""

    fresh: int = 0
    later: int = 0


def target_of(tenant: str, campaign: str, lane: Lane | None) -> Target:
    """WrongUsage for what is nothing, or two things at once."""
    if lane is not None and (tenant or campaign):
        raise WrongUsage("--lane stands for everything in a lane: name no campaign or tenant beside it")
    if lane is None and not tenant:
        raise WrongUsage("name a campaign, a --tenant, or a --lane")
    return Target(tenant, campaign, lane)


async def ls(config: Config | None, environ: Mapping[str, str], output: Output) -> int:
    """Every campaign of which something waits or about which there is an order."""
    async with link(config, environ, "campaign") as opened:
        waiting = await _waiting(opened)
        orders = await orders_given(opened)
    now = time.time()
    for _, target, _ in orders.items():
        if target.campaign:
            waiting.setdefault((target.tenant, target.campaign), Waiting())
    shown = Table("tenant", "campaign", "payloads", "waiting", "state", "")
    for (tenant, campaign), one in sorted(waiting.items()):
        state, order = _state(orders, tenant, campaign, now)
        why = "" if order is None else f"{order.reason} ({order.by}{_until(order)})"
        output.result(
            {
                "tenant": tenant,
                "campaign": campaign,
                "payloads": one.fresh,
                "waiting": one.later,
                "state": state,
            }
            | (
                {}
                if order is None
                else {"reason": order.reason, "by": order.by, "until": _moment(order.until)}
            )
        )
        shown.add_row(
            cell(tenant),
            cell(campaign),
            cell(f"{one.fresh:,}"),
            cell(f"{one.later:,}"),
            cell(state, _STYLES[state]),
            cell(why),
        )
    for verb, target, order in orders.items():
        if not target.campaign:
            output.note(f"{_DONE[verb]}: {target}, {order.reason}{_until(order)}", "yellow")
    if waiting:
        output.show(shown)
    else:
        output.say("Nothing waits.")
    return 0


async def give(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    verb: OrderVerb,
    target: Target,
    reason: str,
    lasts: str = "0",
) -> int:
    """Pause or cancel. `lasts` is a duration; 0: until it is taken back."""
    if not reason:
        raise WrongUsage("--reason is needed: whoever finds it withheld will want to know why")
    if verb is OrderVerb.CANCEL and target.lane is not None:
        raise WrongUsage("a lane can be paused, not cancelled")
    now = time.time()
    lasts_s = _duration(lasts)
    order = Order(reason, who(), now, now + lasts_s if lasts_s else 0.0)
    async with link(config, environ, "campaign") as opened:
        await Bucket(opened, CONTROL).put(order_key(verb, target), encode_order(order))
        await _tell(
            opened, "campaign_paused" if verb is OrderVerb.PAUSE else "campaign_cancelled", target, order
        )
        waiting = await matching(opened, target)
    output.result(
        {"verb": verb, **_named(target), "reason": reason, "until": _moment(order.until), **waiting}
    )
    output.say(
        f"{_DONE[verb]}: {target}{_until(order)}. {many(waiting['payloads'], 'payload')} in the stream, "
        f"{waiting['waiting']:,} more waiting for a later attempt.",
        "yellow",
    )
    return 0


def _duration(text: str) -> float:
    try:
        return float(Seconds.parse(0 if text == "0" else text))
    except ValueError as error:
        raise WrongUsage(f"--for {text}: expected {Seconds.expected}") from error


async def resume(config: Config | None, environ: Mapping[str, str], output: Output, target: Target) -> int:
    """Takes back a pause, or a cancellation of what is still to come."""
    async with link(config, environ, "campaign") as opened:
        bucket = Bucket(opened, CONTROL)
        keys = [order_key(verb, target) for verb in OrderVerb]
        known = [key for key in keys if await bucket.get(key, leader=True) is not None]
        if not known:
            raise WrongInput(f"{target} is neither paused nor cancelled")
        for key in known:
            await bucket.delete(key)
        await _tell(opened, "campaign_resumed", target, Order(by=who(), at=time.time()))
    output.result({"verb": "resume", **_named(target)})
    output.say(f"Resumed: {target}. What was parked meanwhile is due at once.", "green")
    return 0


async def _waiting(opened: Link) -> dict[tuple[str, str], Waiting]:
    found: dict[tuple[str, str], Waiting] = {}
    for subject, count in (await held_subjects(opened, PAYLOADS, ">")).items():
        parsed = parse_payload(subject)
        if parsed is not None:
            found.setdefault(spoken(parsed.tenant, parsed.campaign), Waiting()).fresh += count
    for subject, count in (await held_subjects(opened, RETRY, ">")).items():
        waits = parse_retry(subject) or parse_due(subject)
        if waits is not None:
            found.setdefault(spoken(waits.tenant, waits.campaign), Waiting()).later += count
    return found


def spoken(tenant: str, campaign: str) -> tuple[str, str]:
    """Names as a person knows them; a token that was cut stays as it is."""
    names = [token if (name := unescape(token)) is None else name for token in (tenant, campaign)]
    return names[0], names[1] or NO_CAMPAIGN


async def matching(opened: Link, target: Target) -> dict[str, int]:
    """How many `payloads` of it lie in the stream, and how many are `waiting` for a later attempt."""
    fresh = later = 0
    for (tenant, campaign), one in (await _waiting(opened)).items():
        if target.lane is None and target.tenant == tenant and target.campaign in ("", campaign):
            fresh, later = fresh + one.fresh, later + one.later
    if target.lane is not None:
        fresh = sum((await held_subjects(opened, PAYLOADS, f"mta.payload.{target.lane}.>")).values())
    return {"payloads": fresh, "waiting": later}


async def orders_given(opened: Link) -> Orders:
    orders, bucket = Orders(), Bucket(opened, CONTROL)
    for key in await bucket.keys():
        entry = await bucket.get(key, leader=True)
        orders.apply(key, None if entry is None else entry.value)
    return orders


def _state(orders: Orders, tenant: str, campaign: str, now: float) -> tuple[str, Order | None]:
    order = orders.cancelled(tenant, campaign)
    if order is not None:
        return "cancelled", order
    for verb, target, given in orders.items():
        is_meant = target in (Target(tenant, campaign), Target(tenant))
        if verb is OrderVerb.PAUSE and is_meant and (not given.until or given.until > now):
            return "paused", given
    return "running", None


async def _tell(opened: Link, kind: str, target: Target, order: Order) -> None:
    """On MTA_OPS."""
    said = {"reason": order.reason, "by": order.by, "until": _moment(order.until)}
    msg_id = f"{order_key(OrderVerb.PAUSE, target)}.{kind}.{order.at:.6f}"
    await tell(opened, kind, _named(target) | said, order.at, msg_id)


def _named(target: Target) -> dict[str, str]:
    named = {"tenant": target.tenant, "campaign": target.campaign, "lane": target.lane or ""}
    return {name: value for name, value in named.items() if value}


def _moment(at: float) -> str:
    return times.render(at) if at else ""


def _until(order: Order) -> str:
    return f", until {datetime.fromtimestamp(order.until, UTC):%Y-%m-%d %H:%M} UTC" if order.until else ""
