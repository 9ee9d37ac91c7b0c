import base64

import pytest

from mta.classify.report import read_report
from mta.model.report import ReportKind
from tests.unit.classify.reports import report

TOKEN = "b+k1abcdefghabcdefghabcdefghabcdefghabcdefghabcdefghabcdefg@bounces.sender.test"
FIELD = "X-HmXmrOriginalRecipient: ada@example.test\n"
SENT = f"""\
Return-Path: <{TOKEN}>
From: Shop <news@sender.test>
To: undisclosed
Subject: Spring
List-Unsubscribe: <https://sender.test/o/1>
Message-ID: <spring-1@sender.test>

Buy.
"""
STAFF = """\
From: staff@hotmail.test
Subject: complaint about message from 192.0.2.10
MIME-Version: 1.0
"""
BARE = f"{STAFF}Content-Type: message/rfc822\n"
MIXED = f"{STAFF}Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
ENCODED = base64.encodebytes(f"{FIELD}{SENT}".encode()).decode()


def test_the_fields_of_a_complaint_are_kept() -> None:
    """B-03: RFC 5965 section 3."""
    found = report("arf_abuse")
    assert found.complaint is not None
    assert found.complaint.source_ip == "192.0.2.10"
    assert found.complaint.reported_domain == "sender.test"
    assert found.complaint.reporting_mta == "mx.provider.test"
    assert found.complaint.arrival_date.startswith("Tue,")
    assert found.complaint.original_mail_from.startswith("b+")
    assert found.from_domain == "provider.test"


def test_the_type_is_kept_whatever_it_is() -> None:
    """RFC 5965 section 7.3: `not-spam` is nothing to suppress for, and for others to know."""
    for name, expected in (("arf_not_spam", "not-spam"), ("arf_auth_failure", "auth-failure")):
        complaint = report(name).complaint
        assert complaint is not None
        assert complaint.feedback_type == expected


def test_where_the_recipient_is_redacted_the_tokens_are_left() -> None:
    """RFC 6590: they say whose complaint it is."""
    found = report("arf_redacted")
    assert found.kind is ReportKind.FEEDBACK
    assert found.recipients == ()
    assert any(address.startswith("b+") for address in found.addresses)
    assert any(address.startswith("f+") for address in found.addresses)


def test_a_message_sent_back_with_its_recipient_is_a_complaint() -> None:
    """Microsoft's programme."""
    found = report("jmrp")
    assert [one.recipient for one in found.recipients] == ["ada@example.test"]


@pytest.mark.parametrize(
    "mail",
    [
        f"{BARE}\n{FIELD}{SENT}",
        f"{BARE}Content-Transfer-Encoding: base64\n\n{ENCODED}",
        f"{MIXED}{FIELD}{SENT}\n--b--\n",
        f"{FIELD}{SENT}",
    ],
    ids=["bare", "encoded", "in mixed", "itself"],
)
def test_b03_in_whatever_it_is_sent_back(mail: str) -> None:
    """Attached, as all there is, or as it was sent, which is a list's mail."""
    found = read_report(mail.replace("\n", "\r\n").encode())
    assert found.kind is ReportKind.FEEDBACK
    assert [one.recipient for one in found.recipients] == ["ada@example.test"]
    assert (found.addresses[0], found.original_message_id) == (TOKEN, "spring-1@sender.test")


def test_b03_a_message_without_the_field_is_no_complaint() -> None:
    """Somebody passes on what he got."""
    for mail in (f"{BARE}\n{SENT}", SENT):
        assert read_report(mail.replace("\n", "\r\n").encode()).kind is ReportKind.NONE
