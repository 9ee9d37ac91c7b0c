"""The link to NATS: one connection that never gives up, and the requests made on it.

Invariants: while disconnected nothing is accepted for sending, and what the client library still held is
thrown away, so that no ack or publish leaves later than its sender believes. An answer that cannot come
any more (the connection broke) fails at once. No exception of the client library passes:
`mta.jetstream.client` maps them.

Left to others: repeating (the pump), ownership of what was pulled (the flow), what to do when the link is
closed for good (`watch` raises; the daemon exits).
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from mta.jetstream.answers import is_forbidden, nobody, parse_headers
from mta.jetstream.client import LIBRARY_ERRORS, Straight, TamedClient, border, ours, without_password
from mta.jetstream.errors import (
    JetStreamUnavailable,
    NotFound,
    PermissionMissing,
    Refused,
    TooLarge,
    Unconfirmed,
    Unreachable,
    from_api,
)
from mta.jetstream.settings import NatsSettings

Report = Callable[[str], None]
Served = TypeVar("Served")
Settings = TypeVar("Settings")
_HEADER_ROOM = 64 << 10
_ENCODER = msgspec.json.Encoder()


class Stored(Struct, frozen=True):
    """One message as it lies in a stream."""

    subject: str
    sequence: int
    data: bytes
    headers: dict[str, str]
    time: str


class _Asked(NamedTuple):
    subject: str
    answer: asyncio.Future[Msg]


class Link:
    """Made by `open_link`. Callbacks run on the loop; one that raises ends `watch`."""

    def __init__(self, settings: NatsSettings, name: str, report: Report) -> None:
        self.settings = settings
        self._name = name
        self._report = report
        self._client = TamedClient()
        self._tokens = count(1)
        self._answers: dict[str, _Asked] = {}
        self._answer_prefix = ""
        self._listeners: list[Callable[[bool], None]] = []
        self._forbidden: list[Callable[[str], None]] = []
        self._changed = asyncio.Event()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._last_error = ""

    async def _open(self) -> None:
        timeout_s = self.settings.connect_timeout_s
        servers = ", ".join(without_password(url) for url in self.settings.servers)
        attempt = asyncio.ensure_future(self._connect())
        try:
            await asyncio.wait(
                (attempt, self._refused), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
            if self._refused.done():
                raise PermissionMissing(f"NATS at {servers} refuses our credentials: {self._last_error}")
            if not attempt.done():
                raise Unreachable(f"no NATS server at {servers} after {timeout_s:g} s: {self._last_error}")
            with border(f"NATS at {servers}"):
                attempt.result()
            await self._hear_answers()
        except BaseException:
            await _end(attempt)
            await self._client.close()
            raise

    async def _hear_answers(self) -> None:
        prefix = self.inbox()
        self._answer_prefix = f"{prefix}."
        await self.subscribe(f"{prefix}.*", self._answered)
        with border("the first ping"):
            await self._client.flush()  # a complaint about the subscription comes before the pong
        if self._over.done():
            self._over.result()

    async def _connect(self) -> None:
        settings = self.settings
        login = settings.login
        await self._client.connect(
            servers=list(settings.servers),
            name=self._name,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]
            connect_timeout=2,
            ping_interval=settings.ping_s,  # type: ignore[arg-type]
            max_outstanding_pings=2,
            pending_size=16 << 20,
            flusher_queue_size=1024,
            inbox_prefix=settings.inbox_prefix,
            user_credentials=settings.credentials or None,
            user=login.user if login is not None else None,
            password=login.password if login is not None else None,
        )

    # -- state -------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    @property
    def is_closed(self) -> bool:
        return self._client.is_closed

    @property
    def max_payload(self) -> int:
        return self._client.max_payload

    @property
    def server_version(self) -> str:
        return str(self._client.connected_server_version).removeprefix("<nats server v").removesuffix(">")

    def on_connection(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Calls `listener(connected)` at each change; the result takes it off again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def on_forbidden(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Calls `listener(text)` with the server's complaint, in lower case, when our user may not do
        something: the only trace such a publish leaves."""
        self._forbidden.append(listener)
        return lambda: self._forbidden.remove(listener)

    async def until_connected(self) -> None:
        """Returns at once if connected; raises when the link is closed for good."""
        while not self.is_connected:
            if self._over.done():
                raise JetStreamUnavailable("the link is closed")
            await self._changed.wait()

    async def watch(self) -> None:
        """Waits for ever. Raises when the link is closed for good or one of our callbacks failed."""
        await asyncio.shield(self._over)

    async def close(self) -> None:
        """Sends what was written and closes. Ends `watch` without an error."""
        if not self._over.done():
            self._over.set_result(None)
        await self._client.close()

    def fail(self, error: BaseException) -> None:
        """Ends `watch` with `error`: for callbacks, which have nobody to raise to."""
        if not self._over.done():
            self._over.set_exception(error)
            self._over.exception()  # seen: at a failed start nobody waits for it

    async def _on_error(self, error: Exception) -> None:
        text = str(error) or type(error).__name__
        self._last_error = text
        if "permissions violation" in text:
            self._on_violation(text)
        if "authorization" in text.lower() and not self._answer_prefix and not self._refused.done():
            self._refused.set_result(None)
        self._report(text)

    def _on_violation(self, text: str) -> None:
        """`permissions violation for publish to "<subject>"`, the subject in lower case, is all that comes of a
        forbidden request, and nothing ever comes of a forbidden subscription."""
        if "for subscription to" in text:
            self.fail(PermissionMissing(text))
        for subject, answer in self._answers.values():
            if is_forbidden(subject, text) and not answer.done():
                answer.set_exception(PermissionMissing(f"this user may not publish to {subject}"))
        for listener in tuple(self._forbidden):
            listener(text)

    async def _on_disconnected(self) -> None:
        self._client.forget_unwritten()
        answers, self._answers = self._answers, {}
        for _, answer in answers.values():
            if not answer.done():
                answer.set_exception(Unconfirmed("the connection broke before the answer came"))
        self._tell(connected=False)

    async def _on_reconnected(self) -> None:
        self._tell(connected=True)

    async def _on_closed(self) -> None:
        self.fail(JetStreamUnavailable(f"the connection to NATS is closed for good: {self._last_error}"))
        self._tell(connected=False)

    def _tell(self, *, connected: bool) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        for listener in tuple(self._listeners):
            listener(connected)

    # -- messages ----------------------------------------------------------------------------------

    def inbox(self) -> str:
        return self._client.new_inbox()

    async def subscribe(
        self, subject: str, on_message: Callable[[Msg], Awaitable[None] | None]
    ) -> Subscription:
        """Survives reconnects. `on_message` may return an awaitable: the next message then waits for it."""

        async def guarded(waiting: Awaitable[None]) -> None:
            try:
                await waiting
            except Exception as error:
                self.fail(error)

        def deliver(message: Msg) -> Awaitable[None] | None:
            try:
                waiting = on_message(message)
            except Exception as error:
                self.fail(error)
                return None
            return None if waiting is None else guarded(waiting)

        async def early(message: Msg) -> None:
            waiting = deliver(message)
            if waiting is not None:
                await waiting

        with border(f"subscribe {subject}"):
            subscription = await self._client.subscribe(subject, cb=early)
        subscription._pending_queue = Straight(subscription, deliver)  # type: ignore[assignment]
        return subscription

    async def serve(
        self, factory: Callable[[TamedClient, Settings], Awaitable[Served]], settings: Settings
    ) -> Served:
        """A service of the library on this connection, made by its own factory."""
        with border("serve"):
            return await factory(self._client, settings)

    async def unsubscribe(self, subscription: Subscription, *, drain: bool = False) -> None:
        """With `drain`, every message the server had sent is handed over first."""
        if self._client.is_closed:
            return
        with border("unsubscribe"):
            if drain and self.is_connected:
                await subscription.drain()  # type: ignore[no-untyped-call]
            else:
                await subscription.unsubscribe()

    async def publish(
        self, subject: str, body: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Hands one message to the socket, unconfirmed. Raises when not connected."""
        if not self._client.is_connected:
            raise JetStreamUnavailable("not connected to NATS")
        # The server cuts the connection for good at a message larger than it takes, headers included. They are
        # counted only where they may matter.
        if len(body) > self._client.max_payload - _HEADER_ROOM:
            size = (
                len(body)
                + sum(len(k.encode()) + len(v.encode()) + 4 for k, v in (headers or {}).items())
                + 12
            )
            if size > self._client.max_payload:
                raise TooLarge(
                    f"{subject}: {size} bytes with headers, the server takes {self._client.max_payload}"
                )
        try:
            await self._client.publish(subject, body, reply=reply, headers=headers)
        except LIBRARY_ERRORS as error:
            raise ours(error, subject) from error

    async def request(
        self,
        subject: str,
        body: bytes = b"",
        *,
        timeout_s: float = 5.0,
        headers: dict[str, str] | None = None,
    ) -> Msg:
        """The answer. `JetStreamUnavailable` if nobody serves the subject, `PermissionMissing` if our user may not
        ask there, `Unconfirmed` if none came in time."""
        loop = asyncio.get_running_loop()
        token = str(next(self._tokens))
        answer: asyncio.Future[Msg] = loop.create_future()
        self._answers[token] = _Asked(subject, answer)
        timer = loop.call_later(timeout_s, self._unanswered, token, subject)
        try:
            await self.publish(subject, body, reply=self._answer_prefix + token, headers=headers)
            message = await answer
        finally:
            timer.cancel()
            self._answers.pop(token, None)
        if message.headers and message.headers.get("Status") == "503":
            raise nobody(subject)
        return message

    def _answered(self, message: Msg) -> None:
        asked = self._answers.get(message.subject[len(self._answer_prefix) :])
        if asked is not None and not asked.answer.done():
            asked.answer.set_result(message)

    def _unanswered(self, token: str, subject: str) -> None:
        asked = self._answers.get(token)
        if asked is not None and not asked.answer.done():
            asked.answer.set_exception(Unconfirmed(f"{subject}: no answer"))

    async def call(
        self,
        subject: str,
        body: bytes = b"",
        *,
        timeout_s: float = 5.0,
        headers: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON object that answers: of the JetStream API or of a stream that stored the message. Its
        error object is raised as ours."""
        message = await self.request(subject, body, timeout_s=timeout_s, headers=headers)
        try:
            answer = msgspec.json.decode(message.data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Refused(f"{subject}: the answer is no JSON object") from error
        if refusal := answer.get("error"):
            text = f"{subject}: {refusal.get('description', '')}"
            raise from_api(refusal.get("code", 0), refusal.get("err_code", 0), text)
        return answer

    async def api(self, name: str, body: Any = None, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """One request of the JetStream API, `$JS.API.<name>`."""
        payload = b"" if body is None else _ENCODER.encode(body)
        return await self.call(f"$JS.API.{name}", payload, timeout_s=timeout_s)

    # -- acks: `reply` is that of a pulled message -------------------------------------------------

    async def ack_sync(self, reply: str, *, timeout_s: float = 5.0) -> None:
        """Returns when the server has removed the message; `Unconfirmed` leaves open whether it did."""
        await self.request(reply, b"+ACK", timeout_s=timeout_s)

    async def progress(self, reply: str, *, timeout_s: float = 5.0) -> float:
        """Renews, confirmed. Returns the monotonic time at which the request was sent: the lease counts from
        there."""
        sent_at = time.monotonic()
        await self.request(reply, b"+WPI", timeout_s=timeout_s)
        return sent_at

    async def nak(self, reply: str, *, delay_s: float = 0.0) -> None:
        await self.publish(reply, b"-NAK" if not delay_s else b'-NAK {"delay":%d}' % int(delay_s * 1e9))

    async def term(self, reply: str, reason: str = "") -> None:
        """Never delivered again; `reason` goes into the server's advisory."""
        await self.publish(reply, f"+TERM {reason}".rstrip().encode())

    # -- single messages of a stream ---------------------------------------------------------------

    async def last_message(self, stream: str, subject: str, *, leader: bool = True) -> Stored | None:
        """The last message on `subject`. From the leader unless told otherwise: another replica may be
        behind."""
        if leader:
            return await self._stored(stream, {"last_by_subj": subject})
        return await self.direct(stream, {"last_by_subj": subject})

    async def next_message(self, stream: str, subject: str, sequence: int) -> Stored | None:
        """The first message on `subject` from that sequence on, read from the leader."""
        return await self._stored(stream, {"next_by_subj": subject, "seq": sequence})

    async def stored_message(self, stream: str, sequence: int) -> Stored | None:
        """The message of that sequence, read from the leader; None once it is gone."""
        return await self._stored(stream, {"seq": sequence})

    async def _stored(self, stream: str, query: dict[str, Any]) -> Stored | None:
        try:
            answer = await self.api(f"STREAM.MSG.GET.{stream}", query)
        except NotFound as error:
            if "stream not found" in str(error):
                raise
            return None
        found = answer["message"]
        raw = base64.b64decode(found.get("hdrs", ""))
        data = base64.b64decode(found.get("data", ""))
        return Stored(found["subject"], found["seq"], data, parse_headers(raw), found["time"])

    async def direct(self, stream: str, query: dict[str, Any]) -> Stored | None:
        """One message from any replica: cheaper than the leader's, and raw, but possibly behind."""
        message = await self.request(f"$JS.API.DIRECT.GET.{stream}", _ENCODER.encode(query))
        headers = message.headers or {}
        if status := headers.get("Status"):
            if status == "404":
                return None
            raise Refused(f"{stream}: {status} {headers.get('Description', '')}")
        sequence = int(headers.get("Nats-Sequence", "0"))
        return Stored(
            headers.get("Nats-Subject", ""),
            sequence,
            message.data,
            headers,
            headers.get("Nats-Time-Stamp", ""),
        )


async def _end(attempt: asyncio.Future[None]) -> None:
    """Cancels until it ends: the library's attempt to connect swallows a cancellation that comes in the very moment
    in which it is refused (`asyncio.wait_for` of Python 3.11), and tries again for ever."""
    while not attempt.done():
        attempt.cancel()
        await asyncio.wait((attempt,), timeout=0.05)
    if not attempt.cancelled():
        attempt.exception()  # seen


async def open_link(settings: NatsSettings, *, name: str, report: Report) -> Link:
    """A connected link. `JetStreamUnavailable` after `connect_timeout_s`, `PermissionMissing` at once when
    refused. `report` gets a line for each thing the client library complains of."""
    link = Link(settings, name, report)
    await link._open()
    return link
