"""How long who waits for a path may wait, and until when he is parked when it is too long."""

import asyncio
import time
from random import Random
from typing import Any

from mta.delivery.reference import Parked, Reference
from mta.model.lane import Lane
from mta.pacing.passage import Passage
from mta.queue.settings import HoldSettings

_SPREAD = 1.2  # parked together, they must not all come back in the same second


class Parking:
    """Of one path, whose `passage` says how much it serves in a time. `opening_took_s` is how long its last connection
    took to open."""

    __slots__ = ("_hold", "_loop", "_passage", "_rng", "opening_took_s")

    def __init__(self, hold: HoldSettings, passage: Passage, rng: Random) -> None:
        self._hold = hold
        self._passage = passage
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self.opening_took_s = 0.0

    def hold_s(self, lane: Lane) -> float:
        """A path that is slow to open is given the time it is known to need, or its mail would never leave."""
        hold_s = self._hold.bulk_s if lane is Lane.BULK else self._hold.transactional_s
        return max(hold_s, 2 * self.opening_took_s)

    def most_waiting(self, lane: Lane) -> float:
        """References ahead ÷ rate may not exceed `hold`."""
        return self._passage.per_second(self._loop.time()) * self.hold_s(lane)

    def most_within(self, waiting: int, seconds: float) -> int:
        """How many of those that wait can go in that time."""
        return int(min(waiting, self._passage.per_second(self._loop.time()) * seconds + 1))

    def parked(self, ref: Reference[Any], until: float, reason: str) -> Parked:
        """`until` is when the path may be tried again, on the loop's clock. Never beyond the end of its life."""
        least_s = self._hold.bulk_parked_s if ref.lane is Lane.BULK else self._hold.transactional_parked_s
        wait_s = max(until - self._loop.time(), least_s) * self._rng.uniform(1.0, _SPREAD)
        return Parked(due_at=min(time.time() + wait_s, ref.expires_at), reason=reason)
