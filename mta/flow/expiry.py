"""One timer for all that expires: throttled or not, it does so on time."""

import asyncio
import time
from collections.abc import Callable

from mta.flow.work import Work
from mta.queue.deferred import DeferredQueue, Due, Sleep

_LOOK_AFTER_S = 3600.0  # the wall clock may be set
_LATE_S = 0.001


class Expiry:
    def __init__(self, on_expired: Callable[[Work, float], None]) -> None:
        self._on_expired = on_expired
        self._queue: DeferredQueue[Work] = DeferredQueue()
        self._timer: asyncio.TimerHandle | None = None

    def put(self, work: Work) -> None:
        work.expiry = self._queue.put(work.admitted.expires_at, work)
        self._look()

    def remove(self, work: Work) -> None:
        if work.expiry is not None:
            self._queue.cancel(work.expiry)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.stop()
        now = time.time()
        match self._queue.pop(now):
            case Due(items=works):
                for work in works:
                    work.expiry = None
                    self._on_expired(work, now)
                self._look()
            case Sleep(seconds=seconds):
                due_s = min(seconds, _LOOK_AFTER_S) + _LATE_S
                self._timer = asyncio.get_running_loop().call_later(due_s, self._look)
            case _:
                pass
