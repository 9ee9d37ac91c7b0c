"""The resolver beside a validating one: the T-07 matrix, and that secure and insecure never mix."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import pytest_asyncio

from mta.dns.mx import MxAnswer, MxFound, NoMail
from mta.dns.nameservers import StubNameservers
from mta.dns.record import DnsTrouble
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.dns.validating import ValidatingNameserver
from mta.model.tls import NO_DANE, DaneState, HostDane, Tlsa
from tests.fakes.dns_server import Answer, FakeDns, a, cname, mx, tlsa

DIGEST = bytes(range(32))
RECORD = Tlsa(3, 1, 1, DIGEST)
OWNER = "_25._tcp.mx.acme.test"


class Servers:
    """The plain resolver and the validating one. They know the same, but only one says what is secure."""

    def __init__(self, plain: FakeDns, validating: FakeDns) -> None:
        self.plain = plain
        self.validating = validating

    def domain(self, domain: str, host: str = "mx.acme.test") -> None:
        for server in (self.plain, self.validating):
            server.records(mx(domain, 10, host))

    def host(self, name: str = "mx.acme.test", address: str = "203.0.113.5") -> None:
        for server in (self.plain, self.validating):
            server.records(a(name, address))

    def tlsa(self, base: str = "mx.acme.test", usage: int = 3, ttl: int = 300) -> None:
        for server in (self.plain, self.validating):
            server.records(tlsa(f"_25._tcp.{base}", usage, 1, 1, DIGEST, ttl))

    def asked(self, kind: str) -> dict[str, int]:
        """Questions of that kind to the validating one."""
        return {name: times for (name, asked), times in self.validating.asked.items() if asked == kind}


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[Servers]:
    async with FakeDns() as plain, FakeDns() as validating:
        yield Servers(plain, validating)


def patience(answer: Answer) -> float:
    return 0.5 if answer.silent else 20.0


@asynccontextmanager
async def running(
    servers: Servers,
    *,
    takes_anchors: bool = False,
    clock: Callable[[], float] = lambda: 1000.0,
    is_validating: bool = True,
    timeout_s: float = 20.0,
) -> AsyncIterator[Resolver]:
    settings = DnsSettings(
        servers=(servers.plain.address,),
        validating=servers.validating.address,
        allow=("203.0.113.0/24",),
        timeout_s=timeout_s,
        tries=1,
        takes_anchors=takes_anchors,
    )
    async with AsyncExitStack() as stack:
        nameservers = StubNameservers(settings)
        validating = ValidatingNameserver(settings) if is_validating else None
        resolver = Resolver(
            nameservers, settings, validating=validating, ipv6=True, clock=clock, rng=Random(1).random
        )
        stack.push_async_callback(resolver.close)
        for server in (nameservers, validating):
            if server is not None:
                server.start()
                stack.push_async_callback(server.close)
        resolver.start()
        yield resolver


async def found(resolver: Resolver, domain: str = "acme.test") -> MxFound:
    answer = await resolver.resolve(domain)
    assert isinstance(answer, MxFound), answer
    return answer


async def dane(resolver: Resolver, domain: str = "acme.test") -> HostDane:
    (host,) = (await found(resolver, domain)).hosts
    assert host.addresses
    return host.dane


async def test_secure_all_the_way(servers: Servers) -> None:
    """T-07: MX, addresses and TLSA secure: the records bind, and come with the base for SNI."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa(ttl=60)
    servers.validating.secure("acme.test", "mx.acme.test", OWNER)
    async with running(servers) as resolver:
        answer = await found(resolver)
        again = resolver.look_up("acme.test")
    assert answer.is_secure
    assert answer.hosts[0].dane == HostDane(DaneState.USABLE, (RECORD,), base="mx.acme.test")
    assert answer.ttl_s == 60.0
    assert again == answer
    assert not servers.plain.asked


async def test_an_insecure_mx(servers: Servers) -> None:
    """T-07: whoever could forge the MX chose the host; its records count for nothing and are not asked for."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa()
    servers.validating.secure("mx.acme.test", OWNER)
    async with running(servers) as resolver:
        answer = await found(resolver)
    assert not answer.is_secure
    assert answer.hosts[0].dane == NO_DANE
    assert set(servers.validating.asked) == {("acme.test", "MX")}
    assert set(servers.plain.asked) == {("mx.acme.test", "A"), ("mx.acme.test", "AAAA")}


async def test_an_insecure_host(servers: Servers) -> None:
    """T-07: a secure MX to a host in an unsigned zone: no DANE, and no question for it."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa()
    servers.validating.secure("acme.test", OWNER)
    async with running(servers) as resolver:
        answer = await found(resolver)
    assert answer.is_secure
    assert answer.hosts[0].dane == NO_DANE
    assert not servers.asked("TLSA")


@pytest.mark.parametrize(
    "answer",
    [Answer(rcode="SERVFAIL"), Answer(rcode="REFUSED"), Answer(silent=True), Answer(rcode="FORMERR")],
)
async def test_a_failed_tlsa_question(servers: Servers, answer: Answer) -> None:
    """T-07: bogus, refused or dropped, the host stays in the list and is marked; it is asked for again soon."""
    now = [1000.0]
    servers.domain("acme.test")
    servers.host()
    servers.validating.secure("acme.test", "mx.acme.test", OWNER)
    servers.validating.script(OWNER, "TLSA", answer)
    async with running(servers, clock=lambda: now[0], timeout_s=patience(answer)) as resolver:
        broken = await dane(resolver)
        servers.validating.forget(OWNER)
        servers.tlsa()
        now[0] += 15.0
        healed = await dane(resolver)
    assert (broken.state, broken.records) == (DaneState.BROKEN, ())
    assert OWNER in broken.detail
    assert healed.state is DaneState.USABLE


@pytest.mark.parametrize("is_secure", [True, False])
async def test_no_tlsa(servers: Servers, is_secure: bool) -> None:
    """T-07: a proven absence, or an unsigned one below a signed host: no DANE, kept as long as the addresses."""
    servers.domain("acme.test")
    servers.host()
    servers.validating.secure("acme.test", "mx.acme.test", *([OWNER] if is_secure else []))
    async with running(servers) as resolver:
        answer = await found(resolver)
    assert answer.hosts[0].dane == NO_DANE
    assert answer.ttl_s == 300.0
    assert servers.asked("TLSA") == {OWNER: 1}


async def test_insecure_tlsa(servers: Servers) -> None:
    """T-07: records that nobody vouches for are none."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa()
    servers.validating.secure("acme.test", "mx.acme.test")
    async with running(servers) as resolver:
        assert await dane(resolver) == NO_DANE


@pytest.mark.parametrize(("usage", "takes_anchors"), [(0, True), (1, True), (2, False)])
async def test_records_that_cannot_be_used(servers: Servers, usage: int, takes_anchors: bool) -> None:
    """T-07, T-09: they still say that TLS is mandatory."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa(usage=usage)
    servers.validating.secure("acme.test", "mx.acme.test", OWNER)
    async with running(servers, takes_anchors=takes_anchors) as resolver:
        unusable = await dane(resolver)
    assert (unusable.state, unusable.records) == (DaneState.UNUSABLE, ())
    assert unusable.detail


async def test_trust_anchors_where_they_can_be_checked(servers: Servers) -> None:
    """T-09: the settings say whether DANE-TA is any use."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa(usage=2)
    servers.validating.secure("acme.test", "mx.acme.test", OWNER)
    async with running(servers, takes_anchors=True) as resolver:
        assert (await dane(resolver)).state is DaneState.USABLE


@pytest.mark.parametrize(
    ("answer", "kind"), [(Answer(rcode="SERVFAIL"), "servfail"), (Answer(silent=True), "timeout")]
)
async def test_a_bogus_mx(servers: Servers, answer: Answer, kind: str) -> None:
    """T-07: temporary, and never asked of the other resolver, who would believe it."""
    servers.domain("acme.test")
    servers.host()
    servers.validating.script("acme.test", "MX", answer)
    async with running(servers, timeout_s=patience(answer)) as resolver:
        trouble = await resolver.resolve("acme.test")
    assert isinstance(trouble, DnsTrouble)
    assert trouble.kind == kind
    assert not servers.plain.asked


async def test_bogus_addresses(servers: Servers) -> None:
    """T-07: a host whose addresses fail is left out while others have some, and trouble when none has."""
    servers.domain("acme.test")
    servers.domain("acme.test", "b.acme.test")
    servers.host()
    servers.host("b.acme.test", "203.0.113.6")
    servers.domain("sick.test")
    servers.validating.secure("acme.test", "sick.test", "mx.acme.test", "b.acme.test")
    for kind in ("A", "AAAA"):
        servers.validating.script("mx.acme.test", kind, Answer(rcode="SERVFAIL"))
    async with running(servers) as resolver:
        answer = await found(resolver)
        trouble = await resolver.resolve("sick.test")
    assert [host.name for host in answer.hosts] == ["b.acme.test"]
    assert isinstance(trouble, DnsTrouble)
    assert trouble.kind == "servfail"
    assert not servers.plain.asked


async def test_two_domains_with_the_same_hosts(servers: Servers) -> None:
    """T-07: the one whose MX is secure gets the records of the host, the other never, in any order and at once; the
    host is looked up once for each way."""
    for domain in ("acme.test", "plain.test", "acme2.test", "plain2.test"):
        servers.domain(domain)
    servers.host()
    servers.tlsa()
    servers.validating.secure("acme.test", "acme2.test", "mx.acme.test", OWNER)
    async with running(servers) as resolver:
        first = [await dane(resolver, domain) for domain in ("acme.test", "plain.test")]
        second = [await dane(resolver, domain) for domain in ("plain2.test", "acme2.test")]
        resolver.forget()
        third = await asyncio.gather(*(dane(resolver, domain) for domain in ("plain.test", "acme.test")))
        addresses = await resolver.addresses("mx.acme.test")
    assert [each.state for each in (*first, *second, *third)] == [
        DaneState.USABLE,
        DaneState.ABSENT,
        DaneState.ABSENT,
        DaneState.USABLE,
        DaneState.ABSENT,
        DaneState.USABLE,
    ]
    assert addresses.dane == NO_DANE
    assert servers.asked("TLSA") == {OWNER: 2}
    assert servers.validating.asked["mx.acme.test", "A"] == 2
    assert servers.plain.asked["mx.acme.test", "A"]


async def test_a_host_that_is_an_alias(servers: Servers) -> None:
    """RFC 7672 section 2.2.3: records at the end of the alias speak first, those of its own name else."""
    servers.domain("acme.test")
    servers.domain("other.test", "mx.other.test")
    for owner in ("mx.acme.test", "mx.other.test"):
        answer = Answer((cname(owner, "real.test"), a("real.test", "203.0.113.5")))
        servers.validating.script(owner, "A", answer)
        servers.validating.script(owner, "AAAA", Answer((cname(owner, "real.test"),)))
        servers.validating.secure(owner, f"_25._tcp.{owner}")
    servers.tlsa()
    servers.validating.secure("acme.test", "other.test", "_25._tcp.real.test")
    async with running(servers) as resolver:
        own = await dane(resolver)
        servers.tlsa("real.test")
        ends = await dane(resolver, "other.test")
    assert (own.state, own.base) == (DaneState.USABLE, "mx.acme.test")
    assert (ends.state, ends.base) == (DaneState.USABLE, "real.test")


@pytest.mark.parametrize("is_secure", [True, False])
async def test_an_implicit_mx(servers: Servers, is_secure: bool) -> None:
    """T-07, C5: the proof that there is no MX is what makes the domain itself a secure host."""
    servers.host("bare.test")
    servers.tlsa("bare.test")
    servers.validating.secure("_25._tcp.bare.test")
    if is_secure:
        servers.validating.secure("bare.test")
    async with running(servers) as resolver:
        answer = await found(resolver, "bare.test")
    assert answer.is_secure is is_secure
    assert answer.hosts[0].dane.state is (DaneState.USABLE if is_secure else DaneState.ABSENT)


async def test_no_mail(servers: Servers) -> None:
    """S-08, T-04: absence and null MX mean the same, secure or not."""
    servers.domain("null.test", ".")
    servers.validating.secure("null.test", "gone.test")
    answers: dict[str, MxAnswer] = {}
    async with running(servers) as resolver:
        for domain in ("null.test", "gone.test", "lost.test"):
            answers[domain] = await resolver.resolve(domain)
    assert {domain: answer.kind for domain, answer in answers.items() if isinstance(answer, NoMail)} == {
        "null.test": "null_mx",
        "gone.test": "nxdomain",
        "lost.test": "nxdomain",
    }


async def test_a_dead_validating_resolver(servers: Servers) -> None:
    """C14, T-07: without its word nothing is believed: mail waits, and goes on when it is back."""
    servers.domain("acme.test")
    servers.host()
    async with running(servers) as resolver:
        await servers.validating.stop()
        trouble = await resolver.resolve("acme.test")
    assert isinstance(trouble, DnsTrouble)
    assert trouble.kind == "unreachable"
    assert not servers.plain.asked


async def test_without_a_validating_resolver(servers: Servers) -> None:
    """The word of a plain resolver that DNSSEC holds is nobody's: no DANE and no question for it."""
    servers.domain("acme.test")
    servers.host()
    servers.tlsa()
    servers.plain.secure("acme.test", "mx.acme.test", OWNER)
    async with running(servers, is_validating=False) as resolver:
        answer = await found(resolver)
    assert not answer.is_secure
    assert answer.hosts[0].dane == NO_DANE
    assert not servers.validating.asked
    assert (OWNER, "TLSA") not in servers.plain.asked
