"""How late the event loop comes to what is due: every timer and every lease hangs on it.

A sample a twentieth of a second, counted by the millisecond, so that a daemon of any age knows its 99th percentile in
a few kilobytes.
"""

import asyncio
from collections.abc import Callable

EVERY_S = 0.05
_MOST_MS = 1000


class Lag:
    """`max_ms` is exact, quantiles are rounded up to the millisecond and end at one second."""

    __slots__ = ("_counts", "_total", "max_ms")

    def __init__(self) -> None:
        self._counts = [0] * (_MOST_MS + 1)
        self._total = 0
        self.max_ms = 0.0

    def note(self, late_s: float) -> None:
        late_ms = max(0.0, late_s * 1000)
        self._counts[min(int(late_ms), _MOST_MS)] += 1
        self._total += 1
        self.max_ms = max(self.max_ms, late_ms)

    def quantile_ms(self, share: float) -> float:
        """0.0 where nothing was noted."""
        left = share * self._total
        for late_ms, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                return min(late_ms + 1.0, self.max_ms)
        return 0.0


async def watch(lag: Lag, on_late: Callable[[float], None], remarkable_s: float) -> None:
    """Samples until cancelled; `on_late` hears of each that is remarkable, in seconds."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        late_s = loop.time() - due
        lag.note(late_s)
        if late_s > remarkable_s:
            on_late(late_s)
