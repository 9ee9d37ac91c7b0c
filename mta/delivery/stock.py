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
    """`len` counts what is in it, wanted or not: what was settled meanwhile is dropped when its turn comes."""

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Ref]] = {lane: deque() for lane in Lane}
        self._transactional = self._lanes[Lane.TRANSACTIONAL]
        self._bulk = self._lanes[Lane.BULK]
        self._since_bulk = 0

    def __len__(self) -> int:
        return len(self._transactional) + len(self._bulk)

    def __iter__(self) -> Iterator[Ref]:
        """What waits, in no order that counts."""
        return chain(self._transactional, self._bulk)

    def count(self, lane: Lane) -> int:
        return len(self._lanes[lane])

    def put(self, ref: Ref) -> None:
        self._lanes[ref.lane].append(ref)

    def put_back(self, ref: Ref) -> None:
        """In front: it was on its way already."""
        self._lanes[ref.lane].appendleft(ref)

    def take(self) -> Ref | None:
        transactional, bulk = self._transactional, self._bulk
        while transactional or bulk:
            is_bulk = not transactional or (bool(bulk) and self._since_bulk >= _BULK_EVERY - 1)
            ref = (bulk if is_bulk else transactional).popleft()
            self._since_bulk = 0 if is_bulk else self._since_bulk + 1
            if not ref.is_settled:
                return ref
        return None

    def drain(self, lane: Lane) -> list[Ref]:
        waiting = self._lanes[lane]
        refs = list(waiting)
        waiting.clear()
        return refs
