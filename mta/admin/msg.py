"""`mta msg`: the whole life of a message, from what the streams say of it.

Subjects name no recipient, so events are read from a time on and searched. A message id tells the time it was accepted,
and the index that of a payload: there the reading starts; for anything else it starts at `--since`. Beside events it
looks at the index, at what waits in MTA_RETRY, whether the payload is still in the queue, and at marks that keep more
mail from the recipient.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from rich.text import Text

from mta.admin.access import link, needed
from mta.admin.exits import EXIT_NO
from mta.admin.history import read
from mta.admin.life import Life, Lives, Question, question
from mta.admin.output import Output, Table, cell, many
from mta.admin.tail import STYLES, Filters, class_of, moment, part_of, said
from mta.config.problems import ConfigError
from mta.config.settings import Config
from mta.events.settings import RecipientForm
from mta.intake.decode import Rejected, decode_due
from mta.jetstream.connection import Link, Stored
from mta.jetstream.consumers import held_subjects
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import EVENTS, INDEX, RETRY, SUPPRESSION
from mta.jetstream.pull import Pulled
from mta.jetstream.schedule import SCHEDULE
from mta.jetstream.subjects import due_subject, escape, index_subject, retry_subject
from mta.model import ids, index, times
from mta.model.index import IndexEntry
from mta.model.lane import Lane
from mta.model.suppression import Mark
from mta.suppression.key import mark_key, payload_scope
from mta.suppression.store import MarkStore

_SLACK_S = 60.0
"""How much earlier than its own time something is looked for: clocks differ."""
_LATER = {
    "oob_bounced": "bounced later",
    "complained": "delivered, then complained of",
    "unsubscribed": "delivered, then unsubscribed",
}
_ATTEMPTED = frozenset(("deferred", "delivered", "bounced"))


class Waiting(Struct, frozen=True, gc=False):
    """A recipient in MTA_RETRY: `due_at` is RFC 3339, empty where it is due now; `attempts` were made."""

    due_at: str
    attempts: int
    recipient: str


class Held(Struct, frozen=True, gc=False):
    """A mark that keeps mail like this from the recipient: `scope` names whose address and which mail."""

    scope: str
    mark: Mark


class Case(Struct):
    """One message, with what is known of it beside its events. `is_queued`: its payload is still in its work queue."""

    life: Life
    entry: IndexEntry | None = None
    waiting: Waiting | None = None
    is_queued: bool = False
    held: tuple[Held, ...] = ()

    @property
    def state(self) -> str:
        if self.life.state:
            return self.life.state
        if self.waiting is not None:
            return "waiting" if self.waiting.due_at else "due"
        return "in_work" if self.is_queued else "open"


async def msg(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    asked: Question,
    *,
    tenant: str,
    since_s: float,
    limit: int,
) -> int:
    """1: nothing is known of it."""
    async with link(config, environ, "msg") as opened:
        tenants = [tenant] if tenant else [*(config.tenants if config is not None else ())]
        payloads = _Payloads(opened)
        known = [
            entry for one in tenants if (entry := await payloads.entry(one, asked.payload_id)) is not None
        ]
        subject, since = _where(asked, known, tenant, time.time() - since_s)
        lives = Lives(limit)

        def message(pulled: Pulled) -> None:
            for event in asked.answers(pulled.data):
                lives.add(event)

        await read(opened, EVENTS, (subject,), since, message, output)
        found = lives.all()
        if known:
            found += await payloads.unheard(known[0], found, limit - lives.total)
        cases = [await payloads.case(life) for life in found]
    if not cases:
        output.note(_nothing(asked, config, subject, since))
        return EXIT_NO
    for case in cases:
        output.result(_plain(case))
        _show(case, output)
    if lives.total > limit:
        output.note(f"{many(lives.total, 'message')} in all, the latest {limit} are shown: --limit", "yellow")
    return 0


def asked_of(text: str, option: Path | None, config: Config | None, environ: Mapping[str, str]) -> Question:
    """With the keys of tenants, where events hold hashes and this user may read them."""
    keys: Mapping[str, bytes] = {}
    if config is not None and config.events.recipient is RecipientForm.HASH:
        try:
            keys = needed(option, environ, with_keys=True).hash_keys
        except ConfigError:
            keys = {}  # `_nothing` says that only hashes are there
    return question(text, keys)


def _where(asked: Question, known: list[IndexEntry], tenant: str, since: float) -> tuple[str, float]:
    """The subject to read, and from when on."""
    if len(known) == 1:
        entry = known[0]
        subject = f"mta.event.{escape(entry.tenant)}.*.*.{escape(entry.campaign)}"
        return subject, _seconds(entry.accepted_at) - _SLACK_S
    return Filters(tenant).subject(), asked.since - _SLACK_S if asked.since else since


class _Payloads:
    """What is known of payloads beside events, each looked up once."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._entries: dict[tuple[str, str], IndexEntry | None] = {}
        self._waiting: dict[tuple[str, str], dict[str, Waiting]] = {}
        self._queued: dict[tuple[str, str], bool] = {}
        self._store = MarkStore(Bucket(link, SUPPRESSION))
        self._marks: dict[str, Mark | None] = {}

    async def entry(self, tenant: str, payload_id: str) -> IndexEntry | None:
        if not payload_id:
            return None
        key = (tenant, payload_id)
        if key not in self._entries:
            stored = await self._link.last_message(INDEX, index_subject(ids.payload_key(*key)))
            self._entries[key] = None if stored is None else index.decode(stored.data)
        return self._entries[key]

    async def case(self, life: Life) -> Case:
        entry = await self.entry(life.tenant, life.payload_id)
        held = await self._held(life)
        if life.end or not life.payload_id:
            return Case(life, entry, held=held)
        waiting = (await self.waiting(life.tenant, life.campaign, life.payload_id)).get(life.message_id)
        return Case(life, entry, waiting, entry is not None and await self._is_queued(entry), held)

    async def unheard(self, entry: IndexEntry, heard: list[Life], room: int) -> list[Life]:
        """Messages of a payload that wait and of which no event tells, as before their first attempt."""
        told = {life.message_id for life in heard}
        waiting = await self.waiting(entry.tenant, entry.campaign, entry.payload_id)
        return [
            Life(entry.tenant, entry.campaign, entry.payload_id, message_id, one.recipient)
            for message_id, one in waiting.items()
            if message_id not in told
        ][: max(room, 0)]

    async def waiting(self, tenant: str, campaign: str, payload_id: str) -> dict[str, Waiting]:
        """By message id."""
        key = (tenant, payload_id)
        if key not in self._waiting:
            payload_key = ids.payload_key(*key)
            subjects = [
                retry_subject(tenant, campaign, payload_key, "*"),
                *(due_subject(lane, tenant, campaign, payload_key) for lane in Lane),
            ]
            found: dict[str, Waiting] = {}
            for each in subjects:
                for subject in await held_subjects(self._link, RETRY, each):
                    found |= _recipients(await self._link.last_message(RETRY, subject), tenant)
            self._waiting[key] = found
        return self._waiting[key]

    async def _held(self, life: Life) -> tuple[Held, ...]:
        """Of the address and its domain, for all mail and for mail of this kind; none where the address is hidden."""
        local, at, domain = life.recipient.rpartition("@")
        if not local or not at:
            return ()
        scopes = {"all mail": (life.recipient, ""), f"all mail to {domain}": (f"@{domain}", "")}
        stream, lane = life.kind_of_mail
        if lane in Lane.__members__.values() and (scope := payload_scope(stream, Lane(lane))):
            scopes[f"mail of {stream}" if stream else "bulk mail without a stream"] = (life.recipient, scope)
        found = []
        for said_scope, (address, scope) in scopes.items():
            key = mark_key(life.tenant, address, scope)
            if key not in self._marks:
                kept = await self._store.get(key)
                self._marks[key] = None if kept is None else kept.mark
            if (mark := self._marks[key]) is not None:
                found.append(Held(said_scope, mark))
        return tuple(found)

    async def _is_queued(self, entry: IndexEntry) -> bool:
        key = (entry.tenant, entry.payload_id)
        if key not in self._queued:
            stored = await self._link.stored_message(entry.source_stream, entry.source_sequence)
            self._queued[key] = stored is not None
        return self._queued[key]


def _recipients(stored: Stored | None, tenant: str) -> dict[str, Waiting]:
    """Of one message of MTA_RETRY, by message id; nothing where it fired meanwhile."""
    decoded = None if stored is None else decode_due(stored.data)
    if stored is None or decoded is None or isinstance(decoded, Rejected):
        return {}
    due_at = stored.headers.get(SCHEDULE, "").removeprefix("@at ")
    retry = decoded.retry
    accepted_at = times.from_datetime(retry.accepted_at)
    return {
        str(
            ids.message_id(accepted_at, tenant, retry.payload_id, ids.recipient_key(one.id, one.index))
        ): Waiting(due_at, one.attempt, one.email)
        for one in decoded.recipients
    }


def _seconds(moment: str) -> float:
    return times.from_datetime(datetime.fromisoformat(moment))


def _nothing(asked: Question, config: Config | None, subject: str, since: float) -> str:
    """Where it was looked, and what to try."""
    looked = (
        f"No event about it: taken for {asked.what}, and looked for on {subject} since "
        f"{moment(times.render(since), '', 'seconds')}."
    )
    form = config.events.recipient if config is not None else RecipientForm.FULL
    if "recipient" in asked.fields and form is not RecipientForm.FULL:
        return (
            f'{looked} Events do not hold addresses here (events.recipient = "{form}"): ask by a message id, a '
            "payload's id or your own id of the recipient."
        )
    return (
        f"{looked} Events are kept for 7 days, and there is none of a recipient before the first attempt: ask by the "
        "payload's id, look further back with --since, or see what waits with: mta campaign ls"
    )


def _plain(case: Case) -> dict[str, Any]:
    life, waiting = case.life, case.waiting
    found = {
        "message_id": life.message_id,
        "recipient": life.recipient,
        "tenant": life.tenant,
        "campaign": life.campaign,
        "payload_id": life.payload_id,
        "state": case.state,
        "end": life.end,
        "accepted_at": case.entry.accepted_at if case.entry is not None else "",
        "due_at": waiting.due_at if waiting is not None else "",
    }
    marks = [{"scope": one.scope, **to_builtins(one.mark)} for one in case.held]
    told = {name: value for name, value in found.items() if value}
    return {**told, **({"marks": marks} if marks else {}), "events": life.events}


def _show(case: Case, output: Output) -> None:
    life = case.life
    head = Text()
    head.append_text(cell(life.recipient or f"payload {life.payload_id}", "bold"))
    head.append("  ")
    head.append_text(cell(_spoken(case), STYLES.get(case.state, "yellow")))
    output.show(head)
    where = f"{life.tenant}/{life.campaign}" if life.campaign else life.tenant
    whose = f"  payload {life.payload_id}" if life.message_id else ""
    output.say(f"  {life.message_id or 'all its recipients'}  {where}{whose}", "dim")
    table = Table("  time", "after", "event", "")
    began = case.entry.accepted_at if case.entry is not None else _began(life)
    if case.entry is not None and not any(event.get("type") == "accepted" for event in life.events):
        table.add_row(*_row(began, began, "accepted", ""))
    for event in life.events:
        table.add_row(*_row(str(event.get("time", "")), began, str(event.get("type", "?")), _told(event)))
    if case.waiting is not None and case.waiting.due_at:
        text = f"attempt {case.waiting.attempts + 1}, waits in {RETRY}"
        table.add_row(*_row(case.waiting.due_at, began, "due", text))
    output.show(table)
    for one in case.held:
        output.say(f"  {_withheld(one)}", "magenta")
    output.say("")


def _withheld(held: Held) -> str:
    mark = held.mark
    until = f" until {moment(mark.expires_at, '', 'seconds')}" if mark.expires_at else ""
    since = f" since {moment(mark.at, '', 'seconds')}" if mark.at else ""
    source = f", from {mark.source}" if mark.source else ""
    return f"gets no {held.scope.removeprefix('all ')}{since}{until}: {mark.reason}{source}"


def _row(at: str, began: str, kind: str, text: str) -> tuple[Text, Text, Text, Text]:
    style = STYLES.get(kind, "yellow")
    return (
        cell(f"  {moment(at, '', 'milliseconds')}", "dim"),
        cell(_after(at, began), "dim"),
        cell(kind, style),
        cell(text),
    )


def _told(event: Mapping[str, Any]) -> str:
    """What matters of it here: which attempt, what was said and by whom, what happens next."""
    smtp, bounce, error = (part_of(event, name) for name in ("smtp", "bounce", "error"))
    feedback, counts = part_of(event, "feedback"), part_of(event, "counts")
    attempt = f"attempt {event.get('attempt')}" if event.get("type") in _ATTEMPTED else ""
    refused = f", {counts.get('rejected')} refused" if counts.get("rejected") else ""
    parts = [
        attempt,
        f"{counts.get('recipients')} in all{refused}" if counts else "",
        class_of(event),
        f"after {bounce['last_class']}" if bounce.get("last_class") else "",
        said(smtp),
        str(bounce.get("detail", "")),
        ": ".join(str(error[name]) for name in ("code", "text") if error.get(name)),
        str(event.get("detail", "")),
        str(feedback.get("feedback_type", "")),
        f"reported by {feedback['reporting_mta']}" if feedback.get("reporting_mta") else "",
        f"at {event['mx_host']}" if event.get("mx_host") else "",
        f"next {moment(event['next_attempt_at'], '', 'seconds')}" if event.get("next_attempt_at") else "",
        "recovered" if event.get("recovered") else "",
        "ambiguous" if event.get("ambiguous") else "",
        "rehearsed" if event.get("dry_run") else "",
    ]
    return ", ".join(" ".join(part.split()) for part in parts if part)


def _spoken(case: Case) -> str:
    waiting = case.waiting
    match case.state:
        case "waiting" if waiting is not None:
            return f"waits until {moment(waiting.due_at, '', 'seconds')}"
        case "due":
            return "due now"
        case "in_work":
            return "in work"
        case "open":
            return "accepted" if not case.life.message_id else "no end is known"
        case state:
            return _LATER.get(state, state)


def _began(life: Life) -> str:
    first = life.events[0] if life.events else {}
    return str(first.get("queued_at") or first.get("time") or "")


def _after(at: str, began: str) -> str:
    try:
        seconds = _seconds(at) - _seconds(began)
    except ValueError:
        return ""
    if seconds < 120:
        return f"+{seconds:.1f} s"
    if seconds < 7200:
        return f"+{seconds / 60:.0f} min"
    return f"+{seconds / 3600:.0f} h" if seconds < 172_800 else f"+{seconds / 86_400:.0f} d"
