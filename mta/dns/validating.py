"""Asks a validating resolver on this host, whose word on DNSSEC is believed.

One connected datagram socket: the kernel passes only what comes from the resolver's address and port. What comes must
carry the random number and the very question of one that waits; anything else is dropped. A truncated answer is asked
for again over TCP. Nothing is kept: the resolver does that.
"""

import asyncio
import secrets
from collections.abc import Callable

from mta.dns import wire
from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, RecordKind, TroubleKind
from mta.dns.settings import DnsSettings, loopback
from mta.dns.slots import Slots

_DEADLINE_S = 20.0  # per question, its wait for a turn included
_QUICK_QUESTIONS = 256  # at once: that many usual answers fit the socket's buffer
_MOST_QUESTIONS = 10_000  # with those that have no answer yet: a fraction of the 65,536 numbers
_QUICK_S = 0.25  # what comes later than this comes at random
_CLOSED = DnsTrouble("closed", "the resolver is not running")
_TROUBLE: dict[int, tuple[TroubleKind, str]] = {
    wire.SERVFAIL: ("servfail", "the resolver failed, or DNSSEC does not hold"),
    wire.REFUSED: ("refused", "the resolver refuses to answer"),
}


class ValidatingNameserver:
    """The `Nameservers` at `settings.validating`."""

    def __init__(self, settings: DnsSettings) -> None:
        self._settings = settings
        self._address = ("", 0)
        self._is_running = False
        self._opening = asyncio.Lock()
        self._transport: asyncio.DatagramTransport | None = None
        self._waiting: dict[int, tuple[bytes, asyncio.Future[bytes | DnsTrouble]]] = {}
        self._streams: set[asyncio.StreamWriter] = set()
        self._slots = Slots(_QUICK_QUESTIONS, _MOST_QUESTIONS, _QUICK_S)

    def start(self) -> None:
        """ValueError if `validating` is no address of this host."""
        try:
            self._address = loopback(self._settings.validating)
        except ValueError as error:
            raise ValueError(f"dns.validating {self._settings.validating!r} {error}") from error
        self._is_running = True

    async def close(self) -> None:
        self._is_running = False
        self._fail_all(_CLOSED)
        for writer in self._streams:
            writer.transport.abort()
        async with self._opening:
            if self._transport is not None:
                self._transport.close()

    def forget(self) -> None:
        """Nothing is kept."""

    async def ask(self, name: str, kind: RecordKind) -> Answer:
        """The border where errors of sockets and of malformed answers end."""
        try:
            async with asyncio.timeout(_DEADLINE_S), self._slots.taken():
                reply = await self._reply(wire.question(name, kind))
        except TimeoutError as error:
            raise LookupFailed(DnsTrouble("timeout", f"{kind} of {name}: no answer")) from error
        except OSError as error:
            detail = f"{kind} of {name}: {error.strerror or error}"
            raise LookupFailed(DnsTrouble("unreachable", detail)) from error
        except (ValueError, EOFError) as error:
            raise LookupFailed(DnsTrouble("bad_answer", f"{kind} of {name}: {error}")) from error
        if reply.rcode not in (wire.NOERROR, wire.NXDOMAIN):
            trouble, text = _TROUBLE.get(reply.rcode, ("bad_answer", f"response code {reply.rcode}"))
            raise LookupFailed(DnsTrouble(trouble, f"{kind} of {name}: {text}"))
        if reply.rcode == wire.NXDOMAIN or not reply.records:
            raise Absent(reply.rcode == wire.NXDOMAIN, is_secure=reply.is_secure)
        return Answer(reply.records, reply.is_secure)

    async def _reply(self, asked: bytes) -> wire.Reply:
        reply = wire.read(await self._by_datagram(asked), asked)
        if reply.is_truncated:
            reply = wire.read(await self._by_stream(asked), asked)
        if reply.is_truncated:
            raise ValueError("truncated over TCP")
        return reply

    async def _by_datagram(self, asked: bytes) -> bytes:
        """Asked again when no answer comes: each try waits twice as long as the one before."""
        endpoint = await self._endpoint()
        number = self._free_number()
        future: asyncio.Future[bytes | DnsTrouble] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (asked, future)
        try:
            for attempt in range(self._settings.tries):
                endpoint.sendto(wire.query(number, asked))
                await asyncio.wait((future,), timeout=self._settings.timeout_s * 2**attempt)
                if future.done():
                    break
        finally:
            del self._waiting[number]
        if not future.done():
            raise TimeoutError
        got = future.result()
        if isinstance(got, DnsTrouble):
            raise LookupFailed(got)
        return got

    async def _by_stream(self, asked: bytes) -> bytes:
        """A connection of its own: this is rare."""
        packet = wire.query(secrets.randbelow(0x10000), asked)
        reader, writer = await asyncio.open_connection(*self._address)
        self._streams.add(writer)
        try:
            writer.write(len(packet).to_bytes(2, "big") + packet)
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = await reader.readexactly(size)
        finally:
            self._streams.discard(writer)
            writer.close()
        if wire.number_of(answer) != wire.number_of(packet) or not wire.answers(answer, asked):
            raise ValueError("the answer is to another question")
        return answer

    def _free_number(self) -> int:
        while (number := secrets.randbelow(0x10000)) in self._waiting:
            pass
        return number

    async def _endpoint(self) -> asyncio.DatagramTransport:
        """Opened when first needed, because `start` cannot wait."""
        async with self._opening:
            is_open = self._transport is not None and not self._transport.is_closing()
            if not is_open and self._is_running:
                self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Packets(self._on_packet, self._on_error), remote_addr=self._address
                )
        if self._transport is None or not self._is_running:
            raise LookupFailed(_CLOSED)
        return self._transport

    def _on_packet(self, packet: bytes) -> None:
        waiting = self._waiting.get(wire.number_of(packet))
        if waiting is not None and not waiting[1].done() and wire.answers(packet, waiting[0]):
            waiting[1].set_result(packet)

    def _on_error(self, error: Exception) -> None:
        """Whichever packet it was for, nobody listens at the port."""
        detail = f"the validating resolver at {self._settings.validating}: {error}"
        self._fail_all(DnsTrouble("unreachable", detail))

    def _fail_all(self, trouble: DnsTrouble) -> None:
        for _, future in self._waiting.values():
            if not future.done():
                future.set_result(trouble)


class _Packets(asyncio.DatagramProtocol):
    """Hands on what has come."""

    def __init__(self, on_packet: Callable[[bytes], None], on_error: Callable[[Exception], None]) -> None:
        self._on_packet = on_packet
        self._on_error = on_error

    def datagram_received(self, data: bytes, peer: object) -> None:
        self._on_packet(data)

    def error_received(self, error: Exception) -> None:
        self._on_error(error)
