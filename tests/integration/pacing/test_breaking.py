"""`mta.pacing.breaking` with real streams: campaigns are stopped by what the events say, by one daemon at a time."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mta.events.operations import Operations
from mta.intake.orders import Order, OrderVerb, Target, decode_order, encode_order, order_key
from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL, OPS
from mta.jetstream.pump import Pump
from mta.jetstream.subjects import event_subject
from mta.pacing.breaking import ROLE, CampaignBreaker
from mta.pacing.rules import BreakerSettings
from mta.pacing.shaping import Shaping
from tests.fakes.nats import eventually, running

BREAKER = BreakerSettings(least_delivered=100, least_outcomes=100, window_s=3600.0)
SHAPING = Shaping(breaker=BREAKER)
KEY = order_key(OrderVerb.PAUSE, Target("acme", "spring"))


@asynccontextmanager
async def watching(link: Link, *names: str, shaping: Shaping = SHAPING) -> AsyncIterator[None]:
    pump = Pump(link)
    several = [
        CampaignBreaker(link, shaping, Operations(pump, name), name, decide_s=0.1, role_s=2.0)
        for name in names
    ]
    async with running(pump.run(), *(one.run() for one in several)):
        yield


async def happened(link: Link, kind: str, count: int, campaign: str = "spring", **more: object) -> None:
    """One message of so many lines, as the publisher writes it."""
    lines = [json.dumps({"type": kind, "tenant": "acme", **more}).encode() for _ in range(count)]
    subject = event_subject("acme", kind, "google", campaign)
    await link.call(subject, b"\n".join(lines) + b"\n", headers={"Mta-Events": str(count)})


async def pause(link: Link) -> Order | None:
    entry = await Bucket(link, CONTROL).get(KEY, leader=True)
    return None if entry is None else decode_order(entry.value)


async def paused(link: Link, timeout_s: float = 15.0) -> Order:
    await eventually(lambda: pause(link), timeout_s)
    order = await pause(link)
    assert order is not None
    return order


async def test_a_campaign_that_passes_a_bound_is_paused(link: Link) -> None:
    """Delivered on one node, refused on another, read before or after it began; its neighbour goes on; it is told."""
    await happened(link, "delivered", 950)
    await happened(link, "delivered", 950, "quiet")
    async with watching(link, "n1"):
        await happened(link, "bounced", 60, bounce={"class": "spam_content"})
        order = await paused(link)
        assert order.by == "breaker@n1"
        assert order.reason.startswith("recipients refused as spam: 60 of 1,010, 5.94%")
        assert 86_000 < order.until - time.time() <= 86_400
        assert [key for key in await Bucket(link, CONTROL).keys() if key != ROLE] == [KEY]

        async def is_told() -> bool:
            return int((await link.api(f"STREAM.INFO.{OPS}"))["state"]["messages"]) == 1

        await eventually(is_told)
        stored = await link.stored_message(OPS, 1)
        assert stored is not None
        event = json.loads(stored.data)
        assert (event["type"], event["campaign"], event["by"]) == ("campaign_paused", "spring", "breaker@n1")


async def test_complaints_count_against_what_was_delivered(link: Link) -> None:
    """Whoever's listener took them."""
    async with watching(link, "n1"):
        await happened(link, "delivered", 1_000)
        await happened(link, "complained", 4, feedback={"feedback_type": "abuse"})
        assert (await paused(link)).reason.startswith("complaints about mail delivered: 4 of 1,000")


async def test_what_was_known_at_the_resumption_does_not_count_again(link: Link) -> None:
    """Not by who goes on, nor by who starts anew and reads it all again; new facts do."""
    async with watching(link, "n1"):
        await happened(link, "delivered", 900)
        await happened(link, "bounced", 100, bounce={"class": "spam_content"})
        await paused(link)
        await Bucket(link, CONTROL).delete(KEY)
        await happened(link, "delivered", 10)
        await happened(link, "bounced", 10, bounce={"class": "spam_content"})
    async with watching(link, "n2"):
        await happened(link, "delivered", 200, "other")
        await happened(link, "bounced", 100, "other", bounce={"class": "spam_content"})
        other = order_key(OrderVerb.PAUSE, Target("acme", "other"))
        await eventually(lambda: Bucket(link, CONTROL).get(other, leader=True), 20.0)
        assert await pause(link) is None
        await happened(link, "bounced", 80, bounce={"class": "spam_content"})
        assert (await paused(link)).reason.startswith("recipients refused as spam: 90 of 100")


async def test_a_persons_pause_stays_as_it_is(link: Link) -> None:
    """With the reason and the end that he gave it."""
    mine = Order("wrong price", "ann@host", time.time())
    await Bucket(link, CONTROL).put(KEY, encode_order(mine))
    async with watching(link, "n1"):
        await happened(link, "bounced", 200, bounce={"class": "spam_content"})
        await happened(link, "bounced", 200, "other", bounce={"class": "spam_content"})
        other = order_key(OrderVerb.PAUSE, Target("acme", "other"))
        await eventually(lambda: Bucket(link, CONTROL).get(other, leader=True))
        assert await pause(link) == mine


async def test_one_daemon_at_a_time_does_it(link: Link) -> None:
    """When it is gone the next one takes over, and reads what there was."""
    async with watching(link, "n2"):
        await eventually(lambda: _holder(link, "n2"))
        async with watching(link, "n3"):
            await happened(link, "delivered", 100)
            assert await _holder(link, "n2")
    async with watching(link, "n3"):
        await happened(link, "bounced", 100, bounce={"class": "invalid_recipient"})
        assert (await paused(link, 20.0)).by == "breaker@n3"


async def _holder(link: Link, name: str) -> bool:
    entry = await Bucket(link, CONTROL).get(ROLE, leader=True)
    return entry is not None and entry.value == name.encode()


async def test_where_nobody_is_watched_nothing_runs(link: Link) -> None:
    """Neither by default nor for any tenant."""
    off = Shaping(breaker=BreakerSettings(is_on=False))
    one = CampaignBreaker(link, off, Operations(Pump(link), "n1"), "n1")
    await one.run()
    assert not await _holder(link, "n1")
