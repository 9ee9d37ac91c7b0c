import json

import pytest

from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.delivery.reference import Parked
from mta.events.settings import RecipientForm
from mta.flow.told import Teller
from mta.intake.admission import Admitted
from mta.intake.decode import RejectCode, Rejected
from mta.model.ids import derived_payload_id
from mta.model.lane import Lane
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
from mta.model.reply import Reply
from mta.model.suppression import SuppressReason
from mta.model.token import TokenKey
from mta.suppression.seal import Seal
from tests.unit.flow.works import reference, settings, work

classify = Classifier(shipped_rules()).classify

REPLY = Reply(550, ("5.1.1 no such user",), "5.1.1")
ATTEMPT = Attempt(number=1, at=1_795_000_100.0, stage=Stage.RCPT, reply=REPLY, command="RCPT")
VERDICT = classify(Stage.RCPT, REPLY)
DELIVERED = Delivered(Attempt(number=1, at=1.0, stage=Stage.END_OF_DATA, reply=Reply(250, ("ok",))))


@pytest.mark.parametrize(
    ("settlement", "kind"),
    [
        (DELIVERED, "delivered"),
        (Deferred(ATTEMPT, VERDICT), "deferred"),
        (Bounced(ATTEMPT, VERDICT), "bounced"),
        (Expired(5.0, BounceClass.GREYLISTED), "expired"),
        (Failed(5.0, "template", "line 3"), "failed"),
        (Cancelled(5.0, "dry_run", is_dry_run=True), "cancelled"),
        (Suppressed(5.0, SuppressReason.COMPLAINED), "suppressed"),
    ],
)
def test_each_settlement_has_its_event(settlement: object, kind: str) -> None:
    """Subject and body agree in tenant, type, provider and campaign; the person and the payload are named."""
    one = work()
    ref = reference(one, 1)
    ref.provider = "google"
    subject, line = Teller(settings(), Seal(())).settled(ref, settlement, 9.0)  # type: ignore[arg-type]
    body = json.loads(line)
    assert subject == f"mta.event.acme.{kind}.google.spring-sale"
    assert (body["type"], body["provider"], body["recipient"]) == (kind, "google", "r1@example.test")
    assert (body["payload_id"], body["recipient_id"], body["node"]) == ("order-1", "c1", "n1")
    assert b"\n" not in line


def test_parked_has_no_event() -> None:
    """It is no attempt."""
    with pytest.raises(TypeError):
        Teller(settings(), Seal(())).settled(reference(work(), 0), Parked(5.0, "backed_off"), 9.0)


def test_ids_differ_by_recipient_type_and_attempt_and_repeat_for_the_same() -> None:
    """A consumer dedupes on them: the same fact told twice has one id."""
    one, teller = work(), Teller(settings(), Seal(()))

    def id_of(position: int, settlement: object) -> str:
        _, line = teller.settled(reference(one, position), settlement, 9.0)  # type: ignore[arg-type]
        return str(json.loads(line)["id"])

    assert id_of(0, DELIVERED) == id_of(0, DELIVERED)
    assert len({id_of(0, DELIVERED), id_of(1, DELIVERED), id_of(0, Bounced(ATTEMPT, VERDICT))}) == 3


def test_expired_tells_the_last_class() -> None:
    """And none where it was never tried."""
    teller, ref = Teller(settings(), Seal(())), reference(work(), 0)
    told = json.loads(teller.settled(ref, Expired(5.0, BounceClass.GREYLISTED), 9.0)[1])
    assert told["bounce"]["last_class"] == "greylisted"
    assert "last_class" not in json.loads(teller.settled(ref, Expired(5.0), 9.0)[1])["bounce"]


def test_suppressed_says_why() -> None:
    """Nobody was asked: the class is our own."""
    _, line = Teller(settings(), Seal(())).settled(
        reference(work(), 0), Suppressed(5.0, SuppressReason.UNSUBSCRIBED), 9.0
    )
    told = json.loads(line)
    assert (told["bounce"]["class"], told["bounce"]["detail"]) == ("local", "unsubscribed")
    assert "smtp" not in told


@pytest.mark.parametrize("form", RecipientForm)
def test_who_is_refused_is_sealed_where_he_is_not_named(form: RecipientForm) -> None:
    """Our daemons must know whom to suppress; what ends well, or goes on, needs no seal."""
    seal = Seal((TokenKey("k1", b"1" * 16),))
    teller = Teller(settings(recipient_form=form, hash_keys={"acme": b"k" * 16}), seal)
    one = work()
    one.common = teller.common(one.admitted)
    for settlement, is_needed in (
        (Bounced(ATTEMPT, VERDICT), True),
        (Expired(5.0, BounceClass.MAILBOX_FULL), True),
        (Deferred(ATTEMPT, VERDICT), False),
        (DELIVERED, False),
        (Suppressed(5.0, SuppressReason.MANUAL), False),
    ):
        told = json.loads(teller.settled(reference(one, 1), settlement, 9.0)[1])  # type: ignore[arg-type]
        sealed = told.get("sealed_recipient", "")
        is_sealed = is_needed and form is not RecipientForm.FULL
        assert seal.open("acme", sealed) == ("r1@example.test" if is_sealed else "")
        assert ("r1@" in json.dumps(told)) is (form is RecipientForm.FULL)


def test_failed_names_code_and_place() -> None:
    """The sender reads what to mend."""
    _, line = Teller(settings(), Seal(())).settled(
        reference(work(), 0), Failed(5.0, "template", "offer/3, text, line 2"), 9.0
    )
    assert json.loads(line)["error"] == {"code": "template", "text": "offer/3, text, line 2"}


def test_accepted_counts() -> None:
    """All recipients and those refused."""
    one = work(recipients=[{"email": "a@x.test"}, {"email": "nobody"}, {"email": "A@x.test"}])
    subject, line = Teller(settings(), Seal(())).accepted(one)
    assert subject == "mta.event.acme.accepted._.spring-sale"
    refused = len(one.admitted.rejected)
    assert json.loads(line)["counts"] == {"recipients": 3, "rejected": refused}
    assert refused >= 1


def test_a_rejected_recipient_is_named_as_submitted() -> None:
    """With code, detail and an id of its own."""
    one = work(recipients=[{"email": "a@x.test"}, {"email": "nobody", "id": "c7"}])
    assert isinstance(one.admitted, Admitted)
    body = json.loads(Teller(settings(), Seal(())).rejected_recipient(one, one.admitted.rejected[0])[1])
    assert (body["type"], body["recipient"], body["recipient_id"]) == ("rejected", "nobody", "c7")
    assert body["error"]["code"] == "bad_address"


def test_a_rejected_payload_is_known_by_its_subject() -> None:
    """What cannot be read is called as it would have been; only a duplicate's event id carries the sequence."""
    teller = Teller(settings(), Seal(()))
    common = {
        "lane": Lane.BULK,
        "tenant": "acme",
        "campaign": "c",
        "stream": "MTA_PAYLOADS",
        "sequence": 7,
        "at": 1.0,
    }
    unread = json.loads(teller.rejected(Rejected(RejectCode.SCHEMA, "no JSON"), **common)[1])  # type: ignore[arg-type]
    again = json.loads(teller.rejected(Rejected(RejectCode.DUPLICATE, "x", "o1"), **common)[1])  # type: ignore[arg-type]
    assert (unread["payload_id"], again["payload_id"]) == (
        derived_payload_id(1.0, "MTA_PAYLOADS", 7),
        "o1",
    )
    assert unread["id"].endswith(".rejected.0")
    assert again["id"].endswith(".rejected.7")
    assert unread["provider"] == "_"
