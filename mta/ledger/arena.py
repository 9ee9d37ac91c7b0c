"""The copy of the books that survives the daemon: memory-mapped files below `state_dir/ledger`.

A file of 8 MB is an arena of equal slots, its name says how large they are: `<recipients>-<number>.arena`. A slot holds
one source message: a header of 64 octets, little endian, then one record a recipient (`mta.ledger.note`).

      0  magic MTALEDG1     12  recipients, zeros     24  stream time, ns     48  stream
      8  CRC-32 of the rest 16  sequence              32  payload key

What is written here is in the kernel's hands at once: it survives kill -9 and costs no system call. Space is taken with
`posix_fallocate` before it is mapped, as a page that finds no room on the disk kills the process. A slot is cleared
before it is used and its header written last; to free it the header is cleared first. The check of the header seeds
those of its records, so nothing of an earlier message is ever read as of this one.

It leaves to `mta.ledger.state` what states mean and to the flow what to do with what is found.
"""

import fcntl
import mmap
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from mta.ledger.note import RECORD_BYTES, Note, Torn, pack, unpack
from mta.ledger.state import Source

ARENA_BYTES = 8 << 20
_MAGIC = b"MTALEDG1"
_HEADER = struct.Struct("<8sIHxxQQ16s16s")
_NO_HEADER = bytes(_HEADER.size)
_CLASSES = (1, 8, 64, 500, 1000)
"""Recipients a slot has room for. A transactional message has one, a full payload 500 or 1,000."""
_NAME = re.compile(r"(\d{1,4})-(\d{1,6})\.arena")


class LedgerInUse(RuntimeError):
    """Another daemon works with this state directory."""


class LedgerFull(OSError):
    """No room on the disk for another arena."""


class Slot:
    """The records of one source message. After `release` nothing may be written."""

    __slots__ = ("_arena", "_base", "_number", "_seed")

    def __init__(self, arena: "_Arena", number: int, seed: int) -> None:
        self._arena = arena
        self._number = number
        self._base = number * arena.slot_bytes + _HEADER.size
        self._seed = seed

    def write(self, position: int, state: int, note: Note | None) -> None:
        """The whole record, its state last: until then its check does not hold."""
        start = self._base + position * RECORD_BYTES
        map_ = self._arena.map
        if note is not None:
            map_[start + 1 : start + RECORD_BYTES] = pack(state, note, self._seed)
        map_[start] = state

    def mark(self, position: int, state: int) -> None:
        """The state only: one that needs no note, or KEPT for the one it has."""
        self._arena.map[self._base + position * RECORD_BYTES] = state

    def release(self) -> None:
        self._arena.release(self._number)


class Found(Struct):
    """What an earlier life left behind. Its slot stays taken until it is released."""

    source: Source
    payload_key: bytes
    states: bytes
    notes: dict[int, Note]
    slot: Slot


class _Arena:
    def __init__(self, path: Path, capacity: int) -> None:
        self._path = path
        self.capacity = capacity
        self.slot_bytes = _HEADER.size + capacity * RECORD_BYTES
        self._slots = ARENA_BYTES // self.slot_bytes
        self.free = list(range(self._slots - 1, -1, -1))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, ARENA_BYTES)
            self.map = mmap.mmap(descriptor, ARENA_BYTES)
        finally:
            os.close(descriptor)

    def take(self, source: Source, payload_key: bytes, count: int) -> Slot:
        number = self.free.pop()
        start = number * self.slot_bytes
        records = start + _HEADER.size
        self.map[records : records + count * RECORD_BYTES] = bytes(count * RECORD_BYTES)
        fields = (count, source.sequence, source.at_ns, payload_key, source.stream.encode())
        seed = zlib.crc32(_HEADER.pack(_MAGIC, 0, *fields))
        self.map[start:records] = _HEADER.pack(_MAGIC, seed, *fields)
        return Slot(self, number, seed)

    def release(self, number: int) -> None:
        start = number * self.slot_bytes
        self.map[start : start + _HEADER.size] = _NO_HEADER
        self.free.append(number)

    def scan(self, report: Callable[[str], None]) -> Iterator[Found]:
        """What is there, at the start of a life; torn slots are reported and freed."""
        self.free = []
        for number in range(self._slots - 1, -1, -1):
            start = number * self.slot_bytes
            header = self.map[start : start + _HEADER.size]
            if header == _NO_HEADER:
                self.free.append(number)
                continue
            try:
                yield self._found(number, header, report)
            except Torn as error:
                report(f"{self._path}, slot {number}: {error}; its recipients count as open")
                self.release(number)

    def _found(self, number: int, header: bytes, report: Callable[[str], None]) -> Found:
        magic, seed, count, sequence, at_ns, key, stream = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise Torn("not of this format")
        if zlib.crc32(header[:8] + bytes(4) + header[12:]) != seed or not 0 < count <= self.capacity:
            raise Torn("the check of the header does not hold")
        slot = Slot(self, number, seed)
        states = bytearray(count)
        notes: dict[int, Note] = {}
        for position in range(count):
            start = number * self.slot_bytes + _HEADER.size + position * RECORD_BYTES
            try:
                states[position], note = unpack(self.map[start : start + RECORD_BYTES], seed)
            except Torn as error:
                report(f"{self._path}, slot {number}, recipient {position}: {error}; it counts as open")
                self.map[start : start + RECORD_BYTES] = bytes(RECORD_BYTES)
                continue
            if note is not None:
                notes[position] = note
        source = Source(stream.rstrip(b"\0").decode("ascii", "replace"), sequence, at_ns)
        return Found(source, key, bytes(states), notes, slot)


class Ledger:
    """`open` first; constructing touches nothing. `report` gets a line for each thing that is not as it should be."""

    def __init__(self, directory: Path, report: Callable[[str], None]) -> None:
        self._directory = directory
        self._report = report
        self._arenas: dict[int, list[_Arena]] = {capacity: [] for capacity in _CLASSES}
        self._numbers = 0
        self._lock = -1

    def open(self) -> list[Found]:
        """Everything an earlier life left behind; `LedgerInUse` if that life goes on."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_lock()
        found: list[Found] = []
        for path in sorted(self._directory.iterdir()):
            match = _NAME.fullmatch(path.name)
            if match is None:
                if path.name != "lock":
                    self._report(f"{path}: not a file of the ledger, left alone")
                continue
            capacity = int(match[1])
            self._numbers = max(self._numbers, int(match[2]))
            if capacity not in self._arenas:
                self._report(f"{path}: no arena has slots of {capacity}, left alone")
                continue
            if path.stat().st_size != ARENA_BYTES:
                self._report(
                    f"{path}: {path.stat().st_size} bytes instead of {ARENA_BYTES}: what is missing counts as open"
                )
                with path.open("r+b") as file:
                    file.truncate(ARENA_BYTES)
            arena = _Arena(path, capacity)
            found.extend(arena.scan(self._report))
            self._arenas[capacity].append(arena)
        return found

    def _take_lock(self) -> None:
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            self._lock = -1
            raise LedgerInUse(f"another daemon works in {self._directory.parent}") from error

    def take(self, source: Source, payload_key: bytes, count: int) -> Slot:
        """A slot for a message of `count` recipients, all open. `LedgerFull` if the disk is."""
        capacity = next(capacity for capacity in _CLASSES if capacity >= count)
        arenas = self._arenas[capacity]
        for arena in arenas:
            if arena.free:
                return arena.take(source, payload_key, count)
        arenas.append(self._new(capacity))
        return arenas[-1].take(source, payload_key, count)

    def _new(self, capacity: int) -> _Arena:
        self._numbers += 1
        path = self._directory / f"{capacity}-{self._numbers}.arena"
        try:
            return _Arena(path, capacity)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise LedgerFull(error.errno, f"no room for the ledger: {error.strerror}", str(path)) from error

    def close(self) -> None:
        """Lets go of the files. Only a `Ledger` that was opened again finds them."""
        for arenas in self._arenas.values():
            for arena in arenas:
                arena.map.close()
            arenas.clear()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
