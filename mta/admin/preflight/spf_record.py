"""Reading an SPF record (RFC 7208 section 4.5, 4.6, 5, 6): its terms, or why it is none.

Every term is checked before the first is evaluated, as section 4.6 demands. Evaluating is `spf.py`'s.
"""

import re
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from mta.admin.preflight.spf_macro import domain_fault, fault

_TERM = re.compile(
    r"([+?~-]?)([a-z0-9_.-]+)(?::(.*?))?(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?", re.I
)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*)=(.*)", re.IGNORECASE)
_WITH_DOMAIN = ("include", "exists")
_MAY_HAVE_DOMAIN = ("a", "mx", "ptr")


class Directive(Struct, frozen=True, gc=False):
    """A mechanism with its qualifier. `value` is a domain-spec ("" is the domain itself) or a network address; `text`
    the term as it stands."""

    qualifier: str
    name: str
    value: str
    prefix_v4: int
    prefix_v6: int
    text: str


class SpfRecord(Struct, frozen=True, gc=False):
    directives: tuple[Directive, ...]
    redirect: str = ""

    def allows_everybody(self) -> bool:
        return any(one.name == "all" and one.qualifier == "+" for one in self.directives)

    def uses(self, name: str) -> bool:
        return any(one.name == name for one in self.directives)


def is_spf(text: str) -> bool:
    """Section 4.5: the version is all there is, or a space follows."""
    return f"{text.lower()} ".startswith("v=spf1 ")


def read_record(text: str) -> SpfRecord | str:
    """Of a text that `is_spf`. A str says what is wrong: `permerror` for whoever evaluates it."""
    directives: list[Directive] = []
    modifiers: dict[str, str] = {}
    for term in text[len("v=spf1") :].split(" "):
        if not term:
            continue
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            directive = _directive(term)
            if isinstance(directive, str):
                return directive
            directives.append(directive)
            continue
        name, value = modifier[1].lower(), modifier[2]
        is_known = name in ("redirect", "exp")
        if is_known and name in modifiers:
            return f"{name}= stands there twice"
        if wrong := domain_fault(value) if is_known else fault(value):
            return f"{ascii(name)[1:-1][:40]}=: {wrong}"
        modifiers[name] = value
    return SpfRecord(tuple(directives), modifiers.get("redirect", ""))


def _directive(term: str) -> Directive | str:
    said = ascii(term)[1:-1][:80]
    match = _TERM.fullmatch(term)
    if match is None:
        return f'"{said}" is no term of SPF'
    qualifier, name, value, bits_v4, bits_v6 = match[1] or "+", match[2].lower(), match[3], match[4], match[5]
    if name in ("ip4", "ip6"):
        return _network(qualifier, name, term, said)
    has_prefix = bits_v4 is not None or bits_v6 is not None
    if name == "all":
        return (
            f'"{said}": all stands alone'
            if value is not None or has_prefix
            else Directive(qualifier, name, "", 32, 128, term)
        )
    if name not in (*_WITH_DOMAIN, *_MAY_HAVE_DOMAIN):
        return f'"{said}" is no mechanism of SPF'
    if has_prefix and name not in ("a", "mx"):
        # What looks like a prefix belongs to the name, if it may hold a slash at all.
        value, bits_v4, bits_v6 = term.partition(":")[2], None, None
    if (value is None and name in _WITH_DOMAIN) or value == "":
        return f'"{said}" names no domain'
    if value is not None and (wrong := domain_fault(value)):
        return f'"{said}": {wrong}'
    prefix_v4, prefix_v6 = int(bits_v4 or "32"), int(bits_v6 or "128")
    if prefix_v4 > 32 or prefix_v6 > 128:
        return f'"{said}" has too long a prefix'
    return Directive(qualifier, name, value or "", prefix_v4, prefix_v6, term)


def _network(qualifier: str, name: str, term: str, said: str) -> Directive | str:
    """Section 5.6. Colons are part of an IPv6 address, so the term is taken apart anew."""
    address, slash, bits = term.partition(":")[2].partition("/")
    most = 32 if name == "ip4" else 128
    try:
        (IPv4Address if name == "ip4" else IPv6Address)(address.replace("%", " "))  # no zone of an interface
    except ValueError:
        return f'"{said}" holds no {"IPv4" if name == "ip4" else "IPv6"} address'
    if slash and (not re.fullmatch(r"0|[1-9][0-9]{0,2}", bits, re.ASCII) or int(bits) > most):
        return f'"{said}" has no prefix from 0 to {most}'
    prefix = int(bits) if slash else most
    return Directive(qualifier, name, address, prefix, prefix, term)
