"""The references that wait for one egress path, and whose turn it is.

Two lanes, taken from one at a time: how they share is decided where messages are sent. Inside a lane the
keys (campaigns, or tenants: the caller's choice) take turns: each gives up to `quantum` references, then the
next; a turn cut short by the end of a `take` goes on at the next one.

References mean nothing here. Those that are no longer wanted (a cancelled campaign, a payload that was lost)
need not be searched: `is_wanted` is asked when their turn comes, and they are dropped. A key without
references costs nothing.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from mta.model.lane import Lane

Ref = TypeVar("Ref")

_BULK_QUANTUM = 8  # about half a chunk of compose: one campaign's template at a time, yet turns stay short
_TRANSACTIONAL_QUANTUM = 1


class _Turns(Generic[Ref]):
    """One lane: a line of references per key, keys in the order of their turns."""

    __slots__ = ("_left", "_lines", "_quantum", "waiting")

    def __init__(self, quantum: int) -> None:
        self.waiting = 0
        self._quantum = quantum
        self._left = quantum  # of the turn of the first key
        self._lines: OrderedDict[Hashable, deque[Ref]] = OrderedDict()

    def put(self, ref: Ref, key: Hashable) -> None:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = deque()
        line.append(ref)
        self.waiting += 1

    def take(self, most: int, into: list[Ref]) -> int:
        """Move up to `most` to `into`; the number moved."""
        lines = self._lines
        wanted = most
        while wanted and lines:
            key = next(iter(lines))
            line = lines[key]
            if len(line) <= wanted and (len(lines) == 1 or len(line) <= self._left):
                moved = len(line)
                into.extend(line)
                del lines[key]
                self._left = self._quantum
            else:
                moved = min(wanted, len(line)) if len(lines) == 1 else min(wanted, self._left)
                into += [line.popleft() for _ in range(moved)]
                self._left -= moved
                if self._left <= 0:
                    lines.move_to_end(key)
                    self._left = self._quantum
            wanted -= moved
        self.waiting -= most - wanted
        return most - wanted


class ReadyQueue(Generic[Ref]):
    """Of one `EgressPath`. `len` counts what waits, wanted or not."""

    __slots__ = ("_bulk", "_is_wanted", "_transactional")

    def __init__(
        self,
        is_wanted: Callable[[Ref], bool] | None = None,
        *,
        bulk_quantum: int = _BULK_QUANTUM,
        transactional_quantum: int = _TRANSACTIONAL_QUANTUM,
    ) -> None:
        self._is_wanted = is_wanted
        self._transactional: _Turns[Ref] = _Turns(transactional_quantum)
        self._bulk: _Turns[Ref] = _Turns(bulk_quantum)

    def __len__(self) -> int:
        return self._transactional.waiting + self._bulk.waiting

    def count(self, lane: Lane) -> int:
        return self._of(lane).waiting

    def put(self, ref: Ref, lane: Lane, key: Hashable) -> None:
        self._of(lane).put(ref, key)

    def take(self, most: int, lane: Lane) -> list[Ref]:
        """Up to `most` references of a lane; fewer only if no more are wanted."""
        turns = self._of(lane)
        taken: list[Ref] = []
        while len(taken) < most and turns.waiting:
            batch: list[Ref] = []
            turns.take(most - len(taken), batch)
            wanted = self._is_wanted
            taken += batch if wanted is None else [ref for ref in batch if wanted(ref)]
        return taken

    def drain(self, lane: Lane) -> list[Ref]:
        """All of a lane, in the order of its turns."""
        return self.take(self._of(lane).waiting, lane)

    def _of(self, lane: Lane) -> _Turns[Ref]:
        return self._bulk if lane is Lane.BULK else self._transactional
