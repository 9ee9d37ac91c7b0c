"""Reading a stream from a time on, against a real server."""

import asyncio
import io
from datetime import datetime

import pytest
from rich.console import Console

from mta.admin.history import read
from mta.admin.output import Output
from mta.jetstream.connection import Link
from mta.jetstream.consumers import create_reader, from_time
from mta.jetstream.errors import JetStreamUnavailable, NotFound
from mta.jetstream.layout import EVENTS
from tests.fakes.nats import NatsServer, event_readers

SUBJECT = "mta.event.acme.{}.google.spring"


async def stored(link: Link, *kinds: str) -> None:
    for kind in kinds:
        await link.request(SUBJECT.format(kind), kind.encode())


async def test_everything_of_some_subjects_in_order(link: Link) -> None:
    """Several filters at once; afterwards nothing is left at the server."""
    await stored(link, "bounced", "delivered", "deferred", "bounced")
    seen: list[bytes] = []
    subjects = [f"mta.event.*.{kind}.>" for kind in ("bounced", "deferred")]
    count = await read(link, EVENTS, subjects, 0.0, lambda one: seen.append(one.data), Output(True))
    assert (count, seen) == (3, [b"bounced", b"deferred", b"bounced"])
    assert await event_readers(link) == 0


async def test_only_from_a_time_on(link: Link) -> None:
    """That of the stream."""
    await stored(link, "bounced", "deferred")
    second = await link.stored_message(EVENTS, 2)
    assert second is not None
    seen: list[bytes] = []
    at = datetime.fromisoformat(second.time[:26] + "+00:00").timestamp()
    await read(link, EVENTS, ("mta.event.>",), at, lambda one: seen.append(one.data), Output(True))
    assert seen == [b"deferred"]


async def test_more_than_one_pull(link: Link) -> None:
    """All of it, and what comes meanwhile is another's business."""
    body = b"x" * 100_000
    for _ in range(250):
        await link.publish(SUBJECT.format("bounced"), body)
    await link.request(SUBJECT.format("bounced"), body)
    sizes: list[int] = []
    assert (
        await read(link, EVENTS, ("mta.event.>",), 0.0, lambda one: sizes.append(len(one.data)), Output(True))
        == 251
    )
    assert sum(sizes) == 251 * len(body)


async def many_stored(link: Link) -> None:
    """More than one pull asks for."""
    for _ in range(1_500):
        await link.publish(SUBJECT.format("bounced"), b"x")
    await stored(link, "bounced")


async def test_what_comes_meanwhile_is_left_to_others(link: Link) -> None:
    """Else a busy stream would never be read to its end."""
    await many_stored(link)
    more: list[asyncio.Task[None]] = []

    def add(_: object) -> None:
        if not more:
            more.append(asyncio.create_task(stored(link, *["deferred"] * 50)))

    assert await read(link, EVENTS, ("mta.event.>",), 0.0, add, Output(True)) == 1_501
    await more[0]


async def test_what_grows_too_old_meanwhile_is_not_waited_for(link: Link) -> None:
    """The end is where nothing comes any more."""
    await many_stored(link)
    gone: list[asyncio.Task[object]] = []

    def purge(_: object) -> None:
        if not gone:
            gone.append(asyncio.create_task(link.api(f"STREAM.PURGE.{EVENTS}")))

    async with asyncio.timeout(10):
        await read(link, EVENTS, ("mta.event.>",), 0.0, purge, Output(True))


async def test_nothing_there_is_nothing(link: Link) -> None:
    """And no waiting for it."""
    assert await read(link, EVENTS, ("mta.event.>",), 0.0, lambda _: None, Output(True)) == 0


async def test_a_bar_is_drawn_on_a_terminal_only(link: Link) -> None:
    """On stderr; nowhere else a byte of it."""
    await stored(link, "bounced")
    for is_terminal, as_json in ((True, False), (True, True), (False, False)):
        output = Output(as_json)
        drawn = io.StringIO()
        output.errors = Console(file=drawn, force_terminal=is_terminal)
        await read(link, EVENTS, ("mta.event.>",), 0.0, lambda _: None, output)
        assert ("reading events" in drawn.getvalue()) == (is_terminal and not as_json)


async def test_a_server_that_dies_ends_it(link: Link, nats_server: NatsServer) -> None:
    """With a word; half an answer is none. More than one pull, so that it cannot all be on its way already."""
    await many_stored(link)
    seen: list[object] = []

    def die(one: object) -> None:
        if not seen:
            nats_server.kill()
        seen.append(one)

    with pytest.raises(JetStreamUnavailable, match="reading MTA_EVENTS broke off"):
        await read(link, EVENTS, ("mta.event.>",), 0.0, die, Output(True))


async def test_a_stream_that_is_not_there(link: Link) -> None:
    """By its name."""
    with pytest.raises(NotFound, match="there is no stream MTA_NONE"):
        await create_reader(link, "MTA_NONE", ("x",), from_time(0.0))
