"""What is known of the recipients of one source message: one byte each, and the rules by which it changes.

    OPEN       nothing on the wire that counts        -> DOT, ENDED, STORED
    DOT        end of data written, no reply yet      -> DELIVERED (2xx), ENDED (5yz), OPEN (4yz or unknown: deferred),
               or about to be                            STORED (a large message withheld in its middle, then parked)
    DELIVERED  a 2xx to that very end of data         final
    ENDED      any other end: bounced, expired, …     final
    STORED     in MTA_RETRY, its publish acknowledged final

The flag KEPT says that the event of a final state is acknowledged; a parked recipient has no event and is stored and
kept in one step. Nothing else can be kept: a redelivery skips what is kept, so a kept OPEN would be lost. A message may
be acknowledged when all its recipients are kept.

The bytes are what a snapshot holds and what the arena writes last into each recipient's record: `move` and `keep`
return the new byte for it. What else a record holds (event type, attempt, class, code, time, text) is a `Note`: no
decision here looks at it. Positions are places in the source message, not indexes of the original payload.
"""

from enum import IntEnum

from msgspec import Struct


class Source(Struct, frozen=True, array_like=True, gc=False):
    """A source message. Its stream time tells it from one of the same number in a stream that was made anew."""

    stream: str
    sequence: int
    at_ns: int


class RecipientState(IntEnum):
    OPEN = 0
    DOT = 1
    DELIVERED = 2
    ENDED = 3
    STORED = 4


KEPT = 0x80
"""The flag beside the state in a recipient's byte."""

TRANSITIONS: dict[RecipientState, frozenset[RecipientState]] = {
    RecipientState.OPEN: frozenset({RecipientState.DOT, RecipientState.ENDED, RecipientState.STORED}),
    RecipientState.DOT: frozenset(
        {RecipientState.DELIVERED, RecipientState.ENDED, RecipientState.OPEN, RecipientState.STORED}
    ),
    RecipientState.DELIVERED: frozenset(),
    RecipientState.ENDED: frozenset(),
    RecipientState.STORED: frozenset(),
}
FINAL = frozenset(state for state, followers in TRANSITIONS.items() if not followers)
_LEGAL = bytes(
    state in RecipientState.__members__.values() and after in TRANSITIONS[RecipientState(state)]
    for state in range(8)
    for after in range(8)
)
_FINAL = frozenset(map(int, FINAL))
_BYTES = frozenset({*map(int, RecipientState), *(state | KEPT for state in _FINAL)})


_UNION = tuple(sorted(_BYTES, key=lambda byte: (byte >= KEPT, byte & ~KEPT in _FINAL, -(byte & ~KEPT))))
"""What two copies of the books say of one recipient: the later in this order holds. Kept before not kept, final
before DOT or OPEN; of two ends the better proof, of DOT and OPEN the one that makes no claim (it may be deferred)."""
_RANK = bytes(_UNION.index(byte) if byte in _BYTES else 0 for byte in range(256))


def are_states(saved: bytes) -> bool:
    """Whether a record can have these bytes."""
    return _BYTES.issuperset(saved)


def united(one: int, other: int) -> int:
    """The byte of a recipient in the union of two copies."""
    return one if _RANK[one] >= _RANK[other] else other


class IllegalTransition(RuntimeError):
    """The books would contradict themselves: a bug, never a peer's doing."""


class Record:
    """The recipients of one source message, all OPEN at first."""

    __slots__ = ("_bytes", "_counts", "_kept")

    def __init__(self, count: int) -> None:
        self._bytes = bytearray(count)
        self._counts = [count, 0, 0, 0, 0]
        self._kept = 0

    @classmethod
    def restored(cls, saved: bytes) -> "Record":
        """From `saved()` of an earlier life. ValueError for bytes that no record has."""
        if not are_states(saved):
            raise ValueError("these are no recipient states")
        record = cls(len(saved))
        record._bytes[:] = saved
        record._counts = [sum(byte & ~KEPT == state for byte in saved) for state in RecipientState]
        record._kept = sum(byte >= KEPT for byte in saved)
        return record

    def move(self, position: int, after: RecipientState) -> int:
        """To another state; returns the byte to be written."""
        states = self._bytes
        before = states[position]
        if before >= KEPT or not _LEGAL[before << 3 | after]:
            raise IllegalTransition(f"recipient {position}: {before:#x} to {after.name}")
        states[position] = after
        counts = self._counts
        counts[before] -= 1
        counts[after] += 1
        return after

    def keep(self, position: int) -> int:
        """The event of its final state is acknowledged. Twice is the same as once: so are acks."""
        byte = self._bytes[position]
        if byte >= KEPT:
            return byte
        if byte not in _FINAL:
            raise IllegalTransition(f"recipient {position}: {RecipientState(byte).name} cannot be kept")
        self._bytes[position] = byte | KEPT
        self._kept += 1
        return byte | KEPT

    def byte(self, position: int) -> int:
        """As in `saved`."""
        return self._bytes[position]

    def is_final(self, position: int) -> bool:
        return self._bytes[position] & ~KEPT in _FINAL

    def state(self, position: int) -> RecipientState:
        return RecipientState(self._bytes[position] & ~KEPT)

    def is_kept(self, position: int) -> bool:
        return self._bytes[position] >= KEPT

    def count(self, state: RecipientState) -> int:
        return self._counts[state]

    def saved(self) -> bytes:
        """One byte a recipient, as in a snapshot."""
        return bytes(self._bytes)

    def __len__(self) -> int:
        return len(self._bytes)

    @property
    def unkept(self) -> int:
        """Recipients that still owe something: a final state, or the ack of its event."""
        return len(self._bytes) - self._kept

    @property
    def is_finished(self) -> bool:
        """The source message may be acknowledged."""
        return self._kept == len(self._bytes)
