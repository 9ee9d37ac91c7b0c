"""Fixtures shared by all tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.nats import NatsServer


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A running nats-server with an empty store."""
    directory = tmp_path / "nats-server"
    directory.mkdir()
    server = NatsServer(directory)
    await server.start()
    yield server
    server.stop()
