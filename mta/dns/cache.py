"""Values that are believed for a time, and not without bound."""

from collections import OrderedDict
from typing import Generic, TypeVar

Value = TypeVar("Value")


class TtlCache(Generic[Value]):
    """Values until their time ends; when full the one that nobody has asked for the longest makes room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, tuple[float, Value]] = OrderedDict()
        """Not a dict: it finds its first key by passing all that were deleted before it (22 us at 100,000 keys)."""

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, now: float) -> tuple[float, Value] | None:
        """(seconds left, value)."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept[0] <= now:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return kept[0] - now, kept[1]

    def clear(self) -> None:
        self._kept.clear()

    def put(self, key: str, value: Value, until: float) -> None:
        self._kept[key] = (until, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
