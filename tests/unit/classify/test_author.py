import pytest

from mta.classify.author import author_of
from mta.classify.mail import parse
from mta.classify.passage import passage_of
from tests.unit.classify.reports import mail

FAILED = passage_of("Your message could not be delivered to:\n\n  a@x.test\n\n550 5.1.1 unknown\n")


@pytest.mark.parametrize(
    ("headers", "is_system"),
    [
        ("From: MAILER-DAEMON@x.test", True),
        ("From: Mail Delivery System <a@x.test>", True),
        ("From: <>", True),
        ("From: a@x.test\nSubject: Undelivered Mail Returned to Sender", True),
        ("From: a@x.test\nReturn-Path: <>", True),
        ("From: a@x.test\nX-Failed-Recipients: b@x.test", True),
        ("From: a@x.test\nContent-Type: multipart/report; boundary=b", False),
        ("From: a@x.test", False),
        ("From: sandra@x.test\nSubject: hello", False),
        ("From: a@x.test\nSubject: Re: Undelivered Mail Returned to Sender", False),
        ("From: a@x.test\nSubject: Fwd: failure notice\nReturn-Path: <>", False),
        ("From: a@x.test\nSubject: failure notice\nUser-Agent: Thunderbird", False),
        ("From: a@x.test\nSubject: failure notice\nList-Id: <l.x.test>", False),
        ("From: a@x.test\nSubject: Out of office: failure notice", False),
        ("From: postmaster@x.test\nSubject: Quarantine summary", False),
    ],
)
def test_who_is_taken_for_a_mail_system(headers: str, is_system: bool) -> None:
    """Roles, notices and null paths speak for one; answers, lists and mail programs against."""
    assert author_of(parse(mail(headers))).is_system is is_system


@pytest.mark.parametrize(
    ("headers", "is_believed"),
    [
        ("From: MAILER-DAEMON@x.test", True),
        ("From: a@x.test\nSubject: Mail delivery failed", False),
        ("From: a@x.test\nSubject: Mail delivery failed\nReturn-Path: <>", True),
        ("From: a@x.test\nSubject: Mail delivery failed\nAuto-Submitted: auto-replied", True),
        ("From: noreply@x.test\nSubject: hello", False),
    ],
)
def test_words_of_a_failure_are_believed_of_mail_systems(headers: str, is_believed: bool) -> None:
    """Who has no role has to show what hardly a person's mail has."""
    root = parse(mail(headers))
    said = author_of(root).reports_failure(root, FAILED, named=1, is_returned=False)
    assert said is is_believed


def test_a_role_without_a_failure_reports_none() -> None:
    """Postmasters write other mail too."""
    root = parse(mail("From: postmaster@x.test\nSubject: News"))
    said = author_of(root).reports_failure(root, passage_of("All is well.\n"), named=1, is_returned=False)
    assert not said
