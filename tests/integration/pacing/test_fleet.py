"""`mta.pacing.fleet`, on a real server."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from mta.jetstream.connection import Link, open_link
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.layout import CONTROL
from mta.pacing.broker import LEASE_S, Want
from mta.pacing.fleet import Fleet
from mta.pacing.share import Shares
from tests.fakes.nats import NatsServer, eventually

LIMIT = 100


class Governor:
    """One limit, of which it could use all."""

    is_waiting = False

    def __init__(self) -> None:
        self.shares = Shares()
        self.units = 0

    def wants(self) -> Sequence[Want]:
        has = self.shares.units("a1 google", LIMIT, time.monotonic())
        return [Want("a1 google", LIMIT, 1.0, LIMIT, has)]

    def share(self) -> None:
        self.units = self.shares.units("a1 google", LIMIT, time.monotonic())


class Node:
    def __init__(self, link: Link, name: str) -> None:
        self.governor = Governor()
        self.bucket = Bucket(link, CONTROL)
        self.fleet = Fleet(link, self.bucket, name, self.governor, self.governor.shares)
        self.tasks: list[asyncio.Task[None]] = []

    @property
    def units(self) -> int:
        return self.governor.units

    async def start(self) -> None:
        """As a daemon does: first all that lies in the bucket, then the rest."""
        loaded = asyncio.Event()

        def on_change(change: Change) -> None:
            self.fleet.apply(change.key, change.value)

        self.tasks.append(asyncio.create_task(self.bucket.watch(on_change, on_loaded=loaded.set)))
        await loaded.wait()
        await self.fleet.start()
        self.tasks.append(asyncio.create_task(self.fleet.run()))

    def kill(self) -> None:
        for task in self.tasks:
            task.cancel()


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    for node in nodes:
        await node.start()
    try:
        yield
    finally:
        for node in nodes:
            node.kill()


@pytest.fixture
async def links(nats_server: NatsServer, link: Link) -> AsyncIterator[list[Link]]:
    """A connection for each of two nodes."""
    other = await open_link(nats_server.settings(), name="other", report=lambda _: None)
    yield [link, other]
    await other.close()


async def test_one_node_asks_nobody(link: Link) -> None:
    """It has all, and no office is needed."""
    node = Node(link, "n1")
    async with running(node):
        assert node.units == LIMIT
        assert (node.fleet.nodes, node.fleet.broker) == (["n1"], "")


async def test_two_nodes_share_what_there_is(links: list[Link]) -> None:
    """Never more than the limit together, half each in the end; one that leaves in order leaves its half within a
    lease, though not before what it sent last has ceased to count (G6)."""
    one, other = Node(links[0], "n1"), Node(links[1], "n2")
    async with running(one, other):
        assert other.units == 0

        def is_shared() -> bool:
            assert one.units + other.units <= LIMIT
            return (one.units, other.units) == (50, 50)

        await eventually(is_shared, timeout_s=20.0)
        assert one.fleet.broker == other.fleet.broker != ""
        await other.fleet.leave()
        other.kill()
        assert one.units == LIMIT / 2
        await eventually(lambda: one.units == LIMIT, timeout_s=LEASE_S + 4.0)
        assert one.fleet.nodes == ["n1"]


@pytest.mark.long
@pytest.mark.parametrize("dies", ["broker", "other"])
async def test_the_share_of_the_dead_is_used_within_ten_seconds(links: list[Link], dies: str) -> None:
    """Whichever of them it is; and never more than the limit together."""
    nodes = {"n1": Node(links[0], "n1"), "n2": Node(links[1], "n2")}
    one, other = nodes.values()
    async with running(one, other):
        await eventually(lambda: (one.units, other.units) == (50, 50), timeout_s=20.0)
        broker = one.fleet.broker
        dead = broker if dies == "broker" else ({"n1", "n2"} - {broker}).pop()
        nodes[dead].kill()
        died_at = time.monotonic()
        (survivor,) = [node for name, node in nodes.items() if name != dead]
        await eventually(lambda: survivor.units >= 90, timeout_s=12.0)
        assert time.monotonic() < died_at + 10.0
