import asyncio
from pathlib import Path

import pytest

from mta.jetstream.connection import Link, open_link
from mta.jetstream.errors import Conflict, PermissionMissing, Refused, StreamFull, TooLarge, Unconfirmed
from mta.jetstream.layout import RETRY
from mta.jetstream.pull import Pulled, Puller
from mta.jetstream.pump import Failure, PubAck, PublishFailed, Pump
from mta.jetstream.schedule import retry, retry_number
from mta.jetstream.settings import PumpSettings
from mta.model.lane import Lane
from tests.fakes.nats import NatsServer, eventually, running

SUBJECT = "mta.dead.test"
EXPECT_NONE = {"Nats-Expected-Last-Subject-Sequence": "0"}


async def test_stored_and_acknowledged(link: Link) -> None:
    """The ack tells stream and sequence; the same id again is a duplicate of the first, which is success."""
    pump = Pump(link)
    async with running(pump.run()):
        first = await pump.publish_acked(SUBJECT, b"one", msg_id="1")
        again = await pump.publish_acked(SUBJECT, b"one", msg_id="1")
    assert first == PubAck("MTA_DEAD", 1)
    assert again == PubAck("MTA_DEAD", 1, is_duplicate=True)
    assert pump.pending_bytes == 0
    stored = await link.stored_message("MTA_DEAD", 1)
    assert stored is not None
    assert stored.headers["Nats-Msg-Id"] == "1"


async def test_published_before_run_is_sent_by_it(link: Link) -> None:
    """Constructing and taking over need no running pump; drain waits for all."""
    pump = Pump(link)
    done: list[PubAck | PublishFailed] = []
    for number in range(100):
        pump.publish(SUBJECT, b"x" * 100, msg_id=str(number), on_done=done.append)
    assert pump.pending_bytes >= 100 * 100
    assert pump.pending_messages == 100
    async with running(pump.run()):
        await asyncio.wait_for(pump.drain(), 10)
    assert {result.sequence for result in done} == set(range(1, 101))


async def test_a_conflict_is_told_at_once_with_the_sequence_in_the_way(link: Link) -> None:
    """Error 10071, as MTA_INDEX uses it."""
    pump = Pump(link)
    async with running(pump.run()):
        first = await pump.publish_acked("mta.index.key", b"a", msg_id="a", headers=EXPECT_NONE)
        with pytest.raises(Conflict) as caught:
            await pump.publish_acked("mta.index.key", b"b", msg_id="b", headers=EXPECT_NONE)
    assert caught.value.sequence == first.sequence


async def test_a_full_stream_is_told_at_once(link: Link) -> None:
    """Error 10077, for bytes and for messages a subject."""
    config = {"name": "SMALL", "subjects": ["small.*"], "max_msgs": 1, "discard": "new", "storage": "memory"}
    await link.api("STREAM.CREATE.SMALL", config)
    pump = Pump(link)
    async with running(pump.run()):
        await pump.publish_acked("small.a", b"1", msg_id="1")
        with pytest.raises(StreamFull):
            await pump.publish_acked("small.a", b"2", msg_id="2")


async def test_what_the_server_or_we_refuse_is_told_at_once(link: Link) -> None:
    """A schedule that is none, one that targets another stream, a message larger than any, a subject that is
    none."""
    pump = Pump(link)
    made = retry(Lane.BULK, "acme", "", bytes(16), "p1-0", 0.0)
    async with running(pump.run()):
        with pytest.raises(Refused):
            await pump.publish_acked(
                made.subject, b"x", msg_id="1", headers=made.headers | {"Nats-Schedule": "@at noon"}
            )
        with pytest.raises(Refused):
            await pump.publish_acked(
                made.subject, b"x", msg_id="2", headers=made.headers | {"Nats-Schedule-Target": "mta.dead.x"}
            )
        with pytest.raises(TooLarge):
            await pump.publish_acked(SUBJECT, b"x" * link.max_payload, msg_id="3")
        with pytest.raises(Refused):
            await pump.publish_acked("mta.dead.a b", b"x", msg_id="4")
        assert link.is_connected
        assert (await pump.publish_acked(SUBJECT, b"x", msg_id="5")).sequence == 1


async def test_without_a_right_the_publisher_is_told(tmp_path: Path) -> None:
    """The server sends no ack for a forbidden publish, only a complaint: it becomes the failure of that
    message."""
    user = '{ user: "u", password: "p", permissions: { publish: { deny: "mta.Dead.>" } } }'
    rights = f"authorization {{ users: [{user}] }}"
    server = NatsServer(tmp_path, extra_config=rights)
    await server.start()
    settings = server.settings(servers=(f"nats://u:p@127.0.0.1:{server.port}",))
    link = await open_link(settings, name="test", report=lambda _: None)
    pump = Pump(link)
    async with running(pump.run()):
        with pytest.raises(PermissionMissing):
            await asyncio.wait_for(pump.publish_acked("mta.Dead.x", b"x", msg_id="1"), 5)
    await link.close()
    server.stop()


async def test_a_stream_that_comes_later_gets_its_messages(link: Link) -> None:
    """Nobody there is no refusal: it is tried again."""
    pump = Pump(link, PumpSettings(tick_s=0.01))
    done: list[PubAck | PublishFailed] = []
    async with running(pump.run()):
        pump.publish("later.x", b"x", msg_id="1", on_done=done.append)
        await eventually(lambda: pump.resent >= 2)
        assert not done
        await link.api("STREAM.CREATE.LATER", {"name": "LATER", "subjects": ["later.*"]})
        await eventually(lambda: done == [PubAck("LATER", 1)])


async def test_the_deadline_ends_trying(link: Link) -> None:
    """It says that the message was sent, so that it may be stored after all."""
    pump = Pump(link, PumpSettings(tick_s=0.01))
    async with running(pump.run()):
        with pytest.raises(Unconfirmed, match="no ack by its deadline"):
            await pump.publish_acked("nobody.there", b"x", msg_id="1", deadline_s=0.05)
    assert pump.pending_bytes == 0


async def test_an_ack_that_never_comes_repeats_the_message(link: Link) -> None:
    """A subscriber that swallows instead of a stream: sent again after the time for acks, until the
    deadline."""
    got: list[str] = []
    await link.subscribe("swallow", lambda message: got.append((message.headers or {})["Nats-Msg-Id"]))
    pump = Pump(link, PumpSettings(tick_s=0.01, ack_timeout_s=0.02))
    done: list[PubAck | PublishFailed] = []
    async with running(pump.run()):
        pump.publish("swallow", b"x", msg_id="same", on_done=done.append, deadline_s=0.3)
        await eventually(lambda: done)
    assert isinstance(done[0], PublishFailed)
    assert done[0].failure is Failure.DEADLINE
    assert done[0].is_unknown
    assert len(got) >= 2
    assert set(got) == {"same"}


async def test_withdrawn_is_neither_sent_nor_told(link: Link) -> None:
    """Whoever lost the right to publish takes it back; what is gone cannot be taken back twice."""
    pump = Pump(link)
    done: list[PubAck | PublishFailed] = []
    token = pump.publish(SUBJECT, b"x", msg_id="1", on_done=done.append)
    assert pump.withdraw(token)
    assert not pump.withdraw(token)
    assert pump.pending_bytes == 0
    async with running(pump.run()):
        assert (await pump.publish_acked(SUBJECT, b"y", msg_id="2")).sequence == 1
    assert not done


async def test_a_cancelled_publisher_withdraws(link: Link) -> None:
    """Nothing is left behind in the pump."""
    pump = Pump(link)
    waiting = asyncio.ensure_future(pump.publish_acked("nobody.there", b"x", msg_id="1"))
    await eventually(lambda: pump.pending_messages == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pump.pending_messages == 0


async def test_both_bounds_hold(link: Link) -> None:
    """More than fits on the wire waits; more than may wait is refused to the publisher, loudly."""
    pump = Pump(link, PumpSettings(in_flight_bytes=3000, pending_bytes=20_000))
    done: list[PubAck | PublishFailed] = []
    for number in range(10):
        pump.publish(SUBJECT, b"x" * 1000, msg_id=str(number), on_done=done.append)
    with pytest.raises(BufferError):
        pump.publish(SUBJECT, b"x" * 10_000, msg_id="too much", on_done=done.append)
    async with running(pump.run()):
        await asyncio.wait_for(pump.drain(), 10)
    assert len(done) == 10
    state = (await link.api("STREAM.INFO.MTA_DEAD"))["state"]
    assert state["messages"] == 10


async def test_a_message_larger_than_the_wire_bound_still_goes(link: Link) -> None:
    """Alone."""
    pump = Pump(link, PumpSettings(in_flight_bytes=100))
    async with running(pump.run()):
        assert (await pump.publish_acked(SUBJECT, b"x" * 5000, msg_id="1")).sequence == 1


async def test_closing_the_link_fails_what_is_left(link: Link) -> None:
    """The publisher learns that nobody will send it any more."""
    pump = Pump(link)
    done: list[PubAck | PublishFailed] = []
    async with running(pump.run()):
        pump.publish("nobody.there", b"x", msg_id="1", on_done=done.append)
        await link.close()
        await eventually(lambda: done)
    assert isinstance(done[0], PublishFailed)
    assert done[0].failure is Failure.CLOSED


async def test_kill_in_mid_publish_loses_and_leaks_nothing(link: Link, nats_server: NatsServer) -> None:
    """Through three kill -9 every message is acknowledged and stored once, and no token stays behind."""
    pump = Pump(link, PumpSettings(in_flight_bytes=200_000))
    acks: list[PubAck | PublishFailed] = []
    total = 6000
    async with running(pump.run()):
        for number in range(total):
            pump.publish(SUBJECT, b"x" * 200, msg_id=f"m{number}", on_done=acks.append)
        for third in (1, 2, 3):
            await eventually(lambda third=third: len(acks) >= third * total // 4, 30)  # type: ignore[misc]
            nats_server.kill()
            await eventually(lambda: not link.is_connected)
            await nats_server.start()
        await asyncio.wait_for(pump.drain(), 60)
    assert len(acks) == total
    assert all(isinstance(ack, PubAck) for ack in acks)
    assert {ack.sequence for ack in acks} == set(range(1, total + 1))
    state = (await link.api("STREAM.INFO.MTA_DEAD"))["state"]
    assert state["messages"] == total
    assert (pump.pending_bytes, pump.pending_messages, pump._wire_bytes, pump._wire_messages) == (0, 0, 0, 0)
    assert pump.resent > 0


async def test_nothing_is_sent_while_disconnected(link: Link, nats_server: NatsServer) -> None:
    """What was withdrawn during an outage is not stored after it; what was not, is."""
    pump = Pump(link)
    done: list[PubAck | PublishFailed] = []
    async with running(pump.run()):
        nats_server.kill()
        await eventually(lambda: not link.is_connected)
        token = pump.publish(SUBJECT, b"stale", msg_id="stale", on_done=done.append)
        pump.publish(SUBJECT, b"good", msg_id="good", on_done=done.append)
        pump.withdraw(token)
        await nats_server.start()
        await asyncio.wait_for(pump.drain(), 15)
    assert done == [PubAck("MTA_DEAD", 1)]
    stored = await link.stored_message("MTA_DEAD", 1)
    assert stored is not None
    assert stored.data == b"good"


async def test_a_schedule_waits_and_fires_into_its_lane(link: Link) -> None:
    """The retry of a set is stored once however often it is published, another set beside it; both come when
    due, with what the sender of the due message needs."""
    pump = Pump(link)
    got: list[Pulled] = []
    puller = Puller(link, RETRY, "due-bulk", got.append)
    await puller.open()
    one = retry(Lane.BULK, "acme", "spring", bytes(16), retry_number("MTA_PAYLOADS", 1, [(0, 1)]), 0.0)
    other = retry(Lane.BULK, "acme", "spring", bytes(16), retry_number("MTA_PAYLOADS", 1, [(1, 1)]), 0.0)
    far = retry(Lane.BULK, "acme", "spring", bytes(16), retry_number("MTA_PAYLOADS", 1, [(2, 1)]), 4e9)
    async with running(pump.run()):
        for made in (one, one, other, far):
            await pump.publish_acked(made.subject, b"body", msg_id=made.msg_id, headers=made.headers)
    while len(got) < 2:
        await asyncio.wait_for(puller.pull(2, expires_s=5.0), 10)
    await puller.close()
    assert {pulled.subject for pulled in got} == {one.headers["Nats-Schedule-Target"]}
    assert {pulled.headers["Nats-Scheduler"] for pulled in got} == {one.subject, other.subject}
    assert len(got) == 2
    assert await link.last_message(RETRY, far.subject) is not None
    assert await link.last_message(RETRY, one.subject) is None


async def test_a_schedule_survives_kill(link: Link, nats_server: NatsServer) -> None:
    """It fires after the restart."""
    pump = Pump(link)
    made = retry(Lane.TRANSACTIONAL, "acme", "", bytes(16), "p1-0", 0.0)
    far = retry(Lane.TRANSACTIONAL, "acme", "", bytes(16), "p2-0", 4e9)
    got: list[Pulled] = []
    async with running(pump.run()):
        await pump.publish_acked(far.subject, b"far", msg_id=far.msg_id, headers=far.headers)
        nats_server.kill()
        pump.publish(made.subject, b"body", msg_id=made.msg_id, headers=made.headers, on_done=lambda _: None)
        await nats_server.start()
        await asyncio.wait_for(pump.drain(), 15)
    puller = Puller(link, RETRY, "due-transactional", got.append)
    await puller.open()
    while not got:
        await asyncio.wait_for(puller.pull(1, expires_s=5.0), 10)
    await puller.close()
    assert got[0].data == b"body"
    assert await link.last_message(RETRY, far.subject) is not None
