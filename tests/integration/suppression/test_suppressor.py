"""Events in, marks and strikes out, through a real server; what each event means is tested with `decide`."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mta.jetstream.connection import Link
from mta.jetstream.consumers import consumer_state
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import EVENTS, STRIKES, SUPPRESSION, SUPPRESSOR_CONSUMER
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import render
from mta.model.token import TokenKey
from mta.suppression.key import mark_key
from mta.suppression.seal import Seal
from mta.suppression.settings import SuppressionSettings
from mta.suppression.store import Kept, MarkStore
from mta.suppression.strikes import Strikes
from mta.suppression.suppressions import Suppressions
from mta.suppression.suppressor import Suppressor
from tests.fakes.nats import NatsServer, eventually, running
from tests.unit.suppression.test_decide import DAY, FAIL, NOON, SUPPRESS, bounced, event

R = SuppressReason
SEAL = Seal((TokenKey("k1", b"1" * 16),))


@asynccontextmanager
async def suppressing(link: Link) -> AsyncIterator[Suppressions]:
    one = Suppressions(Bucket(link, SUPPRESSION), SuppressionSettings())
    suppressor = Suppressor(link, one, Strikes(Bucket(link, STRIKES)), SEAL)
    async with running(one.run(), suppressor.run()):
        yield one


async def tell(link: Link, *events: dict[str, Any], kind: str = "bounced") -> None:
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in events)
    await link.call(f"mta.event.acme.{kind}.other._", lines)


async def done(link: Link) -> None:
    """Everything was dealt with."""

    async def is_idle() -> bool:
        state = await consumer_state(link, EVENTS, SUPPRESSOR_CONSUMER)
        return state is not None and not state.pending and not state.ack_pending

    await eventually(is_idle)


async def kept(link: Link, address: str, stream: str = "") -> Kept | None:
    return await MarkStore(Bucket(link, SUPPRESSION)).get(mark_key("acme", address, stream))


async def removed(link: Link, address: str, stream: str = "") -> None:
    """As `mta suppress rm` does it."""
    store, key = MarkStore(Bucket(link, SUPPRESSION)), mark_key("acme", address, stream)
    mark = await store.get(key)
    assert mark is not None
    assert await store.remove(key, mark)
    await Strikes(Bucket(link, STRIKES)).forget(key)


async def test_what_was_taken_off_stays_off(link: Link) -> None:
    """Of an event that is read again, or late, after the removal; what happens after that counts."""
    then = time.time() - 60.0
    before = [
        event(at=then, **bounced("invalid_recipient", SUPPRESS)),
        event("complained", at=then, recipient="jo@example.test"),
        event("unsubscribed", at=then, recipient="eve@example.test", stream="news"),
    ]
    async with suppressing(link) as one:
        await tell(link, *before)
        await done(link)
        assert len(one) == 3
        await removed(link, "bob@example.test")
        await removed(link, "jo@example.test")
        await removed(link, "eve@example.test", "news")
        await tell(link, *before, event(at=then + 1, number=2, **bounced("inactive_recipient", SUPPRESS)))
        await done(link)
        await eventually(lambda: not len(one))
        assert await Bucket(link, SUPPRESSION).keys() == []
        now = time.time() + 60.0
        await tell(link, event(at=now, number=3, **bounced("invalid_recipient", SUPPRESS)))
        await done(link)
        assert one.reason("acme", "bob@example.test") is R.INVALID_RECIPIENT


async def test_a_person_s_word_is_not_compared_with_clocks(link: Link) -> None:
    """A click that is recorded after the removal counts, though this host's clock be slow."""
    mark = Mark(R.UNSUBSCRIBED, render(time.time() - 60.0))
    async with suppressing(link) as one:
        await one.add("acme", "eve@example.test", mark, "news")
        await removed(link, "eve@example.test", "news")
        await one.add("acme", "eve@example.test", mark, "news")
        assert await kept(link, "eve@example.test", "news") is not None


async def test_strikes_that_were_forgotten_stay_so(link: Link) -> None:
    """One of before the removal, read after it, does not make the next one the second."""
    then = time.time() - 3 * DAY
    doubted = bounced("invalid_recipient", FAIL, "low")
    old = [event(at=then + DAY * n, number=n, **doubted) for n in range(2)]
    async with suppressing(link):
        await tell(link, *old)
        await done(link)
        await removed(link, "bob@example.test")
        await tell(link, *old, event(at=time.time() + DAY, number=3, **doubted))
        await done(link)
        assert await kept(link, "bob@example.test") is None
        await tell(link, event(at=time.time() + 2 * DAY, number=4, **doubted))
        await done(link)
        assert await kept(link, "bob@example.test") is not None


async def test_every_line_of_a_message_counts(link: Link) -> None:
    """More than are dealt with at once; what cannot be read holds up nobody."""
    dead = bounced("invalid_recipient", SUPPRESS)
    events = [event(number=n, recipient=f"r{n}@example.test", **dead) for n in range(100)]
    async with suppressing(link) as one:
        await link.call("mta.event.acme.bounced.other._", b"{\n")
        await tell(link, *events, event(number=200, recipient="", **dead))
        await done(link)
        assert len(one) == 100
        assert all(one.reason("acme", f"r{n}@example.test") is R.INVALID_RECIPIENT for n in range(100))


async def test_two_daemons_share_the_work(link: Link) -> None:
    """Each event is dealt with by one of them, and both know."""
    dead = bounced("invalid_recipient", SUPPRESS)
    async with suppressing(link) as one, suppressing(link) as other:
        for n in range(20):
            await tell(link, event(number=n, recipient=f"r{n}@example.test", **dead))
        await done(link)
        await eventually(lambda: len(one) == len(other) == 20)


async def test_the_second_strike_suppresses(link: Link) -> None:
    """On another day; the same event twice is one."""
    doubted = bounced("invalid_recipient", FAIL, "low")
    async with suppressing(link):
        await tell(link, event(number=1, **doubted), event(number=1, **doubted))
        await tell(link, event(number=1, at=NOON + DAY, **doubted))
        await tell(link, event(number=2, at=NOON + 60, **doubted))
        await done(link)
        assert await kept(link, "bob@example.test") is None
        await tell(link, event(number=3, at=NOON + DAY, **doubted))
        await done(link)
        mark = await kept(link, "bob@example.test")
        assert mark is not None
        assert (mark.mark.reason, mark.mark.source) == (R.INVALID_RECIPIENT, "m3.bounced.1")


async def test_strikes_at_the_same_moment_all_count(link: Link) -> None:
    """None overwrites another: five days of a full mailbox in one message."""
    full = bounced("mailbox_full", FAIL)
    async with suppressing(link):
        await tell(link, *(event(number=n, at=NOON + 4 * DAY * n, **full) for n in range(5)))
        await done(link)
        mark = await kept(link, "bob@example.test")
        assert mark is not None
        assert mark.mark.reason is R.MAILBOX_FULL
        assert mark.mark.expires_at


async def test_a_domain_and_a_stream(link: Link) -> None:
    """Where the mark belongs there it is."""
    gone = bounced("invalid_domain", FAIL, smtp={"stage": "dns"})
    async with suppressing(link) as one:
        await tell(link, *(event(number=n, at=NOON + DAY * n, **gone) for n in range(4)))
        await tell(
            link, event("unsubscribed", recipient="eve@other.test", stream="news"), kind="unsubscribed"
        )
        await tell(link, event("complained", recipient="jo@other.test"), kind="complained")
        await done(link)
        assert one.reason("acme", "anybody@example.test") is R.INVALID_DOMAIN
        assert one.reason("acme", "eve@other.test", "news") is R.UNSUBSCRIBED
        assert one.reason("acme", "eve@other.test", "other") is None
        assert one.reason("acme", "jo@other.test", "whatever") is R.COMPLAINED


async def test_a_sealed_address_is_opened(link: Link) -> None:
    """Where the event tells only a hash of it."""
    dead = bounced("invalid_recipient", SUPPRESS)
    sealed = SEAL.seal("acme", "bob@example.test")
    async with suppressing(link) as one:
        await tell(link, event(recipient="mfrggzdf", sealed_recipient=sealed, **dead))
        await tell(link, event(number=2, recipient="mfrggzdf", sealed_recipient="x" + sealed, **dead))
        await done(link)
        assert one.reason("acme", "bob@example.test") is R.INVALID_RECIPIENT
        assert len(one) == 1


async def test_reports_of_a_broken_directory_suppress_few(link: Link) -> None:
    """bounces.md 2.3, for what comes back after delivery."""
    dead = bounced("invalid_recipient", SUPPRESS, smtp={})
    async with suppressing(link) as one:
        for n in range(40):
            await tell(
                link,
                event("oob_bounced", number=n, recipient=f"r{n}@example.test", **dead),
                kind="oob_bounced",
            )
        await done(link)
        assert len(one) == 19
        assert one.guard.is_guarded("example.test", 0.0)


async def test_reports_that_are_read_again_are_no_more_than_they_were(link: Link) -> None:
    """bounces.md 2.3: what could not be stored at first does not count twice towards twenty."""
    dead = bounced("invalid_recipient", SUPPRESS, smtp={})
    reports = [event("oob_bounced", number=n, recipient=f"r{n}@example.test", **dead) for n in range(10)]
    config = (await link.api(f"STREAM.INFO.KV_{SUPPRESSION}"))["config"]
    await link.api(f"STREAM.UPDATE.KV_{SUPPRESSION}", config | {"max_msg_size": 10})
    async with suppressing(link) as one:
        await tell(link, *reports, kind="oob_bounced")

        async def is_given_back() -> bool:
            info = await link.api(f"CONSUMER.INFO.{EVENTS}.{SUPPRESSOR_CONSUMER}")
            return bool(info["num_redelivered"])

        await eventually(is_given_back)
        await link.api(f"STREAM.UPDATE.KV_{SUPPRESSION}", config)
        await done(link)
        assert len(one) == 10
        assert not one.guard.is_guarded("example.test", 0.0)


async def test_what_cannot_be_stored_is_read_again(link: Link, nats_server: NatsServer) -> None:
    """A refusal of the bucket delays the event; nothing is acknowledged before it is stored."""
    dead = bounced("invalid_recipient", SUPPRESS)
    config = (await link.api(f"STREAM.INFO.KV_{SUPPRESSION}"))["config"]
    await link.api(f"STREAM.UPDATE.KV_{SUPPRESSION}", config | {"max_msg_size": 10})
    async with suppressing(link) as one:
        await tell(link, event(**dead))

        async def is_given_back() -> bool:
            info = await link.api(f"CONSUMER.INFO.{EVENTS}.{SUPPRESSOR_CONSUMER}")
            return bool(info["num_redelivered"]) or bool(info["num_ack_pending"])

        await eventually(is_given_back)
        await link.api(f"STREAM.UPDATE.KV_{SUPPRESSION}", config)
        await eventually(lambda: one.reason("acme", "bob@example.test") is R.INVALID_RECIPIENT)
        nats_server.kill()
        await nats_server.start()
        await asyncio.wait_for(link.until_connected(), 10)
        await tell(link, event(number=2, recipient="eve@example.test", **dead))
        await eventually(lambda: one.reason("acme", "eve@example.test") is R.INVALID_RECIPIENT)
