"""Which payloads in work hold their place only for recipients whose site takes its time. Pure.

There are places for so many bulk payloads, and a campaign that has one slow recipient in each would soon fill its
share of them, while all its other mail waits. So where places are short, what is left of a payload is parked once
nothing of it has moved for a while (`mta.flow.life`). That of a fresh payload of which nothing was sent yet is not: it
may be its turn that has not come.
"""

from collections.abc import Callable, Iterable

from mta.delivery.reference import Parked
from mta.flow.work import Ref, SourceKey, Work
from mta.jetstream.layout import PAYLOADS
from mta.model.lane import Lane

_PATIENCE_S = 2.0
_PARKED_S = 300.0  # as whoever waits too long for his path


class Stragglers:
    def __init__(self) -> None:
        self._seen: dict[SourceKey, tuple[int, float]] = {}
        """How many recipients were open, and since when as many."""
        self._looked_at = float("-inf")

    def look(self, works: Iterable[Work], now: float) -> list[Work]:
        """Asked about once a second while places are short; `now` is monotonic."""
        before, self._seen = self._seen, {}
        if now - self._looked_at >= _PATIENCE_S:
            before = {}  # this daemon stood still, or did not look
        self._looked_at = now
        found: list[Work] = []
        for work in works:
            is_new = work.key[0] == PAYLOADS and not work.has_begun
            if not work.open or work.admitted.lane is not Lane.BULK or is_new:
                continue
            left, since = before.get(work.key, (work.open, now))
            if left != work.open:
                since = now
            self._seen[work.key] = (work.open, since)
            if now - since >= _PATIENCE_S:
                found.append(work)
        return found


def set_aside(work: Work, now: float, jitter: float) -> Callable[[Ref], Parked]:
    """For each reference that is left. `now` is epoch seconds, `jitter` 0 to 1."""
    due_at = now + _PARKED_S * (1.0 + 0.2 * jitter)
    slow = Parked(due_at=min(due_at, work.admitted.expires_at), reason="slow")
    return lambda ref: slow
