"""How fast a path serves those who wait for it, as seen. Pure."""

SEEN_S = 5.0
_LEAST_COUNT = 10  # of a window, so that one late message is not taken for a slow site
UNKNOWN = float("inf")


class Served:
    """Messages a second, counted as they are given to connections, and only while all of these are busy: forget it when
    one has nothing to do, or nobody waited before. Then it is the peer who binds, and what he took in the last
    seconds is what he will take in the next ones. The time before the first message does not count: the connection had
    to be opened, or the message was still being composed."""

    __slots__ = ("_count", "_rate", "_since")

    def __init__(self) -> None:
        self._count = 0
        self._since = UNKNOWN
        self._rate = UNKNOWN

    def note(self, now: float) -> None:
        if self._since == UNKNOWN:
            self._since = now
        self._count += 1

    def rate(self, now: float, least_s: float = SEEN_S) -> float:
        """`UNKNOWN` until `least_s` have been seen."""
        seen_s = now - self._since
        if seen_s < least_s:
            return self._rate
        rate = self._count / seen_s
        if seen_s >= SEEN_S and self._count >= _LEAST_COUNT:
            self._rate = rate
            self._count = 0
            self._since = now
        return rate
