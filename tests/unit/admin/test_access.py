import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from msgspec import structs

from mta.admin.access import (
    again,
    beside,
    configuration,
    nameservers,
    nats_settings,
    needed,
)
from mta.admin.errors import WrongInput
from mta.config.problems import ConfigError
from mta.dns.settings import DnsSettings
from mta.jetstream.embedded import Address
from mta.jetstream.errors import JetStreamUnavailable
from tests.fakes.nobody import as_nobody


def test_an_embedded_server_is_found_by_its_file(tmp_path: Path) -> None:
    """Without any configuration, in the state directory."""
    address = Address("nats://mta:secret@127.0.0.1:4333", "mta", "secret", 4333)
    (tmp_path / "nats.json").write_bytes(msgspec.json.encode(address))
    settings = nats_settings(None, {"STATE_DIRECTORY": str(tmp_path)})
    assert settings.servers == (address.url,)
    assert settings.connect_timeout_s <= 5


def test_a_server_that_never_ran_is_said(tmp_path: Path) -> None:
    """With where it was looked for."""
    with pytest.raises(JetStreamUnavailable, match=f"no embedded server has been started in {tmp_path}"):
        nats_settings(None, {"STATE_DIRECTORY": str(tmp_path)})


def test_a_server_of_somebody_else_is_said(tmp_path: Path) -> None:
    """It runs, and this user is not meant to reach it."""
    with (
        TemporaryDirectory() as name,
        as_nobody(Path(name)),
        pytest.raises(JetStreamUnavailable, match=r"nats.json may not be read by this user: run as root"),
    ):
        nats_settings(None, {"STATE_DIRECTORY": name})


def test_a_configuration_is_named_again(tmp_path: Path) -> None:
    """So that the next command finds it, whatever its name."""
    path = tmp_path / "my mta.toml"
    path.touch()
    assert again(configuration(path, {})) == f" --config '{path}'"
    assert again(None) == ""


@pytest.mark.parametrize("with_keys", [False, True])
def test_a_configuration_that_is_needed_and_not_there(tmp_path: Path, with_keys: bool) -> None:
    """A configuration error: neither a traceback nor defaults."""
    with pytest.raises(ConfigError, match=r"no such file|No such file"):
        needed(tmp_path / "nope.toml", {}, with_keys=with_keys)


async def test_nameservers_that_cannot_be_used_are_wrong_input(tmp_path: Path) -> None:
    """With what is wrong."""
    path = tmp_path / "mta.toml"
    path.touch()
    config = structs.replace(needed(path, {}), dns=DnsSettings(servers=("a b",)))
    with pytest.raises(WrongInput, match=r"dns\.servers"):
        async with nameservers(config):
            pass


def test_configured_servers_are_taken(tmp_path: Path) -> None:
    """Whatever lies in the state directory."""
    path = tmp_path / "mta.toml"
    path.write_text("[nats]\nembedded = false\nservers = ['nats://a.test:4222']\nconnect_timeout = '2s'\n")
    config = configuration(path, {})
    settings = nats_settings(config, {"STATE_DIRECTORY": str(tmp_path)})
    assert (settings.servers, settings.connect_timeout_s) == (("nats://a.test:4222",), 2.0)


async def test_work_beside_ends_with_the_body() -> None:
    """And not before."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(work(), "test"):
        await started.wait()
        assert not ended.is_set()
    assert ended.is_set()


async def test_work_beside_that_fails_fails_the_body() -> None:
    """With its own error, out of all groups."""

    async def work() -> None:
        raise ExceptionGroup("x", [KeyError("inner")])

    with pytest.raises(KeyError, match="inner"):
        async with beside(work(), "test"):
            await asyncio.Event().wait()


async def test_an_error_of_the_body_comes_through() -> None:
    """As it is."""
    with pytest.raises(ValueError, match="mine"):
        async with beside(asyncio.Event().wait(), "test"):  # type: ignore[arg-type]
            raise ValueError("mine")
