"""Who may wait for a path, for how long, and until when he is parked when it is too long."""

import asyncio
import time
from random import Random
from typing import Any

from mta.delivery.reference import Parked, Reference
from mta.model.lane import Lane
from mta.pacing.passage import Passage
from mta.queue.booked import Booked
from mta.queue.health import PathState
from mta.queue.ready import ReadyQueue
from mta.queue.served import SEEN_S, UNKNOWN, Served
from mta.queue.settings import HoldSettings

_LEAST_WAITING = 10  # of a path that is slow to serve: it may become faster
_SOON_S = 1.0  # to believe that a path is slow as far as it only means to take in more for others
_HEADROOM = (
    2  # to what it was seen to serve: where all that binds are our workers it must not be taken for full
)
_SPREAD, _MOST_SPREAD_S = 0.2, 60.0  # parked together, they must not all come back in the same second
_TOGETHER = 4  # of those who are put off so many groups come back in the time that one may wait
_LONGEST_S = 3600.0
"""Of a suspension: who comes back too late to hear that it was taken back should not wait for its end."""


class Parking:
    """Of one path, whose `passage` says how much it serves in a time. `opening_took_s` is how long its last connection
    took to open."""

    __slots__ = ("_booked", "_hold", "_loop", "_most", "_passage", "_rng", "_served", "opening_took_s")

    def __init__(self, hold: HoldSettings, passage: Passage, rng: Random) -> None:
        self._hold = hold
        self._passage = passage
        self._rng = rng
        self._loop = asyncio.get_running_loop()
        self.opening_took_s = 0.0
        self._served: Served | None = None
        self._booked: dict[Lane, Booked] | None = None
        self._most: tuple[float, Lane, float] | None = None
        """`_most_ahead` as last calculated, and when: those that come together are judged alike."""

    def hold_s(self, lane: Lane) -> float:
        """A path that is slow to open is given the time it is known to need, or its mail would never leave."""
        hold_s = self._hold.bulk_s if lane is Lane.BULK else self._hold.transactional_s
        return max(hold_s, 2 * self.opening_took_s)

    def is_late(self, queue: ReadyQueue[Reference[Any]], ref: Reference[Any]) -> bool:
        """References ahead ÷ rate may not exceed `hold`. Those ahead are not all that wait: see `ReadyQueue.ahead`."""
        return queue.ahead(ref.lane, ref.sender) >= self._most_ahead(ref.lane)

    def excess(self, queue: ReadyQueue[Reference[Any]]) -> list[Reference[Any]]:
        """Takes out who cannot be served in time any more, when the path has turned out slow, or more senders share it.
        Never more than twice what may be ahead waits in a lane, so it is looked at each only now and then."""
        late: list[Reference[Any]] = []
        for lane in Lane:
            if queue.count(lane) <= 2 * self._most_ahead(lane):
                continue
            for ref in queue.drain(lane):
                if self.is_late(queue, ref):
                    late.append(ref)
                else:
                    queue.put(ref, lane, ref.sender)
        return late

    def sendable(self, waiting: int, in_hand_s: float) -> int:
        """How many of those that wait can be sent in so many seconds. Where the peer takes his time that is little, and
        who waits for him keeps nobody else out."""
        now = self._loop.time()
        rate = min(self._passage.per_second(now), _HEADROOM * self._served_rate(now, _SOON_S))
        return int(min(waiting, rate * in_hand_s + 1))

    def _most_ahead(self, lane: Lane) -> float:
        """By the limit of the path, or by what it was seen to serve."""
        now = self._loop.time()
        if self._most is not None and self._most[0] == now and self._most[1] is lane:
            return self._most[2]
        hold_s = self.hold_s(lane)
        seen = max(self._served_rate(now) * hold_s, _LEAST_WAITING)
        most = min(self._passage.per_second(now) * hold_s, seen)
        self._most = (now, lane, most)
        return most

    def note_served(self, now: float) -> None:
        """A message was given to a connection."""
        if self._served is None:
            self._served = Served()
        self._served.note(now)

    def forget_served(self) -> None:
        """What was served is not what the peer would take: see `Served`."""
        self._served = self._most = None

    def _served_rate(self, now: float, least_s: float = SEEN_S) -> float:
        return self._served.rate(now, least_s) if self._served is not None else UNKNOWN

    def parked(self, ref: Reference[Any], until: float, reason: str) -> Parked:
        """`until` is when the path may be tried again, on the loop's clock. A path that fails is left in peace for a
        while, the end of a suspension is known. Never beyond the end of its life."""
        now = self._loop.time()
        suspended_until = self._passage.blocked_until(now)
        if suspended_until > now:
            return suspended(ref, max(until, suspended_until) - now, PathState.SUSPENDED, self._rng)
        return parked(ref, max(until - now, least_parked_s(self._hold, ref.lane)), reason, self._rng)

    def put_off(self, ref: Reference[Any], reason: str) -> Parked:
        """One who is late: until half of those ahead have gone and, at the pace of the path, all who were put off
        before him; or as long as anybody is parked at least, should the path become faster."""
        lane, now = ref.lane, self._loop.time()
        if self._passage.blocked_until(now) > now:
            return self.parked(ref, now, reason)
        least_s = least_parked_s(self._hold, lane)
        if self._booked is None:
            self._booked = {one: Booked() for one in Lane}
        booked, hold_s, most = self._booked[lane], self.hold_s(lane), self._most_ahead(lane)
        turn_s = hold_s / 2 + booked.count(now) * hold_s / most if most else least_s
        if turn_s >= least_s:
            return parked(ref, least_s, reason, self._rng)
        booked.add(now + turn_s)
        together_s = hold_s / _TOGETHER
        due_at = (time.time() + turn_s) // together_s * together_s
        return Parked(due_at=min(due_at, ref.expires_at), reason=reason, is_turn=True)


def parked(ref: Reference[Any], wait_s: float, reason: str, rng: Random, *, is_held: bool = False) -> Parked:
    """For so long and a little more, but not beyond the end of its life."""
    wait_s += min(wait_s * _SPREAD, _MOST_SPREAD_S) * rng.random()
    return Parked(due_at=min(time.time() + wait_s, ref.expires_at), reason=reason, is_held=is_held)


def suspended(ref: Reference[Any], wait_s: float, reason: str, rng: Random) -> Parked:
    """Until the end of an action or of a silence, or until it is taken back."""
    return parked(ref, max(0.0, min(wait_s, _LONGEST_S)), reason, rng, is_held=True)


def least_parked_s(hold: HoldSettings, lane: Lane) -> float:
    return hold.bulk_parked_s if lane is Lane.BULK else hold.transactional_parked_s
