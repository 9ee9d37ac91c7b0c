"""Storing recipients that wait, one message in MTA_RETRY for each set that is due together; and finding there those
that an earlier owner of the same source message had stored before he could say so."""

from functools import lru_cache
from random import Random

import structlog
from msgspec import Struct
from msgspec.structs import replace

from mta.delivery.reference import Parked
from mta.flow.content import Contents
from mta.flow.noted import last_try
from mta.flow.work import Ref, Waiting, Work
from mta.intake.admission import Admitted
from mta.intake.decode import Rejected, decode_due
from mta.intake.retry import encode_retry, waiting_recipient
from mta.jetstream.connection import Link, Stored
from mta.jetstream.consumers import held_subjects
from mta.jetstream.errors import JetStreamError
from mta.jetstream.layout import RETRY
from mta.jetstream.pull import Pulled
from mta.jetstream.pump import Pump
from mta.jetstream.schedule import described, held, retry, retry_number
from mta.jetstream.subjects import due_subject, retry_subject
from mta.ledger.note import Note
from mta.model.outcome import SOURCE_BLOCKED, Deferred
from mta.model.payload import RetryRecipient
from mta.pacing.settings import PathSettings
from mta.pacing.shaping import OTHER, Shaping
from mta.queue.schedule import RetryAt, next_due
from mta.queue.settings import RetrySchedule, RetrySettings

log = structlog.get_logger()

_MOST_PATHS = 1024
_CLOSE_S = 0.5
"""More than rounding makes of a time, less than anybody waits for a second attempt."""


class NextTry(Struct, frozen=True, gc=False):
    """When one who was deferred is sent again, or expires. `shown_at` is what his event says of it, 0.0 where there is
    no further attempt; `source` is set where that must use the same one, or another (`SOURCE_BLOCKED`), `expires_at`
    where he expires before his payload does."""

    at: float
    shown_at: float
    source: str
    expires_at: float = 0.0


class Schedules:
    """Which retry schedule holds for whom: the lane's, unless shaping.toml has another for his path."""

    def __init__(self, settings: RetrySettings, shaping: Shaping) -> None:
        self.settings = settings
        self._shaping = shaping
        self._unrouted = lru_cache(_MOST_PATHS)(self._find)

    def of(self, ref: Ref) -> RetrySchedule:
        schedule, path = self.settings.of(ref.lane), self._path(ref)
        return RetrySchedule(path.retry_s, schedule.max_age_s) if path.retry_s else schedule

    def end(self, ref: Ref) -> float:
        """When he expires: with his payload, or before."""
        admitted, max_age_s = ref.owner.admitted, self._path(ref).max_age_s
        if max_age_s is None:
            return admitted.expires_at
        return min(admitted.expires_at, admitted.recipients[ref.position].queued_at + max_age_s)

    def early_end(self, ref: Ref) -> float:
        """0.0: not before his payload."""
        end = self.end(ref)
        return end if end < ref.owner.admitted.expires_at else 0.0

    def _path(self, ref: Ref) -> PathSettings:
        """Of one that was not routed, or whose route an earlier owner of his payload chose, what is known without its
        hosts."""
        return ref.pacing if ref.pacing is not None else self._unrouted(ref.source, ref.provider or OTHER)

    def _find(self, source: str, provider: str) -> PathSettings:
        return self._shaping.settings(source, provider, ())


def next_try(
    schedules: Schedules, rng: Random, work: Work, ref: Ref, deferred: Deferred, now: float
) -> NextTry:
    """`now` is the time of the attempt."""
    attempt, verdict = deferred.attempt, deferred.verdict
    due = next_due(
        schedules.of(ref),
        attempt=attempt.number,
        queued_at=work.admitted.recipients[ref.position].queued_at,
        now=now,
        jitter=schedules.settings.jitter,
        rng=rng.random,
        actions=verdict.actions,
        greylist_s=schedules.settings.greylist_s,
        expires_at=schedules.end(ref),
    )
    if not isinstance(due, RetryAt):
        return NextTry(due.at, 0.0, "", schedules.early_end(ref))
    reason = " ".join((verdict.bounce_class, *verdict.actions))
    at = work.due_together(due.at, attempt.number, reason, now)
    is_source_told = due.keep_source or verdict.bounce_class in SOURCE_BLOCKED
    return NextTry(at, at, attempt.source if is_source_told else "")


def tried(ref: Ref, note: Note, next_: NextTry, mx_host: str = "") -> Waiting:
    """One who waits after an attempt, as the books have it."""
    return Waiting(ref, note.attempt, note.source, last_try(note, mx_host), expires_at=next_.expires_at)


def parked(schedules: Schedules, ref: Ref, settlement: Parked, now: float) -> tuple[float, Waiting]:
    """One who waits without an attempt, and until when: not beyond his end."""
    one, reason = ref.owner.admitted.recipients[ref.position], settlement.reason
    due_at = settlement.due_at
    if not settlement.is_turn:
        due_at = ref.owner.due_together(due_at, one.attempt, reason, now)
    end = schedules.early_end(ref)
    if end and end <= due_at:
        return end, Waiting(ref, one.attempt, one.source, one.last, expires_at=end, parked_for=reason)
    return due_at, Waiting(ref, one.attempt, one.source, one.last, settlement.is_held, parked_for=reason)


class StoredBefore(Struct, frozen=True, gc=False):
    """A recipient as it lies in a retry message, and when that was stored (RFC 3339)."""

    recipient: RetryRecipient
    stored_at: str


async def is_stored(
    work: Work, due_at: float, waiting: list[Waiting], contents: Contents, pump: Pump
) -> bool:
    """True when the stream has it; else it is to be tried again. `due_at` is of the server's clock."""
    try:
        await _store(work, due_at, waiting, contents, pump)
    except JetStreamError as error:
        log.warning("store_delayed", sequence=work.key[1], error=str(error))
        return False
    return True


async def _store(work: Work, due_at: float, waiting: list[Waiting], contents: Contents, pump: Pump) -> None:
    """Content first, so that what fires later finds it."""
    admitted = work.admitted
    is_early = admitted.accepted_at < admitted.send_at and due_at < admitted.send_at + _CLOSE_S
    content = work.content if is_early else await contents.keep(work.content)
    recipients = [
        waiting_recipient(
            admitted.recipients[one.ref.position], attempt=one.attempt, source=one.source, last=one.last
        )
        for one in waiting
    ]
    number = retry_number(
        work.pulled.stream, work.pulled.stream_sequence, [(r.index, r.attempt) for r in recipients]
    )
    ends = [one.expires_at for one in waiting]
    expires_at = min(ends) if all(ends) else admitted.expires_at
    message = retry(
        admitted.lane,
        admitted.tenant,
        admitted.campaign,
        admitted.payload_key,
        number,
        due_at,
        is_paused=all(one.is_paused for one in waiting),
    )
    await pump.publish_acked(
        message.subject,
        encode_retry(replace(admitted, expires_at=expires_at), content, recipients),
        msg_id=message.msg_id,
        headers=message.headers | described(held((one.ref.provider, _reason(one)) for one in waiting)),
    )


def _reason(one: Waiting) -> str:
    return one.parked_for or (one.last.bounce_class if one.last is not None else "")


async def stored_before(link: Link, admitted: Admitted, pulled: Pulled) -> dict[int, StoredBefore]:
    """By index: the recipients of this payload that lie in other messages of MTA_RETRY, waiting or due. Of messages
    that are due only those after `pulled` itself: what lay there before it is not of its making."""
    found: dict[int, StoredBefore] = {}
    waiting = retry_subject(admitted.tenant, admitted.campaign, admitted.payload_key, "*")
    for subject in await held_subjects(link, RETRY, waiting):
        _add(found, await link.last_message(RETRY, subject))
    due = due_subject(admitted.lane, admitted.tenant, admitted.campaign, admitted.payload_key)
    is_due = pulled.stream == RETRY
    sequence = pulled.stream_sequence + 1 if is_due else 1
    while (stored := await link.next_message(RETRY, due, sequence)) is not None:
        _add(found, stored)
        sequence = stored.sequence + 1
    return found


def _add(found: dict[int, StoredBefore], stored: Stored | None) -> None:
    if stored is None:  # it fired meanwhile, and is found among those due
        return
    decoded = decode_due(stored.data)
    if isinstance(decoded, Rejected):
        return
    for recipient in decoded.recipients:
        known = found.get(recipient.index)
        if known is None or recipient.attempt > known.recipient.attempt:
            found[recipient.index] = StoredBefore(recipient, stored.time)
