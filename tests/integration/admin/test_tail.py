import asyncio
import json
from pathlib import Path

import pytest

from mta.admin.errors import WrongUsage
from mta.admin.output import Output
from mta.admin.tail import Filters, tail
from mta.config.load import load
from mta.config.settings import Config
from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound, WithoutJetStream
from tests.fakes.nats import NatsServer, event_readers, eventually


class Lines(Output):
    """Keeps what would be printed."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.ids: list[str] = []

    def raw(self, line: bytes) -> None:
        self.ids.append(json.loads(line)["id"])


async def publish(link: Link, kind: str, *ids: str, campaign: str = "spring") -> None:
    """One batch of events."""
    body = b"".join(json.dumps({"id": one, "type": kind}).encode() + b"\n" for one in ids)
    subject = f"mta.event.acme.{kind}.google.{campaign}"
    await link.request(subject, body, headers={"Nats-Msg-Id": ids[0]})


async def until_reading(link: Link) -> None:
    async with asyncio.timeout(15):
        while not await event_readers(link):  # each look is a question to the server
            pass


async def test_events_come_live_and_once(config: Config, link: Link) -> None:
    """Only those from now on, each line of a batch by itself."""
    await publish(link, "delivered", "old")
    lines = Lines()
    async with asyncio.TaskGroup() as group:
        group.create_task(tail(config, {}, lines, Filters(), 3))
        await until_reading(link)
        await publish(link, "delivered", "a", "b")
        await publish(link, "delivered", "a", "b")  # the stream drops what has its id
        await publish(link, "bounced", "c")
    assert lines.ids == ["a", "b", "c"]


async def test_filters_choose(config: Config, link: Link) -> None:
    """By tenant, type, provider and campaign."""
    for kind in ("delivered", "bounced"):
        for campaign in ("spring", "autumn"):
            await publish(link, kind, f"{kind}-{campaign}", campaign=campaign)
    lines = Lines()
    await tail(config, {}, lines, Filters("acme", "bounced", "google", "autumn", since_s=600), 1)
    assert lines.ids == ["bounced-autumn"]
    lines = Lines()
    await tail(config, {}, lines, Filters(type="delivered", since_s=600), 2)
    assert lines.ids == ["delivered-spring", "delivered-autumn"]


async def test_a_broken_connection_neither_repeats_nor_loses(
    config: Config, link: Link, nats_server: NatsServer
) -> None:
    """It goes on behind what it has shown."""
    await publish(link, "delivered", "a")
    lines = Lines()
    async with asyncio.TaskGroup() as group:
        group.create_task(tail(config, {}, lines, Filters(since_s=600), 3))
        await eventually(lambda: lines.ids == ["a"])
        nats_server.kill()
        await nats_server.start()
        await eventually(lambda: link.is_connected)
        await publish(link, "delivered", "b")
        await publish(link, "delivered", "c")
    assert lines.ids == ["a", "b", "c"]


async def test_without_streams_it_says_what_to_do(config: Config) -> None:
    """Not a silence that looks like peace."""
    with pytest.raises(NotFound, match="there is no stream MTA_EVENTS"):
        await tail(config, {}, Lines(), Filters())


async def test_a_server_without_jetstream_is_said(tmp_path: Path) -> None:
    """Nothing would ever come from it."""
    server = NatsServer(tmp_path, with_jetstream=False)
    await server.start()
    path = tmp_path / "mta.toml"
    path.write_text(f'[nats]\nembedded = false\nservers = ["{server.url}"]\n')
    async with asyncio.timeout(10):
        with pytest.raises(WithoutJetStream):
            await tail(load(path, {}), {}, Lines(), Filters())
    server.stop()


async def test_people_get_lines(config: Config, link: Link, capsys: pytest.CaptureFixture[str]) -> None:
    """One an event."""
    await publish(link, "bounced", "a", "b")
    await tail(config, {}, Output(), Filters(since_s=600), 2)
    assert capsys.readouterr().out.count("bounced") == 2


async def test_it_ends_with_what_is_there(config: Config, link: Link) -> None:
    """Each event of the time that was asked for, and no waiting for more; also where there is none."""
    await publish(link, "delivered", "a", "b")
    await publish(link, "bounced", "c", campaign="_")
    async with asyncio.timeout(10):
        for chosen, expected in (
            (Filters(since_s=600), ["a", "b", "c"]),
            (Filters(campaign="_", since_s=600), ["c"]),
            (Filters(campaign="none", since_s=600), []),
        ):
            lines = Lines()
            assert await tail(config, {}, lines, chosen, is_following=False) == 0
            assert lines.ids == expected
    with pytest.raises(WrongUsage, match="--since"):
        await tail(config, {}, Lines(), Filters(), is_following=False)
