import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.classify.mail import (
    MAX_DEPTH,
    MAX_HEADER_LINES,
    MAX_PARTS,
    clean,
    own_parts,
    parse,
    text_of,
    transferred,
    words,
)
from tests.unit.classify.reports import mail


def multipart(boundary: str, *parts: str, declared: str = "") -> bytes:
    body = "".join(f"--{boundary}\n{part}\n" for part in parts) + f"--{boundary}--\n"
    return mail(f'Content-Type: multipart/mixed; boundary="{declared or boundary}"', body)


def test_headers_are_unfolded_and_found_in_any_case() -> None:
    """RFC 5322 section 2.2.3."""
    root = parse(b"SUBJECT: one\r\n two\r\nX-A: b\r\n\r\nbody")
    assert root.header("subject") == "one two"
    assert (root.header("x-b"), root.all("x-a"), root.body) == ("", ["b"], b"body")


def test_a_missing_blank_line_ends_the_headers() -> None:
    """What can be no header field is of the body."""
    assert parse(b"Subject: a\nThis is text\n").body == b"This is text\n"


def test_the_line_of_an_mbox_is_no_header() -> None:
    """In front, and in front only."""
    assert parse(b"From a@b.test Tue Nov 3\nSubject: a\n\nb").header("subject") == "a"


@pytest.mark.parametrize("declared", ["b", "other"])
def test_parts_are_found_by_another_boundary_than_the_declared(declared: str) -> None:
    """Gateways rewrite one and forget the other."""
    root = parse(multipart("b", "Content-Type: text/plain\n\none", "\ntwo", declared=declared))
    assert [part.body.strip() for part in own_parts(root)] == [b"one", b"two"]


def test_a_boundary_that_begins_another_is_no_delimiter() -> None:
    """RFC 2046 section 5.1.1: the whole line counts."""
    root = parse(multipart("b", "\n--bb\none"))
    assert [part.body.strip() for part in own_parts(root)] == [b"--bb\none"]


def test_the_parts_of_an_attached_message_are_its_own() -> None:
    """Who forwards a report does not report."""
    inner = multipart("i", "\nhidden").decode().replace("\r\n", "\n")
    root = parse(multipart("o", "Content-Type: message/rfc822\n\n" + inner))
    (part,) = own_parts(root)
    assert part.is_message
    assert part.parts[0].kind == "multipart/mixed"


def test_an_attached_message_may_be_encoded() -> None:
    """RFC 2046 forbids it; they do it."""
    root = parse(
        multipart(
            "o", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogYQoKYg=="
        )
    )
    (part,) = own_parts(root)
    assert part.parts[0].header("subject") == "a"


def test_what_is_beyond_the_caps_is_left_out() -> None:
    """H8: lines of headers, parts, and how deep they are nested."""
    assert len(parse(b"A: b\n" * 5000).headers) == MAX_HEADER_LINES
    assert len(list(own_parts(parse(multipart("b", *["\nx"] * 500))))) <= MAX_PARTS
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(30))
    depth, part = 0, parse(nested + b"\nend")
    while part.parts:
        depth, part = depth + 1, part.parts[0]
    assert depth == MAX_DEPTH


def test_behind_too_many_headers_the_body_is_found() -> None:
    """Their number costs their own values only."""
    assert parse(b"A: b\n" * 5000 + b"\nbody").body == b"body"


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("base64", b"aGVsbG8=", b"hello"),
        ("base64", b"aGVs\r\nbG8", b"hello"),
        ("BASE64 ", b"a", b""),
        ("quoted-printable", b"a=3Db=\nc", b"a=bc"),
        ("quoted-printable", b"=ZZ=", b"=ZZ"),
        ("8bit", b"=3D", b"=3D"),
        ("x-unknown", b"=3D", b"=3D"),
    ],
)
def test_encodings_are_undone_as_far_as_they_go(encoding: str, body: bytes, expected: bytes) -> None:
    """Whatever is not well-formed stays or is dropped."""
    assert transferred(body, encoding) == expected


@pytest.mark.parametrize(
    ("charset", "body", "expected"),
    [
        ("utf-8", "für".encode(), "für"),
        ("", "für".encode("latin-1"), "für"),
        ("unknown-8bit", "für".encode(), "für"),
        ("iso-2022-jp", "不在".encode("iso-2022-jp"), "不在"),
        ("koi8-r", "нет".encode("koi8-r"), "нет"),
        ("gb2312", "退信".encode("gb2312"), "退信"),
        ("punycode", b"a-b", "a-b"),
        ("idna", b"xn--a", "xn--a"),
    ],
)
def test_a_text_is_read_in_its_charset_or_a_likely_one(charset: str, body: bytes, expected: str) -> None:
    """No codec is asked that is not one of mail."""
    header = b"Content-Type: text/plain; charset=" + charset.encode() + b"\n\n"
    assert text_of(parse(header + body)) == expected


def test_parameters_come_quoted_bare_and_in_pieces() -> None:
    """RFC 2045 and RFC 2231."""
    root = parse(b'Content-Type: Text/PLAIN; Charset="a b"; name*0=one; name*1=two ; x=y\n\n')
    assert root.kind == "text/plain"
    assert root.parameters == {"charset": "a b", "name": "onetwo", "x": "y"}


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("=?utf-8?b?w7w=?= x", "ü x"),
        ("=?ISO-8859-1?Q?a_=FC?=", "a ü"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8*en?q?a?=", "a"),
        ("=?unknown?q?a?=", "a"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("plain", "plain"),
    ],
)
def test_encoded_words_are_read(raw: str, read: str) -> None:
    """RFC 2047; the space between two of them is none."""
    assert words(raw) == read


def test_what_is_shown_is_harmless_and_short() -> None:
    """No control, no change of direction, one line, so many octets."""
    assert clean("a\r\n\x1b[31mb\u202ec\u200b\ud800d") == "a [31mb c d"
    assert len(clean("ü" * 5000).encode()) <= 1024


@given(st.binary(max_size=2000))
def test_anything_is_a_mail(raw: bytes) -> None:
    """No octets are refused, and each part can be read."""
    for part in own_parts(parse(raw)):
        text_of(part)
