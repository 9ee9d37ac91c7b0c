"""The table on disk, `state_dir/suppression.bin`: with it a start reads from the bucket only what is new.

    0  magic MTASUPP1    8  CRC-32 of the rest    12  byte order: 1 as 4 octets of this machine
   16  sequence of the bucket up to which it holds    24  birth of the bucket, 40 octets, ended by NUL    64  the shards

It is written piece by piece while the table goes on changing, so it holds all up to its sequence and some that came
later: the bucket tells those again, and what it tells last counts. A file that is torn, of another bucket or another
machine is worth nothing and costs only the time to read the bucket from its beginning.
"""

import asyncio
import os
import struct
import zlib
from pathlib import Path

from mta.jetstream.kv import Place
from mta.suppression.table import SHARDS, Table

_MAGIC = b"MTASUPP1"
_HEAD = struct.Struct("<8sI4sQ40s")
_CHECKED_FROM = 12
_ONE = struct.pack("=I", 1)
_SHARDS_AT_ONCE = 64
"""Of ten million marks half a megabyte: the loop does not stand still for longer than it takes to copy that."""
_REST_S = 0.002


async def save(path: Path, table: Table, place: Place) -> None:
    """OSError. Nobody else may write it meanwhile; what is cut short leaves the file of before."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.write(bytes(_HEAD.size))
        check = zlib.crc32(_head(place)[_CHECKED_FROM:])
        for first in range(0, SHARDS, _SHARDS_AT_ONCE):
            piece = b"".join(map(table.shard_bytes, range(first, first + _SHARDS_AT_ONCE)))
            check = zlib.crc32(piece, check)
            file.write(piece)
            await asyncio.sleep(_REST_S)
        file.seek(0)
        file.write(_head(place, check))
        await asyncio.to_thread(os.fsync, file.fileno())
    new.rename(path)


def load(path: Path) -> tuple[Table, Place]:
    """FileNotFoundError, another OSError, or ValueError for a file that cannot be believed. Blocks."""
    content = memoryview(path.read_bytes())
    if len(content) < _HEAD.size:
        raise ValueError("it is no file of marks")
    magic, check, order, sequence, born = _HEAD.unpack_from(content)
    if magic != _MAGIC or order != _ONE:
        raise ValueError("it is no file of marks of this machine")
    if zlib.crc32(content[_CHECKED_FROM:]) != check:
        raise ValueError("its check does not hold")
    place = Place(sequence, born.rstrip(b"\0").decode("ascii"))
    return Table.from_bytes(content[_HEAD.size :]), place


def _head(place: Place, check: int = 0) -> bytes:
    return _HEAD.pack(_MAGIC, check, _ONE, place.sequence, place.born.encode("ascii"))
