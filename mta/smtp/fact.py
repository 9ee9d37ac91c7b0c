"""What a session reports to its owner: one frozen record for each thing that has been settled.

For each submitted transaction exactly one of `Accepted`, `Refused`, `Lost`, `Unsent` and `Impossible` is
reported, for each session at most one `Ended`. A verdict may come later than the room it makes: then `Vacant`
comes first.
"""

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct

from mta.model.message import Envelope
from mta.model.outcome import Stage
from mta.model.reply import Reply


def granted() -> bool:
    """The permit of an envelope that nobody may withhold."""
    return True


class Transaction(Struct, frozen=True):
    """One envelope to be sent; `tag` is the owner's and comes back untouched. `permit` is asked right before its
    octets go out, and again in the course of a large message: where it says no they are held back. `requiretls`: only
    to a peer that promises TLS for the rest of the way (RFC 8689)."""

    envelope: Envelope
    tag: object = None
    permit: Callable[[], bool] = granted
    requiretls: bool = False


class Obstacle(StrEnum):
    """Why a transaction can not be sent here at all."""

    SIZE = "size"
    """Larger than the peer's advertised limit."""
    EIGHT_BIT = "eight_bit"
    """8-bit content, and no 8BITMIME offered."""
    SMTPUTF8 = "smtputf8"
    """An internationalised address, and no SMTPUTF8 offered."""
    REQUIRETLS = "requiretls"
    """TLS is required for the rest of the way, and no REQUIRETLS offered."""
    ADDRESS = "address"
    """Not the grammar of an address."""
    MALFORMED = "malformed"
    """Bytes that are never sent: a bare CR or LF, NUL, no final CRLF."""


class Accepted(Struct, frozen=True):
    """A 2xx to the end of this very message's data, in order, with nothing stray in its flight nor right behind
    it. `smtp_s` counts from when its MAIL was written."""

    transaction: Transaction
    reply: Reply
    smtp_s: float


class Refused(Struct, frozen=True):
    """A well-formed 4yz or 5yz to `command`."""

    transaction: Transaction
    stage: Stage
    command: str
    reply: Reply
    smtp_s: float


class Lost(Struct, frozen=True):
    """The connection or the protocol failed it at `stage`. `ambiguous`: its end of data was written and no
    reply came that can be trusted (S-14). `reply` is a 421, or one that came before its time."""

    transaction: Transaction
    stage: Stage
    detail: str
    reply: Reply | None
    ambiguous: bool
    smtp_s: float


class Unsent(Struct, frozen=True):
    """Nothing of it has counted: not an attempt, to be queued again (S-19, B25)."""

    transaction: Transaction


class Impossible(Struct, frozen=True):
    """We do not even try. Nothing of it was written; the session goes on."""

    transaction: Transaction
    kind: Obstacle
    detail: str


class Vacant(Struct, frozen=True, gc=False):
    """There is room again, while the verdict on what made it is still held back: submit what comes next."""


class Learned(Struct, frozen=True, gc=False):
    """Whether this host answers an envelope that comes behind a body (patterns C and CB)."""

    c_works: bool


class Ended(Struct, frozen=True, gc=False):
    """No further transaction on this connection. `is_error` is False for ends that belong to the game: our
    own limits, and a peer that closes after it has served us (S-19)."""

    reason: str
    reply: Reply | None
    is_error: bool


VACANT = Vacant()

Fact = Accepted | Refused | Lost | Unsent | Impossible | Vacant | Learned | Ended
