import pytest

from mta.classify.quote import Quote, quoted, status_in, with_status


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("550 5.1.1 no such user", 550, "5.1.1"),
        ("550-5.7.1 one\n550 5.7.1 two", 550, "5.7.1"),
        ("host mx.test[192.0.2.1] said: 450 4.2.1 later", 450, "4.2.1"),
        ("Remote host said: 554 delivery error", 554, ""),
        ("<mx.test #5.1.1 smtp;550 unknown>", 550, "5.1.1"),
        ("<a@b.test>: 550 unknown", 550, ""),
        ("a@b.test, 552 full", 552, ""),
        ("Sorry. (#5.1.1)", 0, "5.1.1"),
        ("[SMTP Error Code 550]", 550, ""),
        ("Received >>> 550 5.1.1 unknown", 550, "5.1.1"),
        ("reason: 550 Account unknown", 550, ""),
        ("ResponseCode 550, 5.1.1 unknown", 550, "5.1.1"),
        ("call +1 550 1234 for help", 0, ""),
        ("your box of 500 MB is full", 0, ""),
        ("limit: 450 MB", 0, ""),
        ("Exchange 5.5.2653.12", 0, ""),
        ("host 4.4.4.4 is down", 0, ""),
        ("version 2.0.12 of it", 0, ""),
        ("", 0, ""),
    ],
)
def test_a_reply_is_told_from_other_numbers(text: str, code: int, status: str) -> None:
    """A number is a code where it stands as one does."""
    found = quoted(text)
    assert (found.code, found.status) == (code, status)


def test_the_reply_begins_at_its_code_and_ends_where_it_does() -> None:
    """Without the words before it, the bracket around it and the text behind it."""
    assert quoted("host said: 550 5.1.1 no <a@b.test>\n   (in reply to RCPT)\n\nBye.").text == (
        "550 5.1.1 no <a@b.test> (in reply to RCPT)"
    )
    assert quoted("< mx.test #5.1.1 smtp;550 5.1.1 User unknown>").text == "550 5.1.1 User unknown"
    assert quoted("550 5.1.1 no\n--- Transcript ends ---").text == "550 5.1.1 no"


def test_the_more_telling_code_counts() -> None:
    """A status that tells no more than its class yields to the reply's, but not to one of another class."""
    assert with_status(Quote(550, "5.1.1"), "5.0.0") == "5.1.1"
    assert with_status(Quote(450, "4.2.1"), "5.0.0") == "5.0.0"
    assert with_status(Quote(550, "5.1.1"), "5.7.1") == "5.7.1"
    assert with_status(Quote(452)) == "4.0.0"
    assert with_status(Quote()) == ""


def test_a_status_of_the_other_class_is_not_the_replys() -> None:
    """S-18: the basic code decides."""
    assert status_in("first 4.2.0 then 5.1.1", "5") == "5.1.1"
    assert status_in("5.01.001") == "5.1.1"
