"""A scriptable DNS server on loopback, UDP and TCP on one free port.

A zone maps (name, type) to an `Answer`; a name that has records of another type answers NODATA, any other
NXDOMAIN. What it does not do: recursion, zones, signatures; but it can say that DNSSEC holds, as a validating resolver
does (`secure`). CNAMEs are followed only as far as the script itself
lists the records, so a test decides what stands in an answer, sense or not.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from types import TracebackType
from typing import Self, cast

from dnslib import AAAA, CNAME, MX, PTR, QTYPE, RCODE, RR, SOA, TLSA, TXT, A, DNSRecord
from dnslib.dns import DNSError as MalformedQuery

Key = tuple[str, str]
_LONGEST_STRING = 255  # RFC 1035 section 3.3


@dataclass(frozen=True)
class Answer:
    """`rcode` as dnslib names it; `silent` never answers; `tcp_only` sets the TC bit over UDP; both: TCP is silent.
    `edit` has the last word on the octets of the reply. `found_after_s`: silent until so long after the first question,
    as a recursive server is that has to find out."""

    records: tuple[RR, ...] = ()
    rcode: str = "NOERROR"
    silent: bool = False
    tcp_only: bool = False
    edit: Callable[[bytes], bytes] | None = None
    found_after_s: float = 0.0


def mx(owner: str, preference: int, exchange: str, ttl: int = 300) -> RR:
    return RR(owner, QTYPE.MX, ttl=ttl, rdata=MX(exchange, preference))


def a(owner: str, address: str, ttl: int = 300) -> RR:
    return RR(owner, QTYPE.A, ttl=ttl, rdata=A(address))


def aaaa(owner: str, address: str, ttl: int = 300) -> RR:
    return RR(owner, QTYPE.AAAA, ttl=ttl, rdata=AAAA(tuple(IPv6Address(address).packed)))


def cname(owner: str, target: str, ttl: int = 300) -> RR:
    return RR(owner, QTYPE.CNAME, ttl=ttl, rdata=CNAME(target))


def txt(owner: str, text: str, ttl: int = 300) -> RR:
    """A long text is cut into strings, as people have to do it."""
    raw = text.encode()
    strings = [raw[at : at + _LONGEST_STRING] for at in range(0, len(raw), _LONGEST_STRING)] or [b""]
    return RR(owner, QTYPE.TXT, ttl=ttl, rdata=TXT(strings))


def soa(owner: str, primary: str, ttl: int = 300) -> RR:
    times = (1, 7200, 3600, 1209600, 300)
    return RR(owner, QTYPE.SOA, ttl=ttl, rdata=SOA(primary, f"hostmaster.{primary}", times))


def ptr(owner: str, target: str, ttl: int = 300) -> RR:
    """`owner` is the reversed name, as in 5.113.0.203.in-addr.arpa."""
    return RR(owner, QTYPE.PTR, ttl=ttl, rdata=PTR(target))


def tlsa(owner: str, usage: int, selector: int, matching: int, data: bytes, ttl: int = 300) -> RR:
    return RR(owner, QTYPE.TLSA, ttl=ttl, rdata=TLSA(usage, selector, matching, data))


class FakeDns:
    """`async with FakeDns() as dns:` serves at `dns.address` ("127.0.0.1:port"); `dns.asked` counts questions
    by (name, type). Scripts may change while it serves. With `tcp_only` every answer is to be fetched over TCP."""

    def __init__(self, *, tcp_only: bool = False) -> None:
        self._tcp_only = tcp_only
        self.asked: Counter[Key] = Counter()
        self.address = ""
        self._answers: dict[Key, Answer] = {}
        self._secure: set[str] = set()
        self._first_asked: dict[Key, float] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._seen = asyncio.Event()
        self._connections: set[asyncio.StreamWriter] = set()

    def records(self, *records: RR) -> None:
        """Add plain records, each under its own owner and type."""
        for record in records:
            key = _key(str(record.rname), QTYPE[record.rtype])
            known = self._answers.get(key, Answer())
            self._answers[key] = Answer((*known.records, record))

    def script(self, name: str, kind: str, answer: Answer) -> None:
        """Exactly this answer, instead of whatever was there."""
        self._answers[_key(name, kind)] = answer

    def secure(self, *names: str) -> None:
        """Say from now on that DNSSEC holds for the answers about these names, also that there is nothing."""
        self._secure |= {_key(name, "")[0] for name in names}

    def forget(self, name: str) -> None:
        for key in [key for key in self._answers if key[0] == _key(name, "")[0]]:
            del self._answers[key]

    async def was_asked(self, name: str, kind: str, times: int = 1) -> None:
        """Wait until the question has come that often."""
        while self.asked[_key(name, kind)] < times:
            self._seen.clear()
            await self._seen.wait()

    def reply(self, packet: bytes, is_udp: bool) -> bytes | None:
        """The answer to one query, or None for silence."""
        try:
            query = DNSRecord.parse(packet)
        except MalformedQuery:
            return None
        name, _ = key = _key(str(query.q.qname), QTYPE[query.q.qtype])
        self.asked[key] += 1
        self._seen.set()
        answer = self._answers.get(key)
        if answer is None:
            is_known = any(known == name for known, _ in self._answers)
            answer = Answer() if is_known else Answer(rcode="NXDOMAIN")
        is_cut = is_udp and (answer.tcp_only or self._tcp_only)
        now = time.monotonic()
        is_found = now >= self._first_asked.setdefault(key, now) + answer.found_after_s
        if (answer.silent or not is_found) and not is_cut:
            return None
        reply = query.reply(ra=1, aa=0)
        reply.header.ad = int(name in self._secure)
        if is_cut:
            reply.header.tc = 1
            return bytes(reply.pack())
        reply.header.rcode = getattr(RCODE, answer.rcode)
        reply.add_answer(*answer.records)
        octets = bytes(reply.pack())
        return answer.edit(octets) if answer.edit is not None else octets

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Again at the same port, where it was stopped before."""
        wanted = int(self.address.rpartition(":")[2] or 0)
        for tries_left in reversed(range(10)):
            self._tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", wanted)
            port = self._tcp.sockets[0].getsockname()[1]
            # Bound here: where uvloop cannot bind, it leaves its own open, to be found in some other test.
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind(("127.0.0.1", port))
                break
            except OSError:  # free for TCP, and somebody's for UDP
                udp.close()
                self._tcp.close()
                if wanted or not tries_left:
                    raise
        self._udp, self._datagrams = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(self), sock=udp
        )
        self.address = f"127.0.0.1:{port}"

    async def stop(self) -> None:
        """Die: from now on the port refuses."""
        if self._udp is not None:
            self._udp.abort()
            self._udp = None
            await self._datagrams.lost.wait()
        if self._tcp is not None:
            self._tcp.close()
            for writer in self._connections:
                writer.transport.abort()
            await self._tcp.wait_closed()
            self._tcp = None

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                reply = self.reply(await reader.readexactly(size), is_udp=False)
                if reply is not None:
                    writer.write(len(reply).to_bytes(2, "big") + reply)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            self._connections.discard(writer)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDns) -> None:
        self.lost = asyncio.Event()
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        reply = self._server.reply(data, is_udp=True)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, peer)


def _key(name: str, kind: str) -> Key:
    return name.rstrip(".").lower(), kind
