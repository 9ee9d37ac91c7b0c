"""kill -9 of the daemon: whoever gets the payload again knows what became of each recipient."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mta.jetstream.connection import open_link
from mta.jetstream.layout import EVENTS, PAYLOADS, Capacity
from mta.jetstream.setup import setup
from mta.model.lane import Lane
from tests.fakes.nats import NatsServer, eventually
from tests.fakes.rig import Place, Rig, numbered
from tests.fakes.smtp_server import Hold, On

pytestmark = pytest.mark.begun_first

ACK_WAIT_S = 2.5
TAKEN = b"250 2.0.0 taken\r\n"
GREYLISTED = b"451 4.7.1 Greylisted\r\n"


@pytest.fixture
async def quick_rig(tmp_path: Path, nats_server: NatsServer):  # type: ignore[no-untyped-def]
    """A daemon of the story's own whose leases are short."""
    link = await open_link(nats_server.settings(), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=ACK_WAIT_S)
    await link.close()
    rig = Rig(tmp_path, server=nats_server.url, ack_wait_s=ACK_WAIT_S)
    yield rig
    await rig.close()
    assert "Traceback" not in rig.log
    assert "never retrieved" not in rig.log


def dots(place: Place, recipients: list[str]) -> int:
    """How many of these have had their end of data read."""
    return sum(one.recipient in recipients for one in place.mx.received)


async def test_a2_only_dots_without_a_reply_go_out_again(quick_rig: Rig) -> None:
    """Five dots read and not answered, most of the others delivered: those get nothing more, the five one copy more."""
    patient(quick_rig)
    never = asyncio.Event()
    await quick_rig.start()
    # In lock step: a dot that is pipelined behind another one that is held would not be read.
    async with quick_rig.destination(offers=("8BITMIME",)) as place:
        held = list(numbered(place.domain, 5, "held-"))
        place.mx.rules = [On("dot", [Hold(never), TAKEN], recipient=one, times=1) for one in held]
        quick = list(numbered(place.domain, 60, "quick-"))
        payload = quick_rig.payload(*held, *quick)
        await quick_rig.publish(payload, lane=Lane.BULK, campaign="c")
        await quick_rig.saw(payload, "delivered", 40)
        await eventually(lambda: dots(place, held) == 5)
        await quick_rig.daemon.kill()
        never.set()
        await quick_rig.restart()
        told = await quick_rig.finished(payload)
        assert told.counts() == {"delivered": 65}
        assert {one: place.copies[one] for one in held} == dict.fromkeys(held, 2)
        assert sum(place.copies[one] - 1 for one in quick) <= 10


def patient(rig: Rig) -> None:
    """A reply to a dot may take a minute."""
    shaping = rig.directory / "shaping.toml"
    shaping.write_text(shaping.read_text().replace('dot = "3s"', 'dot = "60s"'))


async def test_what_was_delivered_and_not_told_is_told_and_not_sent(
    quick_rig: Rig, nats_server: NatsServer
) -> None:
    """The 250 came while NATS was down, then the daemon died: the ledger knows, and says so as `recovered`."""
    go_on = asyncio.Event()
    await quick_rig.start()
    async with quick_rig.destination(On("dot", [Hold(go_on), TAKEN], times=1)) as place:
        payload = quick_rig.payload(place.to("ada"))
        await quick_rig.publish(payload)
        await eventually(lambda: any(line.startswith(b"BDAT") for _, line in place.mx.lines))
        nats_server.kill()
        go_on.set()
        await eventually(lambda: len(place.mx.accepted) == 1)
        await eventually(lambda: delivered_in(quick_rig.daemon.state_dir / "ledger"))
        await quick_rig.daemon.kill()
        await nats_server.start()
        await quick_rig.restart()
        told = await quick_rig.finished(payload)
        (event,) = told.of(place.to("ada"))
        assert (event["type"], event["recovered"], event["attempt"]) == ("delivered", True, 1)
        assert event["smtp"]["code"] == 250
        assert place.copies == {place.to("ada"): 1}


def delivered_in(ledger: Path) -> bool:
    """By the format of the files: the state of the only recipient of the only slot."""
    for path in ledger.glob("1-*.arena"):
        octets = path.read_bytes()
        start = octets.find(b"MTALEDG1")
        return start >= 0 and octets[start + 64] & 0x7F == 2
    return False


async def test_a11_who_was_deferred_goes_on_where_he_was(quick_rig: Rig) -> None:
    """Deferred and not yet stored, because another of the payload was still on the wire: the next attempt is the
    second, under the same message, and the first is told once."""
    patient(quick_rig)
    never = asyncio.Event()
    await quick_rig.start()
    # In lock step: whoever is pipelined behind the slow one's dot would wait for its reply.
    async with quick_rig.destination(offers=("8BITMIME",)) as place:
        waiting = list(numbered(place.domain, 30))
        place.mx.rules = [
            On("dot", [Hold(never), TAKEN], recipient=place.to("slow"), times=1),
            *(On("rcpt", [GREYLISTED], recipient=one, times=1) for one in waiting),
        ]
        payload = quick_rig.payload(*waiting, place.to("slow"))
        await quick_rig.publish(payload, lane=Lane.BULK, campaign="c")
        await quick_rig.saw(payload, "deferred", 30)
        await quick_rig.daemon.kill()
        await quick_rig.restart()
        never.set()
        told = await quick_rig.finished(payload)
        assert all(place.copies[one] == 1 for one in waiting)
        for one in waiting:
            assert [(event["type"], event["attempt"]) for event in told.of(one)] == [
                ("deferred", 1),
                ("delivered", 2),
            ]


@pytest.mark.parametrize("frozen_s", [0.0, pytest.param(600.0, marks=pytest.mark.long)])
async def test_n2_a_frozen_server_ends_the_lease_and_nothing_is_sent_twice(
    quick_rig: Rig, nats_server: NatsServer, frozen_s: float
) -> None:
    """NATS answers nothing for longer than `ack_wait`, or for ten minutes. Dots wait, and the payload goes on when it
    is given out again."""
    await quick_rig.start()
    async with quick_rig.destination() as place:
        late = datetime.now(UTC) + timedelta(hours=1)
        payload = quick_rig.payload(*numbered(place.domain, 500), expires_at=late.isoformat())
        gate = asyncio.Event()
        place.mx.rules = [On("banner", [Hold(gate), b"220 mx.test ESMTP\r\n"])]
        await quick_rig.publish(payload, lane=Lane.BULK, campaign="c")
        await place.mx.until(lambda: place.mx.connections > 0)
        nats_server.freeze()
        try:
            await quick_rig.until_logged("lease_over")
            gate.set()
            thaw_at = asyncio.get_running_loop().time() + frozen_s
            await eventually(lambda: asyncio.get_running_loop().time() >= thaw_at, frozen_s + 15.0)
        finally:
            nats_server.thaw()
        await eventually(lambda: quick_rig.link.is_connected, 30.0)
        told = await quick_rig.finished(payload, 60.0)
        assert told.counts() == {"delivered": 500}
        assert set(place.copies.values()) == {1}


async def test_n2_after_the_lease_only_the_ledger_speaks(quick_rig: Rig, nats_server: NatsServer) -> None:
    """Delivered while NATS was away for longer than the lease: the event that waited for it is withdrawn with that, and
    whoever is given the payload again, here the same daemon, tells of it as `recovered`, once."""
    go_on = asyncio.Event()
    await quick_rig.start()
    async with quick_rig.destination(On("dot", [Hold(go_on), TAKEN], times=1)) as place:
        payload = quick_rig.payload(place.to("ada"))
        await quick_rig.publish(payload)
        await eventually(lambda: any(line.startswith(b"BDAT") for _, line in place.mx.lines))
        nats_server.kill()
        go_on.set()
        await eventually(lambda: len(place.mx.accepted) == 1)
        await quick_rig.until_logged("lease_over")
        await nats_server.start()
        told = await quick_rig.finished(payload)
        (event,) = told.of(place.to("ada"))
        assert (event["type"], event["recovered"], event["attempt"]) == ("delivered", True, 1)
        assert not quick_rig.repeated
        assert place.copies == {place.to("ada"): 1}


async def test_n4_a_dot_may_take_longer_than_the_lease(quick_rig: Rig) -> None:
    """The lease is renewed while its work lives: twice `ack_wait` later the reply comes, and nobody else was given the
    payload meanwhile."""
    patient(quick_rig)
    go_on = asyncio.Event()
    await quick_rig.start()
    async with quick_rig.destination(On("dot", [Hold(go_on), TAKEN], times=1)) as place:
        payload = quick_rig.payload(place.to("ada"))
        ack = await quick_rig.publish(payload)
        await place.mx.until(lambda: len(place.mx.received) == 1)
        begun = asyncio.get_running_loop().time()
        await eventually(lambda: asyncio.get_running_loop().time() > begun + 2 * ACK_WAIT_S)
        assert await quick_rig.link.stored_message(PAYLOADS, ack.sequence) is not None
        go_on.set()
        told = await quick_rig.finished(payload)
        assert told.types(place.to("ada")) == ["delivered"]
        assert "recovered" not in told.end(place.to("ada"))
        assert len(place.of(place.to("ada"))) == 1


async def test_n9_a_reader_of_events_that_is_slow_slows_nobody(quick_rig: Rig) -> None:
    """A consumer that acknowledges nothing holds nothing up."""
    await quick_rig.start()
    slow = {"durable_name": "slow", "ack_policy": "explicit", "max_ack_pending": 1, "deliver_policy": "all"}
    await quick_rig.link.api(
        f"CONSUMER.CREATE.{EVENTS}.slow", {"stream_name": EVENTS, "config": slow, "action": ""}
    )
    async with quick_rig.destination() as place:
        told = await quick_rig.deliver(quick_rig.payload(*numbered(place.domain, 500)))
        assert told.counts() == {"delivered": 500}


@pytest.mark.parametrize("lives", [4, pytest.param(40, marks=pytest.mark.long)])
async def test_a10_killed_again_and_again_it_still_gets_done(quick_rig: Rig, lives: int) -> None:
    """Each life has a part of the work; nobody is lost, and nobody who was told of is mailed again."""
    parts = lives + 2
    await quick_rig.start()
    async with quick_rig.destination() as place:
        payloads = [quick_rig.payload(*numbered(place.domain, 300, f"p{part}-")) for part in range(parts)]
        for payload in payloads:
            await quick_rig.publish(payload, lane=Lane.BULK, campaign="c")
        for life in range(1, lives):
            await quick_rig.until(
                lambda life=life: sum(len(quick_rig.told(one).ended) for one in payloads) >= 250 * life
            )
            await quick_rig.daemon.kill()
            await quick_rig.restart()
        for payload in payloads:
            assert (await quick_rig.finished(payload)).counts() == {"delivered": 300}
        assert sum(place.copies.values()) - 300 * parts <= (lives - 1) * 2 * 10
