"""One daemon for all stories that need nothing special: each has a destination of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from mta.jetstream.connection import open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from tests.fakes.dns_server import FakeDns
from tests.fakes.nats import NatsServer
from tests.fakes.rig import Rig
from tests.fakes.smtp_server import CHUNKING
from tests.fakes.trust import of_nobody, server, with_digest
from tests.fakes.world import World, for_any_name, world


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def zones() -> AsyncIterator[FakeDns]:
    """What the shared daemon asks for MX."""
    async with FakeDns() as dns:
        yield dns


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_rig(tmp_path_factory: pytest.TempPathFactory, zones: FakeDns) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("shared-rig"), slots=128, dns=zones.address, hold="2s", timeout="1s")
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
    assert not shared_rig.reader.mistakes
    assert "Traceback" not in shared_rig.log
    assert "never retrieved" not in shared_rig.log


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Hosts of each kind. `mx.good.test` is whoever it is taken for and promises REQUIRETLS, `mx.dane.test` has a key
    that its TLSA record names and nothing else to show for itself; the others lack what their names say."""
    async with world(tmp_path_factory.mktemp("world")) as one:
        key, digest = with_digest(trustme.CA(), "whatever.test")
        promising = (*CHUNKING, "REQUIRETLS")
        await one.host("mx.good.test", context=for_any_name(one.ca), tls_offers=promising)
        await one.host("mx.dane.test", context=key)
        await one.host("mx.clear.test", context=None)
        await one.host("mx.bad.test", context=of_nobody("mx.bad.test"))
        await one.host("mx.expired.test", context=server(one.ca, "mx.expired.test", expired=True))
        await one.host("mx.misnamed.test", context=server(one.ca, "another.test"))
        one.named("mx.dane.test", digest)
        await one.start()
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def domains(shared_world: World) -> AsyncIterator[World]:
    """What is published about TLS, and who keeps it; as for `rig`."""
    yield shared_world
    assert not shared_world.rig.repeated
    assert not shared_world.rig.reader.mistakes
    assert "Traceback" not in shared_world.rig.log
    assert "never retrieved" not in shared_world.rig.log


@pytest.fixture
async def own_rig(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[Rig]:
    """A daemon of the story's own, not yet started, on a server of its own that has its streams."""
    link = await open_link(nats_server.settings(), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
    await link.close()
    rig = Rig(tmp_path, server=nats_server.url)
    yield rig
    await rig.close()
    assert not rig.reader.mistakes
    assert "Traceback" not in rig.log
    assert "never retrieved" not in rig.log
