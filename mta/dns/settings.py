"""Whom to ask, and what may be connected to."""

from msgspec import Struct


class DnsSettings(Struct, frozen=True):
    """Empty `servers`: those of /etc/resolv.conf. `allow` are networks that may be connected to although they
    are private. `validating` is a loopback resolver whose AD bit is believed."""

    servers: tuple[str, ...] = ()
    validating: str = ""
    allow: tuple[str, ...] = ()
    timeout_s: float = 5.0
    tries: int = 2


class StsLimits(Struct, frozen=True):
    """What MTA-STS may cost. `fetch_s` is for all of one fetch (RFC 8461 section 3.3 proposes a minute), `save_s` the
    least time between two writes of the policies that are kept. While `most_checks` lookups are in flight nobody looks
    again at what is known. A policy that is kept takes about 500 bytes, one as large as can be 30 kB: `most_kept_bytes`
    bounds what a flood of those takes."""

    fetch_s: float = 60.0
    save_s: float = 10.0
    most_fetches: int = 50
    most_checks: int = 1000
    most_domains: int = 50_000
    most_policies: int = 20_000
    most_kept_bytes: int = 32_000_000
