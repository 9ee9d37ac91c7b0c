"""Publishing with acks: every message is stored, or its publisher is told that it is not.

One inbox, an integer token as the last part of the reply subject, a deadline for each message. What got no
ack is sent again under the same `Nats-Msg-Id`, so that the stream keeps one; after a reconnect everything
unacknowledged goes again at once. While disconnected nothing is sent. A refusal that cannot pass (conflict,
full, no right) is reported at once; `no responders` and other passing trouble is tried again until the
message's own deadline, if it has one.

Invariants: `on_done` is called exactly once for each message unless it was withdrawn; the bytes on the wire
and the bytes waiting are both bounded. Order between messages is not kept. Left to the caller: to stop making
work while `pending_bytes` is high, and what a refusal means.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum
from itertools import count

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from mta.jetstream.connection import Link
from mta.jetstream.errors import (
    CONFLICTS,
    FULL,
    PASSING,
    Conflict,
    JetStreamError,
    JetStreamUnavailable,
    PermissionMissing,
    Refused,
    StreamFull,
    TooLarge,
    Unconfirmed,
    stored_sequence,
)
from mta.jetstream.settings import PumpSettings

_OVERHEAD = 256
"""Bytes a message costs beside its body: subject, headers, protocol line."""


class PubAck(Struct, frozen=True, gc=False):
    """Stored. A duplicate was stored before under the same id; `sequence` is then that of the first."""

    stream: str
    sequence: int
    is_duplicate: bool = False


class Failure(StrEnum):
    CONFLICT = "conflict"
    FULL = "full"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    TOO_LARGE = "too_large"
    DEADLINE = "deadline"
    CLOSED = "closed"


class PublishFailed(Struct, frozen=True, gc=False):
    """Not stored, or with `is_unknown` perhaps stored: it was sent, and no answer came. `sequence` is that of
    the message in the way of a conflict."""

    failure: Failure
    text: str
    code: int = 0
    sequence: int = 0
    is_unknown: bool = False

    def error(self) -> JetStreamError:
        match self.failure:
            case Failure.CONFLICT:
                return Conflict(self.text, self.sequence)
            case Failure.FULL:
                return StreamFull(self.text)
            case Failure.FORBIDDEN:
                return PermissionMissing(self.text)
            case Failure.TOO_LARGE:
                return TooLarge(self.text)
            case Failure.DEADLINE | Failure.CLOSED:
                return Unconfirmed(self.text) if self.is_unknown else JetStreamUnavailable(self.text)
            case Failure.REFUSED:
                return Refused(self.text, self.code)


OnDone = Callable[[PubAck | PublishFailed], None]


class _Error(Struct, gc=False):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(Struct, gc=False):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


_DECODER = msgspec.json.Decoder(_Answer)


class _State(Enum):
    READY = "ready"
    """In the outbox, as soon as there is room on the wire."""
    SENT = "sent"
    RESTING = "resting"
    """Refused for the moment; ready again at `again_at`."""


class _Entry(Struct, eq=False):
    token: str
    subject: str
    body: bytes
    headers: dict[str, str]
    size: int
    on_done: OnDone
    deadline: float
    state: _State = _State.READY
    tries: int = 0
    again_at: float = 0.0


class Pump:
    """`run` belongs into the owner's TaskGroup; `publish` may be called before it."""

    def __init__(self, link: Link, settings: PumpSettings | None = None) -> None:
        self._link = link
        self._settings = settings or PumpSettings()
        self._tokens = count(1)
        self._entries: dict[str, _Entry] = {}
        self._outbox: deque[_Entry] = deque()
        self._pending_bytes = 0
        self._wire_bytes = 0
        self._wire_messages = 0
        self._prefix = ""
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self.resent = 0
        self.duplicates = 0

    @property
    def pending_bytes(self) -> int:
        """Of all messages not yet acknowledged, sent or not."""
        return self._pending_bytes

    @property
    def pending_messages(self) -> int:
        return len(self._entries)

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        msg_id: str,
        headers: dict[str, str] | None = None,
        on_done: OnDone,
        deadline_s: float = float("inf"),
    ) -> str:
        """Takes the message over and returns its token, for `withdraw`. `BufferError` when `pending_bytes` is
        at its bound: whoever publishes must look at it first."""
        size = len(body) + _OVERHEAD
        if self._pending_bytes + size > self._settings.pending_bytes:
            raise StreamFull(f"{self._pending_bytes} bytes already wait for their ack")
        token = str(next(self._tokens))
        full = {"Nats-Msg-Id": msg_id} if headers is None else {"Nats-Msg-Id": msg_id, **headers}
        entry = _Entry(token, subject, body, full, size, on_done, time.monotonic() + deadline_s)
        self._entries[token] = entry
        self._pending_bytes += size
        self._idle.clear()
        if self._pending_bytes >= self._settings.pending_bytes // 2:
            self._room.clear()
        self._outbox.append(entry)
        self._wake.set()
        return token

    async def publish_acked(
        self,
        subject: str,
        body: bytes,
        *,
        msg_id: str,
        headers: dict[str, str] | None = None,
        deadline_s: float = float("inf"),
    ) -> PubAck:
        """Waits for room, then for the ack; raises what went wrong. Cancelled, it withdraws the message."""
        await self._room.wait()
        done: asyncio.Future[PubAck | PublishFailed] = asyncio.get_running_loop().create_future()

        def settle(result: PubAck | PublishFailed) -> None:
            if not done.done():
                done.set_result(result)

        token = self.publish(
            subject, body, msg_id=msg_id, headers=headers, on_done=settle, deadline_s=deadline_s
        )
        try:
            if self._prefix:  # at once: whoever waits for the ack is in a hurry
                await self._send_ready()
            result = await done
        finally:
            self.withdraw(token)
        if isinstance(result, PublishFailed):
            raise result.error()
        return result

    def withdraw(self, token: str) -> bool:
        """Sends it no more and tells nobody, if it is still pending. For work whose lease ended: its new
        owner publishes now."""
        entry = self._entries.get(token)
        if entry is not None:
            self._forget(entry)
        return entry is not None

    async def drain(self) -> None:
        """Returns when every message has its answer."""
        await self._idle.wait()

    async def run(self) -> None:
        """Sends and repeats until cancelled; when the link is closed for good, fails what is left and
        returns."""
        if self._link.is_closed:
            self._fail_all(Failure.CLOSED, "the link is closed")
            return
        next_look = 0.0
        inbox = self._link.inbox()
        self._prefix = f"{inbox}."
        subscription = await self._link.subscribe(f"{inbox}.*", self._answered)
        removers = (self._link.on_connection(self._connection), self._link.on_forbidden(self._forbidden))
        try:
            while not self._link.is_closed:
                await self._send_ready()
                now = time.monotonic()
                if now >= next_look:
                    self._repeat_overdue(now)
                    next_look = now + self._settings.tick_s
                await self._sleep()
            self._fail_all(Failure.CLOSED, "the link is closed")
        finally:
            for remove in removers:
                remove()
            await self._link.unsubscribe(subscription)

    async def _sleep(self) -> None:
        """Until there is something to send, or a tick while anything is pending."""
        if self._outbox and self._may_send(self._outbox[0]):
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(self._settings.tick_s if self._entries else None):
                await self._wake.wait()
        except TimeoutError:
            return

    def _may_send(self, entry: _Entry) -> bool:
        """At least one message fits on the wire, however large."""
        if not self._link.is_connected:
            return False
        settings = self._settings
        fits = self._wire_bytes + entry.size <= settings.in_flight_bytes or not self._wire_messages
        return fits and self._wire_messages < settings.in_flight_messages

    async def _send_ready(self) -> None:
        outbox = self._outbox
        while outbox and self._may_send(outbox[0]):
            entry = outbox.popleft()
            if entry.token not in self._entries:
                continue
            if entry.tries:
                self.resent += 1
            entry.state = _State.SENT
            entry.tries += 1
            wait_s = self._settings.ack_timeout_s * 2 ** min(entry.tries - 1, 10)
            entry.again_at = time.monotonic() + min(wait_s, self._settings.ack_timeout_max_s)
            self._wire_bytes += entry.size
            self._wire_messages += 1
            try:
                await self._link.publish(
                    entry.subject, entry.body, reply=self._prefix + entry.token, headers=entry.headers
                )
            except TooLarge as error:
                self._finish(entry, PublishFailed(Failure.TOO_LARGE, str(error)))
            except Refused as error:
                self._finish(entry, PublishFailed(Failure.REFUSED, str(error)))
            except JetStreamUnavailable:
                self._back_to_outbox()

    def _repeat_overdue(self, now: float) -> None:
        if len(self._outbox) > len(self._entries):
            self._outbox = deque(entry for entry in self._outbox if entry.token in self._entries)
        for entry in tuple(self._entries.values()):
            if entry.deadline <= now:
                text = f"{entry.subject}: no ack by its deadline, sent {entry.tries} times"
                self._finish(entry, PublishFailed(Failure.DEADLINE, text, is_unknown=entry.tries > 0))
            elif entry.state is not _State.READY and entry.again_at <= now:
                self._off_wire(entry)
                entry.state = _State.READY
                self._outbox.append(entry)

    def _back_to_outbox(self) -> None:
        """The connection broke: all that was sent and not acknowledged goes again, oldest first."""
        sent = [entry for entry in self._entries.values() if entry.state is _State.SENT]
        for entry in sent:
            self._off_wire(entry)
            entry.state = _State.READY
        self._outbox.extendleft(reversed(sent))

    def _connection(self, connected: bool) -> None:
        if not connected:
            self._back_to_outbox()
        self._wake.set()

    def _forbidden(self, text: str) -> None:
        """`permissions violation for publish to "<subject>"`, subject in lower case, is all a forbidden
        publish gets."""
        if "for publish to" not in text:
            return
        for entry in tuple(self._entries.values()):
            if entry.state is _State.SENT and f'"{entry.subject.lower()}"' in text:
                self._finish(entry, PublishFailed(Failure.FORBIDDEN, text))

    def _answered(self, message: Msg) -> None:
        entry = self._entries.get(message.subject[len(self._prefix) :])
        if entry is None:
            return
        if not message.data:
            self._rest(entry)
            return
        try:
            answer = _DECODER.decode(message.data)
        except msgspec.DecodeError:
            self._finish(
                entry, PublishFailed(Failure.REFUSED, f"{entry.subject}: unreadable ack", is_unknown=True)
            )
            return
        if answer.error is None:
            self.duplicates += answer.duplicate
            self._finish(entry, PubAck(answer.stream, answer.seq, answer.duplicate))
        else:
            self._failed(entry, answer.error)

    def _failed(self, entry: _Entry, error: _Error) -> None:
        text = f"{entry.subject}: {error.description} ({error.err_code or error.code})"
        if error.err_code in CONFLICTS:
            sequence = stored_sequence(error.description)
            self._finish(entry, PublishFailed(Failure.CONFLICT, text, error.err_code, sequence))
        elif error.err_code in FULL:
            self._finish(entry, PublishFailed(Failure.FULL, text, error.err_code))
        elif error.err_code in PASSING or error.code == 503:
            self._rest(entry)
        else:
            self._finish(entry, PublishFailed(Failure.REFUSED, text, error.err_code))

    def _rest(self, entry: _Entry) -> None:
        """Nobody there, or busy: again after the tick, then longer, at most 5 s."""
        if entry.state is _State.SENT:
            self._off_wire(entry)
            entry.state = _State.RESTING
            entry.again_at = time.monotonic() + min(
                self._settings.tick_s * 2 ** min(entry.tries - 1, 10), 5.0
            )

    def _off_wire(self, entry: _Entry) -> None:
        if entry.state is _State.SENT:
            self._wire_bytes -= entry.size
            self._wire_messages -= 1

    def _forget(self, entry: _Entry) -> None:
        self._off_wire(entry)
        del self._entries[entry.token]
        self._pending_bytes -= entry.size
        if self._pending_bytes < self._settings.pending_bytes // 2:
            self._room.set()
        if not self._entries:
            self._idle.set()
        if self._outbox:
            self._wake.set()

    def _finish(self, entry: _Entry, result: PubAck | PublishFailed) -> None:
        self._forget(entry)
        entry.on_done(result)

    def _fail_all(self, failure: Failure, text: str) -> None:
        for entry in tuple(self._entries.values()):
            self._finish(entry, PublishFailed(failure, text, is_unknown=entry.tries > 0))
