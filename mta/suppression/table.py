"""All marks of the bucket in memory: a number of 64 bits to a reason and an expiry, 12 bytes each. Pure.

The numbers are hashes, so they spread evenly over shards by their first bits; a shard is two sorted arrays. There is
no empty slot to pay for and nothing ever grows at once: adding moves a few kilobytes within one shard. Ten million
marks take about 130 MB, and a look-up ten comparisons in C.

The other way, a hash table in one array, would hold a third of it empty, and double with a pause of seconds.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from math import ceil

from mta.model.suppression import SuppressReason

_SHARD_BITS = 14
SHARDS = 1 << _SHARD_BITS
_SHIFT = 64 - _SHARD_BITS
_REASON_BITS = 4
_REASON_MASK = (1 << _REASON_BITS) - 1
_MOST_MINUTES = (1 << 32 - _REASON_BITS) - 1
ENTRY_BYTES = 12
# Numbers in the file are places here: only ever append.
_REASONS = (
    SuppressReason.MAILBOX_FULL,
    SuppressReason.INVALID_DOMAIN,
    SuppressReason.INACTIVE_RECIPIENT,
    SuppressReason.INVALID_RECIPIENT,
    SuppressReason.RECIPIENT_REFUSED,
    SuppressReason.MANUAL,
    SuppressReason.UNSUBSCRIBED,
    SuppressReason.COMPLAINED,
)
_CODES = {reason: code for code, reason in enumerate(_REASONS, 1)}


def pack(reason: SuppressReason, expires_at: float = 0.0) -> int:
    """What the table keeps of a mark, never 0. `expires_at` is seconds since the epoch, rounded up to the minute; 0:
    for good."""
    minutes = min(max(ceil(expires_at / 60), 1), _MOST_MINUTES) if expires_at else 0
    return minutes << _REASON_BITS | _CODES[reason]


def reason_of(value: int, now: float) -> SuppressReason | None:
    """None for 0, for a mark that has expired, and for what nobody packed."""
    minutes = value >> _REASON_BITS
    code = value & _REASON_MASK
    if not 0 < code <= len(_REASONS) or (minutes and minutes * 60 <= now):
        return None
    return _REASONS[code - 1]


def minutes_of(value: int) -> int:
    """Since the epoch, when it ends; 0: never."""
    return value >> _REASON_BITS


class Table:
    """Not for more than one thread."""

    def __init__(self) -> None:
        self._keys = [array("Q") for _ in range(SHARDS)]
        self._values = [array("I") for _ in range(SHARDS)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def get(self, key: int) -> int:
        """0: nothing."""
        shard = key >> _SHIFT
        keys = self._keys[shard]
        at = bisect_left(keys, key)
        return self._values[shard][at] if at < len(keys) and keys[at] == key else 0

    def put(self, key: int, value: int) -> None:
        shard = key >> _SHIFT
        keys = self._keys[shard]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            self._values[shard][at] = value
            return
        keys.insert(at, key)
        self._values[shard].insert(at, value)
        self._count += 1

    def remove(self, key: int) -> None:
        """No error if it is not there."""
        shard = key >> _SHIFT
        keys = self._keys[shard]
        at = bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            del keys[at]
            del self._values[shard][at]
            self._count -= 1

    def sweep(self, shard: int, now: float) -> int:
        """Lets go of what has expired in one shard, and returns how many that were."""
        keys, values = self._keys[shard], self._values[shard]
        kept = [at for at, value in enumerate(values) if reason_of(value, now) is not None]
        gone = len(values) - len(kept)
        if gone:
            self._keys[shard] = array("Q", [keys[at] for at in kept])
            self._values[shard] = array("I", [values[at] for at in kept])
            self._count -= gone
        return gone

    # -- as bytes -----------------------------------------------------------------------------------------------

    def shard_bytes(self, shard: int) -> bytes:
        """Its count (4 bytes), its keys, its values, in this machine's byte order."""
        keys = self._keys[shard]
        return len(keys).to_bytes(4, "little") + keys.tobytes() + self._values[shard].tobytes()

    @classmethod
    def from_bytes(cls, content: memoryview) -> "Table":
        """ValueError for what `shard_bytes` of all shards did not make."""
        table = cls()
        at = 0
        for shard in range(SHARDS):
            count = int.from_bytes(content[at : at + 4], "little")
            middle, end = at + 4 + count * 8, at + 4 + count * ENTRY_BYTES
            if end > len(content):
                raise ValueError("it ends too early")
            table._keys[shard].frombytes(content[at + 4 : middle])
            table._values[shard].frombytes(content[middle:end])
            table._count += count
            at = end
        if at != len(content):
            raise ValueError("there is more than all shards")
        return table

    def items(self) -> Iterator[tuple[int, int]]:
        for keys, values in zip(self._keys, self._values, strict=True):
            yield from zip(keys, values, strict=True)
