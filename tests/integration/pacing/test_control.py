"""`mta.pacing.control` with a real bucket: what one node does all nodes keep to."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mta.classify.classifier import verdict_of
from mta.events.operations import Operations
from mta.intake.orders import Order, Orders, OrderVerb, Target, encode_order, order_key
from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL, OPS
from mta.jetstream.pump import Pump
from mta.model.outcome import BounceClass
from mta.model.reply import Reply
from mta.model.sender import Sender
from mta.pacing.action import Action, ActionKind, Aim, encode_action
from mta.pacing.actions import Actions
from mta.pacing.automation import Automation, Observation
from mta.pacing.control import Control
from mta.pacing.rules import At, AutomaticAction, AutomationRule
from tests.fakes.nats import NatsServer, eventually, running

NEWS = Sender("acme", "spring", "marketing", "acme.test")
REFUSED = Observation(
    "a1",
    "google",
    "gmail",
    "mx1.test",
    NEWS,
    verdict_of(BounceClass.RATE_LIMITED, rule="google:x", is_final=False),
    Reply(421, ("4.7.28 unusual rate",), "4.7.28"),
)


def rule(for_s: float = 600.0, kind: ActionKind = ActionKind.SUSPEND) -> AutomationRule:
    action = AutomaticAction(kind, At.STREAM, for_s)
    return AutomationRule(name="unusual-rate", provider="google", text="unusual", count=2, actions=(action,))


class Node:
    """One daemon's part: what is in force there, and what the rest of it was told."""

    def __init__(self, link: Link, pump: Pump, name: str, rules: tuple[AutomationRule, ...]) -> None:
        self.actions = Actions()
        self.orders = Orders()
        self.given: list[tuple[OrderVerb, Target]] = []
        self.heard: list[tuple[str, bool]] = []
        self.loaded = asyncio.Event()
        self._link = link
        automation = Automation(rules, self.actions, f"automation@{name}")
        self.control = Control(link, self.actions, automation, Operations(pump, name), self._on_action)

    def _on_action(self, action: Action, *, is_taken_back: bool) -> None:
        self.heard.append((action.id, is_taken_back))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.control.run())
            group.create_task(
                self.control.follow(
                    self._link, self.orders, lambda *order: self.given.append(order), self.loaded.set
                )
            )

    @property
    def held_s(self) -> float:
        """How long mail of `NEWS` is held from now on."""
        now = time.time()
        return max(self.actions.held_until(NEWS, "a1", "google", "gmail", now) - now, 0.0)


@asynccontextmanager
async def nodes(link: Link, *rules: AutomationRule, names: str = "ab") -> AsyncIterator[list[Node]]:
    pump = Pump(link)
    several = [Node(link, pump, f"n{name}", rules) for name in names]
    async with running(pump.run(), *(node.run() for node in several)):
        for node in several:
            await asyncio.wait_for(node.loaded.wait(), 10)
        yield several


async def told(link: Link) -> list[dict[str, str]]:
    """All that operators were told, in order."""
    last = (await link.api(f"STREAM.INFO.{OPS}"))["state"]["last_seq"]
    found = [await link.stored_message(OPS, number) for number in range(1, last + 1)]
    return [json.loads(one.data) for one in found if one is not None]


async def test_what_one_node_finds_all_nodes_do(link: Link) -> None:
    """At once where it was found, soon everywhere; in the bucket with an end of its own, told once."""
    async with nodes(link, rule()) as (one, two):
        one.control.note(REFUSED)
        assert one.held_s == 0.0
        one.control.note(REFUSED)
        assert 599.0 < one.held_s <= 600.0
        await eventually(lambda: two.held_s > 599.0)
        (action,) = two.actions.in_force(time.time())
        assert (action.by, action.reply, action.count) == ("automation@na", "421 4.7.28 unusual rate", 2)
        assert one.heard == two.heard == [(action.id, False)]
        stored = await link.last_message(f"KV_{CONTROL}", f"$KV.{CONTROL}.{action.key}")
        assert stored is not None
        assert 4100 < int(stored.headers["Nats-TTL"].removesuffix("s")) <= 4200
        await eventually(lambda: _count(link, 1))
        (event,) = await told(link)
        assert (event["type"], event["node"], event["tenant"]) == ("stream_suspended", "na", "acme")
        assert (event["rule"], event["reply"]) == ("unusual-rate", "421 4.7.28 unusual rate")


async def _count(link: Link, count: int) -> bool:
    return len(await told(link)) >= count


async def test_taken_back_it_is_over_everywhere(link: Link) -> None:
    """What waits because of it may go; nobody is told of an end by time."""
    async with nodes(link, rule()) as (one, two):
        one.control.note(REFUSED)
        one.control.note(REFUSED)
        await eventually(lambda: two.held_s)
        (action,) = one.actions.in_force(time.time())
        await Bucket(link, CONTROL).delete(action.key, ttl_s=60.0)
        for node in (one, two):
            await eventually(lambda node=node: (action.id, True) in node.heard)
            assert node.held_s == 0.0
        one.control.note(REFUSED)
        assert one.held_s == 0.0, "counting begins anew"
        one.control.note(REFUSED)
        await eventually(lambda: two.held_s)


async def test_it_ends_by_the_clock_and_its_end_is_told_once(link: Link) -> None:
    """By whichever node comes first: the others say the same thing under the same id."""
    async with nodes(link, rule(0.3)) as (one, two):
        one.control.note(REFUSED)
        one.control.note(REFUSED)
        await eventually(lambda: two.heard)
        await eventually(lambda: _count(link, 2))
        assert one.held_s == two.held_s == 0.0
    assert [event["type"] for event in await told(link)] == ["stream_suspended", "stream_resumed"]


async def test_who_starts_later_keeps_to_it(link: Link) -> None:
    """A restart forgets none, nor does a person's own."""
    now = time.time()
    hold = Action(kind=ActionKind.SUSPEND, aim=Aim(tenant="acme"), since=now, until=now + 60, by="ann@host")
    await Bucket(link, CONTROL).put(hold.key, encode_action(hold), ttl_s=60.0)
    async with nodes(link, names="a") as (one,):
        assert one.held_s > 50.0
        assert one.heard == [(hold.id, False)]


async def test_while_the_bucket_cannot_be_reached_it_is_in_effect_here(
    link: Link, nats_server: NatsServer
) -> None:
    """And written when it can be."""
    async with nodes(link, rule()) as (one, two):
        nats_server.kill()
        await eventually(lambda: not link.is_connected)
        one.control.note(REFUSED)
        one.control.note(REFUSED)
        assert one.held_s > 599.0
        assert two.held_s == 0.0
        await nats_server.start()
        await eventually(lambda: two.held_s > 500.0, 30.0)


async def test_orders_are_followed_beside(link: Link) -> None:
    """The same bucket has both, and neither is taken for the other."""
    async with nodes(link, names="a") as (one,):
        target = Target("acme", "spring")
        order = encode_order(Order("why not", "ann@host", time.time()))
        await Bucket(link, CONTROL).put(order_key(OrderVerb.PAUSE, target), order)
        await eventually(lambda: one.given == [(OrderVerb.PAUSE, target)])
        assert one.orders.is_given(OrderVerb.PAUSE, target)
        assert len(one.actions) == 0
