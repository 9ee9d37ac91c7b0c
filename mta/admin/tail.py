"""`mta tail`: events as they come, or until now, one line each, coloured by what they mean.

Reads MTA_EVENTS by an ordered consumer of its own, so that every event is seen once: after a broken
connection it goes on behind the last message it has shown, by stream sequence.
"""

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from rich.text import Text

from mta.admin.access import beside, link
from mta.admin.errors import WrongUsage
from mta.admin.history import duration
from mta.admin.output import Output
from mta.config.names import is_token
from mta.config.settings import Config
from mta.jetstream.connection import Link
from mta.jetstream.consumers import create_reader, from_time
from mta.jetstream.errors import JetStreamUnavailable
from mta.jetstream.layout import EVENTS
from mta.jetstream.pull import End, Pulled, Puller
from mta.jetstream.subjects import EMPTY, escape
from mta.log import escaped
from mta.model.event import EventType
from mta.model.outcome import BounceClass

STYLES = {
    "accepted": "cyan",
    "queued": "dim",
    "delivered": "green",
    "deferred": "yellow",
    "bounced": "red",
    "expired": "red",
    "failed": "bold red",
    "rejected": "bold red",
    "suppressed": "magenta",
    "cancelled": "magenta",
    "oob_bounced": "red",
    "complained": "bold magenta",
    "unsubscribed": "magenta",
    "auto_replied": "dim",
}
"""Green went well, yellow will be tried again, red is lost, bold red is the sender's or our fault, magenta
is a person's or an operator's wish."""

_OURS = frozenset((EventType.SUPPRESSED, EventType.FAILED, EventType.CANCELLED))
"""Ends that no server decided."""
_BATCH = 200
_PULL_S = 5.0
_AGAIN_S = 0.5


class Filters(Struct, frozen=True, gc=False):
    """Empty means all, `_` without one. `since_s` seconds back; 0: only what comes from now on."""

    tenant: str = ""
    type: str = ""
    provider: str = ""
    campaign: str = ""
    since_s: float = 0.0

    def subject(self) -> str:
        parts = (self.tenant, self.type, self.provider, self.campaign)
        return "mta.event." + ".".join(_token(part) for part in parts)


def _token(part: str) -> str:
    """As for every verb `_` is what has no campaign, and no campaign of that name."""
    if part == EMPTY:
        return EMPTY
    return escape(part) if part else "*"


async def tail(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    filters: Filters,
    count: int = 0,
    *,
    is_following: bool = True,
) -> int:
    """Until interrupted, until `count` events were shown, or unless `is_following` until all that are there now were.
    WrongUsage where none of those could be asked for."""
    if not is_following and not filters.since_s:
        raise WrongUsage("--no-follow shows what was: say from when on with --since, as 1h")
    async with link(config, environ, "tail") as opened:
        follower = _Follower(opened, output, filters, count, is_following=is_following)
        if is_following and not output.as_json and output.errors.is_terminal:
            output.note(f"Waiting for events on {filters.subject()} (Ctrl-C ends)", "dim")
        async with beside(follower.run(), "tail: follow"):
            await follower.done.wait()
    return 0


class _Follower:
    def __init__(
        self, link: Link, output: Output, filters: Filters, count: int, *, is_following: bool
    ) -> None:
        self._link = link
        self._output = output
        self._filters = filters
        self._left = count
        self._is_following = is_following
        self._pending = 0
        self._started_at = time.time()
        self._last = 0
        self._was_open = False
        self.done = asyncio.Event()

    async def run(self) -> None:
        """For ever, by one consumer after the other."""
        while True:
            await self._follow()
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Until the consumer is of no more use."""
        try:
            name = await self._create()
            puller = Puller(self._link, EVENTS, name, self._message)
            await puller.open()
            try:
                while not self.done.is_set():
                    pulled = await puller.pull(_BATCH, expires_s=_PULL_S)
                    if pulled.end not in (End.FULL, End.EMPTY):
                        break
                    if not pulled.received and not self._is_following:  # the rest grew too old meanwhile
                        self.done.set()
            finally:
                await puller.close()
        except JetStreamUnavailable:
            # What never answered will not: no JetStream there, or nobody who may answer us.
            if self._link.is_closed or not self._was_open:
                raise

    async def _create(self) -> str:
        if self._last:
            start = {"deliver_policy": "by_start_sequence", "opt_start_seq": self._last + 1}
        elif not self._filters.since_s and not self._was_open:
            start = {"deliver_policy": "new"}  # no clock of ours beside the server's
        else:
            start = from_time(self._started_at - self._filters.since_s)
        reader = await create_reader(self._link, EVENTS, (self._filters.subject(),), start)
        self._was_open = True
        self._pending = reader.pending
        if not self._is_following and not self._pending:
            self.done.set()
        return reader.name

    def _message(self, pulled: Pulled) -> None:
        self._last = max(self._last, pulled.stream_sequence)
        for line in pulled.data.splitlines():
            if not line or self.done.is_set():
                continue
            if self._output.as_json:
                self._output.raw(line)
            else:
                self._output.show(render(line, datetime.now(UTC).date().isoformat()))
            self._left -= 1
            if not self._left:
                self.done.set()
        self._pending -= 1
        if not self._is_following and not self._pending:
            self.done.set()


def filters(
    tenant: str,
    kind: str,
    provider: str,
    campaign: str,
    since: str,
    kinds: Collection[EventType] = tuple(EventType),
) -> Filters:
    """WrongUsage for what no event can match: waiting for it would look like peace. `kinds`: which types there are for
    this verb."""
    if kind and kind not in kinds:
        raise WrongUsage(f"--type {kind}: expected one of {', '.join(kinds)}")
    for option, value in (("--tenant", tenant), ("--provider", provider), ("--campaign", campaign)):
        if value and not is_token(value):
            raise WrongUsage(
                f"{option} {value}: such a name is made of a-z, 0-9, _ and -, at most 64 of them"
            )
    return Filters(tenant, kind, provider, campaign, duration("--since", since))


def render(line: bytes, today: str = "") -> Text:
    """One event as a line for people; what cannot be read is shown as it is. Times are UTC, as in the event, and those
    of another day than `today` have their date."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Text(escaped(line.decode(errors="replace"))[:500], style="dim")
    kind = str(event.get("type", "?"))
    style = STYLES.get(kind, "")
    text = Text()
    text.append(f"{moment(event.get('time'), today, 'milliseconds')} ", "dim")
    text.append(f"{escaped(kind):<12} ", style)
    text.append(escaped(_who(event)), "bold")
    for part in details(event, today):
        text.append("  ")
        text.append(escaped(part)[:300], "" if style == "green" else style)
    return text


def moment(value: object, today: str, precision: str) -> str:
    try:
        time = datetime.fromisoformat(str(value)).astimezone(UTC)
    except (ValueError, OverflowError):
        return escaped(str(value or ""))[:30]
    date, _, clock = time.isoformat(timespec=precision).removesuffix("+00:00").partition("T")
    return f"{clock}Z" if date == today else f"{date} {clock}Z"


def _who(event: Mapping[str, Any]) -> str:
    """The recipient, or the payload where it is about all of them."""
    return str(event.get("recipient") or event.get("recipient_domain") or event.get("payload_id") or "-")


def details(event: Mapping[str, Any], today: str) -> list[str]:
    """What matters of it, in the order one asks: where, which attempt, what was said, what happens next."""
    smtp, bounce, error = (part_of(event, part) for part in ("smtp", "bounce", "error"))
    campaign = event.get("campaign")
    parts = [
        f"{event.get('tenant', '')}/{campaign}" if campaign else str(event.get("tenant", "")),
        f"via {event['provider']}" if event.get("provider") not in (None, "", "_") else "",
        f"attempt {event['attempt']}" if event.get("attempt", 0) not in (0, 1) else "",
        class_of(event),
        said(smtp) if event.get("type") != "delivered" else "",
        str(bounce.get("detail", "")),
        str(event.get("detail", "")),
        ": ".join(str(error[part]) for part in ("code", "text") if error.get(part)),
        f"next {moment(event['next_attempt_at'], today, 'seconds')}" if event.get("next_attempt_at") else "",
        "recovered" if event.get("recovered") else "",
        "ambiguous" if event.get("ambiguous") else "",
    ]
    return [part for part in parts if part]


def class_of(event: Mapping[str, Any]) -> str:
    """Of the refusal. Where nobody refused anything it is `local` whatever the reason, which stands beside it."""
    bounce = part_of(event, "bounce")
    has_reason = bounce.get("detail") or part_of(event, "error").get("code")
    is_ours = str(event.get("type")) in _OURS and bounce.get("class") == BounceClass.LOCAL
    return "" if is_ours and has_reason else str(bounce.get("class", ""))


def said(smtp: Mapping[str, Any]) -> str:
    stage, code, enhanced, text = (str(smtp.get(key) or "") for key in ("stage", "code", "enhanced", "text"))
    return " ".join(word for word in (stage, reply_line(code, enhanced, text)) if word)


def reply_line(code: str, enhanced: str, text: str) -> str:
    """A reply on one line, with its status once: a server repeats it on each line."""
    lines = [line.strip().removeprefix(enhanced).strip() for line in text.splitlines()]
    return " ".join(word for word in (code, enhanced, *lines) if word)


def part_of(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = event.get(key)
    return value if isinstance(value, dict) else {}
