"""The references of one path that are not on the wire: waiting, being composed, or ready; kept, counted, and parked."""

import asyncio
from typing import Any

from mta.delivery.parking import Parking
from mta.delivery.reference import Reference, is_wanted, slots
from mta.delivery.stock import Stock
from mta.model.lane import Lane
from mta.model.message import Envelope
from mta.queue.dispatch import PathLoad, compose_wanted
from mta.queue.ready import ReadyQueue
from mta.queue.settings import Fairness
from mta.queue.throttle import Lately

MOST_READY = 512  # composed messages of one path in memory, whatever its rate
_MOST_READY_BYTES = 8 << 20
_RESERVED_FOR_S = 60.0  # after transactional mail, one connection is kept free for it

Ref = Reference[Any]


class Backlog:
    """Keeps the counts of `load` that are about references. `window` is what one connection takes at once."""

    __slots__ = (
        "_fair",
        "_loop",
        "_queue",
        "_sent",
        "_window",
        "_wire_bytes",
        "load",
        "parking",
        "stock",
        "transactional_at",
    )

    def __init__(self, load: PathLoad, parking: Parking, window: int, fair: Fairness) -> None:
        self.load = load
        self.parking = parking
        self._fair = fair
        self._queue: ReadyQueue[Ref] | None = None
        self._sent: Lately | None = None
        self.stock = Stock(fair)
        self.transactional_at = float("-inf")
        """When mail of that lane came last."""
        self._window = window
        self._wire_bytes = 4096.0
        self._loop = asyncio.get_running_loop()

    @property
    def has_any(self) -> bool:
        """Waiting or ready: what is being composed does not count, it may come back to another path."""
        return bool(self._queue or len(self.stock))

    @property
    def most_impatient_lane(self) -> Lane:
        is_waiting = self._count(Lane.TRANSACTIONAL) or self.stock.count(Lane.TRANSACTIONAL)
        return Lane.TRANSACTIONAL if is_waiting else Lane.BULK

    def sendable(self, lane: Lane, in_hand_s: float) -> int:
        """How many of the references that wait can be sent within that time."""
        waiting = self._count(lane) + self.stock.count(lane)
        return self.parking.sendable(waiting, in_hand_s) if waiting else 0

    def expects_transactional(self, now: float) -> bool:
        """There was some lately, and none is ready."""
        is_meant = now - self.transactional_at < _RESERVED_FOR_S
        return is_meant and not self.stock.count(Lane.TRANSACTIONAL)

    def put(self, ref: Ref) -> bool:
        """False: more waits than can be served in time, it is to be parked."""
        lines = self._lines()
        if self.parking.is_late(lines, ref):
            return False
        lines.put(ref, ref.lane, ref.sender)
        if ref.lane is Lane.TRANSACTIONAL:
            self.transactional_at = self._loop.time()
        if not self.load.demand:
            self.load.stalled_since = self._loop.time()
            self.parking.forget_served()
        self.load.waiting += 1
        return True

    def wants(self, lane: Lane, *, is_blocked: bool) -> int:
        """How many references of a lane are to be composed now. What bulk has ready never keeps transactional back."""
        if lane is Lane.TRANSACTIONAL:
            return 0 if is_blocked else min(self._count(lane), MOST_READY - self.stock.count(lane))
        wanted = compose_wanted(
            self.load,
            sent_lately=self._sent.count(self._loop.time()) if self._sent is not None else 0,
            window=self._window,
            is_blocked=is_blocked,
            most=min(MOST_READY, max(2, int(_MOST_READY_BYTES / self._wire_bytes))),
            urgent=self.stock.urgent,
        )
        return min(wanted, self._count(lane))

    def take_to_compose(self, most: int, lane: Lane) -> list[Ref]:
        taken = self._lines().take(most, lane)
        self.load.waiting = len(self._queue or ())
        self.load.composing = self.stock.begin(taken)
        return taken

    def end_composing(self, ref: Ref) -> None:
        """It is back, with its message or without."""
        self.load.composing = self.stock.end(ref)

    def put_ready(self, ref: Ref, envelope: Envelope) -> None:
        self._wire_bytes += (len(envelope.message.wire) - self._wire_bytes) / 16
        self.stock.put(ref)
        self.load.ready += 1

    def put_back(self, ref: Ref) -> None:
        """In front: it was on its way already."""
        self.stock.put_back(ref)
        self.load.ready += 1

    def next_ready(self) -> Ref | None:
        ref = self.stock.take()
        self.load.ready = len(self.stock)
        if ref is not None:
            ref.is_on_wire = True
        return ref

    def take_head(self, *, is_all: bool) -> list[Ref]:
        """What was about to be sent, or else the first that waits; or all of them."""
        head: list[Ref] = []
        while (ref := self.next_ready()) is not None:
            head.append(ref)
        if is_all:
            head += self._drained(Lane.TRANSACTIONAL) + self._drained(Lane.BULK)
        elif not head:
            lines = self._lines()
            head = lines.take(1, Lane.TRANSACTIONAL) or lines.take(1, Lane.BULK)
        self.load.waiting = len(self._queue or ())
        return head

    def note_sent(self, now: float) -> None:
        """A message was given to a connection."""
        if self._sent is None:
            self._sent = Lately(now)
        self._sent.note()
        self.parking.note_served(now)

    def note_idle(self) -> None:
        """A connection has nothing to do, be it that nothing is ready or that our own limits do not let it: what is
        served is not what the peer would take."""
        self.parking.forget_served()

    def take_excess(self) -> list[Ref]:
        """Who cannot be served in time any more."""
        excess = self.parking.excess(self._queue) if self._queue is not None else []
        self.load.waiting = len(self._queue or ())
        return excess

    def take_stalled(self, until: float, now: float) -> list[Ref]:
        """All of the lanes whose hold is over where nothing moves before `until`: to be parked."""
        waited = max(until - now, now - self.load.stalled_since)
        stalled: list[Ref] = []
        for lane in Lane:
            if waited >= self.parking.hold_s(lane):
                stalled += self._drain(lane)
        return stalled

    def drain(self) -> list[Ref]:
        return [ref for lane in Lane for ref in self._drain(lane)]

    def rest(self) -> None:
        """Nothing waits: there may be a hundred thousand paths like this."""
        if not self._queue:
            self._queue = self._sent = None
        self.stock.rest()

    def _lines(self) -> ReadyQueue[Ref]:
        if self._queue is None:
            self._queue = ReadyQueue(is_wanted, slots, self._fair)
        return self._queue

    def _count(self, lane: Lane) -> int:
        return self._queue.count(lane) if self._queue is not None else 0

    def _drained(self, lane: Lane) -> list[Ref]:
        return self._queue.drain(lane) if self._queue is not None else []

    def _drain(self, lane: Lane) -> list[Ref]:
        refs = [*self.stock.drain(lane), *self._drained(lane)]
        self.load.ready, self.load.waiting = len(self.stock), len(self._queue or ())
        return refs
