"""The nats-server is killed in the middle of a mailing and comes back: nothing is lost."""

import asyncio

from mta.model.lane import Lane
from tests.fakes.nats import NatsServer, eventually
from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import Hold, On


async def test_every_recipient_has_its_end(own_rig: Rig, nats_server: NatsServer) -> None:
    """N1: kill -9 under load, back at once. One terminal event for each, and nobody was mailed twice."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payloads = [
            own_rig.payload(*numbered(place.domain, 100, f"p{part}-"), campaign="spring") for part in range(8)
        ]
        for payload in payloads:
            await own_rig.publish(payload, lane=Lane.BULK, campaign="spring")
        await own_rig.until(lambda: place.copies.total() >= 200)
        nats_server.kill()
        await nats_server.start()
        await eventually(lambda: own_rig.link.is_connected)
        told = [await own_rig.finished(payload) for payload in payloads]
        check_copies(place, *told)
        assert sum((one.counts() for one in told), start=told[0].counts() - told[0].counts()) == {
            "delivered": 800
        }


async def test_what_is_published_after_an_outage_is_served(own_rig: Rig, nats_server: NatsServer) -> None:
    """The daemon neither ends nor needs a restart."""
    await own_rig.start()
    async with own_rig.destination() as place:
        nats_server.kill()
        await nats_server.start()
        await eventually(lambda: own_rig.link.is_connected)
        for lane in Lane:
            assert (await own_rig.deliver(own_rig.payload(place.to(lane)), lane=lane)).counts() == {
                "delivered": 1
            }


async def test_what_is_deferred_meanwhile_is_stored_later(own_rig: Rig, nats_server: NatsServer) -> None:
    """The refusals come while nothing can be stored: the daemon waits with them, and each is sent again once. How many
    come depends on when it holds back."""
    await own_rig.start()
    is_down = asyncio.Event()
    greylisted = b"451 4.7.1 Greylisted\r\n"
    async with own_rig.destination(On("rcpt", [Hold(is_down), greylisted], times=20)) as place:
        payload = own_rig.payload(*numbered(place.domain, 20))
        await own_rig.publish(payload)
        await place.mx.until(lambda: any(line.startswith(b"RCPT") for _, line in place.mx.lines))
        nats_server.kill()
        is_down.set()
        await own_rig.until_logged("store_delayed")
        await nats_server.start()
        told = await own_rig.finished(payload)
        check_copies(place, told)
        assert told.counts() == {"delivered": 20}
        assert sum(event["type"] == "deferred" for event in told.events) == 20
