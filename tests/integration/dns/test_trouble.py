"""Group C of the fault campaign where it is about time and number: what is wrong for ever or for two minutes, what
moves, what dies and comes back, what comes in crowds. The clock of the resolver is a fake; c-ares keeps its own, so
where a record changes before c-ares would ask again it is told to forget.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from mta.dns.mx import MxFound, NoMail
from mta.dns.record import DnsTrouble
from mta.dns.resolver import _QUICK_LOOKUPS, Resolver
from tests.fakes.dns_server import Answer, FakeDns, a, mx
from tests.integration.dns.test_resolver import PATIENCE_S, SILENCE_S, Clock, running, serve

FAILING = {
    "servfail": Answer(rcode="SERVFAIL"),
    "refused": Answer(rcode="REFUSED"),
    "timeout": Answer(silent=True),
}
LONGEST_NEGATIVE_S = 60.0


def patience(kind: str) -> float:
    return SILENCE_S if kind == "timeout" else PATIENCE_S


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


async def hosts_of(resolver: Resolver, domain: str) -> list[tuple[str, tuple[str, ...]]]:
    answer = await resolver.resolve(domain)
    assert isinstance(answer, MxFound), answer
    return [(host.name, host.addresses) for host in answer.hosts]


@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.parametrize("question", ["MX", "A"])
async def test_trouble_of_two_minutes(dns: FakeDns, kind: str, question: str) -> None:
    """C1, C2, C3: temporary as long as it lasts, asked about now and then, gone within 60 s; others are served."""
    clock = Clock()
    serve(dns, "sick.test", ttl=10)
    serve(dns, "acme.test", ttl=10)
    sick = "sick.test" if question == "MX" else "mx.sick.test"
    dns.script(sick, question, FAILING[kind])
    async with running(dns, clock=clock, ipv6=False, timeout_s=patience(kind)) as resolver:
        ends_at = clock.now + 120.0
        while clock.now < ends_at:
            answer = await resolver.resolve("sick.test")
            assert isinstance(answer, DnsTrouble)
            assert answer.kind == kind
            assert await hosts_of(resolver, "acme.test")
            clock.now += 5.0
        assert 2 <= dns.asked[sick, question] <= 120 / 15 + 1
        dns.forget(sick)
        serve(dns, "sick.test")
        clock.now += LONGEST_NEGATIVE_S
        assert await hosts_of(resolver, "sick.test")


@pytest.mark.parametrize("kind", FAILING)
async def test_trouble_for_ever(dns: FakeDns, kind: str) -> None:
    """C1, C2, C3: after three days it is still no verdict on the domain."""
    clock = Clock()
    dns.script("sick.test", "MX", FAILING[kind])
    async with running(dns, clock=clock, timeout_s=patience(kind)) as resolver:
        for _ in range(7):
            answer = await resolver.resolve("sick.test")
            assert isinstance(answer, DnsTrouble)
            clock.now += 12 * 3600.0


async def test_what_does_not_exist_may_be_registered(dns: FakeDns) -> None:
    """C4: NXDOMAIN is believed for minutes, not for ever."""
    clock = Clock()
    async with running(dns, clock=clock) as resolver:
        assert isinstance(await resolver.resolve("new.test"), NoMail)
        serve(dns, "new.test")
        clock.now += 299.0
        assert isinstance(await resolver.resolve("new.test"), NoMail)
        clock.now += 1.0
        assert await hosts_of(resolver, "new.test")


async def test_hosts_that_cannot_be_looked_up(dns: FakeDns) -> None:
    """C8, C1: the 20 best of 50 hosts are looked up; one that answers is enough, others are tried again soon."""
    dns.records(*(mx("many.test", number, f"h{number:02}.many.test") for number in range(50)))
    for number in range(50):
        dns.script(f"h{number:02}.many.test", "A", FAILING["servfail"])
    dns.script("h19.many.test", "A", Answer((a("h19.many.test", "203.0.113.5"),)))
    clock = Clock()
    async with running(dns, clock=clock, ipv6=False) as resolver:
        answer = await resolver.resolve("many.test")
        assert isinstance(answer, MxFound)
        assert [host.name for host in answer.hosts] == ["h19.many.test"]
        assert answer.ttl_s <= LONGEST_NEGATIVE_S
        assert sum(1 for _, kind in dns.asked if kind == "A") == 20
        dns.script("h00.many.test", "A", Answer((a("h00.many.test", "203.0.113.6"),)))
        clock.now += LONGEST_NEGATIVE_S
        answer = await resolver.resolve("many.test")
    assert isinstance(answer, MxFound)
    assert answer.hosts[0].name == "h00.many.test"


@pytest.mark.parametrize("number", [2, 4])
async def test_a_thousand_messages_are_spread(dns: FakeDns, number: int) -> None:
    """S-07, C12: the first host of 1,000 answers, within 10 % of even and by chi-square at p = 0.001; the host of a
    higher preference is always the last."""
    for at in range(number):
        dns.records(mx("acme.test", 10, f"h{at}.acme.test"), a(f"h{at}.acme.test", f"203.0.113.{at}"))
    dns.records(mx("acme.test", 20, "last.acme.test"), a("last.acme.test", "203.0.113.99"))
    firsts: Counter[str] = Counter()
    async with running(dns, rng=Random(4).random) as resolver:
        for _ in range(1000):
            names = [name for name, _ in await hosts_of(resolver, "acme.test")]
            assert names[-1] == "last.acme.test"
            firsts[names[0]] += 1
    even = 1000 / number
    assert len(firsts) == number
    assert all(abs(count - even) <= 0.1 * even for count in firsts.values())
    assert sum((count - even) ** 2 / even for count in firsts.values()) < {2: 10.83, 4: 16.27}[number]


async def test_ttl_of_nothing_through_a_minute(dns: FakeDns) -> None:
    """C13: asked every second for a minute, one question in five seconds."""
    clock = Clock()
    serve(dns, "acme.test", ttl=0)
    async with running(dns, clock=clock, ipv6=False) as resolver:
        for _ in range(60):
            assert await hosts_of(resolver, "acme.test")
            clock.now += 1.0
    assert dns.asked["acme.test", "MX"] == 12
    assert dns.asked["mx.acme.test", "A"] == 12


@pytest.mark.parametrize(("ttl", "seen_after_s"), [(0, 5.0), (300, 300.0), (7 * 86400, 3600.0)])
async def test_mx_that_moves(dns: FakeDns, ttl: int, seen_after_s: float) -> None:
    """C13: a domain that changes its provider in mid-run is followed within min(TTL, 1 h), and not asked before."""
    clock = Clock()
    serve(dns, "acme.test", ttl=ttl)
    async with running(dns, clock=clock) as resolver, asyncio.timeout(10):
        assert [name for name, _ in await hosts_of(resolver, "acme.test")] == ["mx.acme.test"]
        dns.forget("acme.test")
        dns.records(mx("acme.test", 10, "new.test", ttl), a("new.test", "203.0.113.9", ttl))
        clock.now += seen_after_s - 0.1
        assert [name for name, _ in await hosts_of(resolver, "acme.test")] == ["mx.acme.test"]
        assert dns.asked["acme.test", "MX"] == 1
        await forgotten_by_c(resolver, dns)
        clock.now += 0.1
        assert await hosts_of(resolver, "acme.test") == [("new.test", ("203.0.113.9",))]


@pytest.mark.parametrize(("ttl", "seen_after_s"), [(0, 5.0), (300, 300.0), (7 * 86400, 3600.0)])
async def test_a_host_that_moves(dns: FakeDns, ttl: int, seen_after_s: float) -> None:
    """C13: the MX set stays, and so does the site; its host has another address, for every domain that uses it."""
    clock = Clock()
    dns.records(mx("one.test", 10, "mx.big.test", 86400), mx("two.test", 10, "mx.big.test", 86400))
    dns.records(a("mx.big.test", "203.0.113.5", ttl))
    async with running(dns, clock=clock) as resolver, asyncio.timeout(10):
        before = await resolver.resolve("one.test")
        dns.forget("mx.big.test")
        dns.records(a("mx.big.test", "203.0.113.6", ttl))
        await forgotten_by_c(resolver, dns)
        clock.now += seen_after_s
        after = await resolver.resolve("one.test")
        assert await hosts_of(resolver, "two.test") == [("mx.big.test", ("203.0.113.6",))]
    assert isinstance(before, MxFound)
    assert isinstance(after, MxFound)
    assert (before.hosts[0].addresses, after.hosts[0].addresses) == (("203.0.113.5",), ("203.0.113.6",))
    assert before.site_name == after.site_name


async def forgotten_by_c(resolver: Resolver, dns: FakeDns) -> None:
    """c-ares empties its memory at its own time after it was told to; that is seen by a question that comes again."""
    nameservers = resolver._nameservers
    dns.records(a("probe.test", "203.0.113.1", 86400))
    await nameservers.ask("probe.test", "A")
    while dns.asked["probe.test", "A"] < 2:
        nameservers.forget()
        await nameservers.ask("probe.test", "A")


async def test_a_name_server_dies_and_comes_back(dns: FakeDns) -> None:
    """C14, I7: while it is dead all that is not known is temporary trouble; 30 s after it is back all is well."""
    clock = Clock()
    serve(dns, "known.test")
    async with running(dns, clock=clock, ipv6=False) as resolver:
        assert await hosts_of(resolver, "known.test")
        for times in range(3):
            domains = [f"d{number}.round{times}.test" for number in range(300)]
            for domain in domains:
                serve(dns, domain)
            await dns.stop()
            answers = await asyncio.gather(*map(resolver.resolve, domains))
            assert {type(answer) for answer in answers} == {DnsTrouble}
            assert await hosts_of(resolver, "known.test")
            await dns.start()
            clock.now += 30.0
            answers = await asyncio.gather(*map(resolver.resolve, domains))
            assert {type(answer) for answer in answers} == {MxFound}
            assert not resolver._usual.lookups
            assert not resolver._hosts._lookups


async def test_a_name_server_dies_under_questions(dns: FakeDns) -> None:
    """C14: those in flight end as trouble, once each, and closing then is clean."""
    dns.script("mute.test", "MX", Answer(silent=True))
    async with running(dns, timeout_s=SILENCE_S) as resolver:
        waiting = [asyncio.create_task(resolver.resolve("mute.test")) for _ in range(50)]
        await dns.was_asked("mute.test", "MX")
        await dns.stop()
        answers = await asyncio.gather(*waiting)
    assert {type(answer) for answer in answers} == {DnsTrouble}


async def test_no_storm_after_a_restart(dns: FakeDns) -> None:
    """C15: who knows nothing yet and has 3,000 domains to look up asks for each once, and never for all at once. On a
    busy machine c-ares may give up on some of them early, and those are asked for again."""
    domains = [f"c{number}.test" for number in range(3000)]
    dns.records(*(mx(domain, 10, f"mx{at % 20}.big.test") for at, domain in enumerate(domains)))
    dns.records(*(a(f"mx{number}.big.test", "203.0.113.5") for number in range(20)))
    async with running(dns, ipv6=False) as resolver:
        asked = asyncio.gather(*(resolver.resolve(domain) for domain in domains * 2))
        done: Counter[str] = Counter()
        for domain in domains[:20]:
            await dns.was_asked(domain, "MX")
            done["begun"] = max(done["begun"], dns.asked.total() - len(resolver._answers))
        answers = await asked
    assert {type(answer) for answer in answers} == {MxFound}
    assert len(dns.asked) == len(domains) + 20
    assert dns.asked.total() <= len(dns.asked) * 1.25
    assert done["begun"] <= _QUICK_LOOKUPS + 20


async def test_a_crowd_in_silence_is_bounded(dns: FakeDns) -> None:
    """C14, C15: as long as nobody has waited for a second, no more questions are on the wire than may be."""
    domains = [f"c{number}.test" for number in range(1000)]
    for domain in domains:
        dns.script(domain, "MX", Answer(silent=True))
    async with running(dns, timeout_s=SILENCE_S) as resolver:
        waiting = [asyncio.create_task(resolver.resolve(domain)) for domain in domains]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert dns.asked.total() <= _QUICK_LOOKUPS + len(done)
    assert {type(answer) for answer in await asyncio.gather(*waiting)} == {DnsTrouble}
