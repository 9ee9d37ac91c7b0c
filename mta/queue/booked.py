"""How many were put off until there is room for them, and are not due yet. Pure."""

from math import inf

_SLOT_S = 5.0


class Booked:
    """Counted by when they are due, to within five seconds."""

    __slots__ = ("_count", "_counts", "_first")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._count = 0
        self._first: float = inf
        """No slot before it has anybody."""

    def count(self, now: float) -> int:
        this = int(now // _SLOT_S)
        if self._first <= this:
            for slot in [slot for slot in self._counts if slot <= this]:
                self._count -= self._counts.pop(slot)
            self._first = min(self._counts, default=inf)
        return self._count

    def add(self, due_at: float) -> None:
        slot = int(due_at // _SLOT_S) + 1
        self._counts[slot] = self._counts.get(slot, 0) + 1
        self._count += 1
        self._first = min(self._first, slot)
