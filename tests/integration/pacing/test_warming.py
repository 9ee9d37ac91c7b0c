"""`mta.pacing.warming`, on a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL
from mta.pacing.rules import SourceWarmup, WarmupPlan
from mta.pacing.warming import Warming
from mta.pacing.warmup import Room, Warmups, WarmupState, decode_state

NOON, TODAY = 1_764_158_400.0, "2025-11-26"
CAP = 500


class Node:
    """Sends as fast as it may until the day is over."""

    def __init__(self, link: Link) -> None:
        self.warmups = Warmups({"a1": SourceWarmup(WarmupPlan("p", (CAP, 2 * CAP)))})
        self.warming = Warming(Bucket(link, CONTROL), self.warmups, lambda: NOON, self._answered)
        self.answer = asyncio.Event()
        self.sent = 0

    def _answered(self, source: str, provider: str) -> None:
        assert (source, provider) == ("a1", "google")
        self.answer.set()

    async def send_all(self, most: int = CAP) -> None:
        while self.sent < most:
            self.answer.clear()
            self.warming.want("a1", "google")
            match self.warmups.room("a1", "google", NOON):
                case Room.TAKEN:
                    self.sent += 1
                case Room.ASKING:
                    await self.answer.wait()
                case Room.SPENT:
                    return


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[Node]:
    task = asyncio.create_task(node.warming.run())
    try:
        yield node
    finally:
        task.cancel()


async def stored(link: Link) -> WarmupState:
    last = await Bucket(link, CONTROL).last("warmup.a1.google")
    return decode_state(last.value if last is not None else None)


async def test_two_nodes_draw_on_one_cap(link: Link) -> None:
    """Together they send what the day allows, not one more, and both get a part of it."""
    async with running(Node(link)) as one, running(Node(link)) as other:
        await asyncio.gather(one.send_all(), other.send_all())
    assert one.sent + other.sent == CAP
    assert min(one.sent, other.sent) > 0
    assert await stored(link) == WarmupState(0, TODAY, CAP, TODAY)


async def test_what_was_not_spent_comes_back_when_a_node_stops(link: Link) -> None:
    """The bucket then says exactly what was sent."""
    async with running(Node(link)) as node:
        await node.send_all(7)
        await node.warming.give_back()
    assert (await stored(link)).taken == 7


async def test_a_node_that_comes_later_goes_on_where_the_day_stands(link: Link) -> None:
    """State is in the bucket: a restart gives no new cap."""
    async with running(Node(link)) as node:
        await node.send_all()
    async with running(Node(link)) as later:
        await later.send_all()
    assert (node.sent, later.sent) == (CAP, 0)
