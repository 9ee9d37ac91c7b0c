"""What is most frequent among very many things, in bounded memory. Pure.

As in the algorithm Space-Saving: what is rare is forgotten when there is no more room, and what comes new after that
starts with what the most frequent of the forgotten had. So no count is too low, none is too high by more than its
`over`, and what is frequent is always there.
"""

from collections import Counter
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Group(Generic[V]):
    """Things that count as the same. `count` may be up to `over` too high; `first_at` and `last_at` are of the first
    and the last one that was not forgotten; `kinds` counts what else they were; `example` is the last one."""

    __slots__ = ("count", "example", "first_at", "kinds", "last_at", "over")

    def __init__(self, over: int, example: V, at: str) -> None:
        self.count = over
        self.over = over
        self.kinds: Counter[str] = Counter()
        self.example = example
        self.first_at = at
        self.last_at = at


class Frequent(Generic[K, V]):
    """At most `room` groups, twice as many for a moment. `total` counts all things."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._groups: dict[K, Group[V]] = {}
        self._over = 0
        self.total = 0

    def note(self, key: K, kind: str, example: V, at: str) -> None:
        """`at` is a time that sorts as a text."""
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= 2 * self._room:
                self._forget()
            group = self._groups[key] = Group(self._over, example, at)
        self.total += 1
        group.count += 1
        group.kinds[kind] += 1
        group.example = example
        group.first_at = min(group.first_at, at)
        group.last_at = max(group.last_at, at)

    def ranked(self) -> list[tuple[K, Group[V]]]:
        """The most frequent first; of two equally frequent the one that came first."""
        return sorted(self._groups.items(), key=lambda item: -item[1].count)[: self._room]

    def _forget(self) -> None:
        ranked = sorted(self._groups.items(), key=lambda item: -item[1].count)
        self._over = max(self._over, _most(group for _, group in ranked[self._room :]))
        self._groups = dict(ranked[: self._room])


def _most(groups: Iterable[Group[V]]) -> int:
    return max((group.count for group in groups), default=0)
