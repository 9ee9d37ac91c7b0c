"""N6: a stream takes nothing more. Whatever cannot be stored is kept, nothing is sent that could not be told of, and
when there is room again everything goes on by itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mta.jetstream.layout import DEAD, EVENTS, INDEX, PROGRESS, RETRY
from mta.model.lane import Lane
from tests.fakes.nats import eventually
from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import On

GREYLISTED = b"451 4.7.1 Greylisted\r\n"


@asynccontextmanager
async def full(rig: Rig, stream: str) -> AsyncIterator[None]:
    """It refuses every message for as long as this lasts."""
    usual = (await rig.link.api(f"STREAM.INFO.{stream}"))["config"]
    # One that replaces messages takes always one more, one with schedules knows no other way to be full.
    is_odd = stream in (PROGRESS, RETRY)
    changes = {"max_msg_size": 1} if is_odd else {"max_bytes": 1, "discard": "new"}
    await rig.link.api(f"STREAM.UPDATE.{stream}", usual | changes)
    try:
        yield
    finally:
        await rig.link.api(f"STREAM.UPDATE.{stream}", usual)


async def test_n6_no_room_for_events(own_rig: Rig) -> None:
    """Delivered and not told: the payload is not acknowledged before its events are in the stream."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payload = own_rig.payload(*numbered(place.domain, 50))
        async with full(own_rig, EVENTS):
            ack = await own_rig.publish(payload)
            await own_rig.until_logged("events_refused")
            await eventually(lambda: len(place.mx.accepted) == 50)
            assert not own_rig.told(payload).events
            assert await own_rig.link.stored_message("MTA_PAYLOADS", ack.sequence) is not None
        told = await own_rig.finished(payload)
        check_copies(place, told)
        assert told.counts() == {"delivered": 50}
        assert own_rig.repeated == []


async def test_n6_no_room_for_retries(own_rig: Rig) -> None:
    """Who was deferred is held until he can be stored; nobody else waits for it."""
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [GREYLISTED], times=20)) as place:
        payload = own_rig.payload(*numbered(place.domain, 20))
        async with full(own_rig, RETRY):
            await own_rig.publish(payload)
            await own_rig.until_logged("store_delayed")
            other = await own_rig.deliver(own_rig.payload(place.to("other")))
            assert other.counts() == {"delivered": 1}
        told = await own_rig.finished(payload)
        check_copies(place, told, other)
        assert told.counts() == {"delivered": 20}
        assert sum(event["type"] == "deferred" for event in told.events) == 20


async def test_n6_no_room_for_snapshots(own_rig: Rig) -> None:
    """What another node could not know of is bounded: after 200 ms no dot is written."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payloads = [own_rig.payload(*numbered(place.domain, 20, part)) for part in ("a", "b")]
        async with full(own_rig, PROGRESS):
            await own_rig.publish(payloads[0])
            await own_rig.until_logged("sending_held_back")
            await own_rig.publish(payloads[1])
            await own_rig.saw(payloads[1], "accepted")
            assert not any(one.recipient.startswith("b") for one in place.mx.received)
        told = [await own_rig.finished(payload) for payload in payloads]
        check_copies(place, *told)
        assert [one.counts() for one in told] == [{"delivered": 20}] * 2


async def test_n6_nothing_begins_that_could_not_be_remembered(own_rig: Rig) -> None:
    """No room for the index, which knows a payload that comes again."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payload = own_rig.payload(*numbered(place.domain, 20))
        async with full(own_rig, INDEX):
            await own_rig.publish(payload, lane=Lane.BULK, campaign="c")
            await own_rig.until_logged("payload_left")
            assert not place.mx.received
        told = await own_rig.finished(payload)
        check_copies(place, told)
        assert told.counts() == {"delivered": 20}


async def test_n6_no_room_for_what_is_dead(own_rig: Rig) -> None:
    """A payload that cannot be processed stays where it is until it can be buried; the next ones do not wait."""
    await own_rig.start()
    async with own_rig.destination() as place:
        async with full(own_rig, DEAD):
            ack = await own_rig.publish(b"{", msg_id="broken")
            await own_rig.until_logged("payload_left")
            assert (await own_rig.deliver(own_rig.payload(place.to("ada")))).counts() == {"delivered": 1}
            assert await own_rig.link.stored_message("MTA_PAYLOADS", ack.sequence) is not None
        subject, body, _ = await eventually_dead(own_rig, ack.sequence)
        assert (subject, body) == ("mta.dead.schema", b"{")


async def eventually_dead(rig: Rig, sequence: int) -> tuple[str, bytes, dict[str, str]]:
    async def is_there() -> bool:
        return await rig.messages(DEAD) > 0

    await eventually(is_there, 30.0)
    return await rig.dead(sequence)
