"""Macros of SPF (RFC 7208 section 7): checked when a record is read, expanded when a term is evaluated."""

import re
from ipaddress import ip_address
from urllib.parse import quote

from msgspec import Struct

_LONGEST_NAME = 253
# Section 7.1. `c`, `r` and `t` belong into explanations only, which nothing here reads.
_MACRO = re.compile(r"%(?:\{([slodiphv])([0-9]{0,3})(r?)([.\-+,/_=]*)\}|([%_-]))", re.IGNORECASE)
_LITERAL = re.compile(r"[!-$&-~]*")
_TOP_LABEL = re.compile(r"(?=[a-z0-9-]*[a-z-])[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", re.IGNORECASE)
_ESCAPED = {"%": "%", "_": " ", "-": "%20"}


class Sender(Struct, frozen=True, gc=False):
    """Who connects and what he says of himself: `local`@`domain` of MAIL FROM, and the name in EHLO."""

    address: str
    local: str
    domain: str
    ehlo: str


def fault(text: str) -> str:
    """Why `text` is no macro-string; "" if it is."""
    rest = _MACRO.sub("", text)
    if "%" in rest:
        return f"{text[:80]!r} holds a % that begins no macro"
    if _LITERAL.fullmatch(rest) is None:
        return f"{ascii(text)[:80]} holds a character that may not stand there"
    if any(match[2] and not int(match[2]) for match in _MACRO.finditer(text)):
        return f"{text[:80]!r} asks for the last 0 parts of a name"
    return ""


def domain_fault(text: str) -> str:
    """Why `text` is no domain-spec; "" if it is. It ends in a top-level label or in a macro."""
    if wrong := fault(text):
        return wrong
    ends = [match.end() for match in _MACRO.finditer(text)]
    if ends and ends[-1] == len(text):
        return ""
    before, dot, top = text.removesuffix(".").rpartition(".")
    if not dot or not before or _TOP_LABEL.fullmatch(top) is None:
        return f"{text[:80]!r} is no domain name"
    return ""


def expand(text: str, sender: Sender, domain: str) -> str:
    """The name that `text`, which has no fault, stands for in the record of `domain`. Of one that is too long, labels
    are dropped from the left (section 7.3)."""
    name = _MACRO.sub(lambda match: _value(match, sender, domain), text).removesuffix(".")
    if len(name) > _LONGEST_NAME:
        # One character more, which tells whether the first label left is a whole one.
        name = name[-_LONGEST_NAME - 1 :].partition(".")[2]
    return name


def _value(match: re.Match[str], sender: Sender, domain: str) -> str:
    letter, digits, is_reversed, delimiters, escaped = match.groups()
    if escaped:
        return _ESCAPED[escaped]
    parts = re.split(f"[{re.escape(delimiters or '.')}]", _raw(letter.lower(), sender, domain))
    if is_reversed:
        parts.reverse()
    value = ".".join(parts[-int(digits) :] if digits else parts)
    return quote(value, safe="") if letter.isupper() else value


def _raw(letter: str, sender: Sender, domain: str) -> str:
    ip = ip_address(sender.address)
    match letter:
        case "s":
            return f"{sender.local}@{sender.domain}"
        case "l":
            return sender.local
        case "o":
            return sender.domain
        case "d":
            return domain
        case "i":
            return sender.address if ip.version == 4 else ".".join(ip.exploded.replace(":", ""))
        case "v":
            return "in-addr" if ip.version == 4 else "ip6"
        case "h":
            return sender.ehlo
        case _:
            return "unknown"  # %{p}: section 7.2 says so where no name of the address was validated
