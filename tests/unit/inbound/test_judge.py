from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.inbound.fact import Fact
from mta.inbound.judge import (
    NO_REPORT,
    Decision,
    Drop,
    Tell,
    authors_in,
    fact_of,
    is_complaint,
    judge,
    tokens_in,
)
from mta.inbound.origin import Origin
from mta.model.event import EventType
from mta.model.outcome import BounceClass, Stage, Verdict
from mta.model.reply import Reply
from mta.model.report import Complaint, Report, Reported, ReportKind
from mta.model.token import Purpose, TokenKey, TokenMint, TokenReader

BOB = "bob@x.test"
ORIGIN = Origin(
    "acme", "spring", "news", "bulk", "p1", "0199c9f0-7f10-7abc-8def-0123456789ab", BOB, "c9", "acme.test"
)
FAILED = Reported(BOB, action="failed", status="5.1.1", code=550, reply="550 5.1.1 no such user")
BOUNCE = Report(ReportKind.BOUNCE, (FAILED,))
ABUSE = Report(
    ReportKind.FEEDBACK, complaint=Complaint("abuse", source_ip="192.0.2.1"), original_message_id="<m>"
)
VACATION = Report(ReportKind.AUTO_REPLY, detail="vacation")
LETTER = Report(ReportKind.NONE)
CLASSIFIER = Classifier(shipped_rules())


def classify(reply: Reply, provider: str) -> Verdict:
    return CLASSIFIER.classify(Stage.OUT_OF_BAND, reply, provider=provider)


def decided(purpose: Purpose, report: Report, origin: Origin = ORIGIN) -> Decision:
    return judge(purpose, report, origin, lambda address: address.lower() == BOB, b"")


def fact(report: Report, purpose: Purpose = Purpose.BOUNCE, **more: Any) -> Fact:
    decision = decided(purpose, report)
    assert isinstance(decision, Tell)
    return fact_of(decision, report, ORIGIN, at=1.0, classify=classify, **more)


def about(*reported: Reported) -> Report:
    return Report(ReportKind.BOUNCE, reported)


B, U, F = Purpose.BOUNCE, Purpose.UNSUBSCRIBE, Purpose.FEEDBACK


@pytest.mark.parametrize(
    ("purpose", "report", "kind"),
    [
        (B, BOUNCE, EventType.OOB_BOUNCED),
        (B, VACATION, EventType.AUTO_REPLIED),
        (B, ABUSE, EventType.COMPLAINED),
        (F, ABUSE, EventType.COMPLAINED),
        (U, LETTER, EventType.UNSUBSCRIBED),
    ],
)
def test_what_becomes_an_event(purpose: Purpose, report: Report, kind: EventType) -> None:
    decision = decided(purpose, report)
    assert isinstance(decision, Tell)
    assert (decision.kind, decision.recipient) == (kind, BOB)


@pytest.mark.parametrize(
    ("purpose", "report"),
    [(F, BOUNCE), (U, BOUNCE), (U, ABUSE), (U, VACATION), (F, VACATION)],
)
def test_what_is_out_of_place_is_dropped(purpose: Purpose, report: Report) -> None:
    """B-04, H14: an answer of a machine unsubscribes nobody."""
    assert decided(purpose, report) == Drop("misplaced")


def test_a_provider_unsubscribes_whom_it_serves() -> None:
    """L-03: its machine says that it is one; what it writes to another purpose is what it was."""
    generated = Report(ReportKind.AUTO_REPLY, detail="generated")
    assert decided(U, generated) == Tell(EventType.UNSUBSCRIBED, BOB)
    assert decided(F, generated) == Drop("misplaced")
    assert decided(B, generated) == Tell(EventType.AUTO_REPLIED, BOB)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"From: bob@x.test\r\n\r\nFrom: eve@x.test\r\n", ["bob@x.test"]),
        (b"X: 1\r\nFROM : Bob\r\n <bob@x.test>\r\nSubject: eve@x.test\r\n\r\n", ["bob@x.test"]),
        (
            b"From: bob@x.test\r\nSender: <eve@x.test>\r\nReply-To: al@x.test\r\n\r\n",
            ["bob@x.test", "eve@x.test", "al@x.test"],
        ),
        (b"From: \xff\r\n\r\n", []),
        (b"From: " + b"a@b.test," * 100_000, ["a@b.test"] * 10),
        (b"", []),
    ],
)
def test_authors_are_found(raw: bytes, found: list[str]) -> None:
    """In the header and nowhere else, and few of them."""
    assert list(authors_in(raw)) == found


@pytest.mark.parametrize("purpose", [B, F])
def test_h14_what_is_no_report_is_refused(purpose: Purpose) -> None:
    assert decided(purpose, LETTER) == NO_REPORT


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded", "delivered", "Delayed"])
def test_b01_only_a_failure_is_a_bounce(action: str) -> None:
    assert decided(B, about(replace(FAILED, action=action))) == Drop("not_failed")


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "Not-Spam"])
def test_b03_what_complains_of_nothing(kind: str) -> None:
    """It needs no signature, either."""
    report = replace(ABUSE, complaint=Complaint(kind))
    assert not is_complaint(report)
    assert decided(F, report) == Drop("no_complaint")


@pytest.mark.parametrize("kind", ["abuse", "fraud", "virus", "other", "opt-out", ""])
def test_b03_what_complains(kind: str) -> None:
    assert is_complaint(replace(ABUSE, complaint=Complaint(kind)))


def test_a_bounce_of_the_recipient_counts_in_full() -> None:
    """Also where several are reported, and in any case of letters."""
    other = replace(FAILED, recipient="carl@x.test", status="5.2.2")
    for report in (BOUNCE, about(other, FAILED), about(replace(FAILED, recipient="BOB@x.test"))):
        told = fact(report)
        assert told.verdict is not None
        assert told.verdict.bounce_class is BounceClass.INVALID_RECIPIENT
        assert "suppress" in told.verdict.actions
        assert told.detail == ""


@pytest.mark.parametrize(
    ("reported", "doubt"),
    [
        (replace(FAILED, recipient="bob@private.test"), "forwarded"),
        (replace(FAILED, recipient="bob@private.test", original_recipient=BOB), "forwarded"),
        (replace(FAILED, recipient=""), "unnamed"),
    ],
)
def test_a_bounce_of_another_suppresses_nobody(reported: Reported, doubt: str) -> None:
    """It is told of the recipient whose token it came with."""
    told = fact(about(reported))
    assert told.recipient == BOB
    assert told.verdict is not None
    assert told.verdict.actions == ("fail",)
    assert (told.verdict.confidence, told.verdict.detail, told.detail) == ("low", doubt, doubt)


def test_a_bounce_without_any_recipient_is_one() -> None:
    """As those that are written in words may be."""
    told = fact(about())
    assert told.verdict is not None
    assert told.verdict.confidence == "low"
    assert told.smtp is not None
    assert told.smtp.code == 550


def test_the_recipient_named_alone_is_the_one_asked_for() -> None:
    told = fact(about(replace(FAILED, recipient="", original_recipient=BOB)))
    assert told.verdict is not None
    assert "suppress" in told.verdict.actions


@pytest.mark.parametrize(
    ("code", "status", "read"),
    [(552, "5.2.2", 552), (0, "4.4.7", 450), (0, "5.0.0", 550), (0, "", 550), (250, "5.1.1", 550)],
)
def test_what_the_report_quotes_is_classified(code: int, status: str, read: int) -> None:
    """What failed elsewhere after a time is a failure here: nobody tries again."""
    told = fact(about(replace(FAILED, code=code, status=status, reply="")))
    assert told.smtp is not None
    assert (told.smtp.code, told.smtp.enhanced, told.smtp.stage) == (read, status, "out_of_band")
    assert told.verdict is not None
    assert told.verdict.actions[0] == "fail"
    assert not any(action.startswith("retry") for action in told.verdict.actions)


def test_what_is_told_of_a_complaint() -> None:
    told = fact(ABUSE, F, provider="yahoo")
    assert told.feedback is not None
    assert (told.feedback.feedback_type, told.feedback.source_ip) == ("abuse", "192.0.2.1")
    assert told.feedback.original_message_id == "<m>"
    assert (told.provider, told.tenant, told.recipient_id, told.payload_id) == ("yahoo", "acme", "c9", "p1")
    assert told.verdict is None


def test_what_is_told_of_the_others() -> None:
    assert fact(VACATION).detail == "vacation"
    assert fact(LETTER, U).detail == "mailto"


def test_an_index_without_addresses_believes_what_the_token_confirms() -> None:
    nameless = replace(ORIGIN, recipient="")
    for report, recipient in (
        (BOUNCE, BOB),
        (about(replace(FAILED, recipient="x@y.test")), ""),
        (VACATION, ""),
    ):
        decision = decided(B, report, nameless)
        assert isinstance(decision, Tell)
        assert decision.recipient == recipient


MINT, READER = TokenMint("k1", b"k" * 32), TokenReader([TokenKey("k1", b"k" * 32)])
TOKEN = MINT.return_path(b"p" * 16, 3, BOB)
FEEDBACK_TOKEN = MINT.address(F, b"q" * 16, 4, BOB)


@pytest.mark.parametrize(
    "changes",
    [
        {"complaint": Complaint("abuse", feedback_id=f"f+{FEEDBACK_TOKEN}")},
        {"complaint": Complaint("abuse", feedback_id=FEEDBACK_TOKEN)},
        {"complaint": Complaint("abuse", original_mail_from=f"<b+{TOKEN}@b.acme.test>")},
        {"addresses": ("x@y.test", f"B+{TOKEN.upper()}@B.ACME.TEST")},
    ],
)
def test_b03_a_token_is_found_where_the_report_gives_it_back(changes: dict[str, Any]) -> None:
    assert len(list(tokens_in(replace(ABUSE, **changes), READER))) == 1


@given(st.text(max_size=200), st.lists(st.text(max_size=80), max_size=5))
def test_b03_there_is_none_in_what_strangers_write(text: str, addresses: list[str]) -> None:
    report = replace(ABUSE, complaint=Complaint("abuse", feedback_id=text), addresses=tuple(addresses))
    assert list(tokens_in(report, READER)) == []
