"""When parked recipients come back: whether they are spread, or come all at once as a thundering herd. Pure."""

from collections import Counter
from datetime import datetime

SCHEDULE = "Nats-Schedule"
_WINDOW_S = 10


class Herd:
    """`note` each message of MTA_RETRY; `busiest` is the most recipients that are due within ten seconds."""

    def __init__(self) -> None:
        self._due: Counter[int] = Counter()

    def note(self, headers: dict[str, str], recipients: int) -> None:
        """One that is due already has no schedule and does not count."""
        kind, _, at = headers.get(SCHEDULE, "").partition(" ")
        if kind == "@at":
            self._due[int(datetime.fromisoformat(at).timestamp())] += recipients

    @property
    def recipients(self) -> int:
        return self._due.total()

    @property
    def span_s(self) -> int:
        return max(self._due) - min(self._due) + 1 if self._due else 0

    @property
    def busiest(self) -> int:
        starts = {at - ahead for at in self._due for ahead in range(_WINDOW_S)}
        return max((sum(self._due[at + one] for one in range(_WINDOW_S)) for at in starts), default=0)

    @property
    def is_one(self) -> bool:
        """More than a quarter come back within ten seconds. Who is parked at one moment comes back within a minute."""
        return self.busiest > self.recipients / 4
