"""Ownership by time, on short clocks: what is renewed, and what ends."""

import asyncio
import time
from typing import cast

from mta.flow.lease import Leases
from mta.flow.work import SourceKey
from mta.intake.settings import IntakeSettings
from mta.jetstream.connection import Link
from mta.jetstream.errors import Unconfirmed
from mta.jetstream.pull import Pulled
from tests.fakes.nats import eventually, running

KEY: SourceKey = ("MTA_PAYLOADS", 7)
SETTINGS = IntakeSettings(ack_wait_s=1.7, margin_s=0.2, renew_s=0.3)


class Server:
    """Confirms renewals, as long as it answers."""

    def __init__(self) -> None:
        self.answers = True
        self.asked: list[str] = []

    async def progress(self, reply: str) -> float:
        self.asked.append(reply)
        sent_at = time.monotonic()
        if not self.answers:
            raise Unconfirmed("no answer")
        return sent_at


def pulled(reply: str = "reply", age_s: float = 0.0) -> Pulled:
    return Pulled("s", b"", {}, reply, *KEY[:1], "c", KEY[1], 1, 0, 0, time.monotonic() - age_s)


def leases(server: Server, over: list[SourceKey]) -> Leases:
    return Leases(cast(Link, server), SETTINGS, over.append)


async def test_it_lasts_while_it_is_renewed() -> None:
    """Three times its own length, and it is still there."""
    server, over = Server(), list[SourceKey]()
    one = leases(server, over)
    async with running(one.run()):
        lease = one.take(KEY, pulled())
        await eventually(lambda: len(server.asked) >= 10)
        assert lease.until > time.monotonic()
        assert not over


async def test_unconfirmed_it_ends_a_margin_before_the_servers_clock() -> None:
    """Asked in vain again and again: told once, at `sent + ack_wait - margin`, and asked for no more."""
    server, over = Server(), list[SourceKey]()
    server.answers = False
    one = leases(server, over)
    begun = time.monotonic()
    async with running(one.run()):
        lease = one.take(KEY, pulled())
        await eventually(lambda: over)
        assert 1.5 <= time.monotonic() - begun < 1.5 + 0.5
        assert lease.until == 0.0
        asked = len(server.asked)
        assert 2 <= asked <= 4
        await asyncio.sleep(0)
        assert (over, len(server.asked)) == ([KEY], asked)


async def test_it_counts_from_when_the_pull_was_sent() -> None:
    """A message that came late in a long pull has little time left."""
    one = leases(Server(), [])
    assert one.take(KEY, pulled(age_s=1.4)).until <= time.monotonic() + 0.11


async def test_another_delivery_renews_it_under_its_own_subject() -> None:
    """The old reply subject is worth nothing any more."""
    server, over = Server(), list[SourceKey]()
    one = leases(server, over)
    first = one.take(KEY, pulled("old", age_s=0.5))
    second = one.take(KEY, pulled("new"))
    assert first is second
    assert second.until > time.monotonic() + 1.4
    async with running(one.run()):
        await eventually(lambda: server.asked)
    assert set(server.asked) == {"new"}


async def test_what_is_given_up_is_over_at_once() -> None:
    """Nobody is told, nothing is renewed, and a confirmation that is under way brings nothing back."""
    server, over = Server(), list[SourceKey]()
    one = leases(server, over)
    async with running(one.run()):
        lease = one.take(KEY, pulled())
        await eventually(lambda: server.asked)
        one.give_up(KEY)
        assert lease.until == 0.0
        await eventually(lambda: lease.until == 0.0)
    assert not over
