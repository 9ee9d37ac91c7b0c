"""A bounded memory of what was costly to make: least recently used goes first, by count and by weight.

Invariant: neither bound is ever exceeded; what alone outweighs the bound is not kept at all.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    def __init__(self, entries: int, weight: int) -> None:
        self._entries_limit = entries
        self._weight_limit = weight
        self._kept: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def weight(self) -> int:
        return self._weight

    def get(self, key: K) -> V | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._weight -= old[1]
        if weight > self._weight_limit:
            return
        self._kept[key] = (value, weight)
        self._weight += weight
        while self._weight > self._weight_limit or len(self._kept) > self._entries_limit:
            self._weight -= self._kept.popitem(last=False)[1][1]
