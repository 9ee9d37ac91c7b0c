"""One daemon for all stories that need nothing special: each has a destination of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mta.jetstream.connection import open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from tests.fakes.dns_server import FakeDns
from tests.fakes.nats import NatsServer
from tests.fakes.rig import Rig


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def zones() -> AsyncIterator[FakeDns]:
    """What the shared daemon asks for MX."""
    async with FakeDns() as dns:
        yield dns


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_rig(tmp_path_factory: pytest.TempPathFactory, zones: FakeDns) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("shared-rig"), slots=128, dns=zones.address, hold="2s", timeout="2s")
    try:
        await rig.start()
        yield rig
    finally:
        await rig.close()


@pytest_asyncio.fixture(loop_scope="session")
async def rig(shared_rig: Rig) -> AsyncIterator[Rig]:
    """The shared daemon; after each story its log must be free of what nobody expected."""
    yield shared_rig
    assert not shared_rig.repeated
    assert "Traceback" not in shared_rig.log
    assert "never retrieved" not in shared_rig.log


@pytest.fixture
async def own_rig(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[Rig]:
    """A daemon of the story's own, not yet started, on a server of its own that has its streams."""
    link = await open_link(nats_server.settings(), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
    await link.close()
    rig = Rig(tmp_path, server=nats_server.url)
    yield rig
    await rig.close()
    assert "Traceback" not in rig.log
    assert "never retrieved" not in rig.log
