"""What the books keep of a settlement, and the settlement that is told again after a crash. Pure.

What a note does not hold (host, session, TLS, actions) is absent from an event that is told again; its id, its type,
its time and the peer's words are the same.
"""

from mta.classify.classifier import verdict_of
from mta.delivery.reference import Settlement
from mta.ledger.note import Note
from mta.model.event import EventType
from mta.model.outcome import (
    Attempt,
    BounceClass,
    Bounced,
    Cancelled,
    Deferred,
    Delivered,
    Expired,
    Failed,
    Stage,
    Suppressed,
    Verdict,
)
from mta.model.payload import LastTry
from mta.model.reply import Reply
from mta.model.suppression import SuppressReason
from mta.suppression.guard import GUARDED

_DRY_RUN = "dry_run"
_RULE = "recovered"
_SURE = "high"
_MOST_TEXT = 200


def note_of(settlement: Settlement, provider: str, attempts: int, at: float, source: str = "") -> Note:
    """`attempts` counts those made before this settlement, for those that are none; `at` is the time its event
    tells; `source` is set where the next attempt must use the same one."""
    match settlement:
        case Delivered(attempt=attempt):
            return _tried(EventType.DELIVERED, attempt, provider, at)
        case Bounced(attempt=attempt, verdict=verdict):
            return _tried(EventType.BOUNCED, attempt, provider, at, verdict)
        case Deferred(attempt=attempt, verdict=verdict):
            return _tried(EventType.DEFERRED, attempt, provider, at, verdict, source)
        case Expired(last_class=last_class):
            return Note(EventType.EXPIRED, attempts, at, provider, last_class or "")
        case Failed(code=code, detail=detail):
            return Note(EventType.FAILED, attempts, at, provider, error=code, text=detail)
        case Cancelled(detail=detail, is_dry_run=is_dry_run):
            error = _DRY_RUN if is_dry_run else ""
            return Note(EventType.CANCELLED, attempts, at, provider, error=error, text=detail)
        case Suppressed(reason=reason):
            return Note(EventType.SUPPRESSED, attempts, at, provider, text=reason)
        case _:
            return Note(None, attempts, at, provider)


def _tried(
    kind: EventType,
    attempt: Attempt,
    provider: str,
    at: float,
    verdict: Verdict | None = None,
    source: str = "",
) -> Note:
    reply = attempt.reply
    if reply is None:
        code, enhanced, text = 0, "", attempt.detail
    else:
        code, enhanced = reply.code, reply.enhanced
        text = reply.lines[0] if len(reply.lines) == 1 else reply.text
    bounce_class = "" if verdict is None else verdict.bounce_class
    doubt = "" if verdict is None or verdict.confidence == _SURE else verdict.confidence
    if verdict is not None and verdict.detail == GUARDED:
        doubt = GUARDED
    rest = (bounce_class, attempt.stage, code, enhanced, text[:_MOST_TEXT], source, doubt, attempt.ambiguous)
    return Note(kind, attempt.number, at, provider, *rest)


def settlement_of(note: Note) -> Settlement | None:
    """None: it was parked, nothing is told of it."""
    match note.kind:
        case EventType.DELIVERED:
            return Delivered(_attempt(note))
        case EventType.BOUNCED:
            return Bounced(_attempt(note), _verdict(note, is_final=True))
        case EventType.DEFERRED:
            return Deferred(_attempt(note), _verdict(note, is_final=False))
        case EventType.EXPIRED:
            return Expired(note.at, BounceClass(note.bounce_class) if note.bounce_class else None)
        case EventType.FAILED:
            return Failed(note.at, note.error, note.text)
        case EventType.CANCELLED:
            return Cancelled(note.at, note.text, is_dry_run=note.error == _DRY_RUN)
        case EventType.SUPPRESSED:
            return Suppressed(note.at, SuppressReason(note.text))
        case _:
            return None


def _attempt(note: Note) -> Attempt:
    reply = Reply(note.code, tuple(note.text.split("\n")), note.enhanced) if note.code else None
    return Attempt(
        number=note.attempt,
        at=note.at,
        stage=Stage(note.stage) if note.stage else Stage.LOCAL,
        reply=reply,
        detail="" if reply is not None else note.text,
        ambiguous=note.is_ambiguous,
        source=note.source,
    )


def _verdict(note: Note, *, is_final: bool) -> Verdict:
    bounce_class = BounceClass(note.bounce_class) if note.bounce_class else BounceClass.UNDETERMINED
    detail = GUARDED if note.error == GUARDED else ""
    verdict = verdict_of(bounce_class, rule=_RULE, is_final=is_final)
    return verdict.in_doubt(detail) if note.error else verdict


def last_try(note: Note, mx_host: str = "") -> LastTry:
    """What a retry message carries of the attempt before."""
    return LastTry(
        bounce_class=note.bounce_class,
        stage=note.stage,
        code=note.code,
        enhanced=note.enhanced,
        text=note.text,
        mx_host=mx_host,
    )


def note_of_last(last: LastTry, attempt: int, at: float, source: str) -> Note:
    """Of a recipient found in a retry message, stored there by somebody who could not say so any more."""
    return Note(
        EventType.DEFERRED,
        attempt,
        at,
        "",
        last.bounce_class,
        last.stage,
        last.code,
        last.enhanced,
        last.text,
        source,
    )
