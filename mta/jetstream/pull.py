"""Pulling messages of one durable consumer, one request after the other.

A pull ends when its batch is full, when the server says so, when the connection breaks or when it is overdue;
nothing stays parked at a server that has died. Messages are handed over as they come.

`pulled_at` is when the pull that brought the message was *sent*: a lease counted from there never outlasts
the server's. Requests are served in order, so a message is put down to the oldest request that can still be
alive: a request given up at a disconnect counts as alive until it would have expired, and may bring up to its
batch on top of the next one's. Left to others: how much to ask for, and everything about the message itself.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from itertools import count

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from mta.jetstream.answers import is_forbidden
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamUnavailable, PermissionMissing, Refused

_GRACE_S = 2.0
"""How much later than its expiry a pull may end before it is given up."""
_MESSAGE_ROOM = 64 << 10
_ENCODER = msgspec.json.Encoder()


class Pulled(Struct, frozen=True, gc=False):
    """One delivery. `num_delivered` counts from 1; `at_ns` is when the stream took the message, `pulled_at`
    monotonic seconds; `pending` is how many more the consumer had to give."""

    subject: str
    data: bytes
    headers: dict[str, str]
    reply: str
    stream: str
    consumer: str
    stream_sequence: int
    num_delivered: int
    at_ns: int
    pending: int
    pulled_at: float


class End(StrEnum):
    """Why a pull ended."""

    FULL = "full"
    """The batch, or the bytes asked for, came."""
    EMPTY = "empty"
    """Expired, or nothing there and asked not to wait."""
    GONE = "gone"
    """No such consumer (any more), or nobody leads it."""
    LOST = "lost"
    """The connection broke."""
    OVERDUE = "overdue"
    REFUSED = "refused"


class PullEnd(Struct, frozen=True, gc=False):
    end: End
    received: int
    text: str = ""


class _Ask(Struct, eq=False):
    """A request the server may still be serving."""

    token: str
    sent_at: float
    remaining: int
    alive_until: float


def parse_reply(reply: str) -> tuple[str, str, int, int, int, int]:
    """(stream, consumer, deliveries, stream sequence, time in ns, pending) of `$JS.ACK.…`; ValueError if it
    is none.

    Nine tokens; or eleven and more, with domain and account hash in front (ADR-15).
    """
    tokens = reply.split(".")
    if tokens[:2] != ["$JS", "ACK"] or (len(tokens) != 9 and len(tokens) < 11):
        raise ValueError(f"not the reply subject of a pulled message: {reply[:200]}")
    stream, consumer, delivered, sequence, _, at_ns, pending = (
        tokens[2:9] if len(tokens) == 9 else tokens[4:11]
    )
    return stream, consumer, int(delivered), int(sequence), int(at_ns), int(pending)


class Puller:
    """`open` subscribes, `pull` asks once and waits for the end, `close` lets go. One `pull` at a time."""

    def __init__(
        self,
        link: Link,
        stream: str,
        consumer: str,
        on_message: Callable[[Pulled], Awaitable[None] | None],
    ) -> None:
        self._link = link
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self.consumer = consumer
        self._on_message = on_message
        self._tokens = count(1)
        self._asks: deque[_Ask] = deque()
        self._ended: asyncio.Future[PullEnd] | None = None
        self._batch = 0
        self._received_now = 0
        self._subscription: Subscription | None = None
        self._prefix = ""
        self._forget_listeners: tuple[Callable[[], None], ...] = ()
        self._closing = False

    async def open(self) -> None:
        inbox = self._link.inbox()
        self._prefix = f"{inbox}."
        self._subscription = await self._link.subscribe(f"{inbox}.*", self._received)
        self._forget_listeners = (
            self._link.on_connection(self._connection),
            self._link.on_forbidden(self._on_forbidden),
        )

    async def pull(self, batch: int, *, expires_s: float = 0.0, max_bytes: int = 8 << 20) -> PullEnd:
        """Asks for up to `batch` messages and returns when that request has ended. `expires_s` 0 takes what
        is there and does not wait. `max_bytes` is raised to what holds the largest message: it could never be
        had otherwise."""
        now = time.monotonic()
        token = str(next(self._tokens))
        room = max(max_bytes, self._link.max_payload + _MESSAGE_ROOM)
        query: dict[str, int | bool] = {"batch": batch, "max_bytes": room}
        if expires_s:
            query["expires"] = int(expires_s * 1e9)
        else:
            query["no_wait"] = True
        while self._asks and self._asks[0].alive_until < now:
            self._asks.popleft()
        ask = _Ask(token, now, batch, now + expires_s + _GRACE_S)
        self._asks.append(ask)
        self._batch, self._received_now = batch, 0
        self._ended = asyncio.get_running_loop().create_future()
        try:
            await self._link.publish(self._subject, _ENCODER.encode(query), reply=self._prefix + token)
            async with asyncio.timeout(expires_s + _GRACE_S):
                return await self._ended
        except TimeoutError:
            return PullEnd(End.OVERDUE, self._received_now)
        except JetStreamUnavailable as error:
            return PullEnd(End.LOST, self._received_now, str(error))
        except Refused as error:
            return PullEnd(End.REFUSED, self._received_now, str(error))
        finally:
            self._ended = None

    async def close(self) -> None:
        """From now on nothing is handed over: what the server had already sent goes back to it at once."""
        self._closing = True
        for forget in self._forget_listeners:
            forget()
        self._forget_listeners = ()
        if self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            # While the connection breaks this fails: what was under way is then delivered again after ack_wait.
            with suppress(JetStreamUnavailable, TimeoutError):
                async with asyncio.timeout(_GRACE_S):
                    await self._link.unsubscribe(subscription, drain=True)
        self._finish(End.LOST, "closed")

    def _connection(self, connected: bool) -> None:
        if not connected:
            self._finish(End.LOST, "the connection broke")

    def _on_forbidden(self, text: str) -> None:
        if is_forbidden(self._subject, text) and self._ended is not None and not self._ended.done():
            self._ended.set_exception(PermissionMissing(f"this user may not publish to {self._subject}"))

    def _received(self, message: Msg) -> Awaitable[None] | None:
        if not message.reply.startswith("$JS.ACK."):
            self._status(message)
            return None
        if self._closing:
            return self._give_back(message.reply)
        return self._deliver(message)

    async def _give_back(self, reply: str) -> None:
        # Not connected any more: it is delivered again after ack_wait.
        with suppress(JetStreamUnavailable):
            await self._link.nak(reply)

    def _deliver(self, message: Msg) -> Awaitable[None] | None:
        asks = self._asks
        while len(asks) > 1 and not asks[0].remaining:
            asks.popleft()
        ask = asks[0]
        ask.remaining = max(ask.remaining - 1, 0)
        self._received_now += 1
        stream, consumer, delivered, sequence, at_ns, pending = parse_reply(message.reply)
        pulled = Pulled(
            message.subject,
            message.data,
            message.headers or {},
            message.reply,
            stream,
            consumer,
            sequence,
            delivered,
            at_ns,
            pending,
            ask.sent_at,
        )
        waiting = self._on_message(pulled)
        if self._received_now >= self._batch:
            self._finish(End.FULL, "")
        return waiting

    def _status(self, message: Msg) -> None:
        """404 nothing there, 408 expired, 409 by its text, 503 no such consumer; the batch may be partly
        filled."""
        token = message.subject[len(self._prefix) :]
        ask = next((ask for ask in self._asks if ask.token == token), None)
        headers = message.headers or {}
        code, text = headers.get("Status", ""), headers.get("Description", "")
        if ask is None or code == "100":
            return
        lowered = text.lower()
        if code in ("404", "408") or (code == "409" and "batch completed" in lowered):
            end = End.EMPTY
        elif code == "409" and "exceeds maxbytes" in lowered:
            end = End.FULL
        elif code == "503" or (code == "409" and ("deleted" in lowered or "leadership" in lowered)):
            end = End.GONE
        else:
            end = End.REFUSED
        ask.remaining = 0
        if ask is self._asks[-1]:
            self._finish(end, text)

    def _finish(self, end: End, text: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(PullEnd(end, self._received_now, text))
