"""Which events suppress whom, and which only count. Pure.

| what an event says | what follows |
|---|---|
| `invalid_recipient`, `inactive_recipient` with the action `suppress`, of high confidence | a mark at once |
| the same of low confidence, or an expiry that ended so | on the 2nd UTC day (docomo, kddi: on the 3rd) |
| `mailbox_full`, refused or expired | at the 5th day with one, 14 days after the first |
| `recipient_refused` of high confidence | at the 2nd, for this tenant |
| `invalid_domain` | at the 3rd day with one, 72 h after the first: the whole domain |
| `complained`, unless somebody says it is no spam, or reports a signature | a mark at once, for all mail |
| `unsubscribed` | a mark at once, for the stream it names |

A refusal counts only at RCPT, at the end of data or in a report, where it is about this recipient; and not at all while
its domain is guarded. A report is the word of whoever holds a recipient's token, so it counts against that recipient
alone, and not where it names somebody else or nobody. It makes no mark on the domain; but many of them set the guard,
which can only spare addresses. Strikes are per tenant, and forgotten after 45 days: that a message arrived in between
is not looked at, since that would mean reading every event there is. Each event counts once, however often it is read.
"""

from enum import StrEnum

import msgspec
from msgspec import Struct, field

from mta.model.event import EventType
from mta.model.outcome import BounceClass, Stage
from mta.model.report import DOUBTS, NO_COMPLAINTS
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import moment
from mta.suppression.guard import GUARDED
from mta.suppression.key import unsubscribe_scope

STRIKES_S = 45 * 86_400.0
MOST_STRIKES = 16
_DAY_S = 86_400.0
_HIGH = "high"
_FAIL, _SUPPRESS = "fail", "suppress"
_EVIDENCE = frozenset((Stage.RCPT, Stage.END_OF_DATA, Stage.OUT_OF_BAND))
_DEAD = {
    BounceClass.INVALID_RECIPIENT: SuppressReason.INVALID_RECIPIENT,
    BounceClass.INACTIVE_RECIPIENT: SuppressReason.INACTIVE_RECIPIENT,
}
_CAREFUL = frozenset(("docomo", "kddi"))
"""Their domain filters look like unknown users (fact 105)."""


class Smtp(Struct, frozen=True, gc=False):
    stage: str = ""


class Bounce(Struct, frozen=True, gc=False):
    bounce_class: str = field(name="class", default="")
    confidence: str = ""
    detail: str = ""
    rule: str = ""
    actions: tuple[str, ...] = ()
    last_class: str = ""


class Feedback(Struct, frozen=True, gc=False):
    feedback_type: str = ""


class Heard(Struct, frozen=True, gc=False):
    """The part of an event that matters here."""

    id: str
    type: EventType
    time: str
    tenant: str
    stream: str = ""
    recipient: str = ""
    recipient_domain: str = ""
    sealed_recipient: str = ""
    provider: str = ""
    smtp: Smtp = Smtp()
    bounce: Bounce = Bounce()
    feedback: Feedback = Feedback()
    dry_run: bool = False


class StrikeKind(StrEnum):
    DEAD = "dead"
    FULL = "full"
    REFUSED = "refused"
    DOMAIN = "domain"


class Patience(Struct, frozen=True, gc=False):
    """How many strikes it takes, and how long after the first one the last must be. `daily`: one a UTC day counts."""

    strikes: int
    over_s: float = 0.0
    daily: bool = True


class Accusation(Struct, frozen=True, gc=False):
    """What an event says against a recipient, or against the whole domain: the mark, the stream it is for, and if it is
    not to be made at once, what it takes."""

    mark: Mark
    is_domain: bool = False
    stream: str = ""
    kind: StrikeKind | None = None
    patience: Patience = Patience(0)


class Strike(Struct, frozen=True, array_like=True, gc=False):
    """`at` is seconds since the epoch, `event` its id."""

    kind: StrikeKind
    at: float
    event: str


_PATIENCE = {
    StrikeKind.DEAD: Patience(2),
    StrikeKind.FULL: Patience(5, 14 * _DAY_S),
    StrikeKind.REFUSED: Patience(2, daily=False),
    StrikeKind.DOMAIN: Patience(3, 3 * _DAY_S),
}
_LONGER = Patience(3)
_ENCODER = msgspec.json.Encoder()
_HEARD = msgspec.json.Decoder(Heard)
_STRIKES = msgspec.json.Decoder(tuple[Strike, ...])


def hear(line: bytes) -> Heard | None:
    """One line of MTA_EVENTS; None for what is no event with a time."""
    try:
        heard = _HEARD.decode(line)
        moment(heard.time)
    except (msgspec.MsgspecError, ValueError):
        return None
    return heard


def accusation_of(heard: Heard) -> Accusation | None:
    if heard.dry_run:
        return None
    match heard.type:
        case EventType.BOUNCED | EventType.OOB_BOUNCED:
            return _of_bounce(heard)
        case EventType.EXPIRED:
            return _of_expiry(heard)
        case EventType.COMPLAINED:
            kind = heard.feedback.feedback_type.lower()
            if kind in NO_COMPLAINTS:
                return None
            return Accusation(_mark(heard, SuppressReason.COMPLAINED, kind))
        case EventType.UNSUBSCRIBED:
            return Accusation(
                _mark(heard, SuppressReason.UNSUBSCRIBED, ""), stream=unsubscribe_scope(heard.stream)
            )
        case _:
            return None


def _of_bounce(heard: Heard) -> Accusation | None:
    bounce, rule = heard.bounce, heard.bounce.rule
    is_sure = bounce.confidence == _HIGH
    is_report = heard.type is EventType.OOB_BOUNCED
    if bounce.detail == GUARDED or _FAIL not in bounce.actions or (is_report and bounce.detail in DOUBTS):
        return None
    if bounce.bounce_class == BounceClass.INVALID_DOMAIN:
        if is_report or not is_sure:
            return None
        return _struck(heard, SuppressReason.INVALID_DOMAIN, StrikeKind.DOMAIN, rule)
    if _stage(heard) not in _EVIDENCE:
        return None
    reason = _DEAD.get(bounce.bounce_class)  # type: ignore[call-overload]
    if reason is not None:
        if not is_sure:
            return _struck(heard, reason, StrikeKind.DEAD, rule)
        return Accusation(_mark(heard, reason, rule)) if _SUPPRESS in bounce.actions else None
    if bounce.bounce_class == BounceClass.MAILBOX_FULL:
        return _struck(heard, SuppressReason.MAILBOX_FULL, StrikeKind.FULL, rule)
    if bounce.bounce_class == BounceClass.RECIPIENT_REFUSED and is_sure:
        if _SUPPRESS in bounce.actions:  # fact 77: the person has turned this address off
            return Accusation(_mark(heard, SuppressReason.RECIPIENT_REFUSED, rule))
        return _struck(heard, SuppressReason.RECIPIENT_REFUSED, StrikeKind.REFUSED, rule)
    return None


def _of_expiry(heard: Heard) -> Accusation | None:
    """A 4yz that never became a 2yz (fact 119)."""
    last = heard.bounce.last_class
    reason = _DEAD.get(last)  # type: ignore[call-overload]
    if reason is not None:
        return _struck(heard, reason, StrikeKind.DEAD, "expired")
    if last == BounceClass.MAILBOX_FULL:
        return _struck(heard, SuppressReason.MAILBOX_FULL, StrikeKind.FULL, "expired")
    return None


def _stage(heard: Heard) -> str:
    return Stage.OUT_OF_BAND if heard.type is EventType.OOB_BOUNCED else heard.smtp.stage


def _struck(heard: Heard, reason: SuppressReason, kind: StrikeKind, detail: str) -> Accusation:
    is_careful = kind is StrikeKind.DEAD and heard.provider in _CAREFUL
    patience = _LONGER if is_careful else _PATIENCE[kind]
    is_domain = kind is StrikeKind.DOMAIN
    return Accusation(_mark(heard, reason, detail), is_domain=is_domain, kind=kind, patience=patience)


def _mark(heard: Heard, reason: SuppressReason, detail: str) -> Mark:
    return Mark(reason, at=heard.time, source=heard.id, detail=detail)


# -- strikes ----------------------------------------------------------------------------------------------------


def decode_strikes(value: bytes | None) -> tuple[Strike, ...]:
    """What cannot be read counts as none."""
    try:
        return () if value is None else _STRIKES.decode(value)
    except msgspec.MsgspecError:
        return ()


def encode_strikes(strikes: tuple[Strike, ...]) -> bytes:
    return _ENCODER.encode(strikes)


def with_strike(strikes: tuple[Strike, ...], accusation: Accusation) -> tuple[Strike, ...]:
    """The strikes with this one, in order; the same ones if it is among them or adds nothing. Too old ones are left
    out."""
    kind, at = accusation.kind, moment(accusation.mark.at)
    assert kind is not None
    if any(strike.event == accusation.mark.source for strike in strikes):
        return strikes
    if accusation.patience.daily and any(s.kind is kind and s.at // _DAY_S == at // _DAY_S for s in strikes):
        return strikes
    one = Strike(kind, at, accusation.mark.source)
    newest = max(at, *(strike.at for strike in strikes)) if strikes else at
    kept = sorted(
        (strike for strike in (*strikes, one) if newest - strike.at < STRIKES_S),
        key=lambda strike: strike.at,
    )
    return tuple(kept[-MOST_STRIKES:])


def is_out(strikes: tuple[Strike, ...], accusation: Accusation) -> bool:
    """Whether it is enough for the mark."""
    times = [strike.at for strike in strikes if strike.kind is accusation.kind]
    patience = accusation.patience
    return len(times) >= patience.strikes and times[-1] - times[0] >= patience.over_s
