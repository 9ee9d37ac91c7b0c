"""`mta bounces top|unknown`: what was refused most, and which replies no rule understood.

Both read MTA_EVENTS from a time on, with a filter, and count in bounded memory. What peers said is shown escaped.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from mta.admin.access import link
from mta.admin.bounces import provider_named
from mta.admin.errors import WrongUsage
from mta.admin.frequent import Frequent, Group
from mta.admin.history import read
from mta.admin.known import check_known
from mta.admin.output import Output, Table, cell, many
from mta.admin.tail import Filters, moment, reply_line
from mta.classify.normalise import Normaliser
from mta.config.settings import Config
from mta.jetstream.layout import EVENTS
from mta.jetstream.pull import Pulled
from mta.jetstream.subjects import EMPTY
from mta.model.event import EventType
from mta.model.outcome import BounceClass, BounceType

REFUSALS = (EventType.BOUNCED, EventType.DEFERRED, EventType.OOB_BOUNCED, EventType.EXPIRED)
"""The types that tell of a refusal."""
STYLES = {
    BounceType.HARD: "red",
    BounceType.SOFT: "yellow",
    BounceType.BLOCK: "magenta",
    BounceType.ADMIN: "bold red",
    BounceType.UNDETERMINED: "dim",
}
"""Red is an address that is no good, yellow heals by itself, magenta does not want us, bold red is our own fault."""

_ROOM = 2_000
_ROOM_UNKNOWN = 5_000
_MOST_SHOWN = 160  # characters of a reply
_MOST_NAMED = 60
_NO_REPLY = "(no reply)"
_BASIC_RULE = "basic:"


class _Smtp(Struct, frozen=True, gc=False):
    stage: str = ""
    code: int = 0
    enhanced: str = ""
    text: str = ""

    @property
    def said(self) -> str:
        return reply_line(str(self.code or ""), self.enhanced, self.text)


class _Bounce(Struct, frozen=True, gc=False):
    bounce_class: str = field(name="class", default="")
    type: str = ""
    provider_code: str = ""
    rule: str = ""
    detail: str = ""
    last_class: str = ""


class Refusal(Struct, frozen=True, gc=False):
    """What counts of an event."""

    type: str
    time: str = ""
    tenant: str = ""
    provider: str = ""
    recipient_domain: str = ""
    mx_host: str = ""
    smtp: _Smtp = _Smtp()
    bounce: _Bounce = _Bounce()

    @property
    def said(self) -> str:
        """What the peer said, or what happened instead."""
        if self.smtp.code:
            return self.smtp.said
        last = f"the last refusal was {self.bounce.last_class}" if self.bounce.last_class else ""
        return last or " ".join(filter(None, (_NO_REPLY, self.bounce.detail)))


def _normalised(normaliser: Normaliser, one: Refusal) -> str:
    """A reply as rules are matched against it: without what differs from one message to the next."""
    octets = one.smtp.text.encode("utf-8", "surrogatepass").decode("latin-1")
    return normaliser(octets, one.smtp.code, one.smtp.enhanced).text


_KEYS: dict[str, Callable[[Refusal], str]] = {
    "class": lambda one: one.bounce.bounce_class,
    "provider": lambda one: one.provider,
    "code": lambda one: " ".join(
        filter(None, (str(one.smtp.code or _NO_REPLY), one.smtp.enhanced, one.bounce.provider_code))
    ),
    "rule": lambda one: one.bounce.rule,
    "domain": lambda one: one.recipient_domain,
}
BY = (*_KEYS, "text")


def _key(by: str) -> Callable[[Refusal], str]:
    """WrongUsage for what is none."""
    if by == "text":
        normaliser = Normaliser()
        return lambda one: _normalised(normaliser, one) if one.smtp.code else one.said
    if by not in _KEYS:
        raise WrongUsage(f"--by {by}: expected one of {', '.join(BY)}")
    return _KEYS[by]


async def top(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    chosen: Filters,
    by: str = "class",
    limit: int = 20,
) -> int:
    """0 also where nothing was refused. WrongUsage for a `by`, provider or tenant that is none. A type that was chosen
    is of `REFUSALS`."""
    _check_names(config, chosen)
    key, counted = _key(by), Frequent[str, Refusal](_ROOM)

    def note(one: Refusal) -> None:
        kind = f"{one.bounce.bounce_class} {one.bounce.type}"
        counted.note(key(one) or "-", kind, one, one.time)

    await _each(config, environ, output, chosen, REFUSALS, note)
    ranked = counted.ranked()
    for name, group in ranked[:limit]:
        output.result({"by": by, by: name, "share": round(group.count / counted.total, 4), **_plain(group)})
    if not ranked:
        output.say(f"Nothing was refused: no such event on {_spoken(chosen)} in that time.")
        return 0
    output.show(_top_table(by, ranked[:limit], counted.total))
    more = f"; {many(len(ranked) - limit, 'more group')}: --limit" if len(ranked) > limit else ""
    _note(output, f"{many(counted.total, 'refusal')} in {many(min(len(ranked), limit), 'group')}{more}")
    return 0


async def unknown(
    config: Config | None, environ: Mapping[str, str], output: Output, chosen: Filters, limit: int = 10
) -> int:
    """`limit` is of rows by provider. WrongUsage for a provider that is none."""
    _check_names(config, chosen)
    normaliser, counted = Normaliser(), Frequent[tuple[str, str, str], Refusal](_ROOM_UNKNOWN)
    total = 0

    def note(one: Refusal) -> None:
        nonlocal total
        total += 1
        bounce = one.bounce
        is_basic = bounce.rule.startswith(_BASIC_RULE) or bounce.bounce_class == BounceClass.UNDETERMINED
        if is_basic and one.smtp.code:
            key = (one.provider or "other", one.smtp.stage, _normalised(normaliser, one))
            counted.note(key, f"{bounce.bounce_class} {bounce.type}", one, one.time)

    kinds = tuple(kind for kind in REFUSALS if kind is not EventType.EXPIRED)
    await _each(config, environ, output, chosen, kinds, note)
    by_provider: dict[str, list[tuple[tuple[str, str, str], Group[Refusal]]]] = {}
    for key, group in counted.ranked():
        by_provider.setdefault(key[0], []).append((key, group))
    if not counted.total:
        output.say(f"Every reply was understood: {many(total, 'refusal')} on {_spoken(chosen)} in that time.")
        return 0
    for provider, ranked in by_provider.items():
        for (_, stage, text), group in ranked[:limit]:
            named = {"provider": provider, "stage": stage, "text": text}
            output.result({**named, "first": group.first_at, "last": group.last_at, **_plain(group)})
    output.show(_unknown_table(by_provider, limit))
    _note(
        output,
        f"{counted.total:,} of {many(total, 'refusal')} were understood by the basic code only. What one means: "
        "mta bounces explain --provider PROVIDER --stage STAGE 'REPLY'; a rule for it goes into bounces.toml",
    )
    return 0


def _check_names(config: Config | None, chosen: Filters) -> None:
    """WrongUsage for who is not configured: that nothing was refused would look like peace. Without a configuration
    nobody knows who is."""
    if config is None:
        return
    if chosen.provider not in ("", EMPTY):
        provider_named(config, chosen.provider)
    if config.tenants:
        check_known("tenant", chosen.tenant, config.tenants)


async def _each(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    chosen: Filters,
    kinds: tuple[EventType, ...],
    note: Callable[[Refusal], None],
) -> None:
    """Every refusal in the time and of the kinds that were asked for; what cannot be read is counted and said."""
    wanted = (chosen.type,) if chosen.type else tuple(map(str, kinds))
    subjects = [msgspec.structs.replace(chosen, type=kind).subject() for kind in wanted]
    decoder, unread = msgspec.json.Decoder(Refusal), 0

    def message(pulled: Pulled) -> None:
        nonlocal unread
        for line in pulled.data.splitlines():
            try:
                refusal = decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                unread += 1
            else:
                note(refusal)

    async with link(config, environ, "bounces") as opened:
        await read(opened, EVENTS, subjects, time.time() - chosen.since_s, message, output)
    if unread:
        output.note(f"{many(unread, 'event')} could not be read", "yellow")


def _plain(group: Group[Refusal]) -> dict[str, Any]:
    """For `--json`; `over` is how much too high the count may be."""
    classes: dict[str, int] = {}
    mostly = group.kinds.most_common(1)[0][0].partition(" ")[2]
    for kind, count in group.kinds.most_common():
        classes[kind.partition(" ")[0]] = classes.get(kind.partition(" ")[0], 0) + count
    one = group.example
    example = {"time": one.time, "provider": one.provider, "mx_host": one.mx_host, "stage": one.smtp.stage}
    return {
        "count": group.count,
        **({"over": group.over} if group.over else {}),
        "classes": classes,
        "type": mostly,
        "example": {name: value for name, value in {**example, "reply": one.said}.items() if value},
    }


def _top_table(by: str, ranked: list[tuple[str, Group[Refusal]]], total: int) -> Table:
    """By text the example says it all."""
    has_key, has_class = by != "text", by != "class"
    table = Table(
        *("count", "share", *([by] if has_key else [])),
        *(["mostly"] if has_class else []),
        *("type", "example"),
        spare=("type", "share"),
    )
    wide = max(len(_count(group)) for _, group in ranked)
    for name, group in ranked:
        mostly, _, kind = group.kinds.most_common(1)[0][0].partition(" ")
        style = _style(kind)
        table.add_row(
            cell(_count(group).rjust(max(wide, len("count")))),
            cell(f"{100 * group.count / total:5.1f} %"),
            *([cell(_short(name, _MOST_NAMED), "bold" if has_class else style)] if has_key else []),
            *([cell(mostly, style)] if has_class else []),
            cell(kind, style),
            cell(_short(group.example.said, _MOST_SHOWN), "dim"),
        )
    return table


def _unknown_table(
    by_provider: dict[str, list[tuple[tuple[str, str, str], Group[Refusal]]]], limit: int
) -> Table:
    table = Table("count", "provider", "stage", "first", "last", "example", spare=("first", "last"))
    for provider, ranked in by_provider.items():
        for (_, stage, _text), group in ranked[:limit]:
            kind = group.kinds.most_common(1)[0][0].partition(" ")[2]
            table.add_row(
                cell(_count(group).rjust(len("count"))),
                cell(provider, "bold"),
                cell(stage),
                cell(_minute(group.first_at), "dim"),
                cell(_minute(group.last_at), "dim"),
                cell(_short(group.example.said, 2 * _MOST_SHOWN), _style(kind)),
            )
    return table


def _count(group: Group[Refusal]) -> str:
    return f"{'≤' if group.over else ''}{group.count:,}"


def _style(kind: str) -> str:
    return STYLES[BounceType(kind)] if kind in BounceType.__members__.values() else ""


def _minute(at: str) -> str:
    return moment(at, "", "seconds")[5:16]


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _spoken(chosen: Filters) -> str:
    return chosen.subject()


def _note(output: Output, text: str) -> None:
    if not output.as_json:
        output.note(text, "dim")
