"""A listener on loopback with its reception scripted, and a peer that says exactly what it is told to."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mta.inbound.admission import Addressee, Admission
from mta.inbound.counters import Counters
from mta.inbound.listener import Listener
from mta.inbound.settings import InboundSettings
from mta.model.token import TokenKey, TokenMint, TokenReader

DOMAIN = "b.acme.test"
SECRET = b"k" * 32
MINT = TokenMint("k1", SECRET)
READER = TokenReader([TokenKey("k1", SECRET)])
TOKEN = f"b+{MINT.return_path(b'p' * 16, 3, 'bob@example.test')}@{DOMAIN}"


class Served:
    """`messages` holds what was taken in; `answer` may wait, to keep a peer in work."""

    def __init__(self, settings: InboundSettings, context: ssl.SSLContext | None) -> None:
        self.messages: list[bytes] = []
        self.answer: Callable[[], Awaitable[str]] = _ok
        self.counters = Counters()
        admission = Admission(READER, {DOMAIN: ["acme"]}, feedback=settings.feedback)
        self.listener = Listener(settings, "mx.acme.test", context, admission, self._receive, self.counters)
        self.port = 0

    async def _receive(self, addressee: Addressee, raw: bytes) -> str:
        self.messages.append(raw)
        return await self.answer()


async def _ok() -> str:
    return "250 2.0.0 Ok"


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, raw: bytes) -> None:
        self._writer.write(raw)

    async def send(self, raw: bytes) -> None:
        """Until the other side has taken it, or is gone."""
        self._writer.write(raw)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def reply(self) -> str:
        """All lines of one; empty at the end of the connection, however it ended."""
        lines = []
        while True:
            try:
                line = (await self._reader.readline()).decode()
            except ConnectionError:
                line = ""
            lines.append(line)
            if line[3:4] != "-":
                return "".join(lines)

    async def say(self, line: str) -> str:
        await self.send(line.encode() + b"\r\n")
        return await self.reply()

    async def rest(self) -> str:
        """Everything up to the end of the connection."""
        said = []
        while reply := await self.reply():
            said.append(reply)
        return "".join(said)

    async def hello(self) -> None:
        assert (await self.reply()).startswith("220 ")
        assert (await self.say("EHLO peer.test")).startswith("250")

    async def until_data(self, recipient: str = TOKEN) -> None:
        """Ready to send the octets of a message."""
        assert (await self.say("MAIL FROM:<>")).startswith("250")
        assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")
        assert (await self.say("DATA")).startswith("354")

    async def deliver(self, raw: bytes = b"Subject: x\r\n\r\ny\r\n") -> str:
        await self.until_data()
        await self.send(raw + b".\r\n")
        return await self.reply()

    async def start_tls(self, name: str = "mx.acme.test") -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await self._writer.start_tls(context, server_hostname=name)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()


@asynccontextmanager
async def served(*, context: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Served]:
    one = Served(InboundSettings(**settings), context)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    one.port = listening.getsockname()[1]
    await one.listener.open([listening])
    async with asyncio.timeout(60):
        try:
            yield one
        finally:
            await one.listener.drain(0.0)


@asynccontextmanager
async def peer(server: Served, address: str = "127.0.0.1") -> AsyncIterator[Peer]:
    """Connected from this address of loopback; nothing was read or said yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(address, 0))
    one = Peer(reader, writer)
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def greeted(server: Served, address: str = "127.0.0.1") -> AsyncIterator[Peer]:
    async with peer(server, address) as one:
        await one.hello()
        yield one
