"""The publisher keeps its promise on the fake pump as on the real one, and a real stream holds what it published."""

import asyncio

import pytest

from mta.events.publisher import EventPublisher, Publish
from mta.events.settings import EventSettings
from mta.events.sink import EventSink
from mta.jetstream.connection import Link
from mta.jetstream.pump import PubAck, PublishFailed, Pump
from mta.jetstream.subjects import event_subject
from tests.fakes.nats import NatsServer, eventually, running
from tests.fakes.pump import FakePump

SUBJECTS = [event_subject("acme", "delivered", provider, "spring") for provider in ("google", "other")]


async def keeps_its_promise(pump: Publish) -> None:
    """The contract of the seam: taken messages are answered once each, the same id is success again."""
    results: list[PubAck | PublishFailed] = []
    for expected in (1, 2):
        pump.publish(SUBJECTS[0], b"{}\n", msg_id="one", headers={"Mta-Events": "1"}, on_done=results.append)
        await eventually(lambda expected=expected: len(results) == expected)
    assert [isinstance(result, PubAck) for result in results] == [True, True]
    first, second = results
    assert isinstance(first, PubAck)
    assert isinstance(second, PubAck)
    assert (first.sequence, first.is_duplicate) == (second.sequence, False)
    assert second.is_duplicate
    kept: list[object] = []
    sink: EventSink = EventPublisher(pump, EventSettings(), kept.extend)
    for number in range(500):
        sink.emit(SUBJECTS[number % 2], b'{"n":%d}' % number, number)
    assert sink.unkept_bytes > 0
    await asyncio.wait_for(sink.flush(), 10)
    assert sink.unkept_bytes == 0
    assert sorted(kept) == list(range(500))  # type: ignore[type-var]


async def test_on_the_fake_pump() -> None:
    """So that the fake may stand for the real one elsewhere."""
    await keeps_its_promise(FakePump(is_prompt=True))


async def test_on_the_real_pump(link: Link) -> None:
    """The stream holds each line once, in order, with its headers."""
    pump = Pump(link)
    async with running(pump.run()):
        await keeps_its_promise(pump)
    lines: list[bytes] = []
    for sequence in (2, 3):
        stored = await link.stored_message("MTA_EVENTS", sequence)
        assert stored is not None
        assert stored.subject == SUBJECTS[sequence - 2]
        assert stored.headers["Mta-Events"] == "250"
        lines += stored.data.splitlines()
    assert sorted(lines) == sorted(b'{"n":%d}' % number for number in range(500))


async def test_N1_the_server_dies_under_load(link: Link, nats_server: NatsServer) -> None:
    """Killed and started again: every line is kept, and each token is told once."""
    kept: list[object] = []
    pump = Pump(link)
    async with running(pump.run()):
        publisher = EventPublisher(pump, EventSettings(), kept.extend)
        emitted = _emit(publisher, range(2000))
        await eventually(lambda: kept)
        nats_server.kill()
        emitted += _emit(publisher, range(2000, 3000))
        await nats_server.start()
        await asyncio.wait_for(publisher.flush(), 30)
    assert sorted(kept) == emitted  # type: ignore[type-var]


def _emit(publisher: EventPublisher, numbers: range) -> list[int]:
    for number in numbers:
        subject = event_subject("acme", "delivered", f"p{number % 30}", "spring")
        publisher.emit(subject, b'{"n":%d}' % number, number)
    return list(numbers)


async def test_nothing_is_kept_without_an_ack(link: Link) -> None:
    """A pump that does not run publishes nothing, so everything stays unkept."""
    kept: list[object] = []
    publisher = EventPublisher(Pump(link), EventSettings(), kept.extend)
    publisher.emit(SUBJECTS[0], b"{}", 1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(publisher.flush(), 0.2)
    assert not kept
    assert publisher.unkept_bytes == 2
    publisher.close()
