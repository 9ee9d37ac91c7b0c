"""`mta explain backlog`: how much waits, what binds it, and when it will be done at the present rate.

The streams are counted (`mta.admin.waiting`), the nodes are asked what of it they have in hand and what keeps it there
(`mta.admin.control`), and both are put together (`mta.admin.sums`). Nothing is changed by looking.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from mta.admin import causes
from mta.admin.access import link
from mta.admin.control import BACKLOG
from mta.admin.eta import FOREVER, Eta, EtaKind, Load, about, clock, eta, last, together
from mta.admin.known import check_known
from mta.admin.lately import Key
from mta.admin.output import Output, Table, cell, many
from mta.admin.sums import NOT_ROUTED, Cause, Part, Sums, fresh_in_hand, load_of, ranked
from mta.admin.view import HandView, PathRow, read
from mta.admin.waiting import Later, Scope, due, fresh, later
from mta.config.settings import Config
from mta.intake.orders import NO_CAMPAIGN, Order, Orders, OrderVerb, Target
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, PermissionMissing
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.layout import CONTROL
from mta.jetstream.service import SERVICE, ask, nodes
from mta.model import times
from mta.model.lane import Lane
from mta.pacing.action import Action
from mta.pacing.actions import Actions
from mta.pacing.scope import OTHER

_ASK_S = 10.0
_MOST_CAUSES = 3
_HEAD = ("now", "later", "next due", "rate")
_LONGEST_NAME = 16  # a longer one has a line of its own: the numbers stay within 80 columns
_INDENT = 2
_NOT_ALLOWED = (
    f"This user may not publish to $SRV.PING.{SERVICE}: what nodes have in hand, and what binds it, is not shown; "
    "payloads in work count as if nobody had had his mail yet."
)


class Chosen(Struct, frozen=True):
    """What is asked about; empty: everything. By campaign where one, or a tenant, is named: else by provider."""

    provider: str = ""
    campaign: str = ""
    tenant: str = ""

    @property
    def scope(self) -> Scope:
        campaign = "" if self.campaign == NO_CAMPAIGN else self.campaign
        return Scope(self.tenant, campaign if self.campaign else None)

    @property
    def is_by_campaign(self) -> bool:
        return bool(self.tenant or self.campaign) and not self.provider

    def name(self, key: Key) -> str:
        return f"{key.tenant}/{key.campaign}" if self.is_by_campaign else key.provider

    def wants(self, key: Key) -> bool:
        return (
            self.provider in ("", key.provider)
            and self.tenant in ("", key.tenant)
            and self.campaign in ("", key.campaign)
        )


class Asked(Struct, frozen=True):
    """The nodes that answered, and what is wrong with the others, a line each. `is_allowed`: our user may ask."""

    views: tuple[HandView, ...]
    silent: tuple[str, ...] = ()
    is_allowed: bool = True

    @property
    def may_go(self) -> bool:
        """There is somebody to send it, as far as one may know."""
        return bool(self.views or self.silent or not self.is_allowed)


class Withheld(Struct, frozen=True):
    """What operators and rules hold back, as MTA_CONTROL has it."""

    orders: Orders
    actions: tuple[Action, ...]

    def pause(self, key: Key, now: float) -> tuple[Target, Order] | None:
        """The one that holds it longest."""
        targets = (Target(key.tenant, key.campaign), Target(key.tenant), Target(lane=_lane(key.lane)))
        found = [
            (target, order)
            for verb, target, order in self.orders.items()
            if verb is OrderVerb.PAUSE and target in targets and (not order.until or order.until > now)
        ]
        return max(found, key=lambda one: one[1].until or FOREVER, default=None)


class Row(Struct, frozen=True):
    """Of a provider or a campaign, or of all."""

    name: str
    part: Part
    load: Load
    eta: Eta
    causes: list[Cause]


async def explain_backlog(
    config: Config | None, environ: Mapping[str, str], output: Output, chosen: Chosen
) -> int:
    """0: that something waits is no failure. WrongUsage for who is not configured: that nothing of his waits would look
    as if all had gone."""
    if config is not None:
        check_known("provider", chosen.provider, [OTHER, *(one.name for one in config.shaping.providers)])
        if config.tenants:
            check_known("tenant", chosen.tenant, config.tenants)
    sums = Sums()
    async with link(config, environ, "explain") as opened:
        withheld = await _withheld(opened)
        names = await _find(opened)
        # What moves from a node to the stream or back between these is missed or seen twice: no pause between them.
        unread = await _count_later(opened, sums, chosen.scope, output)
        asked = await _ask_all(opened, names)
        unread += await _count_rest(opened, sums, chosen.scope, asked.views)
    sums.only(chosen.wants)
    now = time.time()
    rows = rows_of(sums, chosen, withheld, asked, now)
    for line in asked.silent:
        output.note(line, "yellow")
    if unread:
        output.note(
            f"{many(unread, 'message')} could not be counted by recipients: taken as one each.", "yellow"
        )
    tell(output, rows, whole_of(rows, now), asked, now)
    return 0


# -- looking ----------------------------------------------------------------------------------------------------


async def _withheld(opened: Link) -> Withheld:
    orders, actions = Orders(), Actions()

    def note(change: Change) -> None:
        orders.apply(change.key, change.value)
        actions.apply(change.key, change.value)

    await Bucket(opened, CONTROL).each(note)
    return Withheld(orders, tuple(actions.in_force(time.time())))


async def _count_later(opened: Link, sums: Sums, scope: Scope, output: Output) -> int:
    def note(one: Later) -> None:
        sums.add_held(one.lane, one.tenant, one.campaign, one.at, one.held)

    return await later(opened, scope, note, output)


async def _count_rest(opened: Link, sums: Sums, scope: Scope, views: Iterable[HandView]) -> int:
    """What is fresh or due, without what nodes have in hand; how many messages were not looked at."""
    views = list(views)
    in_work = {sequence for view in views for sequence in view.due}
    waiting, (due_now, unread) = await asyncio.gather(fresh(opened, scope), due(opened, scope, in_work))
    taken = fresh_in_hand(views)
    for one in waiting:
        left = max(0, one.payloads - taken[one.lane, one.tenant, one.campaign])
        recipients = round(left * one.mean)
        sums.add_fresh(one.lane, one.tenant, one.campaign, recipients, is_exact=one.is_exact and not taken)
    for message in due_now:
        sums.add_held(message.lane, message.tenant, message.campaign, 0.0, message.held)
    for view in views:
        sums.add_hand(view)
    return unread


async def _find(opened: Link) -> list[str] | None:
    """The nodes that are there; None where our user may not ask."""
    try:
        return await nodes(opened)
    except PermissionMissing:
        return None


async def _ask_all(opened: Link, names: list[str] | None) -> Asked:
    """At once; one that does not answer is named, and the others are told of."""
    if names is None:
        return Asked((), (_NOT_ALLOWED,), False)
    answers = await asyncio.gather(*(_ask(opened, name) for name in names))
    views = tuple(answer for answer in answers if isinstance(answer, HandView))
    silent = [answer for answer in answers if isinstance(answer, str)]
    cut = [f"{view.node} has more in hand than it can tell." for view in views if view.is_cut]
    return Asked(views, (*silent, *cut))


async def _ask(opened: Link, name: str) -> HandView | str:
    try:
        return read(HandView, await ask(opened, name, BACKLOG, timeout_s=_ASK_S), name)
    except JetStreamError as error:
        return f"{name} did not answer: {error}"


# -- putting together -------------------------------------------------------------------------------------------


def rows_of(sums: Sums, chosen: Chosen, withheld: Withheld, asked: Asked, now: float) -> list[Row]:
    parts: dict[str, Part] = {}
    loads: dict[str, list[Load]] = {}
    found: dict[str, list[Cause]] = {}
    binding = _Binding.of(asked, withheld.actions, chosen, now)
    for key, part in sums.parts.items():
        name = chosen.name(key)
        parts.setdefault(name, Part()).add(part)
        pause = withheld.pause(key, now)
        until = (pause[1].until or FOREVER) if pause is not None else 0.0
        is_routed = chosen.is_by_campaign or key.provider != NOT_ROUTED
        loads.setdefault(name, []).append(load_of(part, until, is_routed=is_routed))
        several = found.setdefault(name, [])
        if pause is not None:
            several.append(causes.of_order(*pause, part.now + part.later.total(), now))
        else:
            several += _causes(key, part, binding, asked, now)
    rows = []
    for name, part in sorted(parts.items(), key=lambda item: (not item[0], item[0])):
        if not part.is_empty:
            load = together(loads[name])
            one = eta(load, now) if asked.may_go else Eta(EtaKind.STUCK)
            rows.append(Row(name, part, load, one, ranked(found[name])))
    return rows


class _Binding(Struct, frozen=True):
    """What holds mail, and what binds the paths on all nodes, by provider. `is_mixed`: less than all is asked about,
    and whose mail waits at which site of `other` cannot be told."""

    actions: tuple[Action, ...]
    paths: list[PathRow]
    bound: dict[str, list[tuple[PathRow, Cause]]]
    is_mixed: bool

    @classmethod
    def of(cls, asked: Asked, actions: tuple[Action, ...], chosen: Chosen, now: float) -> "_Binding":
        paths = [path for view in asked.views for path in view.paths]
        bound: dict[str, list[tuple[PathRow, Cause]]] = {}
        for path in paths:
            cause = causes.of_path(path, actions, now)
            if cause is not None:
                bound.setdefault(path.provider, []).append((path, cause))
        sites = {path.site for path in paths if path.provider == OTHER}
        waiting = {
            (row.tenant, row.campaign)
            for view in asked.views
            for row in view.rows
            if row.provider == OTHER and row.waiting + row.ready
        }
        is_part = bool(chosen.tenant or chosen.campaign)
        return cls(actions, paths, bound, is_part and len(sites) > 1 and len(waiting) > 1)


def _causes(key: Key, part: Part, binding: _Binding, asked: Asked, now: float) -> list[Cause]:
    """Of one part; what binds the paths to its provider is shared out by what it has in hand there."""
    found = [
        causes.of_reason(reason, n, binding.actions, binding.paths, key, now)
        for reason, n in part.reasons.items()
    ]
    in_stream = part.now - part.in_hand
    if in_stream and asked.is_allowed:
        found.append(causes.of_fresh(in_stream, may_go=asked.may_go))
    paths = binding.bound.get(key.provider, [])
    if key.provider == OTHER and binding.is_mixed:
        waits, sites = part.in_hand - part.on_wire, len({path.site for path, _ in paths})
        return [*found, causes.of_mixed(waits, sites, OTHER)] if waits and sites else found
    whole = sum(path.count for path, _ in paths)
    for path, cause in paths:
        count = round(part.in_hand * path.count / whole) if whole else 0
        if count:
            found.append(Cause(count, cause.kind, cause.text, cause.until, cause.is_grave))
    return found


def whole_of(rows: list[Row], now: float) -> Row:
    """All that waits. What is not routed yet takes its turn among the rest, at least: so it is reckoned at their
    rate."""
    part = Part()
    for row in rows:
        part.add(row.part)
    load = replace(together(row.load for row in rows), is_routed=True)
    known = [row.eta for row in rows if row.eta.kind is not EtaKind.UNKNOWN]
    whole = [eta(load, now)] if len(known) < len(rows) else []
    return Row("total", part, load, last([*known, *whole]), [])


# -- telling ----------------------------------------------------------------------------------------------------


def tell(output: Output, rows: list[Row], whole: Row, asked: Asked, now: float) -> None:
    for row in [*rows, whole]:
        output.result(_plain(row, is_total=row is whole))
    if not asked.may_go:
        output.say("No node is running: nothing goes.", "red")
    if not rows:
        output.say("Nothing waits.", "green")
        return
    shown = [*rows, whole] if len(rows) > 1 else rows
    columns = [_justified(column) for column in zip(_HEAD, *(_cells(row, now) for row in shown), strict=True)]
    table = Table("", *(column[0] for column in columns), "done")
    for row, *cells in zip(shown, *(column[1:] for column in columns), strict=True):
        name = cell(row.name or "not routed yet", "bold")
        if name.cell_len > _LONGEST_NAME:
            table.add_line(name)
            name = cell("")
        table.add_row(name, *map(cell, cells), cell(*_done(row.eta, now)))
        for cause in row.causes[:_MOST_CAUSES]:
            share = f"{cause.count:,}: " if len(row.causes) > 1 else ""
            table.add_line(cell(share + cause.text, "red" if cause.is_grave else "dim"), _INDENT)
        if (more := len(row.causes) - _MOST_CAUSES) > 0:
            table.add_line(cell(f"and {many(more, 'other reason')}", "dim"), _INDENT)
    output.show(table)


def _cells(row: Row, now: float) -> tuple[str, ...]:
    """In the order of `_HEAD`."""
    part = row.part
    return (
        f"{'~' if part.is_about else ''}{part.now:,}",
        f"{part.later.total():,}" if part.later else "-",
        clock(part.next_due, now) if part.next_due else "-",
        _rate(part.rate),
    )


def _justified(column: tuple[str, ...]) -> list[str]:
    """Numbers stand under each other by their ends."""
    width = max(map(len, column))
    return [text.rjust(width) for text in column]


def _rate(rate: float) -> str:
    if not rate:
        return "-"
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"


def _done(one: Eta, now: float) -> tuple[str, str]:
    """In words, and how it looks."""
    without = f", without {one.held:,} held" if one.held and one.at != FOREVER else ""
    match one.kind:
        case EtaKind.DONE:
            return "done", "green"
        case EtaKind.AT:
            return f"in {about(one.at - now)}{without}", "green"
        case EtaKind.NOT_BEFORE if one.at == FOREVER:
            return "when it is resumed", "yellow"
        case EtaKind.NOT_BEFORE:
            return f"not before {clock(one.at, now)}{without}", "yellow"
        case EtaKind.UNKNOWN:
            return f"not known{without}", "yellow"
        case EtaKind.STUCK:
            return f"not at the present rate: nothing goes{without}", "red"


def _plain(row: Row, *, is_total: bool) -> dict[str, object]:
    part, one = row.part, row.eta
    return {
        "row": "total" if is_total else row.name,
        "is_total": is_total,
        "now": part.now,
        "is_estimate": part.is_about,
        "in_hand": part.in_hand,
        "ready": part.ready,
        "on_wire": part.on_wire,
        "later": part.later.total(),
        "reasons": dict(part.reasons),
        "next_due": _moment(part.next_due),
        "oldest": _moment(part.oldest),
        "ended_lately": part.ended,
        "rate": round(part.rate, 3),
        "eta": one.kind.name.lower(),
        "done_at": _moment(one.at),
        "held": one.held,
        "binds": [
            {"kind": c.kind, "count": c.count, "text": c.text, "until": _moment(c.until)} for c in row.causes
        ],
    }


def _moment(at: float) -> str:
    return times.render(at) if 0.0 < at < FOREVER else ""


def _lane(name: str) -> Lane | None:
    return Lane(name) if name in Lane.__members__.values() else None
