"""The copy of the books that survives the host: what a node knows of every source message in its hands, as one message
on `mta.progress.<node>`. Pure.

One byte a recipient, as in `mta.ledger.state`, and the note of each who has one and is not kept; msgpack, then zlib.
"""

import zlib
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from mta.ledger.note import Note
from mta.ledger.state import KEPT, Source, are_states, united

_VERSION = 1
_LEVEL = 1
_MOST_BYTES = 256 << 20


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """What is known of one source message. `notes` are by position."""

    source: Source
    states: bytes
    notes: dict[int, Note]

    def united(self, other: "Entry") -> "Entry":
        """Of two copies the better word on each recipient, with the note that belongs to it."""
        if len(self.states) != len(other.states):
            raise Unreadable(f"message {self.source.sequence} has two different numbers of recipients")
        states = bytearray(self.states)
        notes = dict(self.notes)
        for position, byte in enumerate(other.states):
            mine, theirs = notes.get(position), other.notes.get(position)
            if byte == states[position]:
                is_theirs = mine is None or (theirs is not None and theirs.attempt > mine.attempt)
            else:
                is_theirs = united(states[position], byte) == byte
            if is_theirs:
                states[position] = byte
                if theirs is not None:
                    notes[position] = theirs
        return Entry(self.source, bytes(states), notes)


class Snapshot(Struct, frozen=True, array_like=True):
    version: int
    node: str
    at: float
    entries: list[Entry]


class Unreadable(ValueError):
    """Not a snapshot of this version."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def encode(node: str, at: float, entries: Iterable[Entry]) -> bytes:
    return zlib.compress(_encoder.encode(Snapshot(_VERSION, node, at, list(entries))), _LEVEL)


def decode(body: bytes) -> Snapshot:
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(body, _MOST_BYTES)
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise Unreadable("a snapshot that is cut, or far too large")
        snapshot = _decoder.decode(raw)
    except (zlib.error, msgspec.DecodeError) as error:
        raise Unreadable(str(error)) from error
    if snapshot.version != _VERSION:
        raise Unreadable(f"a snapshot of version {snapshot.version}")
    for entry in snapshot.entries:
        if not are_states(entry.states) or any(not 0 <= at < len(entry.states) for at in entry.notes):
            raise Unreadable(f"message {entry.source.sequence} has states that are none")
    return snapshot


def unkept(states: bytes, notes: dict[int, Note]) -> dict[int, Note]:
    """The notes that go into a snapshot: what is kept needs none any more."""
    return {position: note for position, note in notes.items() if states[position] < KEPT}
