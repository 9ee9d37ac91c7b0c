"""Marks in MTA_SUPPRESSION, each change made only to the very mark it was decided on.

A mark of more weight is never replaced by one of less, one of the same weight only by one that holds longer, and none
ends sooner than the one it takes the place of; a mark that has expired weighs nothing. So the same mark added again
changes nothing, whoever adds it. A mark with an end is given that as TTL, too, and so leaves the bucket by itself.

Whoever takes a mark off knows of what was before: an event of then that is read once more, or late, makes none. The
marker that a deletion leaves tells when that was. It is asked for events only. What is recorded at this moment, as a
person's click, counts whatever the clocks of two hosts say.
"""

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from mta.jetstream.errors import Conflict, JetStreamUnavailable
from mta.jetstream.kv import Bucket, Change
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import moment
from mta.suppression.table import minutes_of, pack, reason_of

_TRIES = 20
_WEIGHT = {reason: weight for weight, reason in enumerate(SuppressReason)}
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Mark)
FOREVER = float("inf")


class Kept(Struct, frozen=True, gc=False):
    """A mark as it stands in the bucket; `is_new`: it was put there now."""

    mark: Mark
    sequence: int
    is_new: bool = False


def encode(mark: Mark) -> bytes:
    return _ENCODER.encode(mark)


def decode(value: bytes) -> Mark:
    """A value that cannot be read is a mark by hand without an end: somebody meant to stop something."""
    try:
        return _DECODER.decode(value)
    except msgspec.MsgspecError:
        return Mark(SuppressReason.MANUAL, "", detail="a mark that cannot be read")


def ends_at(mark: Mark) -> float:
    """Seconds since the epoch; `FOREVER` without an end, and where the end cannot be read."""
    if not mark.expires_at:
        return FOREVER
    try:
        return moment(mark.expires_at)
    except ValueError:
        return FOREVER


def outweighs(mark: Mark, old: Mark | None, now: float) -> bool:
    if old is None or ends_at(old) <= now:
        return True
    weight, before = _WEIGHT[mark.reason], _WEIGHT[old.reason]
    return weight > before or (weight == before and ends_at(mark) > ends_at(old))


def succeeding(mark: Mark, old: Mark | None, now: float) -> Mark | None:
    """What takes the place of `old`, if anything does: the mark, with the later end of the two."""
    if not outweighs(mark, old, now):
        return None
    if old is None or ends_at(old) <= max(ends_at(mark), now):
        return mark
    return replace(mark, expires_at="" if ends_at(old) == FOREVER else old.expires_at)


def packed(mark: Mark) -> int:
    """As the table keeps it."""
    end = ends_at(mark)
    return pack(mark.reason, 0.0 if end == FOREVER else end)


def covers(old: int, new: int, now: float) -> bool:
    """Whether of two packed marks (0: none) the new one adds nothing: `outweighs`, to the minute."""
    before, after = reason_of(old, now), reason_of(new, now)
    if before is None or after is None:
        return after is None
    ends, end = minutes_of(old) or FOREVER, minutes_of(new) or FOREVER
    return _WEIGHT[before] > _WEIGHT[after] or (before is after and ends >= end)


class MarkStore:
    """Raises JetStreamError where the bucket cannot be asked or told."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def add(self, key: str, mark: Mark, now: float) -> Kept:
        """Returns when it is stored, or when one stands there that outweighs it."""
        kept = await self._add(key, mark, now, FOREVER)
        assert kept is not None
        return kept

    async def add_past(self, key: str, mark: Mark, now: float) -> Kept | None:
        """As `add`, but None where the mark that stood there was taken off after what this one tells of."""
        return await self._add(key, mark, now, moment(mark.at))

    async def _add(self, key: str, mark: Mark, now: float, since: float) -> Kept | None:
        """None where a mark was taken off after `since`; `FOREVER`: never mind."""
        wanted = mark
        last: Change | None = None
        for _ in range(_TRIES):
            end = ends_at(mark)
            ttl_s = 0.0 if end == FOREVER else max(end - now, 1.0)
            try:
                sequence = 0 if last is None else last.sequence
                sequence = await self._bucket.replace(key, encode(mark), sequence, ttl_s=ttl_s)
            except Conflict:
                last = await self._bucket.last(key)
            else:
                return Kept(mark, sequence, is_new=True)
            if last is not None and last.removed_at > since:
                return None
            old = decode(last.value) if last is not None and last.value is not None else None
            won = succeeding(wanted, old, now)
            if won is None and old is not None and last is not None:
                return Kept(old, last.sequence)
            mark = won or wanted
        raise JetStreamUnavailable(f"{key}: too many change it at once")

    async def get(self, key: str) -> Kept | None:
        """The last word of the leader; None: no mark."""
        last = await self._bucket.last(key)
        if last is None or last.value is None:
            return None
        return Kept(decode(last.value), last.sequence)

    async def remove(self, key: str, kept: Kept) -> bool:
        """False if it is no longer that very mark."""
        try:
            await self._bucket.delete(key, kept.sequence)
        except Conflict:
            return False
        return True
