"""What became of whom, as the event stream tells it."""

from collections import Counter, defaultdict

import msgspec
from msgspec import Struct

TERMINAL = frozenset({"rejected", "suppressed", "failed", "delivered", "bounced", "expired", "cancelled"})


class Event(Struct, frozen=True, gc=False):
    """The part of an event that is shown here."""

    id: str
    type: str
    recipient: str = ""
    provider: str = ""


class Row(Struct, frozen=True, gc=False):
    """One line of the table. `deferred` counts recipients that were deferred at least once."""

    provider: str
    delivered: int
    deferred: int
    waiting: int
    bounced: int
    failed: int


class Tally:
    """Feed it the batches of MTA_EVENTS in any order; repeats of an event id count once. `providers` have
    a row from the start, others from their first event."""

    def __init__(self, providers: tuple[str, ...] = ()) -> None:
        self._decoder = msgspec.json.Decoder(Event)
        self._seen: set[str] = set()
        self._ends: dict[str, Event] = {}
        self._deferred: dict[str, str] = {}
        self._ended_twice: set[str] = set()
        self._rows: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._rows.update((provider, Counter()) for provider in providers)

    def add(self, batch: bytes) -> None:
        for event in self._decoder.decode_lines(batch):
            if event.id in self._seen or not event.recipient:
                continue
            self._seen.add(event.id)
            if event.type in TERMINAL:
                self._end(event)
            elif event.type == "deferred" and event.recipient not in self._deferred:
                self._deferred[event.recipient] = event.provider
                self._rows[event.provider]["deferred"] += 1

    def _end(self, event: Event) -> None:
        if event.recipient in self._ends:
            self._ended_twice.add(event.recipient)
            return
        self._ends[event.recipient] = event
        kind = event.type if event.type in ("delivered", "bounced") else "failed"
        self._rows[event.provider][kind] += 1

    @property
    def ended(self) -> int:
        """Recipients with a terminal event."""
        return len(self._ends)

    @property
    def ended_twice(self) -> int:
        return len(self._ended_twice)

    @property
    def deferred(self) -> int:
        return len(self._deferred)

    def recipients(self, kind: str) -> set[str]:
        """Whose terminal event is of that type."""
        return {recipient for recipient, event in self._ends.items() if event.type == kind}

    def rows(self) -> list[Row]:
        waiting = Counter(
            provider for recipient, provider in self._deferred.items() if recipient not in self._ends
        )
        return [
            Row(name, of["delivered"], of["deferred"], waiting[name], of["bounced"], of["failed"])
            for name, of in sorted(self._rows.items())
        ]
