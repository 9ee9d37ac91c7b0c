"""The `EventSink` that keeps events in a stream: many lines a message, one fsync for all of them.

Lines are gathered by subject and published at 50 ms or 256 kB, one publish in flight per subject (its lines stay in
order) and 16 in all, oldest first; what comes meanwhile makes the next batch larger. A batch that was not stored stays
and is published again, unchanged and under the same `Nats-Msg-Id`: that is a hash of subject and body, so another set
of lines never passes for the same message.

Invariants: every line is published until it is kept; `on_kept` hears of each token once, after the ack;
`unkept_bytes` counts all that is not kept. One timer serves all subjects. The bound is the emitter's: it makes no
new events while `unkept_bytes` is at `max_unkept_bytes`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import structlog

from mta.events.settings import EventSettings
from mta.jetstream.pump import PubAck, PublishFailed

MOST_BATCH_BYTES = 1_000_000
"""A batch that had to wait grows up to here, far below the 8 MB a message may have; the rest is the next batch."""
_REST_S = (0.05, 0.2, 1.0, 2.0)
"""Before a batch that was refused is published again; the last one repeats. The pump's own patience is longer."""


log = structlog.get_logger()


class Publish(Protocol):
    """The part of `mta.jetstream.pump.Pump` that is needed here. BufferError: it holds as much as it may."""

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        msg_id: str,
        headers: dict[str, str] | None = None,
        on_done: Callable[[PubAck | PublishFailed], None],
    ) -> str: ...

    def withdraw(self, token: str) -> bool: ...


class _Batch:
    """Sealed: these bytes under this id, as often as it takes."""

    __slots__ = ("body", "headers", "items", "msg_id", "pending", "refusals", "size", "tokens")

    def __init__(self, subject: str, items: list[tuple[bytes, object | None]], size: int) -> None:
        self.items = items
        lines = [line for line, _ in items]
        self.body = b"\n".join(lines) + b"\n"
        digest = blake2b(subject.encode() + b"\n", digest_size=16)
        digest.update(self.body)
        self.msg_id = f"events-{digest.hexdigest()}"
        self.headers = {"Mta-Events": str(len(lines))}
        self.tokens = [token for _, token in items if token is not None]
        self.size = size
        self.refusals = 0
        self.pending = ""
        """The pump's token while it is being published."""


class _Topic:
    """One subject: what was emitted and not sealed yet, and the batch that is not kept yet. `stamp` names the one
    entry of it in the agenda that counts."""

    __slots__ = ("batch", "due_at", "items", "size", "stamp", "subject")

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.items: list[tuple[bytes, object | None]] = []
        self.size = 0
        self.due_at = 0.0
        self.batch: _Batch | None = None
        self.stamp = 0

    def seal(self, now: float) -> _Batch:
        taken, size = 0, 0
        while taken < len(self.items) and size < MOST_BATCH_BYTES:
            size += len(self.items[taken][0])
            taken += 1
        items, self.items = self.items[:taken], self.items[taken:]
        self.size -= size
        self.due_at = now
        return _Batch(self.subject, items, size)


class EventPublisher:
    """An `EventSink`; needs a running loop from the first `emit` on."""

    def __init__(
        self, pump: Publish, settings: EventSettings, on_kept: Callable[[list[object]], None]
    ) -> None:
        self._pump = pump
        self._settings = settings
        self._on_kept = on_kept
        self._topics: dict[str, _Topic] = {}
        self._agenda: list[tuple[float, int, _Topic]] = []
        self._stamps = count(1)
        self._in_flight = 0
        self._unkept_bytes = 0
        self._is_forced = False
        self._is_refused = False
        self._is_turning = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def unkept_bytes(self) -> int:
        return self._unkept_bytes

    def emit(self, subject: str, line: bytes, token: object | None = None) -> None:
        topic = self._topics.get(subject)
        if topic is None:
            topic = self._topics[subject] = _Topic(subject)
        is_first = not topic.items
        topic.items.append((line, token))
        size = len(line)
        was_full = topic.size >= self._settings.flush_bytes
        topic.size += size
        if not self._unkept_bytes:
            self._idle.clear()
        self._unkept_bytes += size
        is_full = topic.size >= self._settings.flush_bytes
        if is_first or (is_full and not was_full):
            now = asyncio.get_running_loop().time()
            topic.due_at = now if is_full or self._is_forced else now + self._settings.flush_s
            if topic.batch is None:
                self._enter(topic, topic.due_at)
                self._turn()

    async def flush(self) -> None:
        """Publish at once what waits; returns when nothing is unkept."""
        self._is_forced = True
        self._turn()
        await self._idle.wait()

    def drop(self, is_dropped: Callable[[object], bool]) -> None:
        """Forget the lines with such tokens, on their way or not. The others of a batch that was on its way go out
        again, as another batch: they may come twice, under the ids they have."""
        for topic in tuple(self._topics.values()):
            batch = topic.batch
            if batch is not None and any(map(is_dropped, batch.tokens)):
                if batch.pending and self._pump.withdraw(batch.pending):
                    self._in_flight -= 1
                topic.batch = None
                topic.items[:0] = batch.items
                topic.size += batch.size
                self._enter(topic, topic.due_at)
            kept = [(line, token) for line, token in topic.items if token is None or not is_dropped(token)]
            size = sum(len(line) for line, _ in kept)
            self._unkept_bytes -= topic.size - size
            topic.items, topic.size = kept, size
            if not kept and topic.batch is None:
                topic.stamp = 0
                del self._topics[topic.subject]
        if not self._unkept_bytes:
            self._is_forced = False
            self._idle.set()
        self._turn()

    def close(self) -> None:
        """Nothing is published any more; what is unkept is left to the ledger."""
        if self._timer is not None:
            self._timer.cancel()
        self._agenda.clear()

    def _enter(self, topic: _Topic, at: float) -> None:
        topic.stamp = next(self._stamps)
        heappush(self._agenda, (at, topic.stamp, topic))

    def _turn(self) -> None:
        """Publish what is due while there is room, then look at the clock when the next one is."""
        if self._is_turning:
            return
        self._is_turning = True
        try:
            now = asyncio.get_running_loop().time()
            while self._agenda and self._in_flight < self._settings.max_in_flight:
                at, stamp, topic = self._agenda[0]
                is_stale = stamp != topic.stamp
                if not is_stale and at > now and not (self._is_forced and topic.batch is None):
                    self._look_at(at)
                    break
                heappop(self._agenda)
                if not is_stale:
                    self._publish(topic, now)
        finally:
            self._is_turning = False

    def _look_at(self, at: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._turn()

    def _publish(self, topic: _Topic, now: float) -> None:
        batch = topic.batch
        if batch is None:
            batch = topic.batch = topic.seal(now)
        topic.stamp = 0
        self._in_flight += 1
        try:
            batch.pending = self._pump.publish(
                topic.subject,
                batch.body,
                msg_id=batch.msg_id,
                headers=batch.headers,
                on_done=partial(self._done, topic, batch),
            )
        except BufferError:
            self._in_flight -= 1
            self._refused(topic, batch)

    def _done(self, topic: _Topic, batch: _Batch, result: PubAck | PublishFailed) -> None:
        self._in_flight -= 1
        batch.pending = ""
        if isinstance(result, PublishFailed):
            if not self._is_refused:
                log.warning("events_refused", error=result.text, unkept_bytes=self._unkept_bytes)
            self._is_refused = True
            self._refused(topic, batch)
        else:
            if self._is_refused:
                log.warning("events_taken_again", unkept_bytes=self._unkept_bytes)
            self._is_refused = False
            self._kept(topic, batch)
        self._turn()

    def _refused(self, topic: _Topic, batch: _Batch) -> None:
        rest_s = _REST_S[min(batch.refusals, len(_REST_S) - 1)]
        batch.refusals += 1
        self._enter(topic, asyncio.get_running_loop().time() + rest_s)

    def _kept(self, topic: _Topic, batch: _Batch) -> None:
        topic.batch = None
        if topic.items:
            self._enter(topic, topic.due_at)
        else:
            del self._topics[topic.subject]
        self._unkept_bytes -= batch.size
        if not self._unkept_bytes:
            self._is_forced = False
            self._idle.set()
        if batch.tokens:
            self._on_kept(batch.tokens)
