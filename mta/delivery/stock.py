"""The composed messages of one path, ready for a connection: transactional before bulk, with a share for bulk."""

from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any

from mta.delivery.reference import Reference
from mta.model.lane import Lane

_BULK_EVERY = 8  # where both lanes wait, so that bulk never starves

Ref = Reference[Any]


class Stock:
    """`len` counts what is in it, wanted or not: what was settled meanwhile is dropped when its turn comes. A lane
    without messages is None: an empty deque has 760 octets, and there may be a hundred thousand paths."""

    __slots__ = ("_bulk", "_since_bulk", "_transactional")

    def __init__(self) -> None:
        self._transactional: deque[Ref] | None = None
        self._bulk: deque[Ref] | None = None
        self._since_bulk = 0

    def __len__(self) -> int:
        return self.count(Lane.TRANSACTIONAL) + self.count(Lane.BULK)

    def __iter__(self) -> Iterator[Ref]:
        """What waits, in no order that counts."""
        return chain(self._transactional or (), self._bulk or ())

    def count(self, lane: Lane) -> int:
        waiting = self._bulk if lane is Lane.BULK else self._transactional
        return len(waiting) if waiting is not None else 0

    def put(self, ref: Ref) -> None:
        self._lane(ref.lane).append(ref)

    def put_back(self, ref: Ref) -> None:
        """In front: it was on its way already."""
        self._lane(ref.lane).appendleft(ref)

    def take(self) -> Ref | None:
        while self._transactional or self._bulk:
            is_bulk = not self._transactional or (bool(self._bulk) and self._since_bulk >= _BULK_EVERY - 1)
            self._since_bulk = 0 if is_bulk else self._since_bulk + 1
            ref = self._first(Lane.BULK if is_bulk else Lane.TRANSACTIONAL)
            if not ref.is_settled:
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
