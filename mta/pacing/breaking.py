"""Stops campaigns whose recipients object: follows MTA_EVENTS and gives orders as an operator would.

One daemon at a time does it, the one that holds the key `role.breaker` in MTA_CONTROL, which expires unless it is
renewed. Whoever takes it over reads the window again from the stream: nothing is kept elsewhere. Of what was delivered
only subjects and headers are read; bodies only of what was refused and of what came back.

The order is the pause of `mta campaign pause`, with an end, so it is seen, explained and taken back in the same way.
What was known when a campaign was paused or resumed does not count a second time: MTA_CONTROL has the times of both.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from mta.events.operations import Operations
from mta.intake.orders import Order, decode_order, encode_order
from mta.jetstream.connection import Link
from mta.jetstream.consumers import create_reader, delete_consumer, from_time
from mta.jetstream.errors import Conflict, JetStreamError
from mta.jetstream.kv import Bucket, is_marker
from mta.jetstream.layout import CONTROL, EVENTS
from mta.jetstream.pull import End, Pulled, Puller
from mta.jetstream.subjects import parse_event, unescape
from mta.model import times
from mta.model.event import EventType
from mta.pacing.breaker import Breaker, Campaign, Fact, Trip, fact_of
from mta.pacing.shaping import Shaping

ROLE = "role.breaker"
_BATCH = 2_000
_PULL_S = 2.0
_AGAIN_S = 1.0
_PAUSE_S = 86_400.0
_PAUSES = f"$KV.{CONTROL}.pause.campaign."
_COUNTED = {EventType.DELIVERED: Fact.DELIVERED, EventType.EXPIRED: Fact.EXPIRED}
_READ = (EventType.BOUNCED, EventType.OOB_BOUNCED, EventType.COMPLAINED)

log = structlog.get_logger()


class CampaignBreaker:
    """`run` belongs into the owner's task group; it returns at once where no tenant's campaigns are watched. `decide_s`
    is how often it decides, `role_s` how long the role is held without being renewed."""

    def __init__(
        self,
        link: Link,
        shaping: Shaping,
        operations: Operations,
        node: str,
        *,
        decide_s: float = 5.0,
        role_s: float = 15.0,
    ) -> None:
        self._link = link
        self._bucket = Bucket(link, CONTROL)
        self._shaping = shaping
        self._operations = operations
        self._node = node
        self._decide_s = decide_s
        self._role_s = role_s
        self._renew_s = role_s / 3
        self._breaker = Breaker(shaping.breaker_of)
        self._pauses: dict[Campaign, tuple[int, float]] = {}
        """The last word on each campaign: its sequence, and until when it is paused (seconds since the epoch; inf:
        until it is taken back; 0.0: it is not)."""

    async def run(self) -> None:
        watched = [
            one for one in (self._shaping.breaker, *self._shaping.tenant_breakers.values()) if one.is_on
        ]
        if not watched:
            return
        window_s = max(one.window_s for one in watched)
        while True:
            sequence = await self._take_role()
            if sequence:
                log.info("breaker_begins", window_s=window_s)
                await self._serve(sequence, window_s)
            await asyncio.sleep(self._renew_s)
            await self._link.until_connected()

    # -- the role -----------------------------------------------------------------------------------------------

    async def _take_role(self) -> int:
        """The sequence of our word; 0: somebody else has it, or nobody can be asked."""
        try:
            return await self._bucket.replace(ROLE, self._node.encode(), 0, ttl_s=self._role_s)
        except JetStreamError:
            return 0

    async def _keep_role(self, sequence: int) -> None:
        """Returns when it is ours no more, or may not be."""
        kept_at = time.monotonic()
        while time.monotonic() - kept_at < self._role_s - self._renew_s:
            await asyncio.sleep(self._renew_s)
            asked_at = time.monotonic()
            try:
                sequence = await self._bucket.replace(ROLE, self._node.encode(), sequence, ttl_s=self._role_s)
                kept_at = asked_at
            except Conflict:
                return
            except JetStreamError as error:
                log.debug("breaker_unrenewed", error=str(error))

    async def _serve(self, sequence: int, window_s: float) -> None:
        self._breaker = Breaker(self._shaping.breaker_of)
        self._pauses.clear()
        start = from_time(time.time() - window_s)
        subjects = {kind: f"mta.event.*.{kind}.*.*" for kind in (*_COUNTED, *_READ)}
        orders = _Feed(
            self._link, f"KV_{CONTROL}", [f"{_PAUSES}*.*"], {"deliver_policy": "all"}, self._on_pause
        )
        counted = _Feed(
            self._link,
            EVENTS,
            [subjects[kind] for kind in _COUNTED],
            start,
            self._on_counted,
            headers_only=True,
        )
        read = _Feed(self._link, EVENTS, [subjects[kind] for kind in _READ], start, self._on_read)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(orders.run(), name="breaker: follow pauses"),
                group.create_task(_after(orders, counted.run), name="breaker: count"),
                group.create_task(_after(orders, read.run), name="breaker: read"),
                group.create_task(self._decide((orders, counted, read)), name="breaker: decide"),
            ]
            await self._keep_role(sequence)
            for task in tasks:
                task.cancel()

    # -- what is heard ------------------------------------------------------------------------------------------

    def _on_pause(self, pulled: Pulled) -> None:
        tenant, _, name = pulled.subject.removeprefix(_PAUSES).partition(".")
        at, until = times.from_ns(pulled.at_ns), 0.0
        if not is_marker(pulled.headers):
            until = decode_order(pulled.data).until or float("inf")
        self._pauses[tenant, name] = (pulled.stream_sequence, until)
        self._breaker.begin_anew((tenant, name), at)

    def _on_counted(self, pulled: Pulled) -> None:
        subject = parse_event(pulled.subject)
        lines = pulled.headers.get("Mta-Events", "")
        if subject is not None and lines.isdecimal():
            campaign, at = (subject.tenant, subject.campaign), times.from_ns(pulled.at_ns)
            self._breaker.count(campaign, _COUNTED[EventType(subject.type)], at, int(lines[:9]))

    def _on_read(self, pulled: Pulled) -> None:
        subject = parse_event(pulled.subject)
        if subject is None:
            return
        at = times.from_ns(pulled.at_ns)
        for line in pulled.data.splitlines():
            fact = fact_of(line)
            if fact is not None:
                self._breaker.count((subject.tenant, subject.campaign), fact, at)

    # -- what follows -------------------------------------------------------------------------------------------

    async def _decide(self, feeds: "Sequence[_Feed]") -> None:
        """Only when all feeds have reached the present: a share is wrong while one of them is ahead."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(self._decide_s)
            if any(feed.at_end_at < last for feed in feeds):
                continue
            last = loop.time()
            now = time.time()
            for campaign, (sequence, until) in list(self._pauses.items()):
                if 0.0 < until <= now:
                    self._breaker.begin_anew(campaign, until)
                    self._pauses[campaign] = (sequence, 0.0)
            for trip in self._breaker.due(now):
                await self._stop(trip, now)

    async def _stop(self, trip: Trip, now: float) -> None:
        sequence, until = self._pauses.get(trip.campaign, (0, 0.0))
        if until:
            return
        order = Order(trip.reason, f"breaker@{self._node}", now, now + _PAUSE_S)
        tenant, name = trip.campaign
        try:
            await self._bucket.replace(f"pause.campaign.{tenant}.{name}", encode_order(order), sequence)
        except Conflict:
            return  # somebody has just said something about it
        except JetStreamError as error:
            log.warning("breaker_delayed", tenant=tenant, campaign=name, error=str(error))
            return
        self._operations.tell(
            "campaign_paused",
            tenant=unescape(tenant) or tenant,
            campaign=unescape(name) or name,
            reason=order.reason,
            by=order.by,
            until=times.render(order.until),
        )


class _Feed:
    """What a stream holds from some time on, and what comes, by a consumer of our own. `at_end_at` is when there last
    was nothing more (the loop's clock)."""

    def __init__(
        self,
        link: Link,
        stream: str,
        subjects: Sequence[str],
        start: dict[str, Any],
        on_message: Callable[[Pulled], None],
        *,
        headers_only: bool = False,
    ) -> None:
        self._link = link
        self._stream = stream
        self._subjects = subjects
        self._start = start
        self._on_message = on_message
        self._headers_only = headers_only
        self.at_end_at = float("-inf")
        self.has_ended = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; after a broken connection it goes on where it was."""
        while True:
            try:
                await self._follow()
            except JetStreamError as error:
                log.debug("breaker_feed_broken", stream=self._stream, error=str(error))
            self.at_end_at = float("-inf")
            await asyncio.sleep(_AGAIN_S)
            await self._link.until_connected()

    async def _follow(self) -> None:
        reader = await create_reader(
            self._link, self._stream, self._subjects, self._start, headers_only=self._headers_only
        )
        puller = Puller(self._link, self._stream, reader.name, self._received)
        await puller.open()
        try:
            if not reader.pending:
                self._note_end()
            end = End.EMPTY
            while end in (End.FULL, End.EMPTY):
                end = (await puller.pull(_BATCH, expires_s=_PULL_S)).end
                if end is End.EMPTY:
                    self._note_end()
        finally:
            await puller.close()
            if self._link.is_connected:
                with suppress(JetStreamError):  # the server forgets it by itself
                    await delete_consumer(self._link, self._stream, reader.name)

    def _received(self, pulled: Pulled) -> None:
        self._start = {"deliver_policy": "by_start_sequence", "opt_start_seq": pulled.stream_sequence + 1}
        self._on_message(pulled)
        if not pulled.pending:
            self._note_end()

    def _note_end(self) -> None:
        self.at_end_at = asyncio.get_running_loop().time()
        self.has_ended.set()


async def _after(feed: _Feed, run: Callable[[], Awaitable[None]]) -> None:
    """Once that one has reached its end."""
    await feed.has_ended.wait()
    await run()
