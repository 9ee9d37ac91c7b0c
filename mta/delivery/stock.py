"""The messages of one path that are being composed, or ready for a connection: the lanes by their share, and those who
share a lane in turn, as before they were composed: else whoever comes would wait for all that is ready of others."""

from collections.abc import Iterable
from typing import Any

from mta.delivery.reference import Reference, is_wanted, slots
from mta.model.lane import Lane
from mta.queue.lanes import LaneShare
from mta.queue.ready import ReadyQueue
from mta.queue.settings import Fairness

Ref = Reference[Any]


class Stock:
    """`len` counts what is ready, wanted or not: what was settled meanwhile is dropped when its turn comes. What is not
    there is None, after a `rest`: there may be a hundred thousand paths."""

    __slots__ = ("_composing", "_fair", "_ready", "_share", "_urgent")

    def __init__(self, fair: Fairness) -> None:
        self._composing: set[Ref] | None = None
        self._urgent = 0  # of those
        self._fair = fair
        self._ready: ReadyQueue[Ref] | None = None
        self._share: LaneShare | None = None

    def __len__(self) -> int:
        return len(self._ready) if self._ready is not None else 0

    def begin(self, refs: Iterable[Ref]) -> int:
        """They are given away to be composed; how many are now."""
        if self._composing is None:
            self._composing = set()
        for ref in refs:
            self._composing.add(ref)
            self._urgent += ref.lane is Lane.TRANSACTIONAL
        return len(self._composing)

    def end(self, ref: Ref) -> int:
        """One of them is back; how many are not."""
        if self._composing is not None:
            if ref in self._composing:
                self._composing.remove(ref)
                self._urgent -= ref.lane is Lane.TRANSACTIONAL
            if self._composing:
                return len(self._composing)
            self._composing = None
        return 0

    def at_hand(self) -> list[Ref]:
        """What a connection is opened for: ready, or about to be; in no order that counts."""
        whole = (*(self._ready or ()), *(self._composing or ()))
        return [ref for ref in whole if not ref.is_settled]

    def count(self, lane: Lane) -> int:
        return self._ready.count(lane) if self._ready is not None else 0

    @property
    def urgent(self) -> int:
        """Of the transactional lane: being composed, or ready."""
        return self._urgent + self.count(Lane.TRANSACTIONAL)

    def put(self, ref: Ref) -> None:
        self._whole().put(ref, ref.lane, ref.sender)

    def put_back(self, ref: Ref) -> None:
        """In front: it was on its way already."""
        self._whole().put_back(ref, ref.lane, ref.sender)

    def take(self) -> Ref | None:
        ready = self._ready
        if ready is None:
            return None
        taken: list[Ref] = []
        while not taken and (waiting := len(ready)):
            urgent = ready.count(Lane.TRANSACTIONAL)
            if not urgent or urgent == waiting:
                taken = ready.take(1, Lane.TRANSACTIONAL if urgent else Lane.BULK)
                continue
            if self._share is None:
                self._share = LaneShare(self._fair.bulk_share)
            lane = Lane.BULK if self._share.is_bulk_due else Lane.TRANSACTIONAL
            taken = ready.take(1, lane)
            if taken:
                self._share.note(lane)
        return taken[0] if taken else None

    def drain(self, lane: Lane) -> list[Ref]:
        """Those that are still wanted."""
        return self._ready.drain(lane) if self._ready is not None else []

    def rest(self) -> None:
        """Nothing may be ready for long."""
        if not len(self):
            self._ready = self._share = None

    def _whole(self) -> ReadyQueue[Ref]:
        if self._ready is None:
            self._ready = ReadyQueue(is_wanted, slots, self._fair)
        return self._ready
