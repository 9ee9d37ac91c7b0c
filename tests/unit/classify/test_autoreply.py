import pytest

from mta.classify.autoreply import answers, detail_of, is_answer_subject, says_so
from mta.classify.mail import parse
from tests.unit.classify.reports import mail


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("Auto-Submitted: auto-replied", True),
        ("Auto-Submitted: Auto-Generated; owner=x", True),
        ("Auto-Submitted: no", False),
        ("X-Autoreply: yes", True),
        ("Precedence: auto_reply", True),
        ("Precedence: bulk", False),
        ("Auto-Submitted: auto-generated\nList-Unsubscribe: <https://x.test>", False),
        ("Auto-Submitted: auto-generated\nContent-Type: application/gzip", False),
        ("Auto-Submitted: auto-generated\nSubject: Report Domain: x.test", False),
        ("Subject: hello", False),
    ],
)
def test_a_machine_says_that_it_is_one(headers: str, expected: bool) -> None:
    """RFC 3834 section 5, and those older than it; lists and aggregate reports answer nothing (B-04)."""
    assert says_so(parse(mail(headers))) is expected


@pytest.mark.parametrize(
    ("subject", "body", "expected"),
    [
        ("Out of Office: hello", "", True),
        ("AW: Abwesenheitsnotiz: hello", "", True),
        ("I need your vacation plan", "Please send it.", False),
        ("my vacation", "I am out of the office until Monday.", True),
        ("Read: hello", "", True),
        ("hello", "I am out of the office until Monday.", False),
    ],
)
def test_a_subject_says_it_where_no_header_does(subject: str, body: str, expected: bool) -> None:
    """In front; elsewhere the text has to say so too."""
    assert answers(parse(mail(f"Subject: {subject}", body))) is expected


@pytest.mark.parametrize(
    ("subject", "body", "detail"),
    [
        ("Re: a", "Please confirm your message: https://x.test", "challenge"),
        ("Re: a", "She has left the company.", "moved"),
        ("Gelesen: a", "", "read_receipt"),
        ("Re: a", "Thank you.", ""),
    ],
)
def test_the_detail_is_of_the_words(subject: str, body: str, detail: str) -> None:
    """`challenge`, `moved`, `read_receipt` or nothing."""
    assert detail_of(parse(mail(f"Subject: {subject}", body))) == detail


@pytest.mark.parametrize(
    ("headers", "body", "is_generated"),
    [
        ("Auto-Submitted: auto-generated\nSubject: unsubscribe", "", True),
        ("Auto-Submitted: Auto-Generated; owner-email=x\nSubject: Unsubscribe request", "Please.", True),
        ("Auto-Submitted: auto-notified", "", True),
        ("Auto-Submitted: auto-replied\nSubject: unsubscribe", "", False),
        ("Auto-Submitted: auto-generated\nX-Autoreply: yes", "", False),
        ("Auto-Submitted: auto-generated\nPrecedence: auto_reply", "", False),
        ("Auto-Submitted: auto-generated\nIn-Reply-To: <1@x.test>", "", False),
        ("Auto-Submitted: auto-generated\nReferences: <1@x.test>", "", False),
        ("Auto-Submitted: auto-generated\nSubject: Automatic reply: Spring", "", False),
        ("Auto-Submitted: auto-generated\nSubject: Re: Spring", "", False),
        ("Auto-Submitted: auto-generated\nSubject: Hello", "I am out of the office until Monday.", False),
        ("Return-Path: <>\nAuto-Submitted: auto-generated", "", False),
        ("Return-Path: <ada@example.test>\nAuto-Submitted: auto-generated", "", True),
        ("Auto-Submitted: no", "", False),
        ("Subject: unsubscribe", "", False),
    ],
)
def test_what_a_machine_writes_unasked(headers: str, body: str, is_generated: bool) -> None:
    """RFC 3834 section 5: `auto-generated` is no answer, but not everybody who says so keeps to it."""
    assert (detail_of(parse(mail(headers, body))) == "generated") is is_generated


def test_prefixes_of_answers_are_known_at_the_front_only() -> None:
    """In the languages of mail programs, repeated or numbered."""
    for subject in ("re: a", "aw: a", "fwd: re: a", "re[2]: a", "回复: a"):
        assert is_answer_subject(subject)
    assert not is_answer_subject("a re: b")
