"""Events of payloads in work, from the settlement to the publisher; each is owed until the stream has it."""

import asyncio

from mta.delivery.reference import Settlement
from mta.events.publisher import EventPublisher
from mta.flow.told import Teller, Told
from mta.flow.work import Owed, Ref, Work

_TOLD_AT_ONCE, _TOLD_WITHIN_S = 32, 0.005


class Telling:
    """`publisher` is set before the first event."""

    publisher: EventPublisher

    def __init__(self, teller: Teller) -> None:
        self._teller = teller
        self._untold: list[tuple[Ref, Settlement, float]] = []
        self._timer: asyncio.TimerHandle | None = None

    def soon(self, ref: Ref, settlement: Settlement, at: float) -> None:
        """Several at once: what makes events is cold each time if it runs between two replies, and costs twice."""
        ref.owner.note_told(ref.position)
        self._untold.append((ref, settlement, at))
        if len(self._untold) >= _TOLD_AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TOLD_WITHIN_S, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        untold, self._untold = self._untold, []
        told = [
            (ref, self._teller.settled(ref, settlement, at))
            for ref, settlement, at in untold
            if not ref.owner.is_lost
        ]
        for ref, (subject, line) in told:
            ref.envelope = None
            self.publisher.emit(subject, line, Owed(ref.owner, ref.position))

    def now(self, work: Work, position: int | None, told: Told) -> None:
        work.note_told(position)
        self.publisher.emit(*told, Owed(work, position))

    def drop(self, work: Work) -> None:
        """Not even what waits for its ack: its next owner tells of it."""
        self.publisher.drop(lambda token: isinstance(token, Owed) and token.work is work)
