"""Whom to ask, and what may be connected to."""

from ipaddress import ip_address

from msgspec import Struct


class DnsSettings(Struct, frozen=True):
    """Empty `servers`: those of /etc/resolv.conf. `allow` are networks that may be connected to although they
    are private. `validating` is a loopback resolver whose AD bit is believed; empty: there is none, and no DANE.
    `takes_anchors`: whoever connects can check a peer's chain up to a DANE-TA record. `mta_sts`: policies of domains
    are asked for and kept."""

    servers: tuple[str, ...] = ()
    validating: str = ""
    allow: tuple[str, ...] = ()
    timeout_s: float = 5.0
    tries: int = 2
    takes_anchors: bool = False
    mta_sts: bool = True


class StsLimits(Struct, frozen=True):
    """What MTA-STS may cost. `fetch_s` is for all of one fetch (RFC 8461 section 3.3 proposes a minute), `save_s` the
    least time between two writes of the policies that are kept. `most_fetches` run at once, `most_slow_fetches` with
    those whose hosts are slow. While `most_checks` lookups are in flight nobody looks again at what is known. A policy
    that is kept takes about 500 bytes, one as large as can be 30 kB: `most_kept_bytes` bounds what a flood of those
    takes."""

    fetch_s: float = 60.0
    save_s: float = 10.0
    most_fetches: int = 50
    most_slow_fetches: int = 500
    most_checks: int = 1000
    most_domains: int = 50_000
    most_policies: int = 20_000
    most_kept_bytes: int = 32_000_000


def loopback(text: str) -> tuple[str, int]:
    """Address and port of `127.0.0.1`, `127.0.0.1:5353` or `[::1]:53`; ValueError for what is not of this host. Anybody
    on the way could set the AD bit, so there must be no way (RFC 7672 section 2.1.3)."""
    host, port = text, "53"
    if text.startswith("[") and "]" in text:
        host, _, rest = text[1:].partition("]")
        if rest:
            port = rest[1:] if rest[0] == ":" else ""
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError("has no port between 1 and 65535")
    try:
        address = ip_address(host)
    except ValueError as error:
        raise ValueError("is no IP address") from error
    if not address.is_loopback or "%" in host:
        raise ValueError("is not of this host, and no network can be trusted with the AD bit")
    return str(address), int(port)
