"""How many were accepted in about the last minute. Pure."""

_BUCKET_S = 2.5
_BUCKETS = 26
LONGEST_S = 60.0


class Meter:
    """Counts in buckets of two and a half seconds, about a minute of them."""

    __slots__ = ("_counts", "_last")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self._last = 0

    def note(self, now: float) -> bool:
        """Whether it is the first one in a minute."""
        at = int(now / _BUCKET_S)
        is_first = at - self._last >= _BUCKETS
        if at != self._last:
            self._move(at)
        self._counts[at % _BUCKETS] += 1
        return is_first

    def rate(self, now: float, window_s: float = LONGEST_S) -> float:
        """Per second, over the window, to the next bucket."""
        at = self._move(int(now / _BUCKET_S))
        whole = max(1, min(_BUCKETS - 1, round(window_s / _BUCKET_S)))
        span_s = now - (at - whole) * _BUCKET_S
        return sum(self._counts[(at - back) % _BUCKETS] for back in range(whole + 1)) / span_s

    def lasted_s(self, now: float, count: int) -> float:
        """In how long so many were accepted at last; infinity: not so many in a minute."""
        at = self._move(int(now / _BUCKET_S))
        for back in range(_BUCKETS):
            inside = self._counts[(at - back) % _BUCKETS]
            if count <= inside:
                begin = (at - back) * _BUCKET_S
                end = min(now, begin + _BUCKET_S)
                return now - (end - (end - begin) * count / inside) if inside else now - end
            count -= inside
        return float("inf")

    def clear(self) -> None:
        self._counts = [0] * _BUCKETS

    def _move(self, at: int) -> int:
        """Empty the buckets that the time since was too long for."""
        if at > self._last:
            for late in range(max(self._last + 1, at - _BUCKETS + 1), at + 1):
                self._counts[late % _BUCKETS] = 0
            self._last = at
        return self._last
