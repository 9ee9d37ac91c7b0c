"""Messages a sender has built: kept to the byte, or refused."""

from email.utils import formatdate

import pytest

from mta.compose.header import HeaderRefused
from mta.compose.mime import ContentRefused
from mta.compose.rfc822 import parse_rfc822, without_unfit
from tests.unit.compose.builders import AT

GOOD = b"From: Acme <news@acme.test>\r\nTo: bob@example.test\r\nSubject: Hi\r\n\r\nBody\r\n"


def test_bytes_are_kept() -> None:
    """Fields in their order and folding, and the body."""
    raw = b"From: news@acme.test\r\nSubject:  a\r\n\t b\r\nX-Y:z\r\n\r\n.\r\n\r\nlast"
    given = parse_rfc822(raw, "acme.test")
    assert given.fields == (("From", "news@acme.test"), ("Subject", " a\r\n\t b"), ("X-Y", "z"))
    assert given.body == b".\r\n\r\nlast\r\n"
    assert not given.is_eight_bit


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
def test_line_ends_become_crlf(line_end: bytes) -> None:
    """Before anything is looked at, so that a bare CR hides nothing."""
    given = parse_rfc822(GOOD.replace(b"\r\n", line_end), "acme.test")
    assert given.fields == parse_rfc822(GOOD, "acme.test").fields
    assert given.body == b"Body\r\n"


@pytest.mark.parametrize("body", [b"", b"\r\n", b".", b"\r\n\r\n.\r\n"])
def test_small_bodies(body: bytes) -> None:
    """An empty body stays empty; any other ends in CRLF (E14)."""
    given = parse_rfc822(b"From: news@acme.test\r\n\r\n" + body, "acme.test")
    assert given.body == (body if body.endswith(b"\r\n") or not body else body + b"\r\n")


def test_fields_alone_are_a_message() -> None:
    """RFC 5322 section 3.5: the body is optional, its separator too."""
    for end in (b"", b"\r\n", b"\n"):
        given = parse_rfc822(b"From: news@acme.test" + end, "acme.test")
        assert (given.fields, given.body) == ((("From", "news@acme.test"),), b"")


def test_bcc_and_return_path_are_taken_out() -> None:
    """F-09, whatever their case."""
    raw = b"Return-Path: <x@y.test>\r\nBCC: secret@y.test,\r\n two@y.test\r\n" + GOOD
    given = parse_rfc822(raw, "acme.test")
    assert [name for name, _ in given.fields] == ["From", "To", "Subject"]


def test_eight_bit_body_is_marked() -> None:
    """Its bytes are the sender's; the session needs to know."""
    given = parse_rfc822(GOOD + "Grüße\r\n".encode(), "acme.test")
    assert given.is_eight_bit
    assert given.body.endswith("Grüße\r\n".encode())


@pytest.mark.parametrize(
    "value",
    [
        "news@acme.test", "<news@acme.test>", "Acme <news@ACME.test>", '"Acme, Inc." <news@acme.test>',
        "=?utf-8?q?=C3=84?= <news@acme.test>", '"a@b" <news@acme.test>',
    ],
)  # fmt: skip
def test_good_from(value: str) -> None:
    """One address of the domain we sign for."""
    assert parse_rfc822(f"From: {value}\r\n\r\n".encode(), "acme.test").value("from") == value


@pytest.mark.parametrize(
    "value",
    [
        "", "news@evil.test", "news@acme.test.evil.test", "news@acme.test, x@evil.test", "x@evil.test <news@acme.test>",
        "<x@evil.test> <news@acme.test>", "group: news@acme.test;", "news@acme.test (x@evil.test)", "news",
        "<x@evil.test>, <news@acme.test>", '"a" b@evil.test <news@acme.test>', "news@acme.test>",
        "<@evil.test:news@acme.test>", "=?utf-8?q?a?=@acme.test", "A <=?utf-8?q?a?=@acme.test>",
        '"' + '\\\r\n "' * 100_000 + "<news@acme.test>",
    ],
)  # fmt: skip
def test_bad_from(value: str) -> None:
    """F-02: anything that could be read in two ways is refused."""
    with pytest.raises(HeaderRefused):
        parse_rfc822(f"From: {value}\r\n\r\n".encode(), "acme.test")


@pytest.mark.parametrize(
    "name", ["From", "fRoM", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Unsubscribe"]
)
def test_singleton_given_twice(name: str) -> None:
    """F-01."""
    raw = b"%s: x\r\n%s: x\r\n" % (name.encode(), name.lower().encode())
    with pytest.raises(HeaderRefused, match=r"twice|no From|From is not"):
        parse_rfc822(
            raw + (b"" if name.lower() == "from" else b"From: news@acme.test\r\n") + b"\r\n", "acme.test"
        )


@pytest.mark.parametrize(
    "head",
    [
        b"", b"From news@acme.test Mon Jan 1\r\nFrom: news@acme.test", b" From: news@acme.test",
        b"From: news@acme.test\r\nno colon", b"From: news@acme.test\r\nX Y: z", b"From: news@acme.test\r\nX: \xc3\xa4",
        b"From: news@acme.test\r\nX: a\r\n \r\n b", b"From: news@acme.test\r\nX: a\x0bb",
        b": x\r\nFrom: news@acme.test",
        b"From: news@acme.test\r\nX: " + b"a" * 1000, b"Subject: no from",
    ],
)  # fmt: skip
def test_bad_fields(head: bytes) -> None:
    """A block that is not lines of `name: value` in ASCII."""
    with pytest.raises(HeaderRefused):
        parse_rfc822(head + b"\r\n\r\nbody\r\n", "acme.test")


def test_bad_body() -> None:
    """NUL and lines that no server need take."""
    with pytest.raises(ContentRefused, match="U\\+0000"):
        parse_rfc822(GOOD + b"\0", "acme.test")
    with pytest.raises(ContentRefused, match="998"):
        parse_rfc822(GOOD + b"x" * 999, "acme.test")
    assert parse_rfc822(GOOD + b"x" * 998, "acme.test").body.endswith(b"x\r\n")


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        ("<1@acme.test>", True), ("<a.b$c@[192.0.2.1]>", True), ("", False), ("1@acme.test", False), ("<>", False),
        ("<1@acme.test> <2@acme.test>", False), ("<1 2@acme.test>", False), ("<.1@acme.test>", False), ("<1>", False),
    ],
)  # fmt: skip
def test_F_05_an_id_that_is_none_makes_way_for_ours(value: str, is_kept: bool) -> None:
    """What is one is the sender's."""
    given = parse_rfc822(b"Message-ID: " + value.encode() + b"\r\n" + GOOD, "acme.test")
    assert (without_unfit(given, AT).value("message-id") == value) == is_kept


@pytest.mark.parametrize(
    ("value", "is_kept"),
    [
        (formatdate(AT), True), (formatdate(AT - 3 * 86_400), True), (formatdate(AT + 3 * 86_400), True),
        (formatdate(AT - 3 * 86_400 - 1), False), (formatdate(AT + 3 * 86_400 + 1), False),
        (formatdate(AT).replace("-0000", "+0000 (UTC)"), True), (formatdate(AT).replace("-0000", "GMT"), False),
        (formatdate(AT).replace("-0000", "+9999"), False), (formatdate(AT)[5:], True), ("", False),
        ("yesterday", False), ("Thu, 99 Nov 2026 00:00:00 +0000", False), ("Thu, 1 Foo 2026 00:00:00 +0000", False),
    ],
)  # fmt: skip
def test_F_04_a_date_that_is_none_makes_way_for_ours(value: str, is_kept: bool) -> None:
    """So does one more than three days from when the message was accepted."""
    given = parse_rfc822(b"Date: " + value.encode() + b"\r\n" + GOOD, "acme.test")
    assert (without_unfit(given, AT).value("date") is not None) == is_kept


def test_too_many_fields() -> None:
    """10,000 of them (E14), or as many as fit into the bytes that are allowed."""
    with pytest.raises(HeaderRefused, match="more than 1000 header fields"):
        parse_rfc822(b"a:\r\n" * 1000 + GOOD, "acme.test")
    parse_rfc822(b"a:\r\n" * 997 + GOOD, "acme.test")
    raw = GOOD.partition(b"\r\n\r\n")[0] + b"".join(b"\r\nX-%d: %s" % (n, b"y" * 40) for n in range(10_000))
    with pytest.raises(HeaderRefused, match="bytes of header fields"):
        parse_rfc822(raw + b"\r\n\r\n", "acme.test")
