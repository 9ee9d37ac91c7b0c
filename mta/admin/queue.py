"""`mta queue`: what holds mail back or slows it, why, and until when; make such an action, or take one back.

Actions are keys in MTA_CONTROL (`mta.pacing.action`) that every daemon watches, whoever made them: a rule, or a person
here. Each ends by itself. Making and taking back is told on MTA_OPS.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct, structs

from mta.admin.access import link
from mta.admin.campaign import matching
from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.known import check_known
from mta.admin.operations import tell, who
from mta.admin.output import Output, Table, cell, many
from mta.admin.send import tenant_of
from mta.admin.slowed import Slowed, release_slowed, slowed
from mta.config.names import a_label
from mta.config.problems import nearest
from mta.config.settings import Config
from mta.config.units import PerTime, Seconds
from mta.intake.orders import Target
from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.layout import CONTROL
from mta.model import times
from mta.pacing.action import PREFIX, Action, ActionKind, Aim, encode_action
from mta.pacing.actions import REMEMBERED_S, read_action
from mta.pacing.told import begin_of, end_of, fields_of, told_id
from mta.queue.settings import RateLimit

_STYLES = {ActionKind.SUSPEND: "red", ActionKind.THROTTLE: "yellow", ActionKind.ALERT: "cyan"}
_LEAST_ID = 4
_MARKER_S = 86_400.0


class Wanted(Struct, frozen=True):
    """What a person asks for. `lasts` and `rate` as they were typed; empty and None: not given."""

    aim: Aim
    reason: str
    lasts: str
    connections: int | None = None
    rate: str = ""


async def actions(config: Config | None, environ: Mapping[str, str], output: Output, wanted: str = "") -> int:
    """All in force, what ends last at the end; or those whose id begins so."""
    async with link(config, environ, "queue") as opened:
        found = await _in_force(opened)
        learned = await slowed(opened)
    now = time.time()
    if wanted:
        one = _by_id([*found, *learned], wanted)
        found, learned = ([one], []) if isinstance(one, Action) else ([], [one])
    for number, action in enumerate(found):
        output.result(_fields(action))
        if number:
            output.say("")
        shown = Table(action.kind, str(action.aim), style=_STYLES[action.kind])
        for name, text in _rows(action, now):
            shown.add_row(cell(name, "bold"), cell(text))
        output.show(shown)
    for number, row in enumerate(learned):
        output.result(_pace_fields(row))
        if number or found:
            output.say("")
        shown = Table("pace", f"{row.aim} on {row.node}", style="yellow")
        for name, text in _pace_rows(row, now):
            shown.add_row(cell(name, "bold"), cell(text))
        output.show(shown)
    if not found and not learned:
        output.say("Nothing is held or slowed.")
    return 0


async def hold(config: Config | None, environ: Mapping[str, str], output: Output, wanted: Wanted) -> int:
    """Suspend what is named, or with limits slow it down."""
    now = time.time()
    action = _action(config, wanted, now)
    async with link(config, environ, "queue") as opened:
        lasts_s = action.until - now + REMEMBERED_S
        await Bucket(opened, CONTROL).put(action.key, encode_action(action), ttl_s=lasts_s)
        kind = begin_of(action)
        await tell(opened, kind, fields_of(action), now, told_id(action, kind, now))
        waiting = (
            await matching(opened, Target(action.aim.tenant, action.aim.campaign))
            if action.aim.tenant
            else {}
        )
    output.result(_fields(action) | waiting)
    done = "Held" if action.kind is ActionKind.SUSPEND else f"Slowed to {_limits(action)}"
    output.say(f"{done}: {_meaning(action.aim)}, until {_clock(action.until)}.", "yellow")
    if waiting:
        payloads, later = many(waiting["payloads"], "payload"), f"{waiting['waiting']:,}"
        output.say(
            f"Of {_owner(action.aim)} {payloads} are in the stream and {later} wait for a later attempt."
        )
    output.note(f"To take it back: mta queue release {action.id}")
    return 0


async def release(
    config: Config | None, environ: Mapping[str, str], output: Output, ids: Sequence[str], reason: str
) -> int:
    """Take back what a rule or a person has done."""
    if not reason:
        raise WrongUsage("--reason is needed: whoever looks for it will want to know why it is gone")
    async with link(config, environ, "queue") as opened:
        found: list[Action | Slowed] = [*await _in_force(opened), *await slowed(opened)]
        taken = list({one.id: one for one in (_by_id(found, each) for each in ids)}.values())
        for action in taken:
            now = time.time()
            if isinstance(action, Slowed):
                if not await release_slowed(opened, action):
                    raise WrongInput(f"{action.node} does not slow {action.aim} any more")
                output.result({"verb": "release", "id": action.id, "reason": reason})
                output.say(f"Released: {_meaning(action.aim)} on {action.node}.", "green")
                continue
            await Bucket(opened, CONTROL).delete(action.key, ttl_s=_MARKER_S)
            kind = end_of(action)
            if kind:
                fields = fields_of(structs.replace(action, reason=reason, by=who()))
                await tell(opened, kind, fields, now, told_id(action, kind, now))
            output.result({"verb": "release", "id": action.id, "reason": reason})
            output.say(f"Released: {_meaning(action.aim)}.", "green")
    return 0


# -- what a person asks for -------------------------------------------------------------------------------------


def _action(config: Config | None, wanted: Wanted, now: float) -> Action:
    """WrongUsage for what would do nothing, or something else than was meant."""
    aim = wanted.aim
    if (aim.stream or aim.campaign) and not aim.tenant:
        aim = structs.replace(aim, tenant=tenant_of(config, ""))
    if aim == Aim():
        raise WrongUsage("name what is to be held: --source, --provider, --site, --tenant, --campaign, …")
    if not wanted.reason:
        raise WrongUsage("--reason is needed: whoever finds it withheld will want to know why")
    is_slowed = wanted.connections is not None or bool(wanted.rate)
    if is_slowed and aim.is_of_senders:
        raise WrongUsage(
            "--connections and --rate slow a path: --source, --provider and --site. Senders can only be held"
        )
    if config is not None:
        _check_names(config, aim)
    return Action(
        kind=ActionKind.THROTTLE if is_slowed else ActionKind.SUSPEND,
        aim=structs.replace(aim, site=aim.site.lower(), from_domain=_domain(aim.from_domain)),
        since=now,
        until=now + _seconds(wanted.lasts),
        connections=wanted.connections,
        message_rate=_rate(wanted.rate) if wanted.rate else None,
        by=who(),
        reason=wanted.reason,
    )


def _check_names(config: Config, aim: Aim) -> None:
    domains = {
        domain
        for tenant in config.tenants.values()
        if aim.tenant in ("", tenant.name)
        for domain in tenant.domains
    }
    check_known("source", aim.source, config.sources)
    check_known("provider", aim.provider, [one.name for one in config.shaping.providers])
    check_known("tenant", aim.tenant, config.tenants)
    check_known("From domain", _domain(aim.from_domain), domains)


def _domain(name: str) -> str:
    try:
        return a_label(name) if name else ""
    except ValueError as error:
        raise WrongUsage(f"--from-domain {name}: {error}") from error


def _seconds(text: str) -> float:
    try:
        lasts_s = float(Seconds.parse(text))
    except ValueError as error:
        raise WrongUsage(f"--for {text}: expected {Seconds.expected}") from error
    if lasts_s <= 0:
        raise WrongUsage("--for 0: each action has an end; for what has none, see mta campaign pause")
    return lasts_s


def _rate(text: str) -> RateLimit:
    try:
        rate = PerTime.parse(text)
    except ValueError as error:
        raise WrongUsage(f"--rate {text}: expected {PerTime.expected}") from error
    return RateLimit(rate.count, rate.period_s)


# -- what there is ----------------------------------------------------------------------------------------------


async def _in_force(opened: Link) -> list[Action]:
    """By their end, the next first."""
    found: list[Action] = []
    now = time.time()

    def note(change: Change) -> None:
        action = read_action(change.key, change.value or b"")
        if action is not None and action.until > now:
            found.append(action)

    await Bucket(opened, CONTROL).each(note, PREFIX)
    return sorted(found, key=lambda action: (action.until, action.id))


def _by_id(found: Sequence[Action | Slowed], wanted: str) -> Action | Slowed:
    """Its beginning will do, where it is the beginning of one only."""
    matching_ = (
        [action for action in found if action.id.startswith(wanted)] if len(wanted) >= _LEAST_ID else []
    )
    if len(matching_) == 1:
        return matching_[0]
    if matching_:
        raise WrongUsage(f"{wanted} is the beginning of {len(matching_)} ids: name more of it")
    raise WrongInput(f"no action in force has the id {wanted}{nearest(wanted, [one.id for one in found])}")


def _fields(action: Action) -> dict[str, Any]:
    """For --json."""
    aim = {name: value for name in Aim.__struct_fields__ if (value := getattr(action.aim, name))}
    rate = action.message_rate
    fields = {
        "id": action.id,
        "kind": action.kind,
        "aim": aim,
        "since": times.render(action.since),
        "until": times.render(action.until),
        "connections": action.connections,
        "message_rate": None if rate is None else _spoken(rate),
        "rule": action.rule,
        "count": action.count,
        "class": action.bounce_class,
        "provider_code": action.provider_code,
        "reply": action.reply,
        "reason": action.reason,
        "by": action.by,
    }
    return {name: value for name, value in fields.items() if value not in ("", None, 0)}


def _pace_fields(row: Slowed) -> dict[str, Any]:
    """For --json: times as those of an action."""
    fields = {"id": row.id, "kind": "pace", **msgspec.to_builtins(row)}
    times_ = {name: times.render(fields[name]) for name in ("since", "until") if name in fields}
    return fields | times_


def _rows(action: Action, now: float) -> list[tuple[str, str]]:
    limits = _limits(action) if action.kind is ActionKind.THROTTLE else ""
    code = f", code {action.provider_code}" if action.provider_code else ""
    why = f"{action.rule}: {many(action.count, 'refusal')} of class {action.bounce_class}{code}"
    rows = [
        ("until", f"{_clock(action.until)}, in {_span(action.until - now)}; since {_clock(action.since)}"),
        ("limit", limits),
        ("rule", why if action.rule else ""),
        ("reply", action.reply.replace("\n", " ")),
        ("reason", action.reason),
        ("by", action.by),
        ("id", action.id),
    ]
    return [(name, text) for name, text in rows if text]


def _pace_rows(row: Slowed, now: float) -> list[tuple[str, str]]:
    limit = [
        f"{row.connections} of {row.connections_of} connections" if row.connections_of else "",
        f"{per_second(row.rate)} of {per_second(row.rate_of)}" if row.rate and row.rate_of else "",
    ]
    rows = [
        ("state", row.state),
        ("until", f"{_clock(row.until)}, in {_span(row.until - now)}" if row.until else ""),
        ("since", _clock(row.since)),
        ("limit", ", ".join(filter(None, limit))),
        ("reply", row.reply.replace("\n", " ")),
        ("class", row.bounce_class),
        ("id", row.id),
    ]
    return [(name, text) for name, text in rows if text]


def per_second(rate: float) -> str:
    """`12/s`, `30/min`."""
    return f"{rate:.3g}/s" if rate >= 1 else f"{rate * 60:.3g}/min"


def _limits(action: Action) -> str:
    parts = []
    if action.connections is not None:
        parts.append(many(action.connections, "connection"))
    if action.message_rate is not None:
        parts.append(_spoken(action.message_rate))
    return ", ".join(parts)


def _spoken(rate: RateLimit) -> str:
    units = {1.0: "s", 60.0: "min", 3600.0: "h", 86400.0: "d"}
    return f"{rate.count:g}/{units.get(rate.period_s, f'{rate.period_s:g}s')}"


def _meaning(aim: Aim) -> str:
    """`mail of acme, stream news, to google from a1`."""
    whose = [
        f"of {aim.tenant}" if aim.tenant else "",
        f"campaign {aim.campaign}" if aim.campaign else "",
        f"stream {aim.stream}" if aim.stream else "",
        f"From {aim.from_domain}" if aim.from_domain else "",
    ]
    way = [
        f"to {aim.provider}" if aim.provider else "",
        f"to {aim.host or aim.site}" if aim.host or aim.site else "",
        f"from source {aim.source}" if aim.source else "",
    ]
    said = [", ".join(filter(None, whose)), " ".join(filter(None, way))]
    return " ".join(["mail" if any(whose) else "all mail", *filter(None, said)])


def _owner(aim: Aim) -> str:
    return f"{aim.tenant}/{aim.campaign}" if aim.campaign else aim.tenant


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(seconds, 0):.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
