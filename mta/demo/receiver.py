"""The socket skin of the receiving dialogue, under asyncio and uvloop alike.

Reads, feeds, writes: the replies to all that one read completed go out in one write. It listens on loopback
for a demo or a load test and keeps no deadlines, so it is no server to put on a network.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import cast

from mta.demo.dialogue import Dialogue
from mta.demo.policy import Features, Policy

_READ = memoryview(bytearray(262_144))
"""Where every connection's input lands, to be taken out in the same call: TLS would make one for each read."""


class Receiver(asyncio.BufferedProtocol):
    """One connection. `connections` is the set it is in while it lives, for whoever closes the listener."""

    def __init__(
        self, dialogue: Dialogue, policy: Policy, connections: "set[Receiver]", tls: ssl.SSLContext | None
    ) -> None:
        self._dialogue = dialogue
        self._policy = policy
        self._connections = connections
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._pause: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._go_on(self._dialogue.greeting())

    def get_buffer(self, sizehint: int) -> memoryview:
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        self._take(bytes(_READ[:nbytes]))

    def _take(self, data: bytes) -> None:
        self._go_on(self._dialogue.feed(data))

    def _go_on(self, replies: bytes) -> None:
        dialogue = self._dialogue
        self._policy.before_replies()
        if replies:
            self._write(replies)
        if dialogue.is_over:
            self._end()
        elif dialogue.pause_s:
            self._start_pause()
        elif dialogue.wants_tls and self._handshake is None:
            self._start_tls()

    def _end(self) -> None:
        if self._dialogue.is_reset and self._transport is not None:
            linger = struct.pack("ii", 1, 0)  # on, for 0 s: closing it is a reset
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        else:
            self._close()

    def _start_pause(self) -> None:
        """Not read either: who goes on sending finds the window closed."""
        if self._pause is None and self._transport is not None:
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            self._pause = loop.call_later(self._dialogue.pause_s, self._resume)

    def _resume(self) -> None:
        self._pause = None
        if self._transport is not None:
            self._transport.resume_reading()
            self._go_on(self._dialogue.resume())

    def pause_writing(self) -> None:
        """Who does not read our replies is not read either."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)
        if self._pause is not None:
            self._pause.cancel()

    def abort(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _start_tls(self) -> None:
        """A protocol callback cannot await: the handshake is a task that this object keeps and `abort`
        cancels."""
        assert self._transport is not None
        self._transport.pause_reading()
        self._handshake = asyncio.get_running_loop().create_task(
            self._shake_hands(), name="receiver: start tls"
        )

    async def _shake_hands(self) -> None:
        assert self._transport is not None
        assert self._tls is not None
        loop = asyncio.get_running_loop()
        try:
            upgraded = await loop.start_tls(self._transport, self, self._tls, server_side=True)
        except OSError:  # ssl.SSLError is one; the peer has gone or speaks no TLS
            self.abort()
            return
        self._transport = upgraded
        self._dialogue.tls_started()


class Listener:
    """An open port, of one address or several, and the connections that came in by it."""

    def __init__(self, server: asyncio.Server, connections: set[Receiver]) -> None:
        self._server = server
        self._connections = connections
        self.port: int = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()


ReceiverFactory = Callable[[Dialogue, Policy, set[Receiver], ssl.SSLContext | None], Receiver]


async def listen(
    policy: Policy,
    features: Features,
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    receiver: ReceiverFactory = Receiver,
) -> Listener:
    """Port 0 is any free one."""
    connections: set[Receiver] = set()
    sessions = 0

    def accept() -> Receiver:
        nonlocal sessions
        sessions += 1
        return receiver(Dialogue(policy, features, sessions), policy, connections, tls)

    server = await asyncio.get_running_loop().create_server(accept, host, port, backlog=512)
    return Listener(server, connections)
