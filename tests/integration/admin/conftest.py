from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mta.config.load import load
from mta.config.settings import Config
from mta.jetstream.connection import Link, open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from tests.fakes.nats import NatsServer


@pytest.fixture
def config(tmp_path: Path, nats_server: NatsServer) -> Config:
    """As an operator with a server of his own writes it."""
    path = tmp_path / "mta.toml"
    path.write_text(
        f'[node]\nname = "n1"\nstate_dir = "{tmp_path}/state"\n'
        f'[nats]\nembedded = false\nservers = ["{nats_server.url}"]\n'
    )
    return load(path, {})


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    """Connected, with all streams made."""
    opened = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(opened, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
    yield opened
    await opened.close()
