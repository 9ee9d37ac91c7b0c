"""Messages a sender has built: their bytes are kept, or they are refused.

What is changed: line ends become CRLF, a final one is added, and `Bcc` and `Return-Path` are taken out
(F-09). What is added, by `mta.compose.message`: `Date`, `Message-ID`, `To`, `MIME-Version` and an empty
`Subject` where they are missing or unfit (`without_unfit`), and our own fields. What is refused: a block of
header fields that is not ASCII `name: value` lines, a field of F-01 given twice, a From that is not one address
of the expected domain, a NUL, and lines over 998 octets (encoding them would change the sender's bytes). An 8-bit
body is kept and marked.
"""

import re
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from mta.compose.dkim import body_hash
from mta.compose.header import MAX_LINE, Field, HeaderRefused
from mta.compose.mime import ContentRefused

SINGLETONS = frozenset(
    {
        "from", "date", "message-id", "subject", "to", "reply-to", "sender", "cc", "in-reply-to",
        "references", "mime-version", "content-type", "content-transfer-encoding", "list-unsubscribe",
        "list-unsubscribe-post", "list-id", "feedback-id", "auto-submitted",
    }
)  # fmt: skip
MAX_HEADER_BYTES = 256_000
MAX_FIELDS = 1_000
MAX_FROM = 1_000
MAX_DATE_OFF_S = 3 * 86_400.0
"""F-04: from the time of acceptance."""

_DROPPED = frozenset({"bcc", "return-path", "resent-bcc"})
_FIELD = re.compile(r"([!-9;-~]{1,76})[ \t]*:[ \t]?((?:[\t -~]|\r\n[ \t])*)\Z")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ADDRESS = re.compile(r"([^\s<>()\[\],:;\"@]+)@([A-Za-z0-9.-]+)\Z")
_ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_MESSAGE_ID = re.compile(rf"<{_ATOMS}@(?:{_ATOMS}|\[[!-Z^-~]*\])>\Z")
# RFC 5322 section 3.3, with the numeric zone that F-04 wants, and the comment that many append.
_DATE = re.compile(
    r"(?:[A-Z][a-z]{2},[ \t]+)?[0-9]{1,2}[ \t]+[A-Z][a-z]{2}[ \t]+[0-9]{4}[ \t]+"
    r"[0-9]{2}:[0-9]{2}(?::[0-9]{2})?[ \t]+[+-][0-9]{4}(?:[ \t]+\([^()]*\))?\Z"
)


class Given(Struct, frozen=True, gc=False):
    fields: tuple[Field, ...]
    body: bytes
    body_hash: str
    is_eight_bit: bool
    digest: bytes

    def value(self, name: str) -> str | None:
        """Of the first field of this (lower-case) name, unfolded."""
        for own, value in self.fields:
            if own.lower() == name:
                return value.replace("\r\n", "").strip()
        return None


def parse_rfc822(raw: bytes, from_domain: str) -> Given:
    if b"\0" in raw:
        raise ContentRefused("rfc822: the character U+0000 is not allowed")
    crlf = raw.count(b"\r\n")
    if raw.count(b"\n") != crlf or raw.count(b"\r") != crlf:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    head, _, body = (b"\r\n" + raw).partition(b"\r\n\r\n")
    head = head.removesuffix(b"\r\n")  # of fields alone, without the empty line that ends them
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    if body and max(map(len, body.split(b"\r\n"))) > MAX_LINE:
        raise ContentRefused(f"rfc822: a line of more than {MAX_LINE} octets")
    fields = _fields(head)
    _check_singletons(fields)
    given = Given(
        fields=fields,
        body=body,
        body_hash=body_hash(body),
        is_eight_bit=not body.isascii(),
        digest=blake2b(raw, digest_size=16).digest(),
    )
    _check_from(given.value("from"), from_domain)
    return given


def without_unfit(given: Given, at: float) -> Given:
    """Without what must be replaced by ours: an id or a date that is none (or far from `at`), an empty To."""
    unfit = set(_unfit(given, at))
    return replace(given, fields=tuple(field for field in given.fields if field[0].lower() not in unfit))


def _unfit(given: Given, at: float) -> Iterator[str]:
    message_id, date, to = (given.value(name) for name in ("message-id", "date", "to"))
    if message_id is not None and not _MESSAGE_ID.match(message_id):
        yield "message-id"
    if date is not None and not _is_about(date, at):
        yield "date"
    if to == "":
        yield "to"


def _is_about(date: str, at: float) -> bool:
    if not _DATE.match(date):
        return False
    try:
        moment = parsedate_to_datetime(date)
        if moment.tzinfo is None:  # -0000 is UTC of an unknown place
            moment = moment.replace(tzinfo=UTC)
        return abs(moment.timestamp() - at) <= MAX_DATE_OFF_S
    except (ValueError, OverflowError):
        return False


def _fields(head: bytes) -> tuple[Field, ...]:
    if len(head) > MAX_HEADER_BYTES:
        raise HeaderRefused(f"rfc822: more than {MAX_HEADER_BYTES} bytes of header fields")
    if not head.isascii():
        raise HeaderRefused("rfc822: header fields must be ASCII")
    chunks = re.split(r"\r\n(?![ \t])", head.decode("ascii"))[1:]
    if len(chunks) > MAX_FIELDS:
        raise HeaderRefused(f"rfc822: more than {MAX_FIELDS} header fields")
    fields = []
    for chunk in chunks:
        found = _FIELD.match(chunk)
        if not found:
            raise HeaderRefused(f"rfc822: {chunk[:40]!a} is no header field")
        if any(len(line) > MAX_LINE or not line.strip() for line in chunk.split("\r\n")):
            raise HeaderRefused(f"rfc822: {found[1]}: a line too long, or blank")
        if found[1].lower() not in _DROPPED:
            fields.append((found[1], found[2]))
    return tuple(fields)


def _check_singletons(fields: tuple[Field, ...]) -> None:
    seen: set[str] = set()
    for given, _ in fields:
        name = given.lower()
        if name in seen:
            raise HeaderRefused(f"rfc822: {given} given twice")
        if name in SINGLETONS:
            seen.add(name)


def _check_from(value: str | None, from_domain: str) -> None:
    """F-02: one address, of the domain we sign for; comments and groups are refused with everything
    unclear."""
    if value is None:
        raise HeaderRefused("rfc822: no From")
    address = value
    if len(value) > MAX_FROM:
        raise HeaderRefused(f"rfc822: From has more than {MAX_FROM} characters")
    if value.endswith(">"):
        display_name, opening, address = value[:-1].rpartition("<")
        if not opening or any(mark in _QUOTED.sub("", display_name) for mark in '<>@,;:()"'):
            raise HeaderRefused("rfc822: From is not one plain address")
    found = _ADDRESS.match(address)
    if not found or "=?" in found[1]:
        raise HeaderRefused("rfc822: From is not one plain address")
    if found[2].lower() != from_domain.lower():
        raise HeaderRefused("rfc822: the domain of From is not that of the payload")
