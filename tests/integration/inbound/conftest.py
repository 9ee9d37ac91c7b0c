"""A link to the test's own server, with the layout set up. What answers over HTTP is tried on asyncio's loop and on
uvloop's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from mta.jetstream.connection import Link, open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from tests.fakes.nats import NatsServer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.SelectorEventLoop, **loops} if item.path.stem == "test_web" else loops


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    """Connected, streams made."""
    opened = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(opened, Capacity(events_max_bytes=1 << 27), ack_wait_s=2.0)
    yield opened
    await opened.close()
