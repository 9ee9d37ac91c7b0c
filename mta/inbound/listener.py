"""The sockets reports come in by: how many may be connected, and how all of them end.

Whoever is one too many hears 421 and is closed before anything is built for it. A network of 64 bits is one address:
that many are given to each customer.
"""

import asyncio
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, cast

import structlog
from msgspec.structs import replace

from mta.inbound.admission import Admission
from mta.inbound.counters import Counters
from mta.inbound.dialogue import Dialogue, Receive
from mta.inbound.settings import InboundSettings
from mta.inbound.wire import Room

_BACKLOG = 512
_RECEIVE_BYTES = 1 << 16
"""Of a socket: the loop hands over at once what is there, and what waits there is not counted in `Room`."""
_TURNED_AWAY = b"421 4.7.0 Too many connections, come again\r\n"

log = structlog.get_logger()


class Listener:
    """`open` inside the running loop, `drain` at the end. `context` None: TLS is not offered."""

    def __init__(
        self,
        settings: InboundSettings,
        hostname: str,
        context: ssl.SSLContext | None,
        admission: Admission,
        receive: Receive,
        counters: Counters,
    ) -> None:
        self.settings = settings
        self.hostname = hostname
        self.context = context
        self.admission = admission
        self.receive = receive
        self.counters = counters
        self.room = Room(settings.max_held_bytes)
        self._servers: list[asyncio.Server] = []
        self._connected: dict[Dialogue, bytes] = {}
        self._per_address: Counter[bytes] = Counter()
        self._left = asyncio.Event()
        self._is_draining = False

    @property
    def connections(self) -> int:
        return len(self._connected)

    async def open(self, sockets: Iterable[socket.socket]) -> None:
        """Bound ones, which are ours from here on."""
        loop = asyncio.get_running_loop()
        self.settings = _affordable(self.settings, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
            server = await loop.create_server(lambda: _Door(self), sock=one, backlog=_BACKLOG)
            self._servers.append(server)
        listening = [one.getsockname()[:2] for server in self._servers for one in server.sockets]
        log.info("inbound_listening", at=listening, starttls=self.context is not None)

    async def drain(self, limit_s: float) -> None:
        """Nobody comes in any more; whoever sends a message gets its answer, within the limit, the others 421."""
        self._is_draining = True
        for server in self._servers:
            server.close()
        for dialogue in tuple(self._connected):
            dialogue.leave()
        try:
            async with asyncio.timeout(limit_s):
                while self._connected:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            for dialogue in tuple(self._connected):
                dialogue.abort()

    def admit(self, transport: asyncio.Transport) -> None:
        """Of a new connection."""
        network = _network(transport.get_extra_info("peername"))
        settings = self.settings
        if (
            self._is_draining
            or len(self._connected) >= settings.max_connections
            or self._per_address[network] >= settings.max_per_address
        ):
            self.counters.turned_away += 1
            transport.write(_TURNED_AWAY)
            transport.close()
            return
        self.counters.connections += 1
        dialogue = Dialogue(self, asyncio.get_running_loop())
        self._connected[dialogue] = network
        self._per_address[network] += 1
        transport.set_protocol(dialogue)
        dialogue.connection_made(transport)

    def ended(self, dialogue: Dialogue) -> None:
        network = self._connected.pop(dialogue, None)
        if network is None:
            return
        self._per_address[network] -= 1
        if not self._per_address[network]:
            del self._per_address[network]
        self._left.set()


class _Door(asyncio.Protocol):
    """In the way until it is known whether there is room: a conversation costs far more to build."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._listener.admit(cast(asyncio.Transport, transport))


def _affordable(settings: InboundSettings, open_files: int) -> InboundSettings:
    """Of the descriptors this process may have three quarters are for sending: a listener that takes the last one takes
    it from there, or from the connection to NATS."""
    most = open_files // 4
    if open_files == resource.RLIM_INFINITY or settings.max_connections <= most:
        return settings
    log.warning("inbound_connections_limited", configured=settings.max_connections, to=most)
    return replace(settings, max_connections=most)


def _network(peer: Any) -> bytes:
    """Of a peer name as the socket module gives it; what is none (a Unix socket) is one network."""
    if not isinstance(peer, tuple):
        return b""
    address = ip_address(peer[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    packed = (mapped or address).packed
    return packed if len(packed) == 4 else packed[:8]
