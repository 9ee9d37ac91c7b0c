"""Questions to a validating resolver on loopback: T-09, and what can go wrong on the way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rrset
import pytest
import pytest_asyncio
import uvloop

from mta.dns import validating
from mta.dns.nameservers import Nameservers, StubNameservers
from mta.dns.record import Absent, Answer, LookupFailed, Record, RecordKind
from mta.dns.settings import DnsSettings
from mta.dns.validating import ValidatingNameserver
from tests.fakes.dns_server import Answer as Scripted
from tests.fakes.dns_server import FakeDns, a, aaaa, cname, mx, ptr, soa, tlsa, txt

Make = Callable[[DnsSettings], Nameservers]
Crafted = Callable[[bytes], list[bytes]]


@pytest_asyncio.fixture
async def dns_server() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


@asynccontextmanager
async def asking(
    address: str, make: Make = ValidatingNameserver, timeout_s: float = 20.0, tries: int = 1
) -> AsyncIterator[Nameservers]:
    nameserver = make(DnsSettings(servers=(address,), validating=address, timeout_s=timeout_s, tries=tries))
    nameserver.start()
    try:
        yield nameserver
    finally:
        await nameserver.close()


async def trouble(nameserver: Nameservers, name: str = "acme.test", kind: RecordKind = "MX") -> str:
    with pytest.raises(LookupFailed) as failure:
        await nameserver.ask(name, kind)
    assert failure.value.trouble.detail
    return failure.value.trouble.kind


class Liar(asyncio.DatagramProtocol):
    """Answers each packet with those a function makes of it."""

    def __init__(self, craft: Crafted) -> None:
        self._craft = craft
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        assert self._transport is not None
        for packet in self._craft(data):
            self._transport.sendto(packet, peer)


@asynccontextmanager
async def lying(craft: Crafted) -> AsyncIterator[str]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Liar(craft), local_addr=("127.0.0.1", 0)
    )
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


def honest(query: bytes, exchange: str = "mx.acme.test.") -> bytes:
    message = dns.message.make_response(dns.message.from_wire(query))
    message.flags |= dns.flags.AD
    message.answer.append(dns.rrset.from_text("acme.test.", 60, "IN", "MX", f"10 {exchange}"))
    return message.to_wire()


@pytest.mark.parametrize("make", [StubNameservers, ValidatingNameserver])
async def test_both_kinds_of_nameservers_say_the_same(dns_server: FakeDns, make: Make) -> None:
    """The contract of `Nameservers`: equal records, absence and trouble, whoever asks."""
    dns_server.records(
        mx("acme.test", 10, "MX.acme.test"),
        mx("null.test", 0, "."),
        a("mx.acme.test", "203.0.113.1"),
        aaaa("mx.acme.test", "2001:db8::1"),
        txt("acme.test", "v=spf1 -all"),
        soa("acme.test", "ns.acme.test"),
        ptr("1.113.0.203.in-addr.arpa", "mx.acme.test"),
        cname("www.acme.test", "acme.test"),
    )
    dns_server.script(
        "alias.test", "A", Scripted((cname("alias.test", "a.test"), a("a.test", "203.0.113.2")))
    )
    dns_server.script("sick.test", "MX", Scripted(rcode="SERVFAIL"))
    dns_server.script("shy.test", "MX", Scripted(rcode="REFUSED"))
    dns_server.script("odd.test", "MX", Scripted(rcode="FORMERR"))
    dns_server.script("mute.test", "MX", Scripted(silent=True))
    expected: dict[tuple[str, RecordKind], tuple[Record, ...]] = {
        ("acme.test", "MX"): (Record("acme.test", "MX", "mx.acme.test", 300, 10),),
        ("null.test", "MX"): (Record("null.test", "MX", "", 300, 0),),
        ("mx.acme.test", "A"): (Record("mx.acme.test", "A", "203.0.113.1", 300),),
        ("mx.acme.test", "AAAA"): (Record("mx.acme.test", "AAAA", "2001:db8::1", 300),),
        ("acme.test", "TXT"): (Record("acme.test", "TXT", "v=spf1 -all", 300),),
        ("acme.test", "SOA"): (Record("acme.test", "SOA", "ns.acme.test", 300),),
        ("www.acme.test", "CNAME"): (Record("www.acme.test", "CNAME", "acme.test", 300),),
        ("alias.test", "A"): (
            Record("alias.test", "CNAME", "a.test", 300),
            Record("a.test", "A", "203.0.113.2", 300),
        ),
        ("1.113.0.203.in-addr.arpa", "PTR"): (
            Record("1.113.0.203.in-addr.arpa", "PTR", "mx.acme.test", 300),
        ),
    }
    async with asking(dns_server.address, make, timeout_s=1.0) as nameserver:
        for (name, kind), records in expected.items():
            assert (await nameserver.ask(name, kind)) == Answer(records)
        for name, is_missing in (("gone.test", True), ("www.acme.test", False)):
            with pytest.raises(Absent) as absence:
                await nameserver.ask(name, "MX")
            assert (absence.value.is_missing, absence.value.is_secure) == (is_missing, False)
        for name, kind_of_trouble in (
            ("sick.test", "servfail"),
            ("shy.test", "refused"),
            ("odd.test", "bad_answer"),
            ("mute.test", "timeout"),
            (f"{'a' * 64}.test", "bad_answer"),
        ):
            assert await trouble(nameserver, name) == kind_of_trouble
        await nameserver.close()
        assert await trouble(nameserver) == "closed"


async def test_the_ad_bit(dns_server: FakeDns) -> None:
    """T-09: records and absence are secure where the resolver says so, and only there."""
    dns_server.records(mx("acme.test", 10, "mx.acme.test"), mx("plain.test", 10, "mx.plain.test"))
    dns_server.records(tlsa("_25._tcp.mx.acme.test", 3, 1, 1, bytes(32)))
    dns_server.secure("acme.test", "_25._tcp.mx.acme.test", "gone.test")
    async with asking(dns_server.address) as nameserver:
        assert (await nameserver.ask("acme.test", "MX")).is_secure
        assert not (await nameserver.ask("plain.test", "MX")).is_secure
        answer = await nameserver.ask("_25._tcp.mx.acme.test", "TLSA")
        assert answer.is_secure
        assert answer.records == (Record("_25._tcp.mx.acme.test", "TLSA", f"3 1 1 {bytes(32).hex()}", 300),)
        for name, is_missing, is_secure in (
            ("gone.test", True, True),
            ("lost.test", True, False),
            ("acme.test", False, True),
            ("plain.test", False, False),
        ):
            with pytest.raises(Absent) as absence:
                await nameserver.ask(name, "TLSA")
            assert (absence.value.is_missing, absence.value.is_secure) == (is_missing, is_secure)


async def test_a_truncated_answer_is_asked_for_over_tcp(dns_server: FakeDns) -> None:
    """The records of an answer too large for a packet come by another way, and secure."""
    records = tuple(mx("acme.test", number, f"mx{number}.acme.test") for number in range(1500))
    dns_server.script("acme.test", "MX", Scripted(records, tcp_only=True))
    dns_server.secure("acme.test")
    async with asking(dns_server.address) as nameserver:
        answer = await nameserver.ask("acme.test", "MX")
    assert (len(answer.records), answer.is_secure) == (1500, True)
    assert dns_server.asked["acme.test", "MX"] == 2


async def test_an_answer_larger_than_asked_for(dns_server: FakeDns) -> None:
    """A packet may be as large as loopback carries; one of more records than are looked at is trouble."""
    for name, count in (("large.test", 1000), ("huge.test", 2100)):
        dns_server.records(*(a(name, f"203.0.{number // 250}.{number % 250}") for number in range(count)))
    async with asking(dns_server.address) as nameserver:
        assert len((await nameserver.ask("large.test", "A")).records) == 1000
        assert await trouble(nameserver, "huge.test", "A") == "bad_answer"


async def test_a_server_without_tcp() -> None:
    """A truncated answer that cannot be had whole is trouble, never a part of it."""

    def truncated(query: bytes) -> list[bytes]:
        packet = bytearray(honest(query))
        packet[2] |= 0x02
        return [bytes(packet)]

    async with lying(truncated) as address, asking(address) as nameserver:
        assert await trouble(nameserver) == "unreachable"


@pytest.mark.parametrize(
    "craft",
    [
        lambda query, number: b"",
        lambda query, number: honest(query)[:-14],
        lambda query, number: number + honest(query)[2:],
        lambda query, number: honest(query).replace(b"\4acme", b"\4evil"),
        lambda query, number: honest(query)[:2] + b"\x82" + honest(query)[3:],
    ],
)
async def test_nonsense_over_tcp(craft: Callable[[bytes, bytes], bytes]) -> None:
    """An early end, a cut answer, another number, another question and a second truncation are trouble."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = await reader.readexactly(size)
        packet = craft(query, bytes((query[0] ^ 1, query[1])))
        writer.write(len(packet).to_bytes(2, "big") + packet if packet else b"\0")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def truncated(query: bytes) -> list[bytes]:
        return [query[:2] + b"\x82\x80" + query[4:]]

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Liar(truncated), local_addr=("127.0.0.1", port)
    )
    try:
        async with asking(f"127.0.0.1:{port}") as nameserver:
            assert await trouble(nameserver) == "bad_answer"
    finally:
        transport.close()
        server.close()
        await server.wait_closed()


async def test_only_the_answer_to_the_question_is_believed() -> None:
    """Another number, another question, a query and scraps are dropped, and the true answer is waited for."""

    def forged(query: bytes) -> list[bytes]:
        evil = honest(query, "mx.evil.test.")
        other = evil.replace(b"\4acme", b"\4ACME")
        return [
            bytes((evil[0] ^ 1,)) + evil[1:],
            other,
            evil.replace(b"\0\x0f\0\1", b"\0\1\0\1", 1),
            query,
            b"",
            evil[:5],
            evil[:5] + b"\2" + evil[6:],
            honest(query),
            evil,
        ]

    async with lying(forged) as address, asking(address) as nameserver:
        for _ in range(3):
            answer = await nameserver.ask("acme.test", "MX")
            assert [record.value for record in answer.records] == ["mx.acme.test"]


async def test_a_stranger_is_not_heard() -> None:
    """A packet from another port does not arrive, though number and question were right."""
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.1", 0))
    peers: list[tuple[str, int]] = []

    class Overheard(Liar):
        def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
            peers.append(peer)
            stranger.sendto(honest(data, "mx.evil.test."), peer)
            super().datagram_received(data, peer)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Overheard(lambda query: [honest(query)]), local_addr=("127.0.0.1", 0)
    )
    try:
        async with asking(f"127.0.0.1:{transport.get_extra_info('sockname')[1]}") as nameserver:
            answer = await nameserver.ask("acme.test", "MX")
    finally:
        transport.close()
        stranger.close()
    assert peers
    assert [record.value for record in answer.records] == ["mx.acme.test"]


async def test_a_malformed_answer_is_trouble() -> None:
    """The right number and question, and rubbish behind them: known at once, and temporary."""
    async with lying(lambda query: [honest(query)[:-14]]) as address, asking(address) as nameserver:
        assert await trouble(nameserver) == "bad_answer"


async def test_a_lost_packet_is_sent_again() -> None:
    """The second try is answered."""
    lost: list[bytes] = []

    def deaf_once(query: bytes) -> list[bytes]:
        if lost:
            return [honest(query)]
        lost.append(query)
        return []

    async with lying(deaf_once) as address, asking(address, timeout_s=0.5, tries=4) as nameserver:
        assert (await nameserver.ask("acme.test", "MX")).records


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_dead_port_is_known_at_once(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """C14: when the resolver dies all who wait are told, not after a time-out; when it is back it answers again, with
    both kinds of loop."""

    async def story() -> None:
        async with FakeDns() as server, asking(server.address, timeout_s=30.0) as nameserver:
            server.script("mute.test", "MX", Scripted(silent=True))
            server.records(mx("acme.test", 10, "mx.acme.test"))
            port = int(server.address.rpartition(":")[2])
            waiting = asyncio.create_task(trouble(nameserver, "mute.test"))
            await server.was_asked("mute.test", "MX")
            await server.stop()
            assert await trouble(nameserver) == "unreachable"
            assert await waiting == "unreachable"
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Liar(lambda query: [honest(query)]), local_addr=("127.0.0.1", port)
            )
            assert (await nameserver.ask("acme.test", "MX")).records
            transport.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(story(), 20))


async def test_many_at_once(dns_server: FakeDns) -> None:
    """C15: a thousand questions at once are all answered, each with its own answer, some hundred at a time."""
    names = [f"d{number}.test" for number in range(1000)]
    dns_server.records(*(mx(name, 10, f"mx.{name}") for name in names))
    async with asking(dns_server.address, timeout_s=20.0, tries=4) as nameserver:
        answers = await asyncio.gather(*(nameserver.ask(name, "MX") for name in names))
    assert [answer.records[0].value for answer in answers] == [f"mx.{name}" for name in names]


async def test_no_more_than_so_many_wait(dns_server: FakeDns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions beyond the bound are not on the wire before others have ended; closing ends them all."""
    monkeypatch.setattr(validating, "_QUICK_S", 60.0)
    for number in range(300):
        dns_server.script(f"d{number}.test", "MX", Scripted(silent=True))
    async with asking(dns_server.address, timeout_s=30.0) as nameserver:
        tasks = [asyncio.create_task(trouble(nameserver, f"d{number}.test")) for number in range(300)]
        await dns_server.was_asked("d255.test", "MX")
        async with asking(dns_server.address) as another:
            with pytest.raises(Absent):  # the server has now seen all that was sent before
                await another.ask("acme.test", "MX")
        assert ("d256.test", "MX") not in dns_server.asked
        await nameserver.close()
        assert set(await asyncio.gather(*tasks)) == {"closed"}


async def test_questions_that_hang_hold_up_nobody(dns_server: FakeDns) -> None:
    """C3, I6: with more names in silence than are asked about at once, another is answered in a second or two."""
    mute = [f"mute{number}.test" for number in range(600)]
    for name in mute:
        dns_server.script(name, "MX", Scripted(silent=True))
    dns_server.records(mx("acme.test", 10, "mx.acme.test"))
    async with asking(dns_server.address, timeout_s=30.0) as nameserver:
        waiting = [asyncio.create_task(trouble(nameserver, name)) for name in mute]
        await dns_server.was_asked(mute[0], "MX")
        async with asyncio.timeout(8):
            assert (await nameserver.ask("acme.test", "MX")).records
        assert not any(task.done() for task in waiting)
        await nameserver.close()
        assert set(await asyncio.gather(*waiting)) == {"closed"}


async def test_closing_ends_a_stream(dns_server: FakeDns) -> None:
    """Nobody waits for an answer over TCP after the close."""
    dns_server.script("acme.test", "MX", Scripted(tcp_only=True, silent=True))
    async with asking(dns_server.address) as nameserver:
        task = asyncio.create_task(trouble(nameserver))
        await dns_server.was_asked("acme.test", "MX", 2)
        await nameserver.close()
        assert await task in ("unreachable", "bad_answer")


async def test_who_gives_up_leaves_nothing_behind(dns_server: FakeDns) -> None:
    """A cancelled question is forgotten."""
    dns_server.script("mute.test", "MX", Scripted(silent=True))
    dns_server.records(mx("acme.test", 10, "mx.acme.test"))
    async with asking(dns_server.address) as nameserver:
        assert isinstance(nameserver, ValidatingNameserver)
        task = asyncio.create_task(nameserver.ask("mute.test", "MX"))
        await dns_server.was_asked("mute.test", "MX")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not nameserver._waiting
        assert (await nameserver.ask("acme.test", "MX")).records


async def test_the_other_family() -> None:
    """A resolver on ::1 is as good."""
    if not socket.has_ipv6:
        pytest.skip("NOT TESTED: no IPv6 here")
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Liar(lambda query: [honest(query)]), local_addr=("::1", 0)
    )
    try:
        async with asking(f"[::1]:{transport.get_extra_info('sockname')[1]}") as nameserver:
            assert (await nameserver.ask("acme.test", "MX")).is_secure
    finally:
        transport.close()


@pytest.mark.parametrize("address", ["192.0.2.53", "localhost", ""])
async def test_a_resolver_elsewhere_is_refused(address: str) -> None:
    """T-09: the start ends with the value and the reason in the text."""
    with pytest.raises(ValueError, match=r"dns\.validating"):
        ValidatingNameserver(DnsSettings(validating=address)).start()
