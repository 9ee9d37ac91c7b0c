"""How much more may be taken in hand."""

import asyncio

import pytest
from msgspec import structs

from mta.flow.gate import Gate
from mta.flow.hand import Hand
from mta.intake.settings import IntakeSettings
from mta.jetstream.pull import Pulled
from mta.model.lane import Lane

PULLED = Pulled("mta.payload.bulk.acme.x", b"", {}, "reply", "MTA_PAYLOADS", "c", 7, 1, 0, 0, 0.0)


def test_places_are_short_before_a_campaign_has_its_half() -> None:
    """Above a third; transactional payloads take none of them."""
    gate = Gate(is_late=lambda: False, unkept_bytes=lambda: 0, most_unkept=1)
    hand = Hand(IntakeSettings(payloads_in_work=12), gate)
    for _ in range(4):
        hand.take(PULLED, Lane.BULK)
    hand.take(PULLED, Lane.TRANSACTIONAL)
    assert not hand.is_crowded
    hand.take(PULLED, Lane.BULK)
    assert hand.is_crowded
    hand.let_go(PULLED, Lane.BULK)
    assert not hand.is_crowded


def test_what_was_pulled_takes_room_before_the_channel_has_it() -> None:
    """G4: while payloads are looked at there is no more room for others than there will be."""
    gate = Gate(is_late=lambda: False, unkept_bytes=lambda: 0, most_unkept=1)
    hand = Hand(IntakeSettings(), gate)
    hand.sendable = lambda lane: 0
    room = hand.room(Lane.BULK)
    pulled = structs.replace(PULLED, data=b'"email"' * 501)
    hand.take(pulled, Lane.BULK)
    assert hand.room(Lane.BULK) == room - 500
    hand.leave_room(pulled, Lane.BULK)
    assert hand.room(Lane.BULK) == room
    hand.let_go(pulled, Lane.BULK)
    hand.take(pulled, Lane.BULK)
    hand.let_go(pulled, Lane.BULK)
    assert hand.room(Lane.BULK) == room


@pytest.mark.parametrize(("was_tried", "rate"), [(False, 0.0), (True, 100_000.0)])
async def test_only_who_was_tried_counts_for_the_rate(was_tried: bool, rate: float) -> None:
    """G1: a dead site parks thousands a second, a cancelled campaign ends as many; three seconds' worth of that is no
    room for others."""
    gate = Gate(is_late=lambda: False, unkept_bytes=lambda: 0, most_unkept=1)
    hand, measured = Hand(IntakeSettings(), gate), asyncio.Event()
    hand.sendable = lambda lane: 0
    hand.add(Lane.BULK, 100_000)
    for _ in range(100_000):
        hand.note_settled(Lane.BULK, was_tried=was_tried)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        measuring = group.create_task(hand.measure(measured.set))
        await measured.wait()
        measuring.cancel()
    assert hand.rate == rate
    assert hand.room(Lane.BULK) == max(2_000, 3 * rate)
