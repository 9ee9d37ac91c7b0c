"""FakeMX: a scriptable SMTP server on loopback that captures every octet and does as its script says.

It behaves like a strict server (nested MAIL is 503, DATA without a recipient 554, RSET needed after that)
except where a rule of the script matches. Delays are events, never sleeps. It knows nothing of the client's
code.
"""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import cast

PIPELINING = ("PIPELINING", "8BITMIME", "SIZE 50000000")
CHUNKING = (*PIPELINING, "CHUNKING")


class Cut(Enum):
    CLOSE = auto()
    """FIN."""
    RESET = auto()
    """RST."""
    SILENCE = auto()
    """Read on, never answer again."""


@dataclass(frozen=True)
class Hold:
    """Wait for the event before the next step."""

    event: asyncio.Event


@dataclass(frozen=True)
class ToHello:
    """Wait for the first record of the client's TLS, and say what `answer` makes of it. In the phase `handshake`
    only."""

    answer: Callable[[bytes], bytes]


Step = bytes | Cut | Hold | ToHello


@dataclass
class On:
    """A rule: what to do in this phase instead of the usual. Every condition given must hold; `times`
    bounds its use.

    Phases: banner ehlo helo starttls handshake auth login mail rcpt data body dot rset quit. `auth` is met at the
    command, `login` at each line that a challenge was answered with. `body` is met when the octets of a message begin,
    `dot` at their end (of DATA and BDAT alike). `number` counts the MAILs of the
    connection from 1.
    """

    phase: str
    steps: Sequence[Step]
    connection: int | None = None
    number: int | None = None
    recipient: str | None = None
    in_tls: bool | None = None
    times: int | None = None

    def matches(self, phase: str, client: "_Client") -> bool:
        return (
            self.phase == phase
            and self.connection in (None, client.index)
            and self.number in (None, client.number)
            and self.recipient in (None, client.recipient)
            and self.in_tls in (None, client.in_tls)
            and self.times != 0
        )


@dataclass(frozen=True)
class Received:
    """One message whose end was seen, whatever was answered."""

    connection: int
    sender: str
    recipient: str
    body: bytes
    """As meant: without dot-stuffing."""
    verb: str
    code: int


@dataclass
class FakeMX:
    """`after_dot`: what becomes of complete lines that lie behind the final dot: `serve` them, answer
    `haraka`'s 503 to each, or `drop` them in silence as chasquid does. `is_lenient` ends DATA at anything
    ever taken for an end."""

    offers: Sequence[str] = ()
    tls_offers: Sequence[str] | None = None
    rules: Sequence[On] = ()
    banner: bytes = b"220 mx.test ESMTP\r\n"
    after_dot: str = "serve"
    is_lenient: bool = False
    context: ssl.SSLContext | None = None
    received: list[Received] = field(default_factory=list)
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    wires: list[bytearray] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connections(self) -> int:
        return len(self.wires)

    @property
    def accepted(self) -> list[Received]:
        return [each for each in self.received if 200 <= each.code < 300]

    @property
    def clients(self) -> int:
        """Connections open now."""
        return len(self._tasks)

    async def until(self, fact: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Returns once `fact()` holds; looked at whenever anything has happened here."""
        async with asyncio.timeout(timeout_s):
            while not fact():
                self._news.clear()
                await self._news.wait()

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._news.set()

    def commands(self, connection: int) -> list[bytes]:
        return [line for index, line in self.lines if index == connection]

    @asynccontextmanager
    async def serving(self, bound: socket.socket | None = None) -> AsyncIterator["FakeMX"]:
        """On a free port, or on a socket that is bound already."""
        loop = asyncio.get_running_loop()
        if bound is None:
            server = await loop.create_server(lambda: _Client(self), self.host, 0)
        else:
            server = await loop.create_server(lambda: _Client(self), sock=bound)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()


class _Gone(Exception):
    """The client is no longer there, or the script has cut it off."""


_STRICT_END = re.compile(rb"(?:\A|\r\n)\.\r\n")
_LENIENT_END = re.compile(rb"(?:\A|[\r\n\0])\.[\r\n\0]")
_ENVELOPE = re.compile(rb"(?:MAIL FROM|RCPT TO):<(.*?)>", re.IGNORECASE)


class _Client(asyncio.Protocol):
    def __init__(self, mx: FakeMX) -> None:
        self._mx = mx
        self._buffer = bytearray()
        self._out = bytearray()
        self._news = asyncio.Event()
        self._is_gone = False
        self.index = -1
        self.number = 0
        self.in_tls = False
        self.is_open = False
        self.sender = ""
        self.recipient = ""
        self.is_valid = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.index = len(self._mx.wires)
        self._mx.wires.append(bytearray())
        task = asyncio.get_running_loop().create_task(self._serve(), name=f"fake-mx-{self.index}")
        self._mx._tasks.add(task)
        task.add_done_callback(self._mx._forget)
        self._mx._news.set()

    def data_received(self, data: bytes) -> None:
        self._mx.wires[self.index] += data
        self._buffer += data
        self._news.set()

    def eof_received(self) -> bool:
        self._is_gone = True
        self._news.set()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_gone = True
        self._news.set()

    async def _serve(self) -> None:
        try:
            await self._answer("banner", self._mx.banner)
            while True:
                await self._command(await self._line())
        except _Gone:
            pass
        finally:
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(bytes(self._out))
        self._out.clear()

    async def _more(self) -> None:
        """Replies go out together when all that came has been read, as real servers do."""
        self._flush()
        if self._is_gone:
            raise _Gone
        self._news.clear()
        await self._news.wait()

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n") + 1) == 0:
            await self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._mx.lines.append((self.index, line))
        self._mx._news.set()
        return line

    async def _octets(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._more()
        octets = bytes(self._buffer[:size])
        del self._buffer[:size]
        return octets

    async def _record(self) -> bytes:
        """One of TLS (RFC 8446 section 5.1)."""
        header = await self._octets(5)
        return header + await self._octets(int.from_bytes(header[3:], "big"))

    def _rule(self, phase: str) -> On | None:
        for rule in self._mx.rules:
            if rule.matches(phase, self):
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    async def _answer(self, phase: str, usual: bytes) -> int:
        """Say what the script says here, else the usual; the code of what was said."""
        rule = self._rule(phase)
        code = 0
        for step in (usual,) if rule is None else rule.steps:
            if isinstance(step, Hold):
                self._flush()
                await step.event.wait()
            elif isinstance(step, Cut):
                await self._cut(step)
            elif isinstance(step, ToHello):
                self._out += step.answer(await self._record())
            else:
                self._out += step
                code = int(step[:3]) if step[:3].isdigit() else 0
        return code

    async def _cut(self, cut: Cut) -> None:
        self._flush()
        if cut is Cut.SILENCE:
            while True:
                await self._more()
        if cut is Cut.RESET:
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()
        raise _Gone

    async def _command(self, line: bytes) -> None:
        verb = line.strip().split(b" ")[0].upper()
        if verb in (b"EHLO", b"HELO"):
            await self._hello(verb)
        elif verb == b"STARTTLS":
            await self._start_tls()
        elif verb == b"AUTH":
            await self._auth(line)
        elif verb == b"MAIL":
            await self._mail(line)
        elif verb == b"RCPT":
            await self._rcpt(line)
        elif verb == b"DATA":
            await self._data()
        elif verb == b"BDAT":
            await self._bdat(int(line.split()[1]))
        elif verb == b"RSET":
            self.is_open = self.is_valid = False
            await self._answer("rset", b"250 2.0.0 reset\r\n")
        elif verb == b"QUIT":
            await self._answer("quit", b"221 2.0.0 bye\r\n")
            raise _Gone
        else:
            self._out += b"500 5.5.2 what?\r\n"

    async def _hello(self, verb: bytes) -> None:
        offers = list(self._mx.offers)
        if self.in_tls and self._mx.tls_offers is not None:
            offers = list(self._mx.tls_offers)
        if self._mx.context is not None and not self.in_tls:
            offers.append("STARTTLS")
        lines = ["mx.test", *(offers if verb == b"EHLO" else ())]
        text = "".join(f"250-{each}\r\n" for each in lines[:-1]) + f"250 {lines[-1]}\r\n"
        await self._answer(verb.decode().lower(), text.encode())

    async def _start_tls(self) -> None:
        code = await self._answer("starttls", b"220 2.0.0 go ahead\r\n")
        self._flush()
        if code != 220:
            return
        await self._answer("handshake", b"")
        assert self._mx.context is not None
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self._transport, self, self._mx.context, server_side=True)
        except OSError:
            raise _Gone from None
        if transport is None:
            raise _Gone
        self._transport = transport
        self.in_tls = True
        self.is_open = False

    async def _auth(self, line: bytes) -> None:
        """Any password will do."""
        is_plain = b" PLAIN " in line.upper()
        challenge = b"UGFzc3dvcmQ6" if b" LOGIN" in line.upper() else b"PDE3ODkzQG14LnRlc3Q+"
        usual = b"235 2.7.0 welcome\r\n" if is_plain else b"334 " + challenge + b"\r\n"
        code = await self._answer("auth", usual)
        while code == 334:
            await self._line()
            code = await self._answer("login", b"235 2.7.0 welcome\r\n")

    async def _mail(self, line: bytes) -> None:
        self.number += 1
        match = _ENVELOPE.match(line)
        if self.is_open:
            self._out += b"503 5.5.1 nested MAIL command\r\n"
            return
        code = await self._answer("mail", b"250 2.1.0 sender ok\r\n")
        if 200 <= code < 300 and match:
            self.is_open, self.is_valid = True, False
            self.sender = match[1].decode()

    async def _rcpt(self, line: bytes) -> None:
        match = _ENVELOPE.match(line)
        if not self.is_open or not match:
            self._out += b"503 5.5.1 need MAIL command\r\n"
            return
        self.recipient = match[1].decode()
        code = await self._answer("rcpt", b"250 2.1.5 recipient ok\r\n")
        self.is_valid = self.is_valid or 200 <= code < 300

    async def _data(self) -> None:
        usual = b"354 go on\r\n" if self.is_valid else b"554 5.5.1 no valid recipients\r\n"
        if await self._answer("data", usual) != 354:
            return
        await self._answer("body", b"")
        pattern = _LENIENT_END if self._mx.is_lenient else _STRICT_END
        seen = 0
        while (match := pattern.search(self._buffer, seen)) is None:
            seen = max(0, len(self._buffer) - 5)
            await self._more()
        raw = bytes(self._buffer[: match.start()]) + (
            b"\r\n" if match.start() or match[0][:1] == b"\r" else b""
        )
        del self._buffer[: match.end()]
        body = re.sub(rb"(?m)^\.", b"", raw)
        await self._end("DATA", body)
        if self._mx.after_dot == "haraka":
            lines = self._buffer.count(b"\n")
            self._buffer.clear()
            self._out += b"503 Bad sequence of commands - pipelined after end of DATA\r\n" * lines
        elif self._mx.after_dot == "drop":
            self._buffer.clear()

    async def _bdat(self, size: int) -> None:
        await self._answer("body", b"")
        octets = await self._octets(size)
        if self.is_valid:
            await self._end("BDAT", octets)
        else:
            self._out += b"554 5.5.1 no valid recipients\r\n"
            self.is_open = False

    async def _end(self, verb: str, body: bytes) -> None:
        # Logged before the reply goes out: what the client calls delivered must stand here already.
        place = len(self._mx.received)
        received = Received(self.index, self.sender, self.recipient, body, verb, 0)
        self._mx.received.append(received)
        self._mx._news.set()
        self.is_open = self.is_valid = False
        code = await self._answer("dot", b"250 2.0.0 queued\r\n")
        self._mx.received[place] = Received(self.index, self.sender, self.recipient, body, verb, code)
