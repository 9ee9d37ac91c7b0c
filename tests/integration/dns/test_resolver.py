"""The resolver against a DNS server on loopback: the C rows of the fault campaign."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
import pytest_asyncio

from mta.dns.mx import MxFound, NoMail
from mta.dns.nameservers import StubNameservers
from mta.dns.record import DnsTrouble
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from tests.fakes.dns_server import Answer, FakeDns, a, aaaa, cname, mx

NET = "203.0.113.0/24"  # documentation addresses stand for public ones

PATIENCE_S = 20.0
"""For a server that answers: however busy the machine, its answer is waited for."""

SILENCE_S = 0.5
"""Where no answer comes."""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


@asynccontextmanager
async def running(
    dns: FakeDns,
    *,
    allow: tuple[str, ...] = (NET, "2001:db8::/32"),
    ipv6: bool = True,
    clock: Callable[[], float] | None = None,
    own: tuple[str, ...] = (),
    timeout_s: float = PATIENCE_S,
    rng: Callable[[], float] | None = None,
) -> AsyncIterator[Resolver]:
    settings = DnsSettings(servers=(dns.address,), allow=allow, timeout_s=timeout_s, tries=1)
    nameservers = StubNameservers(settings)
    nameservers.start()
    resolver = Resolver(
        nameservers, settings, own=own, ipv6=ipv6, clock=clock or Clock(), rng=rng or Random(1).random
    )
    resolver.start()
    try:
        yield resolver
    finally:
        await nameservers.close()
        await resolver.close()


def serve(dns: FakeDns, domain: str, ttl: int = 300) -> None:
    """One domain with one host."""
    dns.records(mx(domain, 10, f"mx.{domain}", ttl), a(f"mx.{domain}", "203.0.113.5", ttl))


async def test_hosts_with_their_addresses(dns: FakeDns) -> None:
    """The hosts come in order of preference with the addresses of both families."""
    dns.records(
        mx("acme.test", 20, "b.acme.test"),
        mx("acme.test", 10, "a.acme.test"),
        a("a.acme.test", "203.0.113.1"),
        aaaa("a.acme.test", "2001:db8::1"),
        a("b.acme.test", "203.0.113.2"),
    )
    async with running(dns) as resolver:
        answer = await resolver.resolve("ACME.test")
    assert isinstance(answer, MxFound)
    assert [(host.name, host.port, host.addresses) for host in answer.hosts] == [
        ("a.acme.test", 25, ("203.0.113.1", "2001:db8::1")),
        ("b.acme.test", 25, ("203.0.113.2",)),
    ]
    assert answer.site_name == "a.acme.test,b.acme.test"
    assert answer.ttl_s == 300.0


@pytest.mark.parametrize(
    ("rcode", "kind"), [("SERVFAIL", "servfail"), ("REFUSED", "refused"), ("FORMERR", "bad_answer")]
)
async def test_a_failing_server_is_trouble_for_a_while(dns: FakeDns, rcode: str, kind: str) -> None:
    """C1, C2: the failure is temporary, kept for at most 60 s and gone when the server heals."""
    clock = Clock()
    serve(dns, "acme.test")
    dns.script("sick.test", "MX", Answer(rcode=rcode))
    async with running(dns, clock=clock) as resolver:
        answer = await resolver.resolve("sick.test")
        asked = dns.asked.total()
        assert await resolver.resolve("sick.test") == answer
        assert dns.asked.total() == asked
        assert isinstance(await resolver.resolve("acme.test"), MxFound)
        dns.forget("sick.test")
        serve(dns, "sick.test")
        clock.now += 60.0
        healed = await resolver.resolve("sick.test")
    assert isinstance(answer, DnsTrouble)
    assert answer.kind == kind
    assert "sick.test" in answer.detail
    assert isinstance(healed, MxFound)


async def test_silence_is_a_timeout(dns: FakeDns) -> None:
    """C3: no answer is temporary, and another domain does not wait for it."""
    serve(dns, "acme.test")
    dns.script("mute.test", "MX", Answer(silent=True))
    async with running(dns, timeout_s=SILENCE_S) as resolver:
        mute = asyncio.create_task(resolver.resolve("mute.test"))
        await dns.was_asked("mute.test", "MX")
        assert isinstance(await resolver.resolve("acme.test"), MxFound)
        assert not mute.done()
        answer = await mute
    assert isinstance(answer, DnsTrouble)
    assert answer.kind == "timeout"


async def test_a_name_that_does_not_exist_is_permanent(dns: FakeDns) -> None:
    """C4, S-08: NXDOMAIN is no mail, and no address is asked for."""
    async with running(dns) as resolver:
        answer = await resolver.resolve("gone.test")
    assert isinstance(answer, NoMail)
    assert answer.kind == "nxdomain"
    assert set(dns.asked) == {("gone.test", "MX")}


async def test_implicit_mx(dns: FakeDns) -> None:
    """C5: no MX but an address: the domain itself."""
    dns.records(a("bare.test", "203.0.113.7"))
    async with running(dns) as resolver:
        answer = await resolver.resolve("bare.test")
    assert isinstance(answer, MxFound)
    assert [(host.name, host.addresses) for host in answer.hosts] == [("bare.test", ("203.0.113.7",))]


async def test_neither_mx_nor_address_is_permanent(dns: FakeDns) -> None:
    """C5: a domain that exists for other purposes takes no mail."""
    dns.script("web.test", "TXT", Answer())
    async with running(dns) as resolver:
        answer = await resolver.resolve("web.test")
    assert isinstance(answer, NoMail)
    assert answer.kind == "nodata"


async def test_null_mx_is_permanent_and_asks_no_address(dns: FakeDns) -> None:
    """C6, T-04: a null MX alone ends it; beside a host it is ignored."""
    dns.records(mx("null.test", 0, "."), mx("mixed.test", 0, "."), mx("mixed.test", 5, "mx.acme.test"))
    serve(dns, "acme.test")
    async with running(dns) as resolver:
        null = await resolver.resolve("null.test")
        mixed = await resolver.resolve("mixed.test")
    assert isinstance(null, NoMail)
    assert null.kind == "null_mx"
    assert ("null.test", "A") not in dns.asked
    assert isinstance(mixed, MxFound)
    assert [host.name for host in mixed.hosts] == ["mx.acme.test"]


@pytest.mark.parametrize(
    ("exchange", "address", "why"),
    [
        ("mx.trap.test", "127.0.0.1", "loopback"),
        ("mx.trap.test", "0.0.0.0", "unspecified"),
        ("mx.trap.test", "169.254.169.254", "link-local"),
        ("mx.trap.test", "10.0.0.9", "private"),
        ("mx.trap.test", "203.0.114.99", "an address of this host"),
        ("192.0.2.1", "", "IP literal"),
        ("localhost", "", "only one label"),
        ("a\nb.trap.test", "", "character"),
    ],
)
async def test_an_mx_that_leads_inside_is_refused(
    dns: FakeDns, exchange: str, address: str, why: str
) -> None:
    """C10, S-09: temporary trouble that names the cause; the mail expires if the zone stays so."""
    dns.records(mx("trap.test", 10, exchange))
    if address:
        dns.records(a(exchange, address))
    async with running(dns, own=("203.0.114.99",)) as resolver:
        answer = await resolver.resolve("trap.test")
    assert isinstance(answer, DnsTrouble)
    assert answer.kind in ("bad_mx", "bad_address")
    assert why in answer.detail


async def test_allowed_networks_are_connected_to(dns: FakeDns) -> None:
    """C10: dns.allow opens what the guard closes."""
    dns.records(mx("in.test", 10, "mx.in.test"), a("mx.in.test", "127.0.0.1"))
    async with running(dns, allow=("127.0.0.0/8",)) as resolver:
        answer = await resolver.resolve("in.test")
    assert isinstance(answer, MxFound)


async def test_equal_preferences_take_turns_from_memory(dns: FakeDns) -> None:
    """C12: 1,000 answers of one lookup spread over two equal hosts within 10 %."""
    for name in ("x", "y"):
        dns.records(mx("acme.test", 10, f"{name}.acme.test"), a(f"{name}.acme.test", "203.0.113.1"))
    firsts: Counter[str] = Counter()
    async with running(dns) as resolver:
        for _ in range(1000):
            answer = await resolver.resolve("acme.test")
            assert isinstance(answer, MxFound)
            firsts[answer.hosts[0].name] += 1
    assert dns.asked[("acme.test", "MX")] == 1
    assert all(abs(count - 500) <= 50 for count in firsts.values())


async def test_ttl_of_nothing_is_five_seconds(dns: FakeDns) -> None:
    """C13: TTL 0 costs at most one question per domain and 5 s, and a move is seen after them."""
    clock = Clock()
    serve(dns, "acme.test", ttl=0)
    async with running(dns, clock=clock) as resolver:
        for _ in range(3):
            answer = await resolver.resolve("acme.test")
            clock.now += 1.5
        assert isinstance(answer, MxFound)
        assert answer.ttl_s == 2.0
        assert dns.asked[("acme.test", "MX")] == 1
        dns.forget("acme.test")
        dns.records(mx("acme.test", 10, "new.test", 0), a("new.test", "203.0.113.9", 0))
        clock.now += 0.5
        moved = await resolver.resolve("acme.test")
    assert isinstance(moved, MxFound)
    assert moved.site_name == "new.test"


async def test_a_week_is_an_hour(dns: FakeDns) -> None:
    """C13: however long the TTL, a move is seen within the hour."""
    serve(dns, "acme.test", ttl=7 * 86400)
    async with running(dns) as resolver:
        answer = await resolver.resolve("acme.test")
    assert isinstance(answer, MxFound)
    assert answer.ttl_s == 3600.0


async def test_a_shared_host_is_believed_for_what_is_left(dns: FakeDns) -> None:
    """C13: a domain that comes later gets the rest of its host's TTL, not a fresh one."""
    clock = Clock()
    dns.records(mx("one.test", 10, "mx.big.test"), mx("two.test", 10, "mx.big.test"))
    dns.records(a("mx.big.test", "203.0.113.5", 100))
    async with running(dns, clock=clock) as resolver:
        await resolver.resolve("one.test")
        clock.now += 60.0
        answer = await resolver.resolve("two.test")
    assert isinstance(answer, MxFound)
    assert answer.ttl_s == 40.0


async def test_a_dead_resolver_is_trouble_and_closing_is_clean(dns: FakeDns) -> None:
    """C14: a port that refuses is temporary trouble, soon told."""
    async with running(dns) as resolver:
        await dns.stop()
        answer = await resolver.resolve("acme.test")
    assert isinstance(answer, DnsTrouble)
    assert answer.kind in ("unreachable", "timeout")


async def test_forgetting_asks_again(dns: FakeDns) -> None:
    """What was forgotten is asked for again, in C's memory too (which takes a moment to be emptied)."""
    serve(dns, "acme.test")
    async with running(dns) as resolver, asyncio.timeout(5):
        await resolver.resolve("acme.test")
        dns.forget("acme.test")
        dns.records(mx("acme.test", 10, "new.test"), a("new.test", "203.0.113.9"))
        answer = await resolver.resolve("acme.test")
        assert isinstance(answer, MxFound)
        assert answer.site_name == "mx.acme.test"
        while answer.site_name != "new.test":
            resolver.forget()
            answer = await resolver.resolve("acme.test")
            assert isinstance(answer, MxFound)


async def test_one_lookup_in_flight_per_name(dns: FakeDns) -> None:
    """C15: a hundred who ask at once cause one question, and all get the answer."""
    serve(dns, "acme.test")
    async with running(dns) as resolver:
        answers = await asyncio.gather(*(resolver.resolve("acme.test") for _ in range(100)))
    assert all(isinstance(answer, MxFound) for answer in answers)
    assert set(dns.asked.values()) == {1}


async def test_domains_share_the_lookup_of_their_host(dns: FakeDns) -> None:
    """C15: a provider's host is looked up once, not once per customer."""
    serve(dns, "big.test")
    dns.records(*(mx(f"c{i}.test", 10, "mx.big.test") for i in range(30)))
    async with running(dns) as resolver:
        answers = await asyncio.gather(*(resolver.resolve(f"c{i}.test") for i in range(30)))
    assert {answer.site_name for answer in answers if isinstance(answer, MxFound)} == {"mx.big.test"}
    assert dns.asked[("mx.big.test", "A")] == 1


async def test_who_stops_waiting_does_not_spoil_it_for_others(dns: FakeDns) -> None:
    """The first asker's cancellation leaves the shared lookup running."""
    dns.script("slow.test", "MX", Answer(silent=True))
    async with running(dns, timeout_s=SILENCE_S) as resolver:
        first = asyncio.create_task(resolver.resolve("slow.test"))
        await dns.was_asked("slow.test", "MX")
        second = asyncio.create_task(resolver.resolve("slow.test"))
        first.cancel()
        answer = await second
    assert first.cancelled()
    assert isinstance(answer, DnsTrouble)


async def test_closing_ends_lookups_as_trouble(dns: FakeDns) -> None:
    """Who waits at the end of the process learns nothing final."""
    dns.script("slow.test", "MX", Answer(silent=True))
    async with running(dns) as resolver:
        waiting = asyncio.create_task(resolver.resolve("slow.test"))
        await dns.was_asked("slow.test", "MX")
    answer = await waiting
    assert isinstance(answer, DnsTrouble)
    assert answer.kind == "closed"


async def test_a_chain_of_aliases(dns: FakeDns) -> None:
    """S-08: an aliased domain uses the MX of its target."""
    chain = (cname("alias.test", "acme.test"), mx("acme.test", 10, "mx.acme.test"))
    dns.script("alias.test", "MX", Answer(chain))
    dns.records(a("mx.acme.test", "203.0.113.5"))
    async with running(dns) as resolver:
        answer = await resolver.resolve("alias.test")
    assert isinstance(answer, MxFound)
    assert answer.site_name == "mx.acme.test"


async def test_a_circle_of_aliases_is_trouble(dns: FakeDns) -> None:
    """A CNAME loop is a successful answer without MX; it must not become an implicit MX."""
    dns.script("loop.test", "MX", Answer((cname("loop.test", "pool.test"), cname("pool.test", "loop.test"))))
    async with running(dns) as resolver:
        answer = await resolver.resolve("loop.test")
    assert isinstance(answer, DnsTrouble)
    assert answer.kind == "bad_cname"


async def test_a_dangling_alias_is_no_mail(dns: FakeDns) -> None:
    """A chain to nowhere: the address lookup of the domain says that it does not exist."""
    chain = (cname("dangling.test", "gone.test"),)
    dns.script("dangling.test", "MX", Answer(chain))
    dns.script("dangling.test", "A", Answer(chain, rcode="NXDOMAIN"))
    dns.script("dangling.test", "AAAA", Answer(chain, rcode="NXDOMAIN"))
    async with running(dns) as resolver:
        answer = await resolver.resolve("dangling.test")
    assert isinstance(answer, NoMail)
    assert answer.kind == "nxdomain"


async def test_an_answer_of_a_foreign_owner_is_not_believed(dns: FakeDns) -> None:
    """Records of another name in the answer do not direct the mail."""
    dns.script("acme.test", "MX", Answer((mx("other.test", 10, "evil.test"),)))
    dns.records(a("evil.test", "203.0.113.66"), a("acme.test", "203.0.113.5"))
    async with running(dns) as resolver:
        answer = await resolver.resolve("acme.test")
    assert isinstance(answer, MxFound)
    assert answer.site_name == "acme.test"


async def test_a_huge_answer_comes_over_tcp_and_is_capped(dns: FakeDns) -> None:
    """1,500 exchanges are read, 20 kept; the rest is never asked for."""
    records = tuple(mx("huge.test", 10, f"h{i:04}.huge.test") for i in range(1500))
    dns.script("huge.test", "MX", Answer(records, tcp_only=True))
    dns.records(*(a(f"h{i:04}.huge.test", "203.0.113.1") for i in range(1500)))
    async with running(dns) as resolver:
        answer = await resolver.resolve("huge.test")
    assert isinstance(answer, MxFound)
    assert len(answer.hosts) == 20
    assert sum(1 for _, kind in dns.asked if kind == "A") == 20


async def test_without_ipv6_only_ipv4_is_used(dns: FakeDns) -> None:
    """Where there is no route, AAAA is not asked for beside A, and a host that has only AAAA is trouble, no
    bounce."""
    serve(dns, "acme.test")
    dns.records(mx("six.test", 10, "mx.six.test"), aaaa("mx.six.test", "2001:db8::1"))
    async with running(dns, ipv6=False) as resolver:
        four = await resolver.resolve("acme.test")
        six = await resolver.resolve("six.test")
    assert isinstance(four, MxFound)
    assert ("mx.acme.test", "AAAA") not in dns.asked
    assert isinstance(six, DnsTrouble)
    assert six.kind == "unreachable"


async def test_a_failing_aaaa_does_not_hide_a(dns: FakeDns) -> None:
    """Name servers that cannot answer AAAA are common; their IPv4 address still serves."""
    serve(dns, "acme.test")
    dns.script("mx.acme.test", "AAAA", Answer(rcode="SERVFAIL"))
    async with running(dns) as resolver:
        answer = await resolver.resolve("acme.test")
    assert isinstance(answer, MxFound)
    assert answer.ttl_s <= 60.0


async def test_addresses_of_one_host(dns: FakeDns) -> None:
    """Who connects for other purposes than mail is guarded all the same; a bad name is not asked for."""
    dns.records(a("web.test", "203.0.113.8"), a("inside.test", "10.0.0.1"))
    async with running(dns) as resolver:
        web, inside = await resolver.addresses("WEB.test"), await resolver.addresses("inside.test")
        bad = await resolver.addresses("web.test\0.evil")
    assert web.addresses == ("203.0.113.8",)
    assert (inside.addresses, inside.refused) == ((), ("10.0.0.1 (private)",))
    assert bad.trouble is not None


async def test_domains_that_hang_hold_up_nobody(dns: FakeDns) -> None:
    """C3, I6: with far more domains in silence than are looked up at once, another is looked up in a second or two."""
    serve(dns, "acme.test")
    mute = [f"mute{number}.test" for number in range(250)]
    for name in mute:
        dns.script(name, "MX", Answer(silent=True))
    async with running(dns, timeout_s=10.0) as resolver:
        waiting = [asyncio.create_task(resolver.resolve(name)) for name in mute]
        await dns.was_asked(mute[0], "MX")
        async with asyncio.timeout(8):
            assert isinstance(await resolver.resolve("acme.test"), MxFound)
        assert not any(task.done() for task in waiting)
    assert {type(answer) for answer in await asyncio.gather(*waiting)} == {DnsTrouble}


async def test_who_is_in_a_hurry_waits_behind_nobody(dns: FakeDns) -> None:
    """C3, I6: with as many domains in silence as make others wait for many seconds, not even where one of those others
    waits for the same domain."""
    serve(dns, "acme.test")
    mute = [f"mute{number}.test" for number in range(1000)]
    for name in mute:
        dns.script(name, "MX", Answer(silent=True))
    async with running(dns, timeout_s=10.0) as resolver:
        waiting = [asyncio.create_task(resolver.resolve(name)) for name in (*mute, "acme.test")]
        await dns.was_asked(mute[0], "MX")
        async with asyncio.timeout(4):
            assert isinstance(await resolver.resolve("acme.test", is_urgent=True), MxFound)
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
