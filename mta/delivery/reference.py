"""What queues hold: a reference to one recipient of a payload in work, never rendered mail."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from mta.compose.spec import Addressee, SpecBlob
from mta.model.lane import Lane
from mta.model.message import Envelope
from mta.model.outcome import Outcome
from mta.model.path import NO_STS, EgressPath
from mta.model.sender import Sender
from mta.model.tls import TlsOption
from mta.pacing.settings import PathSettings


class Permits(Protocol):
    """Whoever a reference belongs to."""

    def permit(self, position: int) -> bool:
        """Whether the octets of this recipient's message may go out now. If so they are taken for sent."""
        ...


Owner = TypeVar("Owner", bound=Permits)

_SLOT_BYTES = 1 << 16
"""What goes out in about one round trip once a connection has found its pace: 64 kB in 50 ms are 10 Mbit/s."""


class Parked(Struct, frozen=True, gc=False):
    """The path will not serve this recipient in time: to be stored until `due_at`. Not an attempt, no event. `is_held`:
    because of an action, so that it is due at once when that is taken back. `is_turn`: `due_at` is when its turn is,
    not to be moved to that of others."""

    due_at: float
    reason: str
    is_held: bool = False
    is_turn: bool = False


Settlement = Outcome | Parked


class Reference(Generic[Owner]):
    """One recipient on its way. `owner` is the payload in work that it belongs to and `position` its place there;
    both mean nothing to a channel, which hands the reference back with a `Settlement`, exactly once.

    `attempt` counts the attempts made before this one, `source` names the source that must be used again (or is
    empty), `avoided` the one that was refused for what it is, `sender` is whose mail it is, by which payloads take
    turns inside a lane, `provider` is that of the site it goes to, `path` the way it takes, `sts` the policy of its
    domain and `pacing` what holds on its path, once it is routed; `counted_at` the source a unit of whose warm-up it
    spent, or empty. `envelope` is set when the message is composed, and let go of by the owner; `is_on_wire` while a
    connection has it; `unsent` counts connections that ended before they said anything about it.
    """

    __slots__ = (
        "addressee",
        "attempt",
        "avoided",
        "counted_at",
        "domain",
        "envelope",
        "expires_at",
        "is_dry_run",
        "is_on_wire",
        "is_settled",
        "lane",
        "owner",
        "pacing",
        "path",
        "pool",
        "position",
        "provider",
        "sender",
        "source",
        "spec",
        "sts",
        "tls",
        "unsent",
    )

    def __init__(
        self,
        owner: Owner,
        position: int,
        *,
        spec: SpecBlob,
        addressee: Addressee,
        domain: str,
        lane: Lane,
        sender: Sender,
        pool: str,
        tls: TlsOption,
        expires_at: float,
        attempt: int = 0,
        source: str = "",
        avoided: str = "",
        is_dry_run: bool = False,
    ) -> None:
        self.owner = owner
        self.position = position
        self.spec = spec
        self.addressee = addressee
        self.domain = domain
        self.lane = lane
        self.sender = sender
        self.pool = pool
        self.tls = tls
        self.expires_at = expires_at
        self.attempt = attempt
        self.source = source
        self.avoided = avoided
        self.is_dry_run = is_dry_run
        self.provider = ""
        self.counted_at = ""
        self.path: EgressPath | None = None
        self.sts = NO_STS
        self.pacing: PathSettings | None = None
        self.envelope: Envelope | None = None
        self.is_on_wire = False
        self.is_settled = False
        self.unsent = 0

    def permit(self) -> bool:
        """Asked right before the octets of its message go out."""
        return self.owner.permit(self.position)


def is_wanted(ref: Reference[Any]) -> bool:
    """Nobody has settled it yet: it did not expire, and its payload is still ours."""
    return not ref.is_settled


def slots(ref: Reference[Any]) -> int:
    """What it costs of its sender's turn: a message is one, and each whole 64 kB of content one more."""
    return 1 + len(ref.spec.blob) // _SLOT_BYTES
