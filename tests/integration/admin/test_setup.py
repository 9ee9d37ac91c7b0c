import asyncio
import json
from pathlib import Path

import pytest
from msgspec import structs

from mta.admin.output import Output
from mta.admin.setup import setup
from mta.admin.tail import Filters, tail
from mta.config.load import load
from mta.config.settings import Config
from mta.demo.process import DaemonProcess
from mta.jetstream.errors import PermissionMissing
from mta.model.login import Login
from tests.fakes.nats import NatsServer


async def test_what_is_missing_is_made_and_what_is_there_is_left_alone(
    config: Config, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Idempotent, and says what it did."""
    assert await setup(config, {}, Output(as_json=True)) == 0
    first = json.loads(capsysbinary.readouterr().out)
    assert await setup(config, {}, Output(as_json=True)) == 0
    second = json.loads(capsysbinary.readouterr().out)
    assert {"MTA_PAYLOADS", "MTA_EVENTS", "KV_MTA_TEMPLATES", "MTA_PAYLOADS/transactional"} <= set(
        first["created"]
    )
    assert (first["updated"], first["unchanged"]) == ([], [])
    assert (second["created"], second["updated"]) == ([], [])
    assert sorted(second["unchanged"]) == sorted(first["created"])
    assert second["server_version"].startswith("2.")


async def test_people_get_a_table(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each thing, named as operators know it."""
    await setup(config, {}, Output())
    out = capsys.readouterr().out
    assert "MTA_TEMPLATES (key-value)" in out
    assert "MTA_PAYLOADS consumer transactional" in out
    assert "created" in out


async def test_a_missing_right_is_named(tmp_path: Path) -> None:
    """At once, with the subject: neither a hang nor a server that is said to be down."""
    rights = 'publish: { deny: ["$JS.API.STREAM.CREATE.>", "$JS.API.CONSUMER.CREATE.>"] }'
    users = f'{{ user: "mta", password: "x", permissions: {{ {rights} }} }}'
    server = NatsServer(tmp_path, extra_config=f"authorization {{ users: [ {users} ] }}")
    await server.start()
    settings = server.settings(login=Login("mta", "x"))
    (tmp_path / "mta.toml").touch()
    config = structs.replace(load(tmp_path / "mta.toml", {}), nats=settings)
    async with asyncio.timeout(4):
        with pytest.raises(PermissionMissing, match=r"\$JS\.API\.STREAM\.CREATE\.MTA_PAYLOADS"):
            await setup(config, {}, Output())
        with pytest.raises(PermissionMissing, match=r"\$JS\.API\.CONSUMER\.CREATE\.MTA_EVENTS\."):
            await tail(config, {}, Output(), Filters())
    server.stop()


async def test_a_small_max_payload_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the verb and by the daemon: it works until a large payload comes."""
    server = NatsServer(tmp_path, max_payload="1MB")
    await server.start()
    path = tmp_path / "mta.toml"
    path.write_text(
        f'[node]\nstate_dir = "{tmp_path}/state"\n[nats]\nembedded = false\nservers = ["{server.url}"]\n'
    )
    assert await setup(load(path, {}), {}, Output()) == 0
    said = "at most 1048576 bytes: set max_payload: 8MB"
    assert said in capsys.readouterr().err
    daemon = DaemonProcess(tmp_path, path)
    await daemon.start()
    await daemon.stop()
    assert said in daemon.log_tail()
    server.stop()
