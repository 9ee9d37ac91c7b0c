"""Addresses as they stand in running text: found by their @, at a cost that is bounded for each.

Whether one is the recipient is for others to say. What is found is an addr-spec in looks (RFC 5321 section 4.1.2,
RFC 6531 within angle brackets), free of the dress gateways put on it.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from mta.classify.mail import clean

MAX_LOOKED_AT = 2000
"""Of the @ in one text."""
_LOCAL = 128  # RFC 5321 section 4.5.3.1.1 has 64; what gateways wrap is longer
_DOMAIN = 255

_LOCAL_END = re.compile(r"(?:\"[^\"\n]{1,64}\"|[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+)\Z")
_DOMAIN_START = re.compile(
    r"[A-Za-z0-9\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff-]{0,62}(?:\.[A-Za-z0-9\u00a1-\uffff-]{1,63}){1,10}"
)
_ASCII_DOMAIN_START = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9-]{1,63}){1,10}")
_BRACKETED = re.compile(r"<([^<>\s@]{1,64}@[^<>\s@]{1,253})>")
# What X.400 and Exchange wrap around an address: `dda:SMTP=a@b`, `IMCEASMTP-a+40b@gateway`, `RFC-822=a(a)b`.
_WRAPPED = re.compile(r"(?:smtp|rfc-?822|internet)[=:]", re.IGNORECASE)
_IMCEA = re.compile(r"imcea(smtp|rfc822|internet)-(.+)\Z", re.IGNORECASE)
_CODED = re.compile(r"[+_]([0-9A-Fa-f]{2})")
_OF_X400 = re.compile(r"RFC-?822[=:]([A-Za-z0-9._-]{1,64})\(a\)([A-Za-z0-9.-]{3,253})", re.IGNORECASE)


class Spotted(Struct, frozen=True, gc=False):
    """An address, and where it begins and ends in the text."""

    address: str
    start: int
    end: int


def spotted(text: str) -> Iterator[Spotted]:
    """In order. The cost is that of the text, and a bounded one for each @."""
    at = -1
    for _ in range(MAX_LOOKED_AT):
        at = text.find("@", at + 1)
        if at < 0:
            return
        found = _at(text, at)
        if found is not None:
            yield found


def first_address(text: str) -> str:
    """Or ""."""
    found = next(spotted(text[:4096]), None)
    return found.address if found else ""


def addresses(text: str, most: int) -> list[str]:
    """Each one once, in order."""
    found: dict[str, None] = {}
    for one in spotted(text):
        found.setdefault(one.address)
        if len(found) >= most:
            break
    return list(found)


def unwrapped(text: str) -> str:
    """The address that a gateway's notation holds, or ""."""
    match = _OF_X400.search(text[:1024])
    return f"{match[1]}@{match[2]}" if match else first_address(text)


def _at(text: str, at: int) -> Spotted | None:
    bracket = text.rfind("<", max(at - 65, 0), at)
    whole = _BRACKETED.match(text, bracket) if bracket >= 0 else None
    if (
        whole is not None and not whole[1].isascii()
    ):  # RFC 6531: nothing but the brackets says where it begins
        return Spotted(whole[1], whole.start(1), whole.end(1)) if clean(whole[1]) == whole[1] else None
    before = _LOCAL_END.search(text[max(at - _LOCAL, 0) : at])
    if before is None:
        return None
    # In scripts without spaces the next word may follow at once.
    pattern = _DOMAIN_START if text[at + 1 : at + 2] > "\x7f" else _ASCII_DOMAIN_START
    after = pattern.match(text, at + 1, at + 1 + _DOMAIN)
    if after is None:
        return None
    local, domain = (
        before[0].lstrip("'`*|{/.=#&?+-") if before[0][0] != '"' else before[0],
        after[0].rstrip(".-"),
    )
    local = local.rstrip(".") or local
    wrapped = list(_WRAPPED.finditer(local))
    if wrapped:
        local = local[wrapped[-1].end() :]
    imcea = _IMCEA.match(local)
    if imcea is not None:
        inner = _CODED.sub(lambda match: chr(int(match[1], 16)), imcea[2])
        local, _, domain = inner.rpartition("@")
    if not local or len(local) > 64 or "." not in domain or domain.rpartition(".")[2].isdigit():
        return None
    if not domain.isascii() and clean(domain) != domain:
        return None
    return Spotted(f"{local}@{domain}", at - len(before[0]), after.end())
