"""Whether sending may go on: for everybody, and for the octets of one message.

Shut for all while what happened is unconfirmed for too long (`hold_back`: it bounds what a node that is cut off repeats
on another's side) or while more events wait for their ack than may be lost sight of. For one payload it is shut from
the end of its lease on: somebody else may be working on it.
"""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Gate:
    """`look` regularly: `is_open` is what the last look found."""

    __slots__ = ("_is_late", "_most_unkept", "_unkept_bytes", "is_open")

    def __init__(
        self, *, is_late: Callable[[], bool], unkept_bytes: Callable[[], int], most_unkept: int
    ) -> None:
        self._is_late = is_late
        self._unkept_bytes = unkept_bytes
        self._most_unkept = most_unkept
        self.is_open = True

    def look(self) -> bool:
        """True when it has just opened."""
        is_late, unkept_bytes = self._is_late(), self._unkept_bytes()
        was_open, self.is_open = self.is_open, not is_late and unkept_bytes < self._most_unkept
        if was_open and not self.is_open:
            log.warning("sending_held_back", is_snapshot_late=is_late, unkept_bytes=unkept_bytes)
        elif self.is_open and not was_open:
            log.warning("sending_goes_on")
        return self.is_open and not was_open

    def permits(self, until: float) -> bool:
        """Whether a dot of a payload may start now whose lease allows it until then (monotonic seconds)."""
        return self.is_open and time.monotonic() < until
