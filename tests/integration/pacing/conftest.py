"""A link to the test's own server, with the whole layout set up."""

from collections.abc import AsyncIterator

import pytest

from mta.jetstream.connection import Link, open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from tests.fakes.nats import NatsServer


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    """Connected, streams and consumers made; `ack_wait` is 2 s."""
    opened = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(opened, Capacity(events_max_bytes=1 << 27), ack_wait_s=2.0)
    yield opened
    await opened.close()
