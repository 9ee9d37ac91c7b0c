"""The messages of one path that are being composed, or ready for a connection: the lanes by their share."""

from collections import deque
from collections.abc import Iterable
from typing import Any

from mta.delivery.reference import Reference
from mta.model.lane import Lane
from mta.queue.lanes import LaneShare

Ref = Reference[Any]


class Stock:
    """`len` counts what is ready, wanted or not: what was settled meanwhile is dropped when its turn comes. A lane
    without messages is None: an empty deque has 760 octets, and there may be a hundred thousand paths."""

    __slots__ = ("_bulk", "_composing", "_share", "_transactional", "_urgent")

    def __init__(self, bulk_share: float) -> None:
        self._composing: set[Ref] | None = None
        self._urgent = 0  # of those
        self._transactional: deque[Ref] | None = None
        self._bulk: deque[Ref] | None = None
        self._share = LaneShare(bulk_share)

    def __len__(self) -> int:
        return self.count(Lane.TRANSACTIONAL) + self.count(Lane.BULK)

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
        whole = (*(self._transactional or ()), *(self._bulk or ()), *(self._composing or ()))
        return [ref for ref in whole if not ref.is_settled]

    def count(self, lane: Lane) -> int:
        waiting = self._bulk if lane is Lane.BULK else self._transactional
        return len(waiting) if waiting is not None else 0

    @property
    def urgent(self) -> int:
        """Of the transactional lane: being composed, or ready."""
        return self._urgent + self.count(Lane.TRANSACTIONAL)

    def put(self, ref: Ref) -> None:
        self._lane(ref.lane).append(ref)

    def put_back(self, ref: Ref) -> None:
        """In front: it was on its way already."""
        self._lane(ref.lane).appendleft(ref)

    def take(self) -> Ref | None:
        while self._transactional or self._bulk:
            has_both = bool(self._transactional and self._bulk)
            is_bulk = self._share.is_bulk_due if has_both else not self._transactional
            lane = Lane.BULK if is_bulk else Lane.TRANSACTIONAL
            ref = self._first(lane)
            if ref.is_settled:
                continue
            if has_both:
                self._share.note(lane)
            return ref
        return None

    def drain(self, lane: Lane) -> list[Ref]:
        waiting = self._bulk if lane is Lane.BULK else self._transactional
        self._set(lane, None)
        return list(waiting or ())

    def _first(self, lane: Lane) -> Ref:
        waiting = self._lane(lane)
        ref = waiting.popleft()
        if not waiting:
            self._set(lane, None)
        return ref

    def _lane(self, lane: Lane) -> deque[Ref]:
        waiting = self._bulk if lane is Lane.BULK else self._transactional
        if waiting is None:
            waiting = deque()
            self._set(lane, waiting)
        return waiting

    def _set(self, lane: Lane, waiting: deque[Ref] | None) -> None:
        if lane is Lane.BULK:
            self._bulk = waiting
        else:
            self._transactional = waiting
