"""The client library, tamed: what it lacks at a disconnect, and its exceptions turned into ours.

`TamedClient`, its `_Socket` and `Straight` reach into the library's private parts; nothing else does. If a later
release renames them, the tests of the connection fail: nothing sent while disconnected, a clear error in the turn of
the loop in which it comes to that, a frozen server left in time, and each message handed over within the turn of the
loop that read it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nats import errors as nats_errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

from mta.jetstream.errors import JetStreamError, JetStreamUnavailable, Refused, TooLarge, Unconfirmed

_MOST_UNSENT = 1 << 20  # above this the library's flusher takes over, which waits for the socket


class _Socket(TcpTransport):
    """A transport that fails as sockets do: uvloop raises RuntimeError where something is written in the turn of the
    loop in which it has closed the socket, and neither the library nor its users expect one."""

    def __bool__(self) -> bool:
        """The library would put another one in its place as long as it is not connected."""
        return True

    def write(self, payload: bytes) -> None:
        with _as_disconnect():
            super().write(payload)  # type: ignore[no-untyped-call]

    def writelines(self, payload: list[bytes]) -> None:
        with _as_disconnect():
            super().writelines(payload)  # type: ignore[no-untyped-call]

    async def drain(self) -> None:
        with _as_disconnect():
            await super().drain()  # type: ignore[no-untyped-call]


@contextmanager
def _as_disconnect() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ConnectionResetError("the connection is closed") from error


class TamedClient(Client):
    """The library's client, plus what it lacks at the moment of a disconnect: forgetting what it
    had not yet written (it would be sent minutes later), and a close that does not wait for a peer that reads
    no more. And it writes at once: its flusher does so a turn of the loop later, milliseconds under load."""

    def forget_unwritten(self) -> None:
        self._pending.clear()
        self._pending_data_size = 0

    async def _flush_pending(self, force_flush: bool = False) -> Any:
        transport = self._transport
        writer = getattr(transport, "_bare_io_writer", None)
        is_backed_up = writer is None or writer.transport.get_write_buffer_size() > _MOST_UNSENT
        if transport is None or force_flush or is_backed_up or not self.is_connected:
            return await super()._flush_pending(force_flush)
        pending, self._pending, self._pending_data_size = self._pending, [], 0
        if pending:
            transport.writelines(pending)
        return None

    async def _connect_to_server(self, s: Any) -> None:
        """The attempt before may have ended without an answer, at a server that is stopped: its socket would stay open
        until the collector of cycles comes round."""
        self._abort_writer()
        if self._transport is None and s.uri.scheme not in ("ws", "wss"):
            self._transport = _Socket()  # type: ignore[no-untyped-call]
        await super()._connect_to_server(s)

    async def _process_pong(self) -> None:
        """Whoever waited for it may have been cancelled meanwhile: the library's reader would end by that, and the
        connection hear nothing any more."""
        if self._pongs and self._pongs[0].done():
            del self._pongs[0]
            self._pings_outstanding = 0
            return
        await super()._process_pong()

    async def _process_op_err(self, e: Exception) -> None:
        if self.is_connected:
            self._abort_writer()
        await super()._process_op_err(e)

    def _abort_writer(self) -> None:
        writer = getattr(self._transport, "_bare_io_writer", None)
        if writer is not None:
            writer.transport.abort()


class Straight:
    """Stands in for the queue between a subscription and its callback: what is put there is handed over at once.
    Only a message whose callback has to wait makes those behind it wait, in order."""

    def __init__(
        self, subscription: Subscription, on_message: Callable[[Msg], Awaitable[None] | None]
    ) -> None:
        self._subscription = subscription
        self._on_message = on_message
        self._behind: asyncio.Task[None] | None = None
        self._waiting: list[Msg] = []

    def put_nowait(self, message: Msg) -> None:
        self._subscription._pending_size -= len(message.data)
        if self._behind is not None:
            self._waiting.append(message)
            return
        waiting = self._on_message(message)
        if waiting is not None:
            self._behind = asyncio.ensure_future(self._catch_up(waiting))

    async def _catch_up(self, waiting: Awaitable[None] | None) -> None:
        while True:
            if waiting is not None:
                await waiting
            if not self._waiting:
                self._behind = None
                return
            waiting = self._on_message(self._waiting.pop(0))

    async def get(self) -> Msg:
        """The library's own reader waits here for ever."""
        never: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        return await never

    async def join(self) -> None:
        if self._behind is not None:
            await self._behind

    def empty(self) -> bool:
        return not self._waiting

    def qsize(self) -> int:
        return len(self._waiting)


LIBRARY_ERRORS = (nats_errors.Error, OSError, TimeoutError)


def ours(error: Exception, what: str) -> JetStreamError:
    """One of `LIBRARY_ERRORS` in our words, with `what` in front."""
    match error:
        case nats_errors.MaxPayloadError():
            return TooLarge(f"{what}: {error}")
        case nats_errors.TimeoutError() | TimeoutError():
            return Unconfirmed(f"{what}: no answer")
        case nats_errors.BadSubjectError() | nats_errors.BadHeaderError():
            return Refused(f"{what}: {error}")
        case _:
            return JetStreamUnavailable(f"{what}: {error}")


@contextmanager
def border(what: str) -> Iterator[None]:
    """Whatever the library raises inside leaves as one of ours."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise ours(error, what) from error


def without_password(url: str) -> str:
    """For people: scheme, host and port of a server."""
    scheme, separator, rest = url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
