"""Things that become due: timers for expiry and hold.

A heap by due time, first in first out for equal times. Cancelling is lazy: a cancelled entry lets go of its
item and stays until it comes up, or until such entries are the greater part and all are swept at once, so that
memory is bounded by what is alive. Who waits, and on which clock, is the caller's business.
"""

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from msgspec import Struct

Item = TypeVar("Item")

_SWEEP_FROM = 1024  # below this a sweep is not worth its while


class Entry(Generic[Item]):
    """The handle of one timer, good for `DeferredQueue.cancel`."""

    __slots__ = ("is_waiting", "item")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.is_waiting = True


class Due(Struct, Generic[Item], frozen=True):
    """All that is due, in the order of due times; not empty."""

    items: list[Item]


class Sleep(Struct, frozen=True, gc=False):
    """Nothing is due for so long."""

    seconds: float


class Empty(Struct, frozen=True, gc=False):
    """Nothing waits at all."""


class DeferredQueue(Generic[Item]):
    """`put`, `cancel`, `pop`; `len` counts what waits."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Entry[Item]]] = []
        self._number = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, due_at: float, item: Item) -> Entry[Item]:
        entry = Entry(item)
        self._number += 1
        self._waiting += 1
        heappush(self._heap, (due_at, self._number, entry))
        return entry

    def cancel(self, entry: Entry[Item]) -> bool:
        """False if it came due or was cancelled before."""
        if not entry.is_waiting:
            return False
        entry.is_waiting = False
        del entry.item
        self._waiting -= 1
        if len(self._heap) > _SWEEP_FROM and self._waiting * 2 < len(self._heap):
            self._heap = [row for row in self._heap if row[2].is_waiting]
            heapify(self._heap)
        return True

    def pop(self, now: float) -> Due[Item] | Sleep | Empty:
        heap = self._heap
        items: list[Item] = []
        while heap:
            due_at, _, entry = heap[0]
            if due_at > now and entry.is_waiting:
                break
            heappop(heap)
            if entry.is_waiting:
                entry.is_waiting = False
                items.append(entry.item)
                del entry.item
        self._waiting -= len(items)
        if items:
            return Due(items)
        return Sleep(heap[0][0] - now) if heap else Empty()
