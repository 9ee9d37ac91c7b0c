"""The path of a `dry_run`: everything is done but the connection."""

from collections.abc import Callable
from typing import Any

from mta.delivery.reference import Reference, Settlement, is_wanted, slots
from mta.model.lane import Lane
from mta.model.message import Envelope
from mta.model.outcome import Cancelled
from mta.queue.ready import ReadyQueue
from mta.queue.settings import Fairness


class Rehearsal:
    """Takes references as a `PathPool` does, asks for all of them to be composed, and settles each as `Cancelled`."""

    def __init__(
        self,
        *,
        fair: Fairness,
        wall: Callable[[], float],
        on_settled: Callable[[Reference[Any], Settlement], None],
        on_hungry: Callable[["Rehearsal"], None],
    ) -> None:
        self.queue: ReadyQueue[Reference[Any]] = ReadyQueue(is_wanted, slots, fair)
        self._wall = wall
        self._on_settled = on_settled
        self._on_hungry = on_hungry

    def put(self, ref: Reference[Any]) -> None:
        self.queue.put(ref, ref.lane, ref.sender)

    def turn(self) -> None:
        if len(self.queue):
            self._on_hungry(self)

    def wants(self, lane: Lane) -> int:
        return self.queue.count(lane)

    def take_to_compose(self, most: int, lane: Lane) -> list[Reference[Any]]:
        return self.queue.take(most, lane)

    def composed(self, ref: Reference[Any], envelope: Envelope | None) -> None:
        if envelope is not None and not ref.is_settled:
            ref.is_settled = True
            self._on_settled(ref, Cancelled(self._wall(), "dry_run", is_dry_run=True))
