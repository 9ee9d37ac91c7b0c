"""The DKIM signatures of a complaint: which of them speak for its author, and whether they hold.

A complaint counts only if a signature of its From domain holds (L-06, RFC 9477), because it is suppressed for. Aligned
is a signature by that domain itself or by one above it; no list of public suffixes is needed, since nobody signs for
those. One with l= is not looked at: it says nothing of what was appended. RSA with SHA-1 is none (RFC 8301).

Runs in a worker, all but `aligned`, which reads capped tags and nothing else.
"""

import re

import dkim
from msgspec import Struct

MOST_SIGNATURES = 5
_MOST_HEADER = 1 << 16
_MOST_NAMES = 200
"""Of signed fields; who has more, or a longer header, is after our processor: dkimpy takes the square of either."""
_MOST_RECORD = 1_000
"""Of a key: one of 4096 bits is 760, and who needs to calculate with more is after our processor."""
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.MULTILINE)
_TAG = re.compile(r"\s*([a-z]{1,8})\s*=\s*([^;\s]{1,255})\s*\Z")
_PARTIAL = re.compile(r"(?:^|;)\s*l\s*=")
_MOST_TAGS = 30
_BROKEN = (dkim.DKIMException, ValueError, LookupError, TypeError, AttributeError)
"""What dkimpy says of a signature or a key that it cannot read, and what escapes it there."""
_ALGORITHMS = frozenset(("rsa-sha256", "ed25519-sha256"))


class Signature(Struct, frozen=True, gc=False):
    """`place` counts the DKIM-Signature fields of the message from 0."""

    place: int
    domain: str
    selector: str

    @property
    def record(self) -> str:
        """Where its key is published."""
        return f"{self.selector}._domainkey.{self.domain}"


def aligned(raw: bytes, from_domain: str) -> tuple[Signature, ...]:
    """Of the first few signatures those that speak for `from_domain` (lower-case A-label)."""
    found: list[Signature] = []
    header, end, _ = raw[:_MOST_HEADER].partition(b"\r\n\r\n")
    if not end:
        return ()
    fields = (match[2] for match in _FIELD.finditer(header) if match[1].lower() == b"dkim-signature")
    for place, value in zip(range(MOST_SIGNATURES), fields, strict=False):
        signature = _read(place, value.decode("latin-1"))
        if signature is not None and _speaks_for(signature.domain, from_domain):
            found.append(signature)
    return tuple(found)


def holds(raw: bytes, signatures: tuple[Signature, ...], records: dict[str, str]) -> bool:
    """Whether one of them does, by these key records. A second From field breaks it: dkimpy reads every signature as if
    it had signed that there is none."""

    def published(name: bytes, timeout: int = 0) -> bytes | None:
        record = records.get(name.decode("latin-1").rstrip(".").lower())
        return None if record is None or len(record) > _MOST_RECORD else record.encode("latin-1", "replace")

    for signature in signatures:
        try:
            if dkim.DKIM(raw).verify(signature.place, dnsfunc=published):
                return True
        except _BROKEN:
            continue
    return False


def _read(place: int, value: str) -> Signature | None:
    tags: dict[str, str] = {}
    for part in value.replace("\r\n", "").split(";", _MOST_TAGS)[:_MOST_TAGS]:
        match = _TAG.match(part)
        if match is not None:
            tags.setdefault(match[1], match[2])
    domain, selector = tags.get("d", "").lower().rstrip("."), tags.get("s", "").lower()
    if (
        value.count(":") > _MOST_NAMES
        or tags.get("a") not in _ALGORITHMS
        or _PARTIAL.search(value)
        or "." not in domain
        or not selector
    ):
        return None
    return Signature(place, domain, selector)


def _speaks_for(domain: str, author: str) -> bool:
    return author == domain or author.endswith(f".{domain}")
