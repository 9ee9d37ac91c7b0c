from mta.model.report import ReportKind
from tests.unit.classify.reports import report


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
