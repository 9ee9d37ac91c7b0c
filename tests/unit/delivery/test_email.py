import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import cast

import pytest
from msgspec.structs import replace

from mta.compose.settings import ComposeSettings
from mta.compose.spec import Composed, ComposeFailed, Group, SpecBlob
from mta.compose.suspects import CROWDED
from mta.compose.workers import OnDone, OnLate
from mta.delivery import email
from mta.delivery.egress import Egress
from mta.delivery.email import EmailChannel
from mta.delivery.pool import PathPool
from mta.delivery.reference import Parked, Settlement
from mta.delivery.router import NoRoute, Route, Router
from mta.delivery.settings import StaticRoute
from mta.dns.mx import MxAnswer, MxFound
from mta.dns.nameservers import StubNameservers
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.model.lane import Lane
from mta.model.outcome import Cancelled, Deferred, Failed
from mta.model.path import EgressPool, EgressSource, MxHost, Site
from mta.model.sender import Sender
from mta.model.tls import TlsOption
from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.settings import PathSettings
from mta.pacing.shaping import Shaping
from mta.pacing.warmup import Warmups
from mta.queue.settings import Fairness, HoldSettings, RateLimit
from tests.fakes.nats import eventually
from tests.fakes.smtp_server import CHUNKING, FakeMX
from tests.unit.delivery.refs import CLASSIFIER, QUICK, SOURCE, envelope, ref

OTHER = EgressSource("two", "two.acme.test", "127.0.0.2")
POOLS = {
    "default": EgressPool("default", ((SOURCE, 1),)),
    "pair": EgressPool("pair", ((SOURCE, 1), (OTHER, 0))),
}


class Takes:
    """A composer that only takes: what was handed to it, chunk by chunk."""

    workers = 2

    def __init__(self, *, is_stalled: bool = False) -> None:
        self.chunks: list[list[Group]] = []
        self.is_stalled = is_stalled
        self.on_done: OnDone = lambda results: None
        self.on_late: OnLate | None = None

    @property
    def outstanding(self) -> int:
        return len(self.chunks)

    def compose(self, groups: Sequence[Group], on_done: OnDone, on_late: OnLate | None) -> None:
        self.chunks.append(list(groups))
        self.on_done, self.on_late = on_done, on_late

    def sizes(self) -> list[int]:
        return [sum(len(group.addressees) for group in chunk) for chunk in self.chunks]


class Composes(Takes):
    """Composes at once."""

    def compose(self, groups: Sequence[Group], on_done: OnDone, on_late: OnLate | None) -> None:
        wanted = [one for group in groups for one in group.addressees]
        on_done([Composed(place, envelope(ref(one.email.split("@")[0]))) for place, one in enumerate(wanted)])


class Even(Router):
    """The same holds on every path."""

    def __init__(self, routes: Iterable[StaticRoute], same: PathSettings, resolver: Resolver) -> None:
        super().__init__(routes, Shaping(), resolver)
        self._same = same

    def settings(self, source: str, site: Site) -> PathSettings:
        return self._same


def channel(
    bulk: Takes,
    express: Takes,
    settled: list[Settlement] | None = None,
    *,
    routes: Iterable[StaticRoute] = (),
    settings: PathSettings | None = None,
    may_send: bool = True,
    router: Router | None = None,
    actions: Actions | None = None,
) -> EmailChannel:
    resolver = Resolver(StubNameservers(DnsSettings()), DnsSettings())
    actions = Actions() if actions is None else actions
    return EmailChannel(
        bulk,  # type: ignore[arg-type]
        express,  # type: ignore[arg-type]
        router or Even(routes, settings or PathSettings(), resolver),
        Egress(POOLS, actions, Warmups({}), lambda source, provider: None, time.time),
        ComposeSettings(chunk=32),
        HoldSettings(),
        CLASSIFIER,
        in_hand_s=3.0,
        rng=Random(1),
        may_send=lambda: may_send,
        tell_operators=lambda kind, **fields: None,
        governors=Governors(actions, time.time),
        on_refused=lambda seen: None,
        fair=Fairness(),
        on_settled=lambda ref, settlement: None if settled is None else settled.append(settlement),
    )


async def test_what_waits_moves_on_where_its_source_is_suspended() -> None:
    """To another source of the pool; with none left it is parked until the suspension ends."""
    actions, settled = Actions(), list[Settlement]()
    route = StaticRoute("d.test", "127.0.0.1", 9, provider="google")
    mail = channel(Takes(), Takes(), settled, routes=[route], actions=actions)
    mail._group = cast(asyncio.TaskGroup, asyncio.get_running_loop())
    mail.submit([ref(str(n), is_dry_run=True) for n in range(500)])  # the workers are busy
    moving, stuck = ref("a", pool="pair"), ref("b")
    mail.submit([moving, stuck])
    assert moving.path is not None
    assert moving.path.source == "one"
    assert not mail._is_moved(moving.path, "google", [])
    until = time.time() + 1800
    aim = Aim(source="one", provider="google")
    actions.put(Action(kind=ActionKind.SUSPEND, aim=aim, since=0.0, until=until))
    for pool in list(mail._paths.values()):
        pool.turn()
    await asyncio.sleep(0)
    assert moving.path.source == "two"
    assert not moving.is_settled
    (parked,) = settled
    assert isinstance(parked, Parked)
    assert stuck.is_settled
    assert (parked.reason, parked.is_held) == ("suspended", True)
    assert until <= parked.due_at <= until + 61


async def test_bulk_goes_in_chunks_and_leaves_room() -> None:
    """One chunk more than workers at most, so that what comes behind is never far away."""
    bulk, express = Takes(), Takes()
    channel(bulk, express).submit([ref(str(n), is_dry_run=True) for n in range(500)])
    assert bulk.sizes() == [32, 32, 32]
    assert express.sizes() == []


async def test_transactional_has_workers_of_its_own() -> None:
    """Beside full bulk workers, and in small chunks."""
    bulk, express = Takes(), Takes()
    mail = channel(bulk, express)
    mail.submit([ref(str(n), is_dry_run=True) for n in range(500)])
    lane = Lane.TRANSACTIONAL
    mail.submit([ref(str(n), is_dry_run=True, lane=lane) for n in range(10)])
    assert express.sizes() == [8, 2]


async def test_large_content_goes_in_small_chunks() -> None:
    """So that no pipe and no worker holds many copies of it."""
    bulk, express = Takes(), Takes()
    spec = SpecBlob(b"k", b"x" * 250_000)
    channel(bulk, express).submit([ref(str(n), is_dry_run=True, spec=spec) for n in range(40)])
    assert max(bulk.sizes()) <= 3


async def test_transactional_uses_the_others_where_its_own_are_held_up() -> None:
    """As long as those have room; else it waits for its own."""
    bulk, express = Takes(), Takes(is_stalled=True)
    mail = channel(bulk, express)
    mail.submit([ref(str(n), is_dry_run=True, lane=Lane.TRANSACTIONAL) for n in range(40)])
    assert (bulk.sizes(), express.sizes()) == ([8, 8, 8], [8, 8])


async def test_neither_lane_starves_at_the_workers() -> None:
    """While transactional mail, whose own are held up, uses those of all, an eighth of these is left to bulk."""
    bulk, express = Takes(), Takes(is_stalled=True)
    mail = channel(bulk, express)
    mail.submit([ref(f"t{n}", is_dry_run=True, lane=Lane.TRANSACTIONAL) for n in range(1000)])
    mail.submit([ref(f"b{n}", is_dry_run=True) for n in range(1000)])
    taken: Counter[str] = Counter()
    while taken.total() < 800:
        done = bulk.chunks.pop(0)
        taken.update(one.email[0] for group in done for one in group.addressees)
        mail._feed()
    assert 0.08 < taken["b"] / taken.total() < 0.18


async def test_a_message_composed_late_is_not_composed_again() -> None:
    """Its path does not wait for it meanwhile; then it goes the way of any other."""
    bulk, settled = Takes(), list[Settlement]()
    mail = channel(bulk, Takes(), settled)
    one = ref(is_dry_run=True)
    mail.submit([one])
    bulk.on_done([None])
    assert (bulk.sizes(), settled) == ([1], [])
    assert bulk.on_late is not None
    bulk.chunks.clear()
    bulk.on_late(0, Composed(0, envelope(one)))
    assert bulk.sizes() == []
    assert [type(one) for one in settled] == [Cancelled]


async def test_a_message_that_fails_late() -> None:
    """Is settled as it would have been at once."""
    bulk, settled = Takes(), list[Settlement]()
    channel(bulk, Takes(), settled).submit([ref(is_dry_run=True)])
    bulk.on_done([None])
    assert bulk.on_late is not None
    bulk.on_late(0, ComposeFailed(0, "m", "timeout", "took more than 10 s"))
    (failed,) = settled
    assert isinstance(failed, Failed)
    assert failed.code == "timeout"


async def test_what_was_settled_meanwhile_is_not_settled_again() -> None:
    """It expired, or its payload is another's."""
    bulk, settled = Takes(), list[Settlement]()
    mail = channel(bulk, Takes(), settled)
    one = ref(is_dry_run=True)
    mail.submit([one])
    bulk.on_done([None])
    mail.withdraw([one])
    assert bulk.on_late is not None
    bulk.on_late(0, Composed(0, envelope(one)))
    bulk.on_late(0, ComposeFailed(0, "m", "timeout", "took more than 10 s"))
    assert settled == []
    assert one.envelope is None


async def test_who_finds_no_room_in_quarantine_is_parked() -> None:
    """It is no attempt and nobody's fault; not beyond the end of its life."""
    bulk, settled = Takes(), list[Settlement]()
    before = time.time()
    mail = channel(bulk, Takes(), settled)
    mail.submit([ref("a", is_dry_run=True), ref("b", is_dry_run=True, expires_at=before + 9)])
    crowded = ComposeFailed(0, "m", CROWDED, "too many", is_local_fault=True)
    bulk.on_done([crowded, crowded])
    first, second = settled
    assert isinstance(first, Parked)
    assert isinstance(second, Parked)
    assert 300 <= first.due_at - before < 370
    assert second.due_at == before + 9


async def test_a_path_more_costs_the_same_however_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: while workers are busy thousands of paths want messages, and nobody looks at all of them each time."""
    number, looks, wants = 900, 0, PathPool.wants

    def counted(pool: PathPool, lane: Lane) -> int:
        nonlocal looks
        looks += 1
        return wants(pool, lane)

    monkeypatch.setattr(PathPool, "wants", counted)
    routes = [StaticRoute(f"d{each}.test", "127.0.0.1", 1 + each) for each in range(number)]
    mail = channel(Takes(), Takes(), routes=routes, may_send=False)
    took = []
    for part in range(3):
        begun = looks
        for each in range(part * number // 3, (part + 1) * number // 3):
            lane = Lane.BULK if each % 2 else Lane.TRANSACTIONAL
            mail.submit([ref(str(each), domain=f"d{each}.test", lane=lane)])
        took.append(looks - begun)
    assert sum(map(mail.sendable, Lane)) > number / 2
    assert took[2] <= took[0] + number / 30


async def test_paths_take_turns_at_the_workers() -> None:
    """One of many messages does not keep the others from theirs, and all go in the end."""
    bulk = Takes()
    routes = [StaticRoute(f"d{each}.test", "127.0.0.1", 1 + each) for each in range(4)]
    mail = channel(bulk, Takes(), routes=routes, may_send=False)
    mail.submit([ref(f"{each}", domain=f"d{each % 4}.test") for each in range(400)])
    seen = {one.email for chunk in bulk.chunks for group in chunk for one in group.addressees}
    assert {int(address.split("@")[0]) % 4 for address in seen} == {0, 1, 2, 3}
    assert max(bulk.sizes()) <= 32


NO_ANSWER = NoRoute("timeout", "no answer", is_permanent=False)


class Asks(Router):
    """Knows nothing, and answers no question before it is told to."""

    def __init__(self, route: Route = NO_ANSWER) -> None:
        super().__init__((), Shaping(), Resolver(StubNameservers(DnsSettings()), DnsSettings()))
        self._answer = route
        self.asked: list[tuple[str, bool]] = []
        self.answer = asyncio.Event()

    def look_up(self, domain: str) -> Route | None:
        return None

    async def resolve(self, domain: str, *, is_urgent: bool = False) -> Route:
        self.asked.append((domain, is_urgent))
        await self.answer.wait()
        return self._answer


async def test_a_transactional_message_does_not_wait_for_the_lookups_of_bulk() -> None:
    """I6: where a bulk message waits for the same domain already, it is asked about once more, in a hurry."""
    settled: list[Settlement] = []
    asks = Asks()
    mail = channel(Takes(), Takes(), settled, router=asks)
    running = asyncio.create_task(mail.run(), name="channel")
    await asyncio.sleep(0)
    mail.submit([ref("a"), ref("b"), ref("c", lane=Lane.TRANSACTIONAL), ref("d", lane=Lane.TRANSACTIONAL)])
    await eventually(lambda: len(asks.asked) == 2)
    assert asks.asked == [("d.test", False), ("d.test", True)]
    asks.answer.set()
    await eventually(lambda: len(settled) == 4)
    assert {type(one) for one in settled} == {Deferred}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_dns_answers_while_draining_opens_nothing() -> None:
    """A5: its owner hands the message back."""
    async with FakeMX(offers=CHUNKING).serving() as mx:
        host = MxHost("127.0.0.1", mx.port)
        asks = Asks(Site("site", "other", (host,), is_static=True))
        mail = channel(Composes(), Composes(), router=asks)
        running = asyncio.create_task(mail.run(), name="channel")
        await asyncio.sleep(0)
        mail.submit([ref()])
        await eventually(lambda: len(asks.asked) == 1)
        await mail.drain(1.0)
        asks.answer.set()
        await eventually(lambda: not mail._unrouted[Lane.BULK])
        assert not mail._paths
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_who_waits_for_dns_that_hangs_keeps_nobody_out() -> None:
    """I6: else intake takes no more in for as long as that lasts. What DNS has answered lately it will answer soon."""
    asks = Asks()
    mail = channel(Takes(), Takes(), router=asks)
    running = asyncio.create_task(mail.run(), name="channel")
    await asyncio.sleep(0)
    mail.submit([ref(str(each), domain=f"d{each}.test") for each in range(100)])
    assert mail.sendable(Lane.BULK) == 0
    asks.answer.set()
    await eventually(lambda: not mail._unrouted[Lane.BULK])
    asks.answer.clear()
    mail.submit([ref(str(each), domain=f"e{each}.test") for each in range(100)])
    assert (mail.sendable(Lane.BULK), mail.sendable(Lane.TRANSACTIONAL)) == (100, 0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


ROUTE = (StaticRoute("d.test", "127.0.0.1", 1),)


async def test_who_is_held_is_parked_and_others_go_on() -> None:
    """When it comes and, if the action begins later, when it waits; what is on the wire ends as it may."""
    actions, settled = Actions(), list[Settlement]()
    until = time.time() + 100
    held = Action(kind=ActionKind.SUSPEND, aim=Aim(tenant="held"), since=0.0, until=until)
    bulk = Takes()
    mail = channel(bulk, Takes(), settled, routes=ROUTE, may_send=False, actions=actions)
    waiting, on_wire, unrouted, other = (
        ref(name, sender=Sender(tenant))
        for name, tenant in (("w", "held"), ("o", "held"), ("u", "held"), ("x", "free"))
    )
    mail.submit([waiting, on_wire, other])
    on_wire.is_on_wire = True
    actions.put(held)
    mail.hold([waiting, on_wire, unrouted, other])
    mail.submit([ref("late", sender=Sender("held")), ref("y", sender=Sender("free"))])
    assert [type(one) for one in settled] == [Parked, Parked]
    for one in settled:
        assert isinstance(one, Parked)
        assert one.is_held
        assert until <= one.due_at <= until + 21
    assert [one.is_settled for one in (waiting, on_wire, unrouted, other)] == [True, False, False, False]


async def test_held_for_long_it_comes_back_to_ask() -> None:
    """An hour at a time, and never after the end of its life."""
    actions, settled = Actions(), list[Settlement]()
    now = time.time()
    actions.put(Action(kind=ActionKind.SUSPEND, aim=Aim(tenant="acme"), since=0.0, until=now + 86_400))
    mail = channel(Takes(), Takes(), settled, routes=ROUTE, actions=actions)
    mail.submit([ref("a"), ref("b", expires_at=now + 60)])
    first, second = settled
    assert isinstance(first, Parked)
    assert isinstance(second, Parked)
    assert now + 3600 <= first.due_at <= now + 3600 * 1.2 + 5
    assert second.due_at == now + 60


async def test_paths_that_are_not_used_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: once what was sent is sent and the connection is closed; a few are looked at at a time."""
    monkeypatch.setattr(email, "_FORGET_UNUSED_S", 0.2)
    monkeypatch.setattr(email, "_LOOKED_AT", 1)
    settled: list[Settlement] = []
    async with FakeMX(offers=CHUNKING).serving() as mx:
        routes = [StaticRoute("d.test", "127.0.0.1", mx.port)]
        settings = replace(QUICK, idle_timeout_s=0.1, connection_rate=RateLimit(1000, 1.0))
        mail = channel(Composes(), Composes(), settled, routes=routes, settings=settings)
        running = asyncio.create_task(mail.run(), name="channel")
        await asyncio.sleep(0)
        mail.submit([ref("a"), ref("b", tls=TlsOption.NONE)])
        await eventually(lambda: len(settled) == 2)
        assert len(mail._paths) == 2
        await eventually(lambda: not mail._paths)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class MovingResolver:
    """Says where the one host is now."""

    def __init__(self) -> None:
        self.address = "192.0.2.1"

    def look_up(self, domain: str) -> MxAnswer | None:
        return MxFound((MxHost("mx.test", addresses=(self.address,)),), "mx.test", 60.0)


async def test_what_dns_says_reaches_a_path_that_is_in_use() -> None:
    """C13: the address of a host moves; its path, which always has mail, knows with the next reference."""
    moving = MovingResolver()
    router = Router((), Shaping(), cast(Resolver, moving))
    mail = channel(Takes(), Takes(), router=router, may_send=False)
    mail.submit([ref("a")])
    moving.address = "192.0.2.2"
    mail.submit([ref("b")])
    (pool,) = mail._paths.values()
    assert pool.site.hosts[0].addresses == ("192.0.2.2",)
