"""Names as they go on the wire or into subjects: domains, tokens, host and port."""

import re
from ipaddress import IPv6Address

import idna

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_TOKEN = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)


def is_token(name: str) -> bool:
    """A name that stands in subjects as it is (contracts.md: `[a-z0-9_-]{1,64}`)."""
    return _TOKEN.fullmatch(name) is not None


def a_label(domain: str) -> str:
    """The domain in lower-case A-labels; ValueError says what is wrong with it."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"is no domain name: {error}") from error
    domain = domain.lower()
    if len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        raise ValueError("is no domain name")
    return domain


def host_and_port(text: str, default_port: int) -> tuple[str, int]:
    """`mx.example.test:25`, `192.0.2.1`, `[2001:db8::1]:25`; ValueError for anything else."""
    host, port = text, str(default_port)
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("is no address in brackets with a port")
        try:
            host = str(IPv6Address(host))
        except ValueError as error:
            raise ValueError("is no IPv6 address in brackets") from error
        port = rest[1:] if rest else port
    elif ":" in text:
        host, _, port = text.rpartition(":")
        host = a_label(host)
    else:
        host = a_label(host)
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError("has no port between 1 and 65535")
    return host, int(port)
