"""Which questions a host's addresses lead to, what is kept and for how long; no server."""

import asyncio
from collections import Counter

import pytest

from mta.dns.hosts import Hosts, clamped
from mta.dns.mx import AddressGuard
from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, Record, RecordKind
from mta.model.tls import NO_DANE, DaneState

HOST = "mx.acme.test"
ADDRESS = "198.41.0.4"
DIGEST = f"3 1 1 {'ab' * 32}"
FAILED = LookupFailed(DnsTrouble("servfail", "no word"))

Question = tuple[str, RecordKind]


class Scripted:
    """Nameservers that answer from a table; what is not in it is absent, securely."""

    def __init__(self, table: dict[Question, Answer | Absent | LookupFailed]) -> None:
        self.table = table
        self.asked: Counter[Question] = Counter()

    def start(self) -> None: ...

    async def close(self) -> None: ...

    def forget(self) -> None: ...

    async def ask(self, name: str, kind: RecordKind) -> Answer:
        self.asked[name, kind] += 1
        await asyncio.sleep(0)
        answer = self.table.get((name, kind), Absent(False, is_secure=True))
        if isinstance(answer, Answer):
            return answer
        raise answer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def address(name: str = HOST, ttl_s: int = 300, *, is_secure: bool = True) -> Answer:
    return Answer((Record(name, "A", ADDRESS, ttl_s),), is_secure)


def alias(target: str, ttl_s: int = 300, *, is_secure: bool = True) -> Answer:
    return Answer((Record(HOST, "CNAME", target, ttl_s), *address(target).records), is_secure)


def tlsa(base: str = HOST, ttl_s: int = 300, *, is_secure: bool = True) -> dict[Question, Answer]:
    name = f"_25._tcp.{base}"
    return {(name, "TLSA"): Answer((Record(name, "TLSA", DIGEST, ttl_s),), is_secure)}


def hosts(servers: Scripted, clock: Clock | None = None, *, with_dane: bool = True) -> Hosts:
    guard = AddressGuard((), lambda _: False)
    made = Hosts(servers, guard, clock or Clock(), with_dane=with_dane)
    made.has_ipv6 = True
    return made


async def test_a_secure_host_with_records() -> None:
    """T-07: secure addresses lead to the TLSA question, and the shorter TTL counts."""
    servers = Scripted({(HOST, "A"): address(ttl_s=300), **tlsa(ttl_s=60)})
    host = await hosts(servers).find(HOST)
    assert (host.addresses, host.dane.state, host.dane.base, host.ttl_s) == (
        (ADDRESS,),
        DaneState.USABLE,
        HOST,
        60.0,
    )


async def test_an_insecure_host_is_not_asked_for_records() -> None:
    """T-07: nothing is asked where the addresses are not secure."""
    servers = Scripted({(HOST, "A"): address(is_secure=False), **tlsa()})
    host = await hosts(servers).find(HOST)
    assert host.dane == NO_DANE
    assert set(servers.asked) == {(HOST, "A"), (HOST, "AAAA")}


async def test_without_dane_nothing_is_asked_or_believed() -> None:
    """A plain lookup never asks for TLSA, whatever its server says of DNSSEC."""
    servers = Scripted({(HOST, "A"): address(), **tlsa()})
    host = await hosts(servers, with_dane=False).find(HOST)
    assert (host.addresses, host.dane) == ((ADDRESS,), NO_DANE)
    assert set(servers.asked) == {(HOST, "A"), (HOST, "AAAA")}


async def test_a_host_without_addresses_is_not_asked_for_records() -> None:
    """Nobody connects to it, also where it has some that are refused (S-09)."""
    refused = Answer((Record(HOST, "A", "127.0.0.1", 300),), True)
    servers = Scripted({(HOST, "A"): refused, **tlsa()})
    assert (await hosts(servers).find(HOST)).dane == NO_DANE
    assert servers.asked.total() == 2


async def test_a_broken_question_is_asked_again_soon() -> None:
    """T-07: the host is kept as broken, for seconds, whatever the TTL of its addresses."""
    clock = Clock()
    servers = Scripted({(HOST, "A"): address(), (f"_25._tcp.{HOST}", "TLSA"): FAILED})
    known = hosts(servers, clock)
    host = await known.find(HOST)
    assert (host.dane.state, host.dane.detail, host.ttl_s) == (DaneState.BROKEN, "no word", 15.0)
    clock.now += 14.9
    assert (await known.find(HOST)).dane.state is DaneState.BROKEN
    clock.now += 0.1
    servers.table.update(tlsa())
    assert (await known.find(HOST)).dane.state is DaneState.USABLE


@pytest.mark.parametrize(
    ("published", "base", "questions"),
    [
        (("real.test", HOST), "real.test", 1),
        (("real.test",), "real.test", 1),
        ((HOST,), HOST, 2),
        ((), "", 2),
    ],
)
async def test_an_alias(published: tuple[str, ...], base: str, questions: int) -> None:
    """RFC 7672 section 2.2.3: the end of a secure alias speaks first, its own name where that is silent."""
    servers = Scripted({(HOST, "A"): alias("real.test")})
    for name in published:
        servers.table.update(tlsa(name))
    host = await hosts(servers).find(HOST)
    assert host.dane.base == base
    assert host.dane.state is (DaneState.USABLE if base else DaneState.ABSENT)
    assert sum(times for (_, kind), times in servers.asked.items() if kind == "TLSA") == questions


async def test_the_silence_of_the_end_is_believed_for_its_own_time() -> None:
    """What was learnt on the way to the records counts for how long they are kept."""
    silent = Answer((Record("_25._tcp.real.test", "CNAME", "keys.test", 30),), True)
    servers = Scripted({(HOST, "A"): alias("real.test"), ("_25._tcp.real.test", "TLSA"): silent, **tlsa()})
    host = await hosts(servers).find(HOST)
    assert (host.dane.base, host.ttl_s) == (HOST, 30.0)


async def test_a_broken_end_of_an_alias_is_not_passed_over() -> None:
    """T-07: whoever can break the first question must not choose the second."""
    servers = Scripted({(HOST, "A"): alias("real.test"), ("_25._tcp.real.test", "TLSA"): FAILED, **tlsa()})
    assert (await hosts(servers).find(HOST)).dane.state is DaneState.BROKEN


@pytest.mark.parametrize(
    ("own", "state"),
    [
        (Answer((Record(HOST, "CNAME", "real.test", 300),), True), DaneState.USABLE),
        (Answer((Record(HOST, "CNAME", "real.test", 300),), False), DaneState.ABSENT),
        (Absent(False, is_secure=True), DaneState.ABSENT),
        (FAILED, DaneState.BROKEN),
    ],
)
async def test_an_alias_out_of_a_secure_zone(own: Answer | Absent | LookupFailed, state: DaneState) -> None:
    """RFC 7672 section 2.2.2: where only the alias itself is secure, records under its own name count, and those at
    its insecure end never."""
    servers = Scripted({(HOST, "A"): alias("real.test", is_secure=False), (HOST, "CNAME"): own})
    servers.table.update({**tlsa(), **tlsa("real.test")})
    assert (await hosts(servers).find(HOST)).dane.state is state
    assert ("_25._tcp.real.test", "TLSA") not in servers.asked


async def test_one_secure_family_is_enough() -> None:
    """A signed zone whose other half fails still promises."""
    servers = Scripted({(HOST, "A"): address(), (HOST, "AAAA"): FAILED, **tlsa()})
    host = await hosts(servers).find(HOST)
    assert host.dane.state is DaneState.USABLE
    assert host.trouble == FAILED.trouble


async def test_one_lookup_for_all_who_ask() -> None:
    """C15: a name is looked up once, however many wait, and then known."""
    servers = Scripted({(HOST, "A"): address(), **tlsa()})
    known = hosts(servers)
    found = await asyncio.gather(*(known.find(HOST) for _ in range(20)))
    assert await known.find(HOST) == found[0]
    assert len(set(found)) == 1
    assert set(servers.asked.values()) == {1}
    known.forget()
    await known.find(HOST)
    assert set(servers.asked.values()) == {2}
    await known.close()


@pytest.mark.parametrize(("ttl_s", "kept_s"), [(0, 5), (5, 5), (300, 300), (3600, 3600), (604_800, 3600)])
def test_how_long_an_answer_is_believed(ttl_s: float, kept_s: float) -> None:
    """C13: no shorter than 5 s, no longer than an hour."""
    assert clamped(ttl_s) == kept_s
