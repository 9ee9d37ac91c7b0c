"""T-05, D10: MTA-STS with a DNS server and a policy host on loopback, through loss, change and restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
import trustme
from structlog.testing import capture_logs

from mta.dns import sts
from mta.dns.nameservers import StubNameservers
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings, StsLimits
from mta.dns.sts import NoSts, StsAnswer, StsFault, StsPolicies
from mta.model.tls import StsMode, StsPolicy, TlsFailure
from tests.fakes.dns_server import Answer, FakeDns, a, cname, txt
from tests.fakes.policy_host import PolicyHost, RawHost, Reply, policy
from tests.fakes.trust import trusting

AUTHORITY = trustme.CA()
DOMAIN = "acme.test"
RECORD = f"_mta-sts.{DOMAIN}"
LOOPBACK = ("127.0.0.0/8",)
LIMITS = StsLimits(fetch_s=20.0)
MINUTE_S = 60.0
HOUR_S = 3600.0
DAY_S = 86_400.0
SERVFAIL = Answer(rcode="SERVFAIL")
NAMES = (DOMAIN, *(f"d{number}.test" for number in range(8)))


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    """What is outside, and where policies are kept. TTLs are 0 so that nobody but ours keeps anything."""

    dns: FakeDns
    host: PolicyHost
    state: Path
    clock: Clock = field(default_factory=Clock)

    def publish(self, id: str, domain: str = DOMAIN, ttl: int = 0) -> None:
        self.dns.script(
            f"_mta-sts.{domain}", "TXT", Answer((txt(f"_mta-sts.{domain}", f"v=STSv1; id={id};", ttl),))
        )

    def questions(self, domain: str = DOMAIN) -> int:
        return self.dns.asked[f"_mta-sts.{domain}", "TXT"]

    @property
    def fetches(self) -> int:
        return self.host.asked.total()


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A domain with a policy in mode enforce for one day."""
    async with FakeDns() as dns, PolicyHost(AUTHORITY, *(f"mta-sts.{name}" for name in NAMES)) as host:
        for name in NAMES:
            dns.records(a(f"mta-sts.{name}", "127.0.0.1", 0))
        world = World(dns, host, tmp_path / "sts.json")
        world.publish("1")
        yield world


@asynccontextmanager
async def running(
    world: World,
    *,
    allow: tuple[str, ...] = LOOPBACK,
    port: int | None = None,
    limits: StsLimits = LIMITS,
    timeout_s: float = 20.0,
) -> AsyncIterator[StsPolicies]:
    settings = DnsSettings(servers=(world.dns.address,), allow=allow, timeout_s=timeout_s, tries=1)
    nameservers = StubNameservers(settings)
    nameservers.start()
    resolver = Resolver(nameservers, settings, ipv6=False, clock=world.clock)
    resolver.start()
    policies = StsPolicies(
        nameservers,
        resolver.addresses,
        world.state,
        port=port or world.host.port,
        context=trusting(AUTHORITY),
        clock=world.clock,
        limits=limits,
    )
    await policies.start()
    try:
        yield policies
    finally:
        await policies.close()
        await nameservers.close()
        await resolver.close()


async def looked_again(policies: StsPolicies, domain: str = DOMAIN) -> StsAnswer | None:
    """What is known after the look that `look_up` begins has ended."""
    policies.look_up(domain)
    looks = [task for task in asyncio.all_tasks() if task.get_name() == f"MTA-STS policy of {domain}"]
    assert looks
    await asyncio.wait(looks)
    return policies.look_up(domain)


def enforced(id: str = "1", max_age_s: float = DAY_S) -> StsPolicy:
    return StsPolicy(id, StsMode.ENFORCE, ("mx.acme.test",), int(max_age_s))


@pytest.mark.parametrize("mode", list(StsMode))
async def test_a_policy_is_found_and_remembered(world: World, mode: StsMode) -> None:
    """D10: each mode is fetched once and then known without asking, whatever the case of the domain."""
    world.host.reply = policy(mode)
    async with running(world) as policies:
        assert policies.look_up(DOMAIN) is None
        found = await policies.resolve("ACME.test")
        assert found == StsPolicy("1", mode, ("mx.acme.test",), 86400)
        assert policies.look_up("Acme.Test") == found == await policies.resolve(DOMAIN)
    assert (world.questions(), world.fetches) == (1, 1)


async def test_most_domains_have_no_record(world: World) -> None:
    """T-05: no record, no fetch, and nothing is asked for an hour."""
    world.dns.forget(RECORD)
    async with running(world) as policies:
        answer = await policies.resolve(DOMAIN)
        assert isinstance(answer, NoSts)
        world.clock.now += HOUR_S - 1
        assert policies.look_up(DOMAIN) == answer
        world.clock.now += 1
        assert policies.look_up(DOMAIN) is None
        world.publish("1")
        assert await policies.resolve(DOMAIN) == enforced()
    assert (world.questions(), world.fetches) == (2, 1)


async def test_two_records_are_none(world: World) -> None:
    """T-05: exactly one of them; a text of others beside it does not count."""
    one, two, other = (txt(RECORD, text, 0) for text in ("v=STSv1; id=1;", "v=STSv1; id=2;", "hello"))
    world.dns.script(RECORD, "TXT", Answer((one, two)))
    async with running(world) as policies:
        assert isinstance(await policies.resolve(DOMAIN), NoSts)
        assert world.fetches == 0
        world.clock.now += 5 * MINUTE_S
        world.dns.script(RECORD, "TXT", Answer((one, other)))
        assert await policies.resolve(DOMAIN) == enforced()


async def test_a_record_behind_a_cname_counts(world: World) -> None:
    """T-05: the record may be the hoster's."""
    world.dns.script(
        RECORD,
        "TXT",
        Answer((cname(RECORD, "_mta-sts.hoster.test"), txt("_mta-sts.hoster.test", "v=STSv1; id=9;"))),
    )
    async with running(world) as policies:
        assert await policies.resolve(DOMAIN) == enforced("9")


@pytest.mark.parametrize("answer", [SERVFAIL, Answer(rcode="REFUSED"), Answer(silent=True)])
async def test_trouble_with_dns_is_no_policy_for_a_while(world: World, answer: Answer) -> None:
    """T-05: without a policy that is kept mail goes on as if there were none, and 5 minutes later it is asked again."""
    world.dns.script(RECORD, "TXT", answer)
    async with running(world, timeout_s=0.5 if answer.silent else 20.0) as policies:
        found = await policies.resolve(DOMAIN)
        assert isinstance(found, NoSts)
        assert not found.is_sure
        assert RECORD in found.detail
        world.clock.now += 5 * MINUTE_S - 1
        assert policies.look_up(DOMAIN) == found
        world.clock.now += 1
        world.publish("1")
        assert await policies.resolve(DOMAIN) == enforced()


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply(b"", status=404), TlsFailure.STS_POLICY_FETCH_ERROR),
        (Reply(b"", status=301, headers={"Location": "/"}), TlsFailure.STS_POLICY_FETCH_ERROR),
        (Reply(b"x" * 70_000), TlsFailure.STS_POLICY_FETCH_ERROR),
        (Reply(b"<html>", content_type="text/html"), TlsFailure.STS_POLICY_FETCH_ERROR),
        (Reply(b"<html>"), TlsFailure.STS_POLICY_INVALID),
        (policy("strict"), TlsFailure.STS_POLICY_INVALID),
        (policy(mx="127.0.0.1"), TlsFailure.STS_POLICY_INVALID),
    ],
)
async def test_a_policy_that_cannot_be_got_is_a_fault(
    world: World, reply: Reply, failure: TlsFailure
) -> None:
    """D10: the failure has the name that reports use, and there is no second fetch within 5 minutes."""
    world.host.reply = reply
    async with running(world) as policies:
        fault = await policies.resolve(DOMAIN)
        assert isinstance(fault, StsFault)
        assert fault.failure is failure
        assert policies.look_up(DOMAIN) == fault
        world.host.reply = policy()
        world.publish("2")
        world.clock.now += 5 * MINUTE_S - 1
        assert await policies.resolve(DOMAIN) == await policies.recheck(DOMAIN) == fault
        assert world.fetches == 1
        world.clock.now += 1
        assert await policies.resolve(DOMAIN) == enforced("2")


async def test_a_certificate_of_another_is_a_fault(world: World) -> None:
    """D10: the host of the policy must show that it is the host of this domain."""
    world.publish("1", "d99.test")
    world.dns.records(a("mta-sts.d99.test", "127.0.0.1", 0))
    async with running(world) as policies:
        fault = await policies.resolve("d99.test")
    assert isinstance(fault, StsFault)
    assert fault.failure is TlsFailure.STS_WEBPKI_INVALID
    assert world.fetches == 0


async def test_a_slow_host_is_a_fault(world: World) -> None:
    """D10: a host that says nothing holds nobody up for longer than a fetch may take."""
    world.host.reply = Reply(b"", silent=True)
    async with running(world, limits=StsLimits(fetch_s=0.1)) as policies:
        fault = await policies.resolve(DOMAIN)
    assert isinstance(fault, StsFault)
    assert fault.failure is TlsFailure.STS_POLICY_FETCH_ERROR


@pytest.mark.parametrize(("ttl", "rest_s"), [(0, 300.0), (60, 300.0), (1200, 1200.0), (604_800, HOUR_S)])
async def test_the_same_id_means_no_second_fetch(world: World, ttl: int, rest_s: float) -> None:
    """T-05: the record is asked for again after its TTL, within 5 minutes and an hour; the policy stays."""
    world.publish("1", ttl=ttl)
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.clock.now += rest_s - 1
        assert policies.look_up(DOMAIN) == enforced()
        assert not [task for task in asyncio.all_tasks() if "MTA-STS policy" in task.get_name()]
        world.clock.now += 1
        assert await looked_again(policies) == enforced()
    assert world.fetches == 1


async def test_another_id_brings_another_policy(world: World) -> None:
    """T-05: mail that comes meanwhile goes by the old one, mail after that by the new one."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.publish("2")
        world.host.reply = policy("testing", "other.acme.test", 600)
        world.clock.now += HOUR_S
        assert policies.look_up(DOMAIN) == enforced("1")
        changed = await looked_again(policies)
        assert changed == StsPolicy("2", StsMode.TESTING, ("other.acme.test",), 600)
    assert (world.questions(), world.fetches) == (2, 2)


async def test_mode_none_ends_what_was_enforced(world: World) -> None:
    """T-05: so a domain takes its policy back (RFC 8461 section 8.3)."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.publish("2")
        world.host.reply = policy("none", max_age_s=600)
        world.clock.now += HOUR_S
        found = await looked_again(policies)
        assert isinstance(found, StsPolicy)
        assert found.mode is StsMode.NONE


@pytest.mark.parametrize(
    "answer", [SERVFAIL, Answer(rcode="NXDOMAIN"), Answer(), Answer((txt(RECORD, "x", 0),))]
)
async def test_a_policy_outlives_its_record(world: World, answer: Answer) -> None:
    """D10: neither a DNS that fails nor a record that is gone ends enforce before max_age does."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        await world.host.stop()
        world.dns.script(RECORD, "TXT", answer)
        for _ in range(int(DAY_S / HOUR_S) - 1):
            world.clock.now += HOUR_S
            assert await looked_again(policies) == enforced()
        world.clock.now += HOUR_S
        assert policies.look_up(DOMAIN) is None
        assert isinstance(await policies.resolve(DOMAIN), NoSts)


async def test_a_policy_outlives_its_host(world: World) -> None:
    """D10: a new id whose policy cannot be got changes nothing; somebody hears of it; later it is tried again."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.publish("2", ttl=3600)
        world.host.reply = Reply(b"", status=503)
        world.clock.now += HOUR_S
        with capture_logs() as lines:
            assert await looked_again(policies) == enforced("1")
        assert [(line["event"], line["domain"]) for line in lines] == [("sts_refresh_failed", DOMAIN)]
        assert (world.questions(), world.fetches) == (2, 2)
        world.clock.now += 5 * MINUTE_S - 1
        assert policies.look_up(DOMAIN) == await policies.recheck(DOMAIN) == enforced("1")
        assert (world.questions(), world.fetches) == (2, 2)
        world.host.reply = policy()
        world.clock.now += 1
        assert await looked_again(policies) == enforced("2")


async def test_no_second_fetch_though_the_policy_ended(world: World) -> None:
    """A fetch that failed is not repeated within 5 minutes, not even for a domain that has nothing now."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.host.reply = Reply(b"", status=503)
        world.clock.now += DAY_S - MINUTE_S
        assert await looked_again(policies) == enforced()
        world.clock.now += MINUTE_S
        assert isinstance(await policies.resolve(DOMAIN), StsFault)
        assert world.fetches == 2
        world.clock.now += 5 * MINUTE_S
        assert isinstance(await policies.resolve(DOMAIN), StsFault)
        assert world.fetches == 3


async def test_a_clock_that_was_ahead_keeps_nobody_from_asking(world: World) -> None:
    """N12: neither for a policy that is kept, nor where there was none, nor after a fetch that failed."""
    world.publish("1", NAMES[1])
    async with running(world) as policies:
        world.clock.now += 10 * DAY_S
        await policies.resolve(DOMAIN)
        assert isinstance(await policies.resolve(NAMES[2]), NoSts)
        world.host.reply = Reply(b"", status=503)
        assert isinstance(await policies.resolve(NAMES[1]), StsFault)
        world.host.reply = policy()
        world.clock.now -= 10 * DAY_S
        for name in NAMES[:3]:
            world.publish("2", name)
            assert await policies.recheck(name) == enforced("2")


async def test_nobody_hears_of_a_policy_that_asks_for_nothing(world: World) -> None:
    """RFC 8461 section 5.1: one of mode none may end."""
    world.host.reply = policy("none")
    async with running(world) as policies:
        found = await policies.resolve(DOMAIN)
        world.host.reply = Reply(b"", status=404)
        world.clock.now += DAY_S / 2
        with capture_logs() as lines:
            assert await looked_again(policies) == found
    assert world.fetches == 2
    assert lines == []


async def test_the_end_of_a_policy_is_its_end(world: World) -> None:
    """T-05: past max_age, with the host gone, the domain has a record and no policy: a fault."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        await world.host.stop()
        world.clock.now += DAY_S
        assert policies.look_up(DOMAIN) is None
        assert isinstance(await policies.resolve(DOMAIN), StsFault)


@pytest.mark.parametrize("answer", [None, SERVFAIL])
async def test_a_policy_is_refreshed_before_it_ends(world: World, answer: Answer | None) -> None:
    """RFC 8461 sections 5.1, 10.2: fetched again at half its life though the id stayed, even if DNS fails."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        if answer is not None:
            world.dns.script(RECORD, "TXT", answer)
        world.clock.now += DAY_S / 2 - 1
        assert await looked_again(policies) == enforced()
        assert world.fetches == 1
        world.clock.now += 5 * MINUTE_S
        assert await looked_again(policies) == enforced()
        assert world.fetches == 2
        world.clock.now += DAY_S - 1
        assert policies.look_up(DOMAIN) == enforced()


async def test_a_domain_that_withdrew_its_record_may_leave(world: World) -> None:
    """A record that is gone refreshes nothing, though the host still serves the policy."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.dns.script(RECORD, "TXT", Answer())
        world.clock.now += DAY_S * 3 / 4
        assert await looked_again(policies) == enforced()
        assert world.fetches == 1
        world.clock.now += DAY_S / 4
        assert isinstance(await policies.resolve(DOMAIN), NoSts)


async def test_a_slow_check_holds_no_mail_up(world: World) -> None:
    """While a policy binds it is given at once, one look is under way behind it, and close ends that look."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.publish("2")
        world.host.reply = Reply(b"", silent=True)
        world.clock.now += HOUR_S
        for _ in range(100):
            assert policies.look_up(DOMAIN) == await policies.resolve(DOMAIN) == enforced("1")
        await world.host.was_asked(2)
        assert policies.look_up(DOMAIN) == enforced("1")
    assert world.fetches == 2
    assert not [task for task in asyncio.all_tasks() if "MTA-STS" in task.get_name()]


async def test_who_waits_at_the_end_gets_an_answer(world: World) -> None:
    """Close ends a first look, too; who asked is told and not cancelled."""
    world.host.reply = Reply(b"", silent=True)
    async with running(world) as policies:
        asker = asyncio.create_task(policies.resolve(DOMAIN))
        await world.host.was_asked(1)
    assert isinstance(await asker, NoSts)


async def test_a_policy_binds_to_the_end(world: World) -> None:
    """Who checks again while all is closed, or after that, gets the policy that is known."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.publish("2")
        world.host.reply = Reply(b"", silent=True)
        world.clock.now += HOUR_S
        asker = asyncio.create_task(policies.recheck(DOMAIN))
        await world.host.was_asked(2)
    assert await asker == await policies.recheck(DOMAIN) == policies.look_up(DOMAIN) == enforced("1")


async def test_who_gives_up_takes_nothing_from_others(world: World) -> None:
    """One asker is cancelled, the look goes on for the other."""
    async with running(world) as policies:
        first = asyncio.create_task(policies.resolve(DOMAIN))
        await world.dns.was_asked(RECORD, "TXT")
        first.cancel()
        assert await policies.resolve(DOMAIN) == enforced()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert world.fetches == 1


async def test_a_restart_keeps_enforce(world: World) -> None:
    """T-05, D10: what bound before binds after, though DNS and the host are gone."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
    await world.host.stop()
    world.dns.script(RECORD, "TXT", SERVFAIL)
    world.clock.now += DAY_S - 1
    async with running(world) as policies:
        assert policies.look_up(DOMAIN) == await policies.resolve(DOMAIN) == enforced()
        assert await looked_again(policies) == enforced()
        world.clock.now += 1
        assert policies.look_up(DOMAIN) is None
        assert isinstance(await policies.resolve(DOMAIN), NoSts)


async def test_a_restart_looks_for_changes_at_once(world: World) -> None:
    """What changed while nobody looked is seen with the first message."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
    world.publish("2")
    async with running(world) as policies:
        assert await looked_again(policies) == enforced("2")


async def test_the_id_is_checked_again_before_mail_is_given_up(world: World) -> None:
    """T-06: a policy that changed is seen then, and not asked for again for each of many messages."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        world.publish("2")
        assert await policies.recheck(DOMAIN) == enforced("1")
        world.clock.now += 5 * MINUTE_S
        assert policies.look_up(DOMAIN) == enforced("1")
        assert await policies.recheck(DOMAIN) == enforced("2")
        world.publish("3")
        assert [await policies.recheck("ACME.test") for _ in range(10)] == [enforced("2")] * 10
    assert (world.questions(), world.fetches) == (2, 2)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.0.0.1"])
async def test_a_private_address_is_not_connected_to(world: World, address: str) -> None:
    """SSRF: a zone that points its policy host into our network gets no connection."""
    world.publish("1", "evil.test")
    world.dns.records(a("mta-sts.evil.test", address, 0))
    async with RawHost() as victim, running(world, allow=(), port=victim.port) as policies:
        fault = await policies.resolve("evil.test")
        assert victim.connections == 0
    assert isinstance(fault, StsFault)
    assert fault.failure is TlsFailure.STS_POLICY_FETCH_ERROR
    assert address in fault.detail


async def test_a_hundred_askers_are_one_fetch(world: World) -> None:
    """C15: one question and one fetch, however many wait."""
    async with running(world) as policies:
        answers = await asyncio.gather(*(policies.resolve(DOMAIN) for _ in range(100)))
    assert answers == [enforced()] * 100
    assert (world.questions(), world.fetches) == (1, 1)


async def test_fetches_at_once_are_bounded(world: World) -> None:
    """A flood of domains with slow hosts takes a bounded number of sockets."""
    world.host.reply = Reply(b"", silent=True)
    for name in NAMES:
        world.publish("1", name)
    async with running(world, limits=StsLimits(fetch_s=0.1, most_fetches=3)) as policies:
        answers = await asyncio.gather(*map(policies.resolve, NAMES))
    assert all(isinstance(answer, StsFault) for answer in answers)
    assert world.fetches == len(NAMES)
    assert world.host.most_at_once == 3


async def test_slow_hosts_hold_up_nobody(world: World) -> None:
    """I6: with as many hosts in silence as are asked at once, another's policy comes in a second or two."""
    world.host.reply = Reply(b"", silent=True)
    for name in NAMES:
        world.publish("1", name)
    async with running(world, limits=StsLimits(fetch_s=20.0, most_fetches=3)) as policies:
        waiting = [asyncio.create_task(policies.resolve(name)) for name in NAMES[1:4]]
        await world.host.was_asked(3)
        world.host.reply = policy()
        async with asyncio.timeout(8):
            assert await policies.resolve(DOMAIN) == enforced()
        assert not any(task.done() for task in waiting)
        await policies.close()
        assert {type(answer) for answer in await asyncio.gather(*waiting)} == {NoSts}


async def test_records_that_do_not_come_hold_up_nobody(world: World) -> None:
    """C3, I6: the same for name servers that say nothing about records."""
    mute = [f"mute{number}.test" for number in range(250)]
    for name in mute:
        world.dns.script(f"_mta-sts.{name}", "TXT", Answer(silent=True))
    async with running(world, timeout_s=10.0) as policies:
        waiting = [asyncio.create_task(policies.resolve(name)) for name in mute]
        await world.dns.was_asked(f"_mta-sts.{mute[0]}", "TXT")
        async with asyncio.timeout(8):
            assert await policies.resolve(DOMAIN) == enforced()
        assert not any(task.done() for task in waiting)
        await policies.close()
        assert {type(answer) for answer in await asyncio.gather(*waiting)} == {NoSts}


async def test_who_is_in_a_hurry_waits_behind_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """I6: while all who may ask hang, not even where one of those who wait waits for the same domain."""
    monkeypatch.setattr(sts, "_QUICK_S", 60.0)
    world.host.reply = Reply(b"", silent=True)
    world.publish("1", NAMES[1])
    async with running(world, limits=StsLimits(fetch_s=20.0, most_fetches=1)) as policies:
        waiting = [asyncio.create_task(policies.resolve(name)) for name in (NAMES[1], DOMAIN)]
        await world.host.was_asked(1)
        world.host.reply = policy()
        async with asyncio.timeout(8):
            assert await policies.resolve(DOMAIN, is_urgent=True) == enforced()
        assert not any(task.done() for task in waiting)


async def test_looks_behind_the_back_are_bounded(world: World) -> None:
    """A campaign to many domains whose records are all due begins no more looks than it may; the others come later."""
    for name in NAMES:
        world.publish("1", name)
    async with running(world, limits=StsLimits(most_checks=3)) as policies:
        for name in NAMES:
            await policies.resolve(name)
        world.clock.now += HOUR_S
        for name in NAMES * 2:
            assert policies.look_up(name) == enforced()
        looks = [task for task in asyncio.all_tasks() if "MTA-STS policy" in task.get_name()]
        assert len(looks) == 3
        await asyncio.wait(looks)
        assert await looked_again(policies, NAMES[5]) == enforced()


async def test_memory_is_bounded(world: World) -> None:
    """C15: policies and the domains without one are forgotten, oldest first, and asked for again."""
    for name in NAMES[:6]:
        world.publish("1", name)
    async with running(world, limits=StsLimits(most_policies=2, most_domains=2)) as policies:
        for name in (*NAMES[:4], "x0.test", "x1.test", "x2.test"):
            await policies.resolve(name)
        known = [name for name in (*NAMES[:4], "x0.test", "x1.test", "x2.test") if policies.look_up(name)]
        assert known == [NAMES[2], NAMES[3], "x1.test", "x2.test"]
        assert await policies.resolve(NAMES[0]) == enforced()
    async with running(world) as policies:
        assert [name for name in NAMES if policies.look_up(name)] == [NAMES[0], NAMES[3]]


async def test_a_foreign_cache_does_not_stop_the_start(world: World) -> None:
    """What is no cache is reported and read as empty; the domain is asked instead."""
    world.state.write_text('{"version": 99}')
    with capture_logs() as lines:
        async with running(world) as policies:
            assert policies.look_up(DOMAIN) is None
            assert await policies.resolve(DOMAIN) == enforced()
    assert [line["event"] for line in lines] == ["sts_policies_unreadable"]


async def test_a_policy_is_kept_fresh_without_mail(world: World) -> None:
    """RFC 8461 section 10.2: fetched anew at half its life though nobody asks, so that it never lapses; what is not due
    is left alone, and so is a policy that binds nobody."""
    async with running(world) as policies:
        await policies.resolve(DOMAIN)
        for _ in range(4):
            fetches = world.fetches
            await policies.refresh()
            assert world.fetches == fetches
            world.clock.now += 0.6 * DAY_S
            await policies.refresh()
            assert world.fetches == fetches + 1
        assert isinstance(policies.look_up(DOMAIN), StsPolicy)
        world.publish("2")
        world.host.reply = policy("testing")
        world.clock.now += 0.6 * DAY_S
        await policies.refresh()
        fetches = world.fetches
        world.clock.now += 0.6 * DAY_S
        await policies.refresh()
        assert world.fetches == fetches
