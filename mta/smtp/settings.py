"""What is turned on a connection: the pattern of pipelining and one deadline per phase."""

from enum import StrEnum

from msgspec import Struct


class Pattern(StrEnum):
    """How transactions overlap on one connection.

    A: lock step. B: MAIL RCPT DATA in one group, then the body. C: the body with the next envelope behind
    its dot. CB: BDAT LAST with the next envelope behind its octets. E: several whole transactions in
    flight, only by explicit setting for a relay the operator knows. AUTO: by what the peer offers and what
    was learned of its host.
    """

    AUTO = "auto"
    A = "A"
    B = "B"
    C = "C"
    CB = "CB"
    E = "E"


class Dsn(StrEnum):
    """Which reports are asked for where the peer offers DSN (RFC 3461): none of ours (its own habit holds), those of
    failures, or none at all."""

    OFF = "off"
    FAILURE = "failure"
    NEVER = "never"


class Timeouts(Struct, frozen=True, gc=False):
    """Seconds (RFC 5321 section 4.5.3.2; it gives none for the TCP connection)."""

    connect_s: float = 30.0
    greeting_s: float = 300.0
    ehlo_s: float = 300.0
    tls_s: float = 60.0
    mail_s: float = 300.0
    rcpt_s: float = 300.0
    data_s: float = 120.0
    block_s: float = 180.0
    dot_s: float = 600.0
    quit_s: float = 5.0
    quiet_s: float = 0.05
    """And at least two round trips: how long a stray reply may lag behind the one it doubles (B12)."""
    auth_s: float = 300.0
    """For each reply (RFC 4954 names no limit)."""
