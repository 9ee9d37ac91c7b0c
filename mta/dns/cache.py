"""Values that are believed for a time, and not without bound."""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class TtlCache(Generic[Value]):
    """Values until their time ends; when full the one kept longest makes room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, tuple[float, Value]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, now: float) -> tuple[float, Value] | None:
        """(seconds left, value)."""
        kept = self._kept.get(key)
        if kept is None or kept[0] <= now:
            return None
        return kept[0] - now, kept[1]

    def clear(self) -> None:
        self._kept.clear()

    def put(self, key: str, value: Value, until: float) -> None:
        self._kept.pop(key, None)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (until, value)
