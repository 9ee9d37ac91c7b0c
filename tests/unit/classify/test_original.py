from mta.classify.mail import parse
from mta.classify.original import (
    MAX_ADDRESSES,
    answered,
    attached,
    in_text,
    message_id,
    original_of,
    texts_before_original,
)
from tests.unit.classify.reports import mail, raw

HEADERS = """Return-Path: <b+t@x.test>
Message-ID: <1@x.test>
CFBL-Feedback-ID: f1
To: A <a@y.test>
Delivered-To: c@z.test"""


def test_the_headers_of_the_returned_message_are_found() -> None:
    """Attached as a message, as its headers alone, or in the text behind a quotation mark."""
    report = 'Content-Type: multipart/report; boundary="b"'
    for kind in ("message/rfc822", "text/rfc822-headers", "message/global-headers"):
        root = parse(mail(report, f"--b\n\nno\n--b\nContent-Type: {kind}\n\n{HEADERS}\n\n--b--\n"))
        assert dict(attached(root))["message-id"] == "<1@x.test>"
    quoted = "Here it is:\n====\n" + "".join(f"> {line}\n" for line in HEADERS.split("\n"))
    assert dict(in_text(quoted))["message-id"] == "<1@x.test>"


def test_a_message_returned_as_a_file_is_known_by_its_first_field() -> None:
    """Some send it as application/octet-stream; other files are none."""
    report = 'Content-Type: multipart/mixed; boundary="b"'
    part = "--b\nContent-Type: application/octet-stream\n\n{}\n\n--b--\n"
    returned = parse(mail(report, part.format("Received: from a\n" + HEADERS)))
    assert dict(attached(returned))["message-id"] == "<1@x.test>"
    assert attached(parse(mail(report, part.format(HEADERS)))) == ()


def test_what_names_the_sender_comes_before_what_names_the_recipient() -> None:
    """A token is looked for in order."""
    found = original_of(in_text(HEADERS))
    assert found.addresses == ("b+t@x.test", "c@z.test", "a@y.test")
    assert (found.recipients, found.to) == (("c@z.test",), ("a@y.test",))
    assert (found.message_id, found.feedback_id) == ("1@x.test", "f1")


def test_addresses_are_capped() -> None:
    """H8."""
    many = ", ".join(f"{n}@x.test" for n in range(100))
    assert len(original_of(in_text(f"To: {many}\nFrom: {many}")).addresses) == MAX_ADDRESSES


def test_a_message_id_is_bare() -> None:
    """Without brackets, and in one line."""
    assert message_id(" <a@b>\n ") == message_id("a@b") == message_id("<a@b> <c@d>") == "a@b"
    assert message_id("<a\x00b>") == "a b"


def test_what_a_mail_answers_is_what_it_is_about() -> None:
    """RFC 3834 section 3.1.6: where nothing is returned, that is all there is."""
    assert answered(parse(mail("References: <1@x.test> <2@x.test>\nIn-Reply-To: <2@x.test>"))) == "2@x.test"
    assert answered(parse(mail("References: <1@x.test>"))) == "1@x.test"
    assert answered(parse(mail("Subject: a"))) == ""


def test_the_text_of_the_returned_message_is_not_the_reports() -> None:
    """Parts behind it are not read either."""
    (only,) = texts_before_original(parse(raw("dsn_groupwise")))
    assert "Thank you for your order" not in only[1]


def test_a_text_that_is_a_file_says_nothing() -> None:
    """What somebody attached is not what he wrote."""
    part = "--b\nContent-Type: text/plain\n{}\n{}\n"
    body = (
        part.format("", "said")
        + part.format("Content-Disposition: attachment; filename=a.txt\n", "kept")
        + "--b--\n"
    )
    root = parse(mail('Content-Type: multipart/mixed; boundary="b"', body))
    assert [text.strip() for _, text in texts_before_original(root)] == ["said"]
