"""A count per time (`Rate`) and a count at once (`Limit`, whose units are `Lease`s).

Invariants: in no window as long as its period does a `Rate` grant more than its count plus 5 % (G6), nor does a peer
get more to whom some come up to `_DRAWN_S` nearer to each other than they were granted; a
`Limit` never has more leases out than it allowed when each was given, and each comes back exactly once.
Nothing waits here: who is not granted learns for how long, and comes again.
"""

from functools import lru_cache
from math import ceil

from mta.queue.settings import RateLimit

_BURST_SHARE = 0.05  # G6 allows limit x 1.05; the share lets a late timer catch up without loss of rate
_LATE_S = 0.01  # how late a timer of a busy loop fires
_DRAWN_S = (
    0.02  # two came up to 14 ms nearer to each other than they were granted, on two busy cores and no network
)
_QUARTER_S = 0.25
_NEVER = float("-inf")
_SHORTEST_WAIT_S = 0.001  # what a timer of the loop can keep; a shorter wait would only spin


class Rate:
    """GCRA (ITU-T I.371): one number, the time at which the next grant is due if all before had come evenly.

    After a pause as many may come at once as the 5 % allow and a late timer makes up for, at least one. Where grants
    come faster than timers fire, a refusal asks to wait until several are there. Of what went before `used_until`
    nothing is known: as much as possible is taken for granted.
    """

    __slots__ = ("_due", "_interval", "_tolerance", "_wait_more", "limit")

    def __init__(self, limit: RateLimit, used_until: float = _NEVER) -> None:
        self.limit = limit
        self._interval, self._tolerance, self._wait_more = _terms(limit)
        self._due = used_until + self._interval + self._tolerance

    @property
    def per_second(self) -> float:
        return self.limit.count / self.limit.period_s

    def retune(self, limit: RateLimit, now: float) -> None:
        """Another limit from now on. What was granted still counts, one for one, though for no longer than a period of
        the new limit: no window holds more than the greatest limit that was in effect in it, plus 5 %. After a pause
        one less comes at once than from a rate which never changes: the last grant may have been counted at another
        price.
        """
        _check(limit)
        if limit == self.limit:
            return
        interval = _interval(limit)
        owed = max(0.0, self._due - now) / self._interval
        self._due = now + min(owed * interval, max(limit.period_s, interval))
        self.limit = limit
        self._interval = interval
        spare_s = interval * max(0, _spare(limit, interval) - 1)
        self._tolerance = min(spare_s, max(_LATE_S, interval))
        self._wait_more = min(self._tolerance, max(0.0, _SHORTEST_WAIT_S - interval))

    def take(self, now: float) -> float:
        """Grant one and return 0.0, or return the seconds to wait."""
        ahead = self._due - now
        if ahead > self._tolerance:
            return ahead - self._tolerance + self._wait_more
        self._due = (self._due if ahead > 0 else now) + self._interval
        return 0.0

    def peek(self, now: float) -> float:
        """What `take` would return, without granting."""
        ahead = self._due - now
        return ahead - self._tolerance + self._wait_more if ahead > self._tolerance else 0.0

    def has_rested(self, now: float) -> bool:
        """Nothing was granted that still counts: it is as if it were new."""
        return self._due <= now


@lru_cache(maxsize=1024)
def _terms(limit: RateLimit) -> tuple[float, float, float]:
    """Interval, tolerance and what is waited beyond: the same objects for the many rates of one limit."""
    _check(limit)
    interval = _interval(limit)
    tolerance = interval * min(_spare(limit, interval), ceil(limit.count / limit.period_s * _LATE_S))
    return interval, tolerance, min(tolerance, max(0.0, _SHORTEST_WAIT_S - interval))


class Lately:
    """How many in about the last half second: this quarter and the one before."""

    __slots__ = ("_before", "_now", "_since")

    def __init__(self, now: float) -> None:
        self._before = 0
        self._now = 0
        self._since = now

    def note(self) -> None:
        self._now += 1

    def count(self, now: float) -> int:
        age_s = now - self._since
        if age_s > _QUARTER_S:
            self._before = self._now if age_s < 2 * _QUARTER_S else 0
            self._now = 0
            self._since = now
        return self._before + self._now


class Lease:
    """One unit of a `Limit`, held until `release`."""

    __slots__ = ("_limit",)

    def __init__(self, limit: "Limit") -> None:
        self._limit: Limit | None = limit

    def release(self) -> None:
        """RuntimeError at the second time: the unit may belong to someone else by then."""
        limit = self._limit
        if limit is None:
            raise RuntimeError("a lease was released twice")
        self._limit = None
        limit.in_use -= 1


class Limit:
    """So many at once. `resize` may go below what is in use: then nothing is granted until enough came
    back."""

    __slots__ = ("in_use", "most")

    def __init__(self, most: int) -> None:
        self.most = _checked(most)
        self.in_use = 0

    @property
    def free(self) -> int:
        return max(0, self.most - self.in_use)

    def acquire(self) -> Lease | None:
        """One unit, or None while all are in use."""
        if self.in_use >= self.most:
            return None
        self.in_use += 1
        return Lease(self)

    def resize(self, most: int) -> None:
        self.most = _checked(most)


def _interval(limit: RateLimit) -> float:
    """The peer's clock is what counts. Where the 5 % have no room for those that draw together on the way, as in ten a
    second, all come a little later than evenly: at one to 19 a second for 2 % of the rate, in longer periods less."""
    return max(limit.period_s / limit.count, (limit.period_s + _DRAWN_S) / _permitted(limit))


def _spare(limit: RateLimit, interval: float) -> int:
    """So many more than come evenly are permitted in any window of the peer: the room for a burst."""
    return max(0, _permitted(limit) - ceil((limit.period_s + _DRAWN_S) / interval - 1e-9))


def _permitted(limit: RateLimit) -> int:
    """In any window as long as the period."""
    return max(ceil(limit.count), int(limit.count * (1 + _BURST_SHARE) + 1e-9))


def _check(limit: RateLimit) -> None:
    if not (0 < limit.count < float("inf") and 0 < limit.period_s < float("inf")):
        raise ValueError(
            f"a rate needs a positive count and period, not {limit.count} per {limit.period_s} s"
        )


def _checked(most: int) -> int:
    if most < 0:
        raise ValueError(f"a limit cannot be negative: {most}")
    return most
