"""Against a scripted server: what goes to which connection, and what becomes of it."""

import asyncio
import gc
import socket
import time
import tracemalloc

import pytest
from msgspec.structs import replace

from mta.delivery.binding import Bind, Binding
from mta.delivery.pool import PathPool
from mta.delivery.reference import Parked
from mta.model.lane import Lane
from mta.model.outcome import Bounced, Deferred, Delivered
from mta.model.path import MxHost, Security, Site, StsFound
from mta.model.sender import Sender
from mta.model.tls import DaneState, HostDane, StsMode, StsPolicy, TlsOption
from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.governor import Why
from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.settings import Limits
from mta.queue.health import Sign
from mta.queue.settings import HoldSettings, RateLimit
from tests.fakes.nats import eventually, free_port
from tests.fakes.smtp_server import CHUNKING, Cut, FakeMX, On
from tests.unit.delivery.refs import QUICK, Owner, ref


async def test_each_reference_is_settled_once() -> None:
    """Twenty of them, one refused: nineteen delivered, one bounced, none twice."""
    mx = FakeMX(offers=CHUNKING, rules=[On("rcpt", [b"550 5.1.1 no\r\n"], recipient="r3@d.test")])
    async with mx.serving():
        owner = Owner(mx.port)
        owner.put(*(ref(f"r{number}") for number in range(20)))
        settled = await owner.until_settled(20)
        await owner.close()
    assert sum(isinstance(one, Delivered) for one in settled) == 19
    (bounced,) = ((one, s) for one, s in owner.settled if isinstance(s, Bounced))
    assert bounced[0].addressee.email == "r3@d.test"
    assert sorted(each.recipient for each in mx.accepted) == sorted(
        f"r{n}@d.test" for n in range(20) if n != 3
    )


async def test_connections_stay_within_the_limit() -> None:
    """However much waits."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=replace(QUICK, connections=2))
        owner.put(*(ref(f"r{number}") for number in range(60)))
        await owner.until_settled(60)
        await owner.close()
        assert 1 <= mx.connections <= 2


async def test_messages_of_a_connection_stay_within_the_limit() -> None:
    """S-15: five each, so twelve need three connections; each ends with QUIT."""
    settings = replace(QUICK, connections=1, messages_per_connection=5)
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=settings)
        owner.put(*(ref(f"r{number}") for number in range(12)))
        await owner.until_settled(12)
        await owner.close()
        assert [sum(each.connection == n for each in mx.received) for n in range(mx.connections)] == [5, 5, 2]
        assert all(b"QUIT\r\n" in mx.commands(number) for number in range(3))


async def test_a_host_that_was_away_for_a_moment_is_tried_again_at_once() -> None:
    """One attempt is lost; the rest goes out when the back-off of about a second is over, none of it parked."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        owner = Owner(held.getsockname()[1])
        owner.put(*(ref(f"r{number}") for number in range(10)))
        await owner.until_settled(1)
        async with FakeMX(offers=CHUNKING).serving(held) as mx:
            settled = await owner.until_settled(10)
            await owner.close()
            assert len(mx.accepted) == sum(isinstance(one, Delivered) for one in settled) >= 1
    assert not any(isinstance(one, Parked) for one in settled)


async def test_what_was_withdrawn_stands_in_nobodys_way() -> None:
    """A thousand references that somebody else settled, then ten that are wanted: those go out at once."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port)
        owner.may_send = False
        gone = [ref(f"gone{number}") for number in range(1000)]
        owner.put(*gone, *(ref(f"r{number}") for number in range(10)))
        for one in gone:
            one.is_settled = True
        owner.may_send = True
        owner.pool.resume()
        await owner.until_settled(10)
        await owner.close()
        assert {one.recipient for one in mx.accepted} == {f"r{number}@d.test" for number in range(10)}


async def test_the_patient_lane_is_not_forgotten_when_the_other_is_parked() -> None:
    """While a dead host is backed off transactional mail comes and is parked at once; bulk waits for the next try, and
    nothing but its timer brings it about."""
    hold = HoldSettings(bulk_s=3.0, transactional_s=0.2)
    owner = Owner(free_port(), hold=hold)
    owner.put(*(ref(f"b{number}") for number in range(20)))
    await owner.until_settled(1)
    await asyncio.sleep(0)  # the turn that the failure brought about is over
    owner.put(*(ref(f"t{number}", lane=Lane.TRANSACTIONAL) for number in range(5)))
    settled = await owner.until_settled(25)
    await owner.close()
    assert any(isinstance(one, Parked) for one in settled)


async def test_a_dead_host_takes_one_attempt_and_parks_the_rest() -> None:
    """The head is deferred; who would wait longer than `hold` is parked, due not before the path may be tried."""
    hold = HoldSettings(bulk_s=0.2, bulk_parked_s=300.0)
    owner = Owner(free_port(), hold=hold)
    owner.put(*(ref(f"r{number}") for number in range(10)))
    settled = await owner.until_settled(10)
    await owner.close()
    kinds = {type(one) for one in settled}
    assert kinds == {Deferred, Parked}
    assert all(one.due_at > time.time() + 299 for one in settled if isinstance(one, Parked))


async def test_limits_of_the_peer_defer_nobody() -> None:
    """LIMITS (RFC 9422): with MAILMAX=2 ten messages over one connection at a time need five, and one attempt each."""
    async with FakeMX(offers=(*CHUNKING, "LIMITS MAILMAX=2 RCPTMAX=1")).serving() as mx:
        owner = Owner(mx.port, settings=replace(QUICK, connections=1))
        owner.put(*(ref(f"r{number}") for number in range(10)))
        settled = await owner.until_settled(10)
        await owner.close()
        assert {type(one) for one in settled} == {Delivered}
        assert mx.connections == 5


async def test_a_site_that_takes_no_mail_bounces_all_that_waits() -> None:
    """521/556 (RFC 7504): one try tells of all recipients, none of them is parked, both lanes alike."""
    mx = FakeMX(rules=[On("banner", [b"521 5.3.2 no mail here\r\n", Cut.CLOSE])])
    async with mx.serving():
        owner = Owner(mx.port, settings=replace(QUICK, connections=1))
        owner.put(ref("late"), *(ref(f"r{number}") for number in range(40)))
        owner.put(*(ref(f"t{number}", lane=Lane.TRANSACTIONAL) for number in range(40)))
        assert owner.late
        await owner.until_settled(80)
        owner.compose_late()
        settled = await owner.until_settled(81)
        await owner.close()
        assert mx.connections == 1
    assert {type(one) for one in settled} == {Bounced}
    assert {one.verdict.bounce_class for one in settled if isinstance(one, Bounced)} == {"invalid_domain"}


async def test_what_one_try_came_to_is_not_told_of_the_next() -> None:
    """521/556 (RFC 7504): who is composed later, before anything was tried for him, is not bounced for it."""
    mx = FakeMX(rules=[On("banner", [b"521 5.3.2 no mail here\r\n", Cut.CLOSE])])
    async with mx.serving():
        owner = Owner(mx.port, settings=replace(QUICK, connections=1))
        owner.put(ref("late"))
        await mx.until(lambda: mx.connections == 1 and not mx.clients)
        await eventually(lambda: owner.pool._failure is not None)
        owner.compose_late()
        assert [type(one) for one in await owner.until_settled(1)] == [Bounced]
        owner.pool._health.note(Sign.OPENED, asyncio.get_running_loop().time())
        owner.may_send = False
        owner.put(ref())
        await eventually(lambda: owner.pool._load.ready == 1)
        assert len(owner.settled) == 1
        await owner.close()


@pytest.mark.parametrize("moment", ["queued", "composing", "ready"])
async def test_t11_a_host_that_is_barred_counts_for_whom_it_was_tried(moment: str) -> None:
    """T-11, T-06: wherever the mail is that a connection was to be opened for, one session counts for each deferred
    attempt, and its policy is looked at again."""
    owner = Owner(1, settings=replace(QUICK, connections=1))
    broken = MxHost("mx.test", dane=HostDane(DaneState.BROKEN, detail="SERVFAIL"))
    owner.pool = owner.another(Site("site", "other", (broken,)))
    owner.is_busy = moment == "queued"
    one = ref("late" if moment == "composing" else "r")
    one.sts = StsFound(StsPolicy("1", StsMode.ENFORCE, ("mx.test",), 600))
    owner.put(one)
    if moment == "composing":
        await eventually(lambda: owner.sessions)
        assert owner.settled == []
        owner.compose_late()
    (settled,) = await owner.until_settled(1)
    await owner.close()
    assert isinstance(settled, Deferred)
    assert [(each.domain, each.failure) for each in owner.sessions] == [("d.test", "dnssec-invalid")]
    assert owner.doubted == ["d.test"]


async def test_parked_is_never_due_after_the_end_of_life() -> None:
    """Who expires while parked is due at that very time, so that its event comes on time."""
    owner = Owner(free_port(), hold=HoldSettings(bulk_s=0.2, bulk_parked_s=300.0))
    expires_at = time.time() + 20
    owner.put(*(ref(f"r{number}", expires_at=expires_at) for number in range(10)))
    settled = await owner.until_settled(10)
    await owner.close()
    assert {one.due_at for one in settled if isinstance(one, Parked)} == {expires_at}


async def test_more_than_the_rate_can_serve_is_parked_at_once() -> None:
    """References ahead divided by rate may not exceed `hold`."""
    settings = replace(QUICK, message_rate=RateLimit(10, 1.0), connections=1)
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=settings, hold=HoldSettings(bulk_s=0.5))
        owner.put(*(ref(f"r{number}") for number in range(30)))
        assert sum(isinstance(one, Parked) for _, one in owner.settled) == 25
        await owner.until_settled(30)
        await owner.close()


async def test_connections_that_end_unserved_count_in_the_end() -> None:
    """S-19, B25: twice it costs nothing, the third time it is an attempt, so that it cannot go on for ever."""
    mx = FakeMX(offers=CHUNKING, rules=[On("mail", [Cut.CLOSE])])
    async with mx.serving():
        owner = Owner(mx.port, settings=replace(QUICK, connections=1))
        owner.put(ref())
        (settled,) = await owner.until_settled(1)
        await owner.close()
    assert isinstance(settled, Deferred)
    assert not settled.attempt.ambiguous
    assert mx.connections <= 3


async def test_transactional_goes_first() -> None:
    """With both lanes waiting on one connection, most of the first sends are transactional, yet bulk is not starved."""
    async with FakeMX(offers=()).serving() as mx:
        owner = Owner(mx.port, settings=replace(QUICK, connections=1))
        owner.put(*(ref(f"b{number}") for number in range(20)))
        owner.put(*(ref(f"t{number}", lane=Lane.TRANSACTIONAL) for number in range(20)))
        await owner.until_settled(40)
        await owner.close()
        first = [each.recipient[0] for each in mx.received[:20]]
        assert first.count("t") >= 15
        assert "b" in first


async def test_drain_gives_back_what_was_not_on_the_wire() -> None:
    """Nothing new is sent, and `closed` returns."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port)
        refs = [ref(f"r{number}") for number in range(5)]
        owner.put(*refs)
        assert owner.pool.drain() == refs
        await owner.close()
        assert not mx.received
        assert not owner.settled


async def test_an_idle_connection_is_closed_with_quit() -> None:
    """S-15: after `idle_timeout`."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=replace(QUICK, idle_timeout_s=0.1))
        owner.put(ref())
        await owner.until_settled(1)
        await mx.until(lambda: not mx.clients)
        assert mx.commands(0)[-1] == b"QUIT\r\n"
        await eventually(lambda: owner.pool.is_unused)


@pytest.mark.parametrize("lane", Lane)
async def test_sendable_counts_what_waits(lane: Lane) -> None:
    """Of that lane alone, bounded by what the rate serves."""
    owner = Owner(free_port(), settings=replace(QUICK, message_rate=RateLimit(100, 1.0)))
    owner.put(*(ref(f"r{number}", lane=lane) for number in range(50)))
    assert owner.pool.sendable(lane, 3.0) == 50
    assert owner.pool.sendable(lane, 0.1) == 11
    assert owner.pool.sendable(next(other for other in Lane if other is not lane), 3.0) == 0
    await owner.close()


async def test_a_path_that_rests_is_small() -> None:
    """G3: no more than 2 kB for each of 100,000 paths, and no task and no timer."""
    number = 500
    owner = Owner(1)
    sites = [replace(owner.pool.site, name=f"mx.d{each:07d}.test") for each in range(number)]
    pools: list[PathPool] = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pools += map(owner.another, sites)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown / number < 2000
    assert len(asyncio.all_tasks()) == 1
    assert all(pool._timer is None for pool in pools)


async def test_a_path_is_not_forgotten_before_its_rate() -> None:
    """G6: forgotten, it would begin anew with a burst."""
    owner = Owner(1, settings=replace(QUICK, message_rate=RateLimit(1, 60.0)))
    now = asyncio.get_running_loop().time()
    assert owner.pool._passage.take_message(now) == 0.0
    assert owner.pool.is_unused
    owner.pool.forget()
    owner.governors.forget_idle(now)
    again = owner.another(owner.pool.site)
    assert again._passage.message_wait(now + 1) > 50.0


async def test_a_path_follows_its_site() -> None:
    """C13: an address that moves in DNS is used by the next connection, while the path goes on."""
    async with FakeMX(offers=CHUNKING).serving() as old, FakeMX(offers=CHUNKING).serving() as new:
        owner = Owner(old.port, settings=replace(QUICK, messages_per_connection=1))
        owner.put(ref("a"))
        await owner.until_settled(1)
        owner.pool.follow(replace(owner.pool.site, hosts=(MxHost("127.0.0.1", new.port),)))
        owner.put(ref("b"))
        await owner.until_settled(2)
        await owner.close()
    assert [one.recipient for one in old.accepted] == ["a@d.test"]
    assert [one.recipient for one in new.accepted] == ["b@d.test"]


async def test_a_policy_that_stood_in_the_way_is_doubted() -> None:
    """T-06: its domain is looked at again; a domain without a policy has none to look at."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port)
        owner.pool = owner.another(owner.pool.site, Security(TlsOption.VERIFY))
        bound, free = ref("a", domain="bound.test"), ref("b", domain="free.test")
        bound.sts = StsFound(StsPolicy("1", StsMode.ENFORCE, ("127.0.0.1",), 600))
        owner.put(bound, free)
        settled = await owner.until_settled(2)
        await owner.close()
    assert {type(one) for one in settled} == {Deferred}
    assert owner.doubted == ["bound.test"]


async def test_a_path_says_how_it_stands() -> None:
    """At first it connects, then its message rate binds; when all is sent nothing does."""
    settings = replace(QUICK, connections=1, message_rate=RateLimit(1, 15.0))
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=settings)
        owner.put(*(ref(f"r{number}") for number in range(3)))
        first = owner.pool.standing()
        assert (first.source, first.site, first.demand) == ("one", "site", 3)
        assert first.binding == Binding(Bind.CONNECTING)
        await owner.until_settled(1)
        standing = owner.pool.standing()
        assert (standing.demand, standing.connections) == (2, 1)
        assert standing.binding == Binding(Bind.MESSAGE_RATE, rate=settings.message_rate)
        owner.pool.drain()
        assert owner.pool.standing().binding == Binding(Bind.NOTHING)
        await owner.close()


async def test_a_path_that_is_backed_off_says_after_what() -> None:
    """The last failure, and when it is tried again."""
    owner = Owner(free_port())
    owner.put(ref("first"))
    await owner.until_settled(1)
    owner.put(ref("second"))
    binding = owner.pool.standing().binding
    assert binding.kind is Bind.BACKED_OFF
    assert binding.until > asyncio.get_running_loop().time()
    assert binding.reply.startswith("connect: ")
    await owner.close()


BUSY = b"421 4.7.0 Too many concurrent connections from your IP\r\n"


async def test_sites_share_the_connections_of_their_host() -> None:
    """Two paths to one host never have more than it may have together, and both deliver."""
    settings = replace(QUICK, connections=5, host_connections=2, idle_timeout_s=0.2)
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=settings)
        other = owner.another(replace(owner.pool.site, name="other"))
        owner.put(*(ref(f"a{number}") for number in range(30)))
        for number in range(30):
            other.put(ref(f"b{number}"))
        other.turn()
        most = 0
        async with asyncio.timeout(15):
            while len(owner.settled) < 60:
                most = max(most, mx.clients)
                await asyncio.sleep(0)
        assert all(isinstance(one, Delivered) for _, one in owner.settled)
        assert 1 <= most <= 2
        other.drain()
        await owner.close()
        await other.closed()
    host = owner.governors.get(Scope(ScopeKind.HOST, "one", "127.0.0.1"))
    assert host is not None
    assert host.in_use == 0


async def test_a_refused_connection_slows_nobody_else() -> None:
    """G1: one site has enough of our connections; the other goes on at its rate, with all of its own."""
    rude = FakeMX(offers=CHUNKING, rules=[On("banner", [BUSY, Cut.CLOSE])])
    async with rude.serving(), FakeMX(offers=CHUNKING).serving() as kind:
        owner = Owner(rude.port)
        host = MxHost("localhost", kind.port, ("127.0.0.1",))
        other = owner.another(Site("kind", "other", (host,), is_static=True))
        owner.put(*(ref(f"a{number}") for number in range(5)))
        await owner.until_settled(1)
        for number in range(40):
            other.put(ref(f"b{number}"))
        other.turn()
        await eventually(lambda: sum(isinstance(one, Delivered) for _, one in owner.settled) == 40)
        now = asyncio.get_running_loop().time()
        slowed = [row.scope for row in owner.governors.list(now)]
        assert slowed == [Scope(ScopeKind.HOST, "one", "127.0.0.1")]
        assert other._passage.per_second(now) == QUICK.message_rate.count
        other.drain()
        await owner.close()
        await other.closed()


async def test_a_suspension_parks_what_waits_and_closes_what_is_idle() -> None:
    """Nothing is opened, nothing is sent, and what waits is to come again after its end."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=replace(QUICK, idle_timeout_s=60.0))
        owner.put(ref("a"))
        await owner.until_settled(1)
        aim = Aim(source="one", site="site")
        until = time.time() + 1000
        owner.actions.put(Action(kind=ActionKind.SUSPEND, aim=aim, since=time.time(), until=until))
        owner.put(ref("b"))
        _, parked = await owner.until_settled(2)
        assert isinstance(parked, Parked)
        assert parked.due_at >= until - 1
        assert parked.reason == "suspended"
        await mx.until(lambda: not mx.clients)
        assert len(mx.accepted) == 1
        await owner.close()


async def test_an_accused_sender_goes_slower_and_others_do_not() -> None:
    """By its domain: its mail is parked until its turn, that of others is sent."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port)
        accused, other = Sender("acme", "", "news", "a.test"), Sender("other", "", "news", "b.test")
        now = asyncio.get_running_loop().time()
        why = Why(time.time(), "421", "rate_limited")
        for minute in range(10):
            owner.governors.accuse(accused, "other", now - 600 + 60 * minute, 1.0, why)
        owner.put(*(ref(f"a{number}", sender=accused) for number in range(5)))
        owner.put(*(ref(f"b{number}", sender=other) for number in range(5)))
        await owner.until_settled(10)
        await owner.close()
    parked = [one for one, settled in owner.settled if isinstance(settled, Parked)]
    assert parked
    assert {one.sender for one in parked} == {accused}
    assert sum(isinstance(settled, Delivered) for one, settled in owner.settled if one.sender == other) == 5


async def test_whoever_waits_gets_what_another_has_idle() -> None:
    """One connection for two sites of a provider: the idle one is closed when the other has mail."""
    settings = replace(QUICK, provider=Limits(connections=1), idle_timeout_s=60.0)
    async with FakeMX(offers=CHUNKING).serving() as mx:
        owner = Owner(mx.port, settings=settings)
        sites = [replace(owner.pool.site, name=name, provider="google") for name in ("x", "y")]
        first, second = map(owner.another, sites)
        for pool in (first, second):
            pool.put(ref("a"))
            pool.turn()
            await owner.until_settled(1 if pool is first else 2)
        assert mx.connections == 2
        for pool in (first, second):
            pool.drain()
            await pool.closed()
