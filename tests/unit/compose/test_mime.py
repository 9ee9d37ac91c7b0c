"""Bodies and multiparts, judged by the stdlib's parser."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.compose.mime import (
    AttachmentRefused,
    Body,
    ContentRefused,
    assemble,
    attachment_body,
    base64_lines,
    canonical_lines,
    text_body,
)
from tests.unit.compose.builders import parsed

SEED = "0192aaaa0192bbbb0192cccc0192dddd"
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=400)
shaped = st.lists(
    st.one_of(
        texts, st.sampled_from([".", "..", ".x", "", " ", "\t", "a ", "From x", "é" * 80, "x" * 1200, "="])
    ),
    max_size=8,
).map("\n".join)
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def canonical(text: str) -> str:
    return "\r\n".join(canonical_lines(text))


def wire_of(body: Body) -> bytes:
    encoding = f"Content-Transfer-Encoding: {body.encoding}\r\n" if body.encoding else ""
    return f"MIME-Version: 1.0\r\nContent-Type: {body.content_type}\r\n{encoding}\r\n".encode() + body.content


def is_sendable(content: bytes) -> bool:
    return content.isascii() and not BARE.search(content) and max(map(len, content.split(b"\r\n"))) <= 998


@given(shaped)
def test_text_reads_back(text: str) -> None:
    """Whatever its encoding became, the parser reads the canonical text; the wire is 7-bit with short
    lines."""
    body = text_body("plain", text)
    assert is_sendable(body.content)
    payload = parsed(wire_of(body)).get_payload(decode=True)
    assert payload == canonical(text).encode()


@given(shaped)
def test_multipart_reads_back(text: str) -> None:
    """Inside a multipart too, to the byte."""
    body = assemble((text_body("plain", text), text_body("html", text + "<p>")), (), (), SEED)
    assert is_sendable(body.content)
    plain, html = parsed(wire_of(body)).iter_parts()
    assert plain.get_payload(decode=True) == canonical(text).encode()
    assert html.get_payload(decode=True) == canonical(text + "<p>").encode()


@given(st.text(max_size=200))
def test_smaller_encoding_wins(text: str) -> None:
    """Quoted-printable or base64, whichever makes fewer bytes."""
    raw = ("é" + text.replace("\0", "")).encode("utf-8", "ignore").decode()
    body = text_body("plain", raw)
    as_base64 = len(base64_lines(canonical(raw).encode()))
    assert body.encoding in ("quoted-printable", "base64")
    assert len(body.content) <= as_base64


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hello\n", ""),
        ("x" * 998, ""),
        ("x" * 999, "quoted-printable"),
        ("short\n" * 500, ""),
        ("Grüße aus Köln und viel mehr Text ohne Umlaut", "quoted-printable"),
        ("日本語のメール" * 10, "base64"),
    ],
)
def test_encoding(text: str, encoding: str) -> None:
    """S-02, 8BITMIME: 7-bit when ASCII with lines of at most 998, else the smaller one."""
    assert text_body("plain", text).encoding == encoding


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_line_ends_are_canonical(line_end: str) -> None:
    """Each of the three becomes CRLF, in a row and mixed as well."""
    assert canonical_lines(f"a{line_end}b{line_end}{line_end}c") == ["a", "b", "", "c"]
    assert canonical_lines(f"a\r\nb{line_end}") == ["a", "b", ""]


@pytest.mark.parametrize(
    "end", ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\n\r.\n\r", "\r\n.\r\n"]
)
def test_smuggling(end: str) -> None:
    """No variant of the end of data survives but lines of one dot, which the session stuffs (S-13)."""
    content = text_body("plain", f"a{end}MAIL FROM:<x@y.test>").content
    assert not BARE.search(content)


def test_nul_is_refused() -> None:
    """F-06."""
    with pytest.raises(ContentRefused, match="U\\+0000"):
        text_body("plain", "a\0b")


def test_half_a_surrogate_pair_is_refused() -> None:
    """It has no UTF-8."""
    with pytest.raises(ContentRefused, match="surrogate"):
        text_body("plain", "a\udc00")


def test_structure() -> None:
    """F-08: mixed( alternative( text, amp, related( html, inline ) ), attached )."""
    image = attachment_body("logo.png", "image/png", b"\x89PNG", inline=True, cid="logo@x")
    terms = attachment_body("terms.pdf", "application/pdf", b"%PDF" * 100, inline=False, cid="")
    alternatives = [text_body(kind, kind) for kind in ("plain", "x-amp-html", "html")]
    message = parsed(wire_of(assemble(alternatives, (image,), (terms,), SEED)))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/x-amp-html",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    (attached,) = [part for part in message.walk() if part.get_content_disposition() == "attachment"]
    assert attached.get_filename() == "terms.pdf"
    assert attached.get_payload(decode=True) == b"%PDF" * 100
    (inline,) = [part for part in message.walk() if part["Content-ID"]]
    assert inline["Content-ID"] == "<logo@x>"
    assert not message.defects


def test_only_the_levels_needed() -> None:
    """One part has no multipart around it; inline parts without html are attached."""
    plain, html = text_body("plain", "a"), text_body("html", "b")
    image = attachment_body("a.png", "image/png", b"1", inline=True, cid="c@x")
    assert assemble((plain,), (), (), SEED) is plain
    assert assemble((plain, html), (), (), SEED).content_type.startswith("multipart/alternative")
    assert assemble((html,), (image,), (), SEED).content_type.startswith("multipart/related")
    assert assemble((plain,), (image,), (), SEED).content_type.startswith("multipart/mixed")


def test_boundary_is_in_no_part() -> None:
    """A text that holds the boundary-to-be gets another one, and reads back."""
    hostile = f"--=_a{SEED}\r\n--=_a{SEED}--\r\n--=_a1.{SEED}\r\n"
    message = parsed(wire_of(assemble((text_body("plain", hostile), text_body("html", "b")), (), (), SEED)))
    parts = list(message.iter_parts())
    assert len(parts) == 2
    assert parts[0].get_payload(decode=True) == hostile.encode()


@given(st.binary(max_size=500))
def test_base64_reads_back(raw: bytes) -> None:
    """In lines of 76."""
    encoded = base64_lines(raw)
    assert base64.b64decode(encoded) == raw
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))


@pytest.mark.parametrize(
    "name", ["", 'a"b\\c.pdf', "Ärger.pdf", "\u202egnp.exe", "x" * 200 + ".pdf", "日本.pdf"]
)
def test_attachment_names_are_encoded(name: str) -> None:
    """Quotes, long names and any script (E15)."""
    body = attachment_body(name, "application/pdf", b"", inline=False, cid="")
    head = f"Content-Type: {body.content_type}\r\n{body.extra}\r\n\r\n".encode()
    assert (parsed(head).get_filename() or "") == name


@pytest.mark.parametrize(
    ("name", "kind", "cid"),
    [
        ("a\r\nb.pdf", "application/pdf", ""),
        ("a.pdf", "application", ""),
        ("a.pdf", "text/plain\r\nX-Evil: 1", ""),
        ("a.pdf", 'text/plain; name="x"', ""),
        ("a", "multipart/mixed", ""),
        ("a.eml", "Message/RFC822", ""),
        ("a.pdf", "application/pdf", "a>\r\nX: 1"),
        ("a.pdf", "application/pdf", "a b"),
    ],
)
def test_attachment_is_refused(name: str, kind: str, cid: str) -> None:
    """Never by dropping a part of what was asked."""
    with pytest.raises(AttachmentRefused):
        attachment_body(name, kind, b"x", inline=False, cid=cid)
