"""Suppresses whom the events say is to be suppressed: one durable consumer of MTA_EVENTS that all daemons share.

The events are the truth. A message of the stream is acknowledged only when every mark and every strike in it is stored,
so a crash at any moment loses none; what is read twice changes nothing the second time. What each line means is
`mta.suppression.decide`'s business.
"""

import asyncio
import contextlib
import time
from itertools import islice

import structlog

from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.layout import EVENTS, SUPPRESSOR_CONSUMER
from mta.jetstream.pull import End, Pulled, Puller
from mta.model.event import EventType
from mta.model.outcome import BounceClass
from mta.suppression.decide import Accusation, Heard, accusation_of, hear
from mta.suppression.key import mark_key
from mta.suppression.seal import Seal
from mta.suppression.strikes import Strikes
from mta.suppression.suppressions import Suppressions

_MOST_IN_HAND = 16
_AT_ONCE = 32
"""Lines of a message: each costs a fsync of the server, one after the other."""
_PULL_S = 2.0
_AGAIN_S = 5.0
_REST_S = 0.5

log = structlog.get_logger()


class Suppressor:
    """`run` belongs into the owner's task group."""

    def __init__(self, link: Link, suppressions: Suppressions, strikes: Strikes, seal: Seal) -> None:
        self._link = link
        self._suppressions = suppressions
        self._strikes = strikes
        self._seal = seal
        self._queue: asyncio.Queue[Pulled] = asyncio.Queue()
        self._in_hand = 0
        self._room = asyncio.Event()
        self._room.set()

    async def run(self) -> None:
        """Until cancelled. What is in hand then is delivered again."""
        await self._suppressions.until_known()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pull(), name="pull events that suppress")
            group.create_task(self._work(), name="suppress")

    async def _pull(self) -> None:
        while True:
            puller = Puller(self._link, EVENTS, SUPPRESSOR_CONSUMER, self._received)
            try:
                await puller.open()
                end = End.EMPTY
                while end in (End.FULL, End.EMPTY):
                    await self._room.wait()
                    end = (await puller.pull(_MOST_IN_HAND - self._in_hand, expires_s=_PULL_S)).end
                log.info("suppressor_interrupted", end=end)
            finally:
                await puller.close()
            await asyncio.sleep(_REST_S)
            await self._link.until_connected()

    def _received(self, pulled: Pulled) -> None:
        self._note(1)
        self._queue.put_nowait(pulled)

    def _note(self, change: int) -> None:
        self._in_hand += change
        if self._in_hand < _MOST_IN_HAND:
            self._room.set()
        else:
            self._room.clear()

    async def _work(self) -> None:
        while True:
            pulled = await self._queue.get()
            try:
                await self._take(pulled.data, is_first=pulled.num_delivered == 1)
                await self._link.ack_sync(pulled.reply)
            except JetStreamError as error:
                log.warning("suppression_delayed", sequence=pulled.stream_sequence, error=str(error))
                with contextlib.suppress(JetStreamError):
                    await self._link.nak(pulled.reply, delay_s=_AGAIN_S)
            finally:
                self._note(-1)

    async def _take(self, body: bytes, *, is_first: bool) -> None:
        """Returns when all that follows from these lines is stored. `is_first`: nobody was given them before."""
        lines = iter(body.splitlines())
        while some := list(islice(lines, _AT_ONCE)):
            done = await asyncio.gather(
                *(self._line(line, is_first=is_first) for line in some), return_exceptions=True
            )
            for error in filter(None, done):
                if isinstance(error, JetStreamError) or not isinstance(error, Exception):
                    raise error
                # An event must neither end the daemon nor come back for ever.
                log.error("suppression_failed", exc_info=error)

    async def _line(self, line: bytes, *, is_first: bool) -> None:
        heard = hear(line)
        if heard is None:
            log.warning("event_unreadable", line=line[:100].decode("utf-8", "replace"))
            return
        accusation = accusation_of(heard)
        if accusation is None or self._is_guarded(heard, is_first=is_first):
            return
        target = f"@{heard.recipient_domain}" if accusation.is_domain else self._address(heard)
        if "@" not in target[:-1]:
            log.warning("suppression_without_address", id=heard.id)
            return
        if accusation.kind is None or await self._is_out(heard, target, accusation):
            await self._suppressions.add(
                heard.tenant, target, accusation.mark, accusation.stream, is_past=True
            )

    def _is_guarded(self, heard: Heard, *, is_first: bool) -> bool:
        """A refusal in the session was judged, and counted, when it was told of; a report is here."""
        if heard.type is not EventType.OOB_BOUNCED:
            return False
        guard, now = self._suppressions.guard, time.monotonic()
        is_invalid = heard.bounce.bounce_class == BounceClass.INVALID_RECIPIENT
        if is_invalid and is_first:
            guard.reported(heard.recipient_domain, now)
        is_dead = is_invalid or heard.bounce.bounce_class == BounceClass.INACTIVE_RECIPIENT
        return is_dead and guard.is_guarded(heard.recipient_domain, now)

    async def _is_out(self, heard: Heard, target: str, accusation: Accusation) -> bool:
        return await self._strikes.strike(mark_key(heard.tenant, target), accusation)

    def _address(self, heard: Heard) -> str:
        if heard.sealed_recipient:
            return self._seal.open(heard.tenant, heard.sealed_recipient)
        return heard.recipient
