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
