"""Ownership by time: a message in hand is ours for as long as its lease runs, and not a moment longer.

JetStream's acks carry no ownership: a late renewal extends the timer of whoever got the message after us, a late ack
removes what he is working on. So every lease is counted from when its renewal was *sent* (the first one: from when the
pull that brought it was), ends `margin` before the server's own clock would, and with it ends everything for this
message: no dot, no ack, no event. A renewal lives as long as the entry here does, that is, as long as the work.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

import structlog

from mta.flow.work import Lease, SourceKey
from mta.intake.settings import IntakeSettings
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.pull import Pulled

_LOOK_EVERY_S = 0.25
_AGAIN_S = 0.5

log = structlog.get_logger()


class Leases:
    """`run` in the owner's task group. `on_over(key)` is called once for each lease that ran out."""

    def __init__(self, link: Link, settings: IntakeSettings, on_over: Callable[[SourceKey], None]) -> None:
        self._link = link
        self._renew_s = settings.renew_s
        self._lasts_s = settings.ack_wait_s - settings.margin_s
        self._on_over = on_over
        self._leases: dict[SourceKey, Lease] = {}

    def take(self, key: SourceKey, pulled: Pulled) -> Lease:
        """For a delivery: a new lease, or the one there is, under the new reply subject."""
        lease = self._leases.get(key)
        if lease is None:
            lease = self._leases[key] = Lease(pulled.reply, pulled.pulled_at, 0.0)
        lease.reply = pulled.reply
        lease.until = max(lease.until, pulled.pulled_at + self._lasts_s)
        return lease

    def give_up(self, key: SourceKey) -> None:
        """Nothing is renewed any more."""
        lease = self._leases.pop(key, None)
        if lease is not None:
            lease.until = 0.0

    async def hand_back(self) -> None:
        """All there are: their messages are delivered again at once, to somebody else."""
        for lease in tuple(self._leases.values()):
            if lease.until > time.monotonic():
                with contextlib.suppress(JetStreamError):
                    await self._link.nak(lease.reply)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                now = time.monotonic()
                for key, lease in tuple(self._leases.items()):
                    if lease.until <= now:
                        self.give_up(key)
                        self._on_over(key)
                    elif lease.asked_at + self._renew_s <= now:
                        lease.asked_at = now
                        group.create_task(self._renew(lease), name=f"renew {key[1]}")
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _renew(self, lease: Lease) -> None:
        try:
            sent_at = await self._link.progress(lease.reply)
        except JetStreamError as error:
            log.debug("renewal_failed", error=str(error))
            lease.asked_at = time.monotonic() - self._renew_s + _AGAIN_S
            return
        if lease.until:
            lease.until = max(lease.until, sent_at + self._lasts_s)
