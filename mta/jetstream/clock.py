"""What time it is where the streams are. A schedule fires by the server's clock: a retry that is due in five minutes by
a host whose clock is five minutes fast would come after ten."""

import asyncio
import contextlib
import time
from datetime import datetime

import structlog

from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, Refused
from mta.jetstream.layout import RETRY
from mta.model.times import from_datetime

_EVERY_S = 60.0
_REMARKABLE_S = 2.0

log = structlog.get_logger()


class StreamClock:
    """`ahead_s`: how far the server's clock is ahead of ours, to within half a round trip; 0.0 until `run`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._is_off = False
        self.ahead_s = 0.0

    def time(self) -> float:
        """Seconds since the epoch, by the server."""
        return time.time() + self.ahead_s

    async def run(self) -> None:
        while True:
            with contextlib.suppress(JetStreamError):  # what was known holds on
                await self.measure()
            await asyncio.sleep(_EVERY_S)

    async def measure(self) -> None:
        asked_at = time.time()
        answer = await self._link.api(f"STREAM.INFO.{RETRY}")
        middle = (asked_at + time.time()) / 2
        try:
            server_at = from_datetime(datetime.fromisoformat(answer["ts"]))
        except (KeyError, TypeError, ValueError) as error:
            raise Refused("the server does not say what time it is") from error
        self.ahead_s = server_at - middle
        was_off, self._is_off = self._is_off, abs(self.ahead_s) > _REMARKABLE_S
        if self._is_off and not was_off:
            log.warning(
                "clock_differs", server_ahead_s=round(self.ahead_s, 1), advice="set this host's clock"
            )
