import pytest
from msgspec.structs import replace

from mta.classify.classifier import Classifier, verdict_of
from mta.config.load import shipped_rules
from mta.delivery.reference import Parked, Settlement
from mta.flow.noted import last_try, note_of, note_of_last, settlement_of
from mta.ledger.note import pack, unpack
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
)
from mta.model.payload import LastTry
from mta.model.reply import Reply
from mta.model.suppression import SuppressReason
from mta.suppression.guard import GUARDED

classify = Classifier(shipped_rules()).classify

REFUSED = Reply(550, ("5.1.1 no such user",), "5.1.1")
LATER = Reply(451, ("4.7.1 later",), "4.7.1")
SETTLEMENTS: list[Settlement] = [
    Delivered(Attempt(1, 5.0, Stage.END_OF_DATA, Reply(250, ("2.0.0 ok",), "2.0.0"))),
    Bounced(Attempt(2, 5.0, Stage.RCPT, REFUSED), classify(Stage.RCPT, REFUSED)),
    Deferred(Attempt(3, 5.0, Stage.RCPT, LATER, source="a1"), classify(Stage.RCPT, LATER)),
    Expired(5.0, BounceClass.GREYLISTED),
    Expired(5.0),
    Failed(5.0, "template", "subject, line 1: 'x' is undefined"),
    Cancelled(5.0, "dry_run", is_dry_run=True),
    Suppressed(5.0, SuppressReason.COMPLAINED),
    Bounced(
        Attempt(2, 5.0, Stage.RCPT, REFUSED),
        verdict_of(BounceClass.INVALID_RECIPIENT, rule="r", is_final=True).in_doubt(""),
    ),
]


@pytest.mark.parametrize("settlement", SETTLEMENTS, ids=lambda one: type(one).__name__)
def test_what_is_noted_is_told_again(settlement: Settlement) -> None:
    """Kind, number, class, how sure that is, reply and time survive the ledger."""
    note = note_of(settlement, "google", 1, 5.0, "a1" if isinstance(settlement, Deferred) else "")
    _, kept = unpack(b"\2" + pack(2, note, 9), 9)
    assert kept == note
    assert kept is not None
    again = settlement_of(kept)
    assert type(again) is type(settlement)
    match settlement, again:
        case (Delivered(attempt=one), Delivered(attempt=other)):
            assert (one.number, one.reply, one.stage) == (other.number, other.reply, other.stage)
        case (Bounced(attempt=one, verdict=said), Bounced(attempt=other, verdict=says)) | (
            Deferred(attempt=one, verdict=said),
            Deferred(attempt=other, verdict=says),
        ):
            assert (one.number, one.reply, one.stage, one.source) == (
                other.number,
                other.reply,
                other.stage,
                other.source,
            )
            assert (said.bounce_class, said.category, said.type, said.confidence, said.actions) == (
                says.bounce_class,
                says.category,
                says.type,
                says.confidence,
                says.actions,
            )
        case _:
            assert again == settlement


def test_a_guarded_domain_is_told_again() -> None:
    """bounces.md 2.3: told after a crash the refusal suppresses nobody, and is no strike either."""
    verdict = replace(
        verdict_of(BounceClass.INVALID_RECIPIENT, rule="r", is_final=True).in_doubt(""), detail=GUARDED
    )
    note = note_of(Bounced(Attempt(2, 5.0, Stage.RCPT, REFUSED), verdict), "google", 1, 5.0)
    again = settlement_of(note)
    assert isinstance(again, Bounced)
    assert (again.verdict.detail, again.verdict.confidence, again.verdict.actions) == (
        GUARDED,
        "low",
        ("fail",),
    )


def test_of_the_parked_nothing_is_told() -> None:
    """They had no attempt."""
    note = note_of(Parked(9.0, "backed_off"), "google", 2, 5.0)
    assert (note.kind, note.attempt) == (None, 2)
    assert settlement_of(note) is None


def test_a_retry_message_and_a_note_say_the_same() -> None:
    """There and back."""
    last = LastTry(
        bounce_class="greylisted", stage="rcpt", code=451, enhanced="4.7.1", text="later", mx_host="mx"
    )
    note = note_of_last(last, 2, 5.0, "a1")
    assert (note.kind, note.attempt, note.source) == (EventType.DEFERRED, 2, "a1")
    assert last_try(note, "mx") == last
