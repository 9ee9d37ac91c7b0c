"""The one parser of mail addresses: what it returns is the value for envelope, header, DNS and pacing alike.

Two parsers that disagree send mail to the wrong person (`"a@evil x"@good`), and what is not an address
can carry a second SMTP command or a parameter. So an address is an addr-spec of RFC 5321 section 4.1.2 or
it is refused; nothing is stripped, guessed or repaired. Domains become lower-case A-labels (UTS-46
mapping, then the rules of IDNA2008); local parts are kept to the letter, with no more quoting than they
need. Beyond ASCII a local part is a dot-string of RFC 6531 in NFC, and taken only where there can be mail to it.
`Mailbox.text` is what stands between the angle brackets on the wire, and equal texts mean the same mailbox.

Reasons never quote the address: they travel in events in which it may have to be hidden.
"""

import re
import unicodedata
from functools import lru_cache

import idna
from msgspec import Struct

# S-02 (RFC 5321 section 4.5.3.1). A path has two angle brackets more than an address; a name of 253
# characters is the longest that fits into the 255 octets of DNS.
MAX_LOCAL = 64
MAX_DOMAIN = 253
MAX_LABEL = 63
MAX_ADDRESS = 254

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_PLAIN = re.compile(rf"({_ATEXT}+(?:\.{_ATEXT}+)*)@([A-Za-z0-9.-]+)").fullmatch
# qtextSMTP and quoted-pairSMTP, without the angle brackets that both allow: no mailbox has them, and a
# peer that looks for the end of the path by its bracket would read parameters behind it.
_QUOTED = re.compile(r'"(?:[ !#-;=?-\[\]-~]|\\[ -;=?-~])+"')
_PAIR = re.compile(r"\\(.)")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch
# Zero width non-joiner and joiner: IDNA2008 allows them in their context (RFC 5892 appendix A), idna
# checks it.
_JOINERS = "\u200c\u200d"


class BadAddress(ValueError):
    """Not an address mail can be sent to; the message says why, in words for the sender."""

    code = "bad_address"


class UnsupportedAddress(BadAddress):
    """A good address of a kind that is not served in its place: its local part needs SMTPUTF8 (RFC 6531)."""

    code = "unsupported"


class Mailbox(Struct, frozen=True, gc=False):
    """`domain` is the lower-case A-label form, `text` the canonical `local@domain`."""

    local: str
    domain: str
    text: str


def are_related(one: str, other: str) -> bool:
    """Whether two canonical domains are the same, or one lies below the other, as far as names tell."""
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def parse(text: str, *, utf8: bool = False) -> Mailbox:
    """The mailbox that `text` names. BadAddress if it is anything but one bare addr-spec; a local part beyond ASCII
    is UnsupportedAddress but for `utf8`."""
    if len(text) > 4 * MAX_ADDRESS:
        raise BadAddress(f"the address is longer than {MAX_ADDRESS} octets")
    match = _PLAIN(text)
    if match is None:
        local, name = _split(text, utf8)
    else:
        local, name = match.groups()
    if "=?" in local and "?=" in local:
        raise BadAddress("an encoded word cannot stand in an address")  # F-02
    domain = canonical_domain(name)
    if _octets(local) > MAX_LOCAL:
        raise BadAddress(f"the local part is longer than {MAX_LOCAL} octets")
    canonical = f"{local}@{domain}"
    if _octets(canonical) > MAX_ADDRESS:
        raise BadAddress(f"the address is longer than {MAX_ADDRESS} octets")
    return Mailbox(local, domain, canonical)


def canonical_domain(name: str) -> str:
    """`name` as lower-case A-labels. BadAddress if it is no name of a public mail domain."""
    domain, fault = _judged(name)
    if fault:
        raise BadAddress(fault)
    return domain


@lru_cache(maxsize=65_536)
def _judged(name: str) -> tuple[str, str]:
    """The canonical form, or what is wrong: both are kept, since either can have taken long to find out."""
    try:
        return _canonical(name), ""
    except BadAddress as error:
        return "", str(error)


def _canonical(name: str) -> str:
    if not name:
        raise BadAddress("the domain is empty")
    if name[0] == "[":
        raise BadAddress("an address literal is not accepted as domain")
    if len(name) > 4 * MAX_DOMAIN:
        raise BadAddress(f"the domain is longer than {MAX_DOMAIN} octets")
    domain = name.lower() if name.isascii() else _mapped(name)
    if len(domain) > MAX_DOMAIN:
        raise BadAddress(f"the domain is longer than {MAX_DOMAIN} octets")
    labels = domain.split(".")
    if not all(map(_LABEL, labels)):
        raise BadAddress("the domain has an empty, over-long or ill-formed label")
    if len(labels) < 2:
        raise BadAddress("the domain has no dot")
    if labels[-1].isdigit():
        raise BadAddress("the top-level domain is a number")
    if name.isascii() and "xn--" in domain:
        _check_punycode(domain)
    return domain


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _split(text: str, utf8: bool) -> tuple[str, str]:
    """Local part and domain of what is not plain ASCII atoms; the local part is checked, the domain is
    not."""
    quoted = _QUOTED.match(text)
    if quoted is not None:
        local, at, name = quoted[0], text[quoted.end() : quoted.end() + 1], text[quoted.end() + 1 :]
    else:
        local, at, name = text.rpartition("@")
    if at != "@":
        raise BadAddress("there is no @ between local part and domain")
    if not local:
        raise BadAddress("the local part is empty")
    if quoted is not None:
        return _least_quoted(local), name
    if _DOT_STRING.fullmatch(local):
        return local, name
    if local.isascii() or not _is_utf8_dot_string(local):
        raise BadAddress("the local part is not a dot-atom or a quoted string")
    if not unicodedata.is_normalized("NFC", local):  # F-12, RFC 6532 section 3.1
        raise BadAddress("the local part is not in the Unicode form NFC")
    if not utf8:
        canonical_domain(name)
        raise UnsupportedAddress("a local part beyond ASCII is not supported here")
    return local, name


def _least_quoted(local: str) -> str:
    """RFC 5321 section 4.1.2: quoting is no part of a name, so that what need not be quoted is not."""
    bare = _PAIR.sub(r"\1", local[1:-1])
    if _DOT_STRING.fullmatch(bare):
        return bare
    escaped = bare.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_utf8_dot_string(local: str) -> bool:
    """Atoms of RFC 6531 section 3.3: any printable character beyond ASCII counts as atext."""
    return (
        all(c.isascii() or unicodedata.category(c)[0] not in "CZ" for c in local)
        and _DOT_STRING.fullmatch("".join(c if c.isascii() else "x" for c in local)) is not None
    )


def _mapped(name: str) -> str:
    """UTS-46 drops characters nobody sees (soft hyphen, zero width space): a name that has them is a
    disguise."""
    if any(unicodedata.category(c)[0] in "CZ" and c not in _JOINERS for c in name):
        raise BadAddress("the domain holds an invisible character")
    # Punycode takes a time that grows with the square of a label, and makes it no shorter.
    composed = unicodedata.normalize("NFKC", name)
    if len(composed) > MAX_DOMAIN or max(map(len, re.split("[.\u3002]", composed))) > MAX_LABEL:
        raise BadAddress(f"the domain or a label of it is longer than {MAX_DOMAIN} or {MAX_LABEL} octets")
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except UnicodeError as error:
        raise BadAddress("the domain is not a name that IDNA2008 allows") from error


def _check_punycode(domain: str) -> None:
    try:
        idna.encode(domain, strict=True)
    except UnicodeError as error:
        raise BadAddress("the domain has an A-label that IDNA2008 does not allow") from error
