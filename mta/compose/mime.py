"""Bodies and parts by joined bytes: what the stdlib's email package does in milliseconds, in microseconds.

Invariants of every `Body`: CRLF line ends only and no NUL; a non-empty body ends with CRLF; 7-bit, lines of
at most 998 octets (76 where encoded); no boundary occurs in any part. Text stays as it is when it is ASCII
with short lines, else it becomes quoted-printable or base64, whichever is smaller.

Structure (F-08): mixed( alternative( text, amp, related( html, inline parts ) ), attachments ), each level
only where it has more than one part. Header fields of the message as a whole are made by `mta.compose.job`.
"""

import binascii
import re
from collections.abc import Sequence

from msgspec import Struct

from mta.compose.header import MAX_LINE, HeaderRefused, checked_text, parameter

_LINE_END = re.compile(r"\r\n|\r|\n")
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}\Z")
_CID = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.@]{1,128}\Z")
_PLAIN_TYPE = {subtype: f"text/{subtype}; charset=us-ascii" for subtype in ("plain", "x-amp-html", "html")}
_QP_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte != 0x3D) + b"\t\r\n"


class ContentRefused(ValueError):
    """Text that no encoding makes fit to send: NUL, or half of a surrogate pair."""


class AttachmentRefused(ValueError):
    pass


class Body(Struct, frozen=True, gc=False):
    """Content and the header fields that describe it, without the final CRLF; `content_type` is a folded
    value, `encoding` empty for 7bit and for multiparts. `is_tidy` where content and fields are known to hold
    no space that the relaxed canonical form of DKIM would change."""

    content_type: str
    encoding: str
    content: bytes
    extra: str = ""
    is_tidy: bool = False


def text_body(subtype: str, text: str, *, is_tidy: bool = False) -> Body:
    """The content is exactly `text` with canonical line ends; no final line end is added here. What is tidy
    (`mta.compose.substitution`) need not be looked through."""
    if is_tidy:
        return Body(_PLAIN_TYPE[subtype], "", text.encode("ascii"), "", True)
    lines = canonical_lines(text)
    text = "\r\n".join(lines)
    if text.isascii() and (len(text) <= MAX_LINE or max(map(len, lines)) <= MAX_LINE):
        return Body(_PLAIN_TYPE[subtype], "", text.encode("ascii"))
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:
        raise ContentRefused(f"{subtype}: half of a surrogate pair") from error
    encoding, content = _smaller(raw)
    return Body(f"text/{subtype}; charset=utf-8", encoding, content, "", encoding == "base64")


def attachment_body(name: str, kind: str, data: bytes, *, inline: bool, cid: str) -> Body:
    """Costs a pass over the data: made once for all messages of a payload."""
    if not _TYPE.match(kind):
        raise AttachmentRefused(f"{ascii(kind)[:80]} is no media type")
    if kind.lower().startswith(("multipart/", "message/")):
        # RFC 2046 section 5.2.1 and RFC 2045 section 6.4: these may not be base64.
        raise AttachmentRefused(f"{kind} cannot be attached")
    if cid and not _CID.match(cid):
        raise AttachmentRefused("a cid holds no spaces, brackets or controls")
    try:
        disposition = "inline" if inline else "attachment"
        content_type = kind + (parameter("name", name) if name.isascii() and name else "")
        extra = "Content-Disposition: " + disposition + (parameter("filename", name) if name else "")
        checked_text("name", name)
    except HeaderRefused as error:
        raise AttachmentRefused(str(error)) from error
    if cid:
        extra += f"\r\nContent-ID: <{cid}>"
    return Body(content_type, "base64", base64_lines(data), extra, "  " not in content_type + extra)


def assemble(
    alternatives: Sequence[Body], inline: Sequence[Body], attached: Sequence[Body], boundary_seed: str
) -> Body:
    """`alternatives` in the order of F-08, the last one the richest: inline parts belong to it if it is
    HTML."""
    if not inline and not attached and len(alternatives) == 1:
        return alternatives[0]
    richest = alternatives[-1]
    others = list(attached)
    if inline:
        if richest.content_type.startswith("text/html"):
            richest = _multipart("related", (richest, *inline), "r", boundary_seed, '; type="text/html"')
        else:
            others = [*inline, *others]
    if len(alternatives) > 1:
        richest = _multipart("alternative", (*alternatives[:-1], richest), "a", boundary_seed)
    return _multipart("mixed", (richest, *others), "m", boundary_seed) if others else richest


def canonical_lines(text: str) -> list[str]:
    """What stands between line ends, be they CR, LF or CRLF: joined by CRLF the text is canonical, and that
    must be so before anything is hashed (smuggling; reliability.md section 1.1)."""
    if "\0" in text:
        raise ContentRefused("the character U+0000 is not allowed")
    lines = text.split("\r\n")
    # Three times as fast as counting CR, LF and CRLF.
    bare = "".join(lines)
    if "\n" in bare or "\r" in bare:
        return _LINE_END.split(text)
    return lines


def base64_lines(raw: bytes) -> bytes:
    encoded = binascii.b2a_base64(raw, newline=False)
    return b"\r\n".join([encoded[start : start + 76] for start in range(0, len(encoded), 76)])


def _smaller(raw: bytes) -> tuple[str, bytes]:
    base64_size = 4 * -(-len(raw) // 3)
    base64_size += 2 * max(0, -(-base64_size // 76) - 1)
    if len(raw) + 2 * len(raw.translate(None, _QP_PLAIN)) < base64_size:
        printable = _quoted_printable(raw)
        if len(printable) <= base64_size:
            return "quoted-printable", printable
    return "base64", base64_lines(raw)


def _quoted_printable(raw: bytes) -> bytes:
    """The encoder of binascii writes soft line ends in the style of the first line end it meets, and
    encodes white space only in front of one: so it gets a final CRLF, which is taken off again."""
    return binascii.b2a_qp(raw + b"\r\n", istext=True)[:-2]


def _multipart(subtype: str, parts: Sequence[Body], level: str, seed: str, more: str = "") -> Body:
    boundary = f"=_{level}{seed}"
    mark = boundary.encode("ascii")
    # Encoded parts cannot hold "=_": "=" stands only in front of hex digits, a line end, or at the end of
    # base64.
    plain = [part.content for part in parts if not part.encoding]
    count = 0
    while any(mark in content for content in plain):
        count += 1
        boundary = f"=_{level}{count}.{seed}"
        mark = boundary.encode("ascii")
    delimiter = f"--{boundary}\r\nContent-Type: "
    pieces: list[bytes] = []
    is_tidy = True
    for part in parts:
        encoding = f"Content-Transfer-Encoding: {part.encoding}\r\n" if part.encoding else ""
        extra = f"{part.extra}\r\n" if part.extra else ""
        head = f"{delimiter}{part.content_type}\r\n{encoding}{extra}\r\n"
        pieces += (head.encode("ascii"), part.content, b"\r\n")
        is_tidy &= part.is_tidy
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    content_type = f'multipart/{subtype}{more};\r\n boundary="{boundary}"'
    return Body(content_type, "", b"".join(pieces), "", is_tidy)
