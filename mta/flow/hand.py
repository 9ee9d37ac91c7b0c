"""What is in hand, and how much more may be taken: counts that intake asks for."""

import asyncio
import time
from collections.abc import Callable

from mta.flow.gate import Gate
from mta.intake.consumer import recipients_in
from mta.intake.settings import IntakeSettings
from mta.jetstream.pull import Pulled
from mta.model.lane import Lane

_LEAST_ROOM = 2_000  # recipients to ask for while the rate is not known yet
_RATE_EVERY_S = 1.0


class Hand:
    """`sendable(lane)` is the channel's: set before anything is pulled. `rate` counts recipients settled in the last
    second or so, by an attempt."""

    sendable: Callable[[Lane], int]

    def __init__(self, settings: IntakeSettings, gate: Gate) -> None:
        self._settings = settings
        self._gate = gate
        self._recipients = dict.fromkeys(Lane, 0)
        self._payloads = dict.fromkeys(Lane, 0)
        self._by_consumer: dict[str, int] = {}
        self._coming: dict[Lane, dict[tuple[str, int], int]] = {lane: {} for lane in Lane}
        """Recipients, about, of payloads that were pulled and that the channel is to have in a moment."""
        self._settled = 0
        self._rests_until = 0.0
        self.rate = 0.0

    def room(self, lane: Lane) -> int:
        """How many more recipients may be in hand: about three seconds' worth of what can be sent."""
        if not self._gate.is_open or time.monotonic() < self._rests_until:
            return 0
        if lane is Lane.TRANSACTIONAL:
            return self._settings.transactional_recipients - self._recipients[lane]
        wanted = max(_LEAST_ROOM, int(self.rate * self._settings.in_hand_s))
        return wanted - self.sendable(lane) - sum(self._coming[lane].values())

    def payload_room(self) -> int:
        """How many more bulk payloads."""
        return self._settings.payloads_in_work - self._payloads[Lane.BULK]

    @property
    def is_crowded(self) -> bool:
        """More than a third of the places for bulk payloads are taken: a campaign may have half of them."""
        return 3 * self.payload_room() < 2 * self._settings.payloads_in_work

    def held(self, consumer: str) -> int:
        """Payloads of one consumer."""
        return self._by_consumer.get(consumer, 0)

    def rest(self, seconds: float) -> None:
        """Take nothing for a while."""
        self._rests_until = time.monotonic() + seconds

    def take(self, pulled: Pulled, lane: Lane) -> None:
        self._payloads[lane] += 1
        self._by_consumer[pulled.consumer] = self.held(pulled.consumer) + 1
        self._coming[lane][pulled.stream, pulled.stream_sequence] = recipients_in(pulled.data)

    def leave_room(self, pulled: Pulled, lane: Lane) -> None:
        """The channel has its recipients; or nobody knows when it will, and others are not to wait for that."""
        self._coming[lane].pop((pulled.stream, pulled.stream_sequence), None)

    def let_go(self, pulled: Pulled, lane: Lane) -> None:
        self.leave_room(pulled, lane)
        self._payloads[lane] -= 1
        left = self._by_consumer[pulled.consumer] - 1
        if left:
            self._by_consumer[pulled.consumer] = left
        else:
            del self._by_consumer[pulled.consumer]

    def add(self, lane: Lane, recipients: int) -> None:
        self._recipients[lane] += recipients

    def note_settled(self, lane: Lane, *, was_tried: bool) -> None:
        """Thousands can be parked, withdrawn or suppressed in a second, which says nothing about how many can be
        sent."""
        self._recipients[lane] -= 1
        self._settled += was_tried

    async def measure(self, after: Callable[[], None]) -> None:
        """Until cancelled; the rate falls slowly and rises at once, so that a pause does not starve what follows.
        `after` is called each time."""
        while True:
            await asyncio.sleep(_RATE_EVERY_S)
            settled, self._settled = self._settled, 0
            self.rate = max(settled / _RATE_EVERY_S, self.rate * 0.8)
            after()
