from pathlib import Path

import pytest

from mta.jetstream.connection import open_link
from mta.jetstream.errors import WithoutJetStream
from mta.jetstream.layout import EVENTS, PAYLOADS, Capacity, streams
from mta.jetstream.setup import setup, verify
from tests.fakes.nats import NatsServer

SMALL = Capacity(events_max_bytes=1 << 27)


async def test_everything_is_made_once(nats_server: NatsServer) -> None:
    """Before it all is missing, after it nothing; a second time changes nothing."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    missing = await verify(link, ack_wait_s=30.0)
    assert len(missing) == len(streams(SMALL))
    assert "stream MTA_PAYLOADS is missing" in missing
    first = await setup(link, SMALL, ack_wait_s=30.0)
    assert {"MTA_PAYLOADS", "KV_MTA_CONTROL", "OBJ_MTA_OBJECTS", "MTA_RETRY/due-bulk"} <= set(first.created)
    assert await verify(link, ack_wait_s=30.0) == []
    again = await setup(link, SMALL, ack_wait_s=30.0)
    assert (again.created, again.updated, again.lowered) == ((), (), {})
    await link.close()


async def test_changes_are_applied_and_others_kept(nats_server: NatsServer) -> None:
    """What we name is set again, what the operator added stays, and a stopped consumer is made anew."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(link, SMALL, ack_wait_s=30.0)
    config = (await link.api(f"STREAM.INFO.{PAYLOADS}"))["config"]
    changed = config | {"description": "of the operator", "duplicate_window": 1_000_000_000}
    await link.api(f"STREAM.UPDATE.{PAYLOADS}", changed)
    await link.api(f"CONSUMER.DELETE.{PAYLOADS}.transactional")
    missing = await verify(link, ack_wait_s=30.0)
    assert missing == ["consumer transactional of stream MTA_PAYLOADS is missing"]
    report = await setup(link, Capacity(events_max_bytes=1 << 28), ack_wait_s=20.0)
    assert set(report.updated) == {PAYLOADS, EVENTS}
    assert report.created == ("MTA_PAYLOADS/transactional",)
    config = (await link.api(f"STREAM.INFO.{PAYLOADS}"))["config"]
    assert config["description"] == "of the operator"
    assert config["duplicate_window"] == 600_000_000_000
    assert (await link.api(f"STREAM.INFO.{EVENTS}"))["config"]["max_bytes"] == 1 << 28
    consumer = (await link.api("CONSUMER.INFO.MTA_RETRY.due-bulk"))["config"]
    assert consumer["ack_wait"] == 20_000_000_000
    await link.close()


async def test_events_leave_room_for_mail(nats_server: NatsServer) -> None:
    """On a server with 4 GiB the events stream reserves no more than half, says so, and a later setup
    agrees."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    report = await setup(link, Capacity(events_max_bytes=8 << 30), ack_wait_s=30.0)
    assert report.lowered == {EVENTS: 2 << 30}
    again = await setup(link, Capacity(events_max_bytes=8 << 30), ack_wait_s=30.0)
    assert (again.updated, again.lowered) == ((), {EVENTS: 2 << 30})
    await link.api("STREAM.CREATE.OTHER", {"name": "OTHER", "subjects": ["other"], "max_bytes": 1 << 30})
    await link.close()


async def test_a_stream_that_would_break_us_is_named(nats_server: NatsServer) -> None:
    """A foreign stream under our name is told by what is wrong with it."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(link, SMALL, ack_wait_s=30.0)
    await link.api("STREAM.DELETE.MTA_INDEX")
    await link.api(
        "STREAM.CREATE.MTA_INDEX", {"name": "MTA_INDEX", "subjects": ["mta.index.*", "mta.seen.*.*"]}
    )
    assert await verify(link, ack_wait_s=30.0) == [
        "stream MTA_INDEX: max_msgs_per_subject is -1, not 1",
        "stream MTA_INDEX: allow_direct is False, not True",
    ]
    await link.close()


async def test_n5_a_consumer_that_gives_up_is_named(nats_server: NatsServer) -> None:
    """A message delivered too often would stay in the work queue unseen."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(link, SMALL, ack_wait_s=30.0)
    config = (await link.api(f"CONSUMER.INFO.{PAYLOADS}.transactional"))["config"] | {"max_deliver": 5}
    await link.api(
        f"CONSUMER.CREATE.{PAYLOADS}.transactional.{config['filter_subject']}",
        {"stream_name": PAYLOADS, "config": config, "action": ""},
    )
    assert await verify(link, ack_wait_s=30.0) == [
        "consumer transactional of stream MTA_PAYLOADS: max_deliver is 5, not -1"
    ]
    await setup(link, SMALL, ack_wait_s=30.0)
    assert await verify(link, ack_wait_s=30.0) == []
    await link.close()


async def test_a_server_without_jetstream_is_unavailable(tmp_path: Path) -> None:
    """Not an empty one."""
    server = NatsServer(tmp_path, with_jetstream=False)
    await server.start()
    link = await open_link(server.settings(), name="test", report=lambda _: None)
    with pytest.raises(WithoutJetStream, match="has no JetStream"):
        await setup(link, SMALL, ack_wait_s=30.0)
    await link.close()
    server.stop()
