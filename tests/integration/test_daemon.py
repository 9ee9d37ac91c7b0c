"""The daemon and what surrounds it: a service manager, and a NATS server that is not there."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mta.config.load import load
from mta.demo.process import DaemonProcess
from mta.inbound.recorder import Recorder
from mta.jetstream.connection import open_link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import SUPPRESSION, Capacity
from mta.jetstream.pump import Pump
from mta.jetstream.setup import setup
from mta.listening import one_click
from mta.model.login import Login
from mta.suppression.settings import SuppressionSettings
from mta.suppression.suppressions import Suppressions
from mta.wiring import recorder_settings
from tests.fakes.nats import NatsServer, free_port
from tests.fakes.rig import Rig
from tests.fakes.verbs import program


class Manager:
    """A service manager's end of sd_notify."""

    def __init__(self, path: Path) -> None:
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))

    async def until(self, start: str, count: int = 1) -> None:
        async with asyncio.timeout(20):
            while sum(line.startswith(start) for line in self.said) < count:
                datagram = await asyncio.get_running_loop().sock_recv(self._socket, 4096)
                self.said += datagram.decode().splitlines()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    one = Manager(tmp_path / "manager")
    yield one
    one.close()


@pytest.fixture
async def rig(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[Rig]:
    """Only its configuration is used."""
    one = Rig(tmp_path, server=nats_server.url)
    yield one
    await one.close()


async def test_service_manager_hears_how_it_goes(
    tmp_path: Path, manager: Manager, nats_server: NatsServer, rig: Rig
) -> None:
    """Status while connecting, READY once it pulls, WATCHDOG at half its period, STOPPING at SIGTERM, exit 0."""
    link = await open_link(nats_server.settings(), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
    await link.close()
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mta.cli", "run", "--config", str(rig.config)),
            stdout=log,
            stderr=log,
            env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "manager"), "WATCHDOG_USEC": "400000"},
        )
    try:
        await manager.until("READY=1")
        assert manager.said[0].startswith("STATUS=")
        assert "WATCHDOG=1" not in manager.said[: manager.said.index("READY=1")]
        started = time.monotonic()
        await manager.until("WATCHDOG=1", 5)
        assert time.monotonic() - started < 5
        await manager.until("STATUS=0 payloads")
        process.send_signal(signal.SIGTERM)
        await manager.until("STOPPING=1")
        async with asyncio.timeout(15):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_no_nats_at_start_is_one_line_and_exit_69(tmp_path: Path) -> None:
    """Within connect_timeout, naming the address, without a traceback."""
    server = f"nats://127.0.0.1:{free_port()}"
    rig = Rig(tmp_path, server=server)
    started = time.monotonic()
    code, output, errors = await program("run", "--config", str(rig.config))
    await rig.close()
    assert code == 69
    assert 1.5 < time.monotonic() - started < 8
    lines = [line for line in (output + errors).decode().splitlines() if line.startswith("mta:")]
    assert len(lines) == 1
    assert re.search(re.escape(server), lines[0])
    assert b"Traceback" not in output + errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_while_it_connects_ends_it_at_once(
    tmp_path: Path, manager: Manager, number: signal.Signals
) -> None:
    """Nothing is in work yet: exit 0, long before connect_timeout."""
    rig = Rig(tmp_path, server=f"nats://127.0.0.1:{free_port()}")
    rig.config.write_text(rig.config.read_text().replace('connect_timeout = "2s"', 'connect_timeout = "60s"'))
    assert 'connect_timeout = "60s"' in rig.config.read_text()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mta.cli", "run", "--config", str(rig.config)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "manager")},
    )
    await manager.until("STATUS=connecting")
    process.send_signal(number)
    async with asyncio.timeout(10):
        _, errors = await process.communicate()
    await rig.close()
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors


async def test_missing_streams_are_named(rig: Rig) -> None:
    """On a server that is not ours nothing is created; the daemon says what to run."""
    code, output, errors = await program("run", "--config", str(rig.config))
    assert code == 69
    assert b"MTA_PAYLOADS" in errors
    assert b"mta setup" in errors
    assert b"Traceback" not in output + errors


async def test_n10_a_missing_right_is_named_at_the_start(tmp_path: Path) -> None:
    """Before it takes any mail: exit 77, the subject, and where to look."""
    rights = 'permissions: { publish: { deny: ["mta.retry.>"] } }'
    users = f'{{ user: "root", password: "x" }}, {{ user: "mta", password: "x", {rights} }}'
    server = NatsServer(tmp_path, extra_config=f"authorization {{ users: [ {users} ] }}")
    await server.start()
    link = await open_link(server.settings(login=Login("root", "x")), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
    await link.close()
    limited = Rig(tmp_path, server=server.url)
    (tmp_path / "nats.login").touch(mode=0o600)
    (tmp_path / "nats.login").write_text("mta:x\n")
    named = limited.config.read_text().replace("[nats]\n", '[nats]\ncredentials = "nats.login"\n')
    limited.config.write_text(named)
    code, _, errors = await program("run", "--config", str(limited.config))
    assert code == 77
    assert b"may not publish to mta.retry.acme._." in errors
    assert b"permissions" in errors
    await limited.close()
    server.stop()


async def test_unreadable_configuration_is_exit_78(tmp_path: Path) -> None:
    """The line and the key are named before anything starts."""
    path = tmp_path / "mta.toml"
    path.write_text('[node]\nnmae = "x"\n')
    code, _, errors = await program("run", "--config", str(path))
    assert code == 78
    assert b"nmae" in errors


@pytest.mark.parametrize("embedded", [True, False])
async def test_a_state_directory_that_cannot_be_one_is_exit_78(tmp_path: Path, embedded: bool) -> None:
    """It does not heal by starting again."""
    path = tmp_path / "mta.toml"
    path.write_text(f"[node]\nstate_dir = '{path}'\n[nats]\nembedded = {str(embedded).lower()}")
    code, _, errors = await program("run", "--config", str(path))
    assert code == 78
    assert b"node.state_dir" in errors
    assert b"cannot be used (Not a directory)" in errors
    assert b"Traceback" not in errors


async def test_a_source_that_is_not_here_is_a_warning(tmp_path: Path) -> None:
    """Said at the start, where the operator looks; with the first mail it would be one of many lines."""
    path = tmp_path / "mta.toml"
    path.write_text(
        f"[node]\nstate_dir = '{tmp_path}/state'\n"
        "[sources]\na = { address = '192.0.2.1', ehlo = 'a.test' }\nb = { address = '127.0.0.1', ehlo = 'b.test' }\n"
    )
    daemon = DaemonProcess(tmp_path, path)
    await daemon.start()
    await daemon.stop()
    (line,) = (json.loads(line) for line in daemon.log_tail().splitlines() if "source_not_here" in line)
    assert (line["level"], line["source"], line["address"]) == ("warning", "a", "192.0.2.1")


async def test_t11_tls_reports_are_made_where_they_are_turned_on(rig: Rig, nats_server: NatsServer) -> None:
    """T-11: the daemon takes up what was counted before, lets go what is too old, and stops. Off, it does nothing."""
    link = await open_link(nats_server.settings(), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
    await link.close()
    kept = rig.daemon.state_dir / "tlsrpt.json"
    kept.parent.mkdir()
    policy = '{"domain":"one.test","policy_type":"sts"}'
    old = f'{{"v":1,"days":[{{"day":1,"policies":[{policy}],"told":{{}},"ended":[],"uncounted":0}}]}}'
    kept.write_text(old)
    await rig.daemon.start()
    await rig.daemon.stop()
    assert kept.read_text() == old
    rig.config.write_text(f"{rig.config.read_text()}\n[tlsrpt]\nenabled = true\n")
    await rig.daemon.start()
    await rig.daemon.stop()
    (line,) = (json.loads(line) for line in rig.log.splitlines() if "tls_counts_dropped" in line)
    assert (line["day"], line["domains"]) == (1, 1)
    assert json.loads(kept.read_text())["days"] == []
    assert "Traceback" not in rig.log


@pytest.mark.parametrize(
    ("http", "is_bound", "is_answered"),
    [
        ('public_url = "https://u.acme.test"', False, True),
        ('listen = ""\npublic_url = "https://u.acme.test"', False, False),
        ('listen = ""\npublic_url = "https://u.acme.test"', True, True),
        ("", False, False),
        ("", True, False),
    ],
)
async def test_where_one_click_is_answered(
    rig: Rig, nats_server: NatsServer, http: str, is_bound: bool, is_answered: bool
) -> None:
    """Where there are links, and nobody else answers them; on a socket of the service manager's, too."""
    rig.configure(http=http)
    config = load(rig.config, {})
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    suppressions = Suppressions(Bucket(link, SUPPRESSION), SuppressionSettings())
    recorder = Recorder(Pump(link), link, suppressions, recorder_settings(config))
    sockets = [socket.socket()] if is_bound else []
    assert (one_click(config, recorder, suppressions, sockets) is not None) is is_answered
    for one in sockets:
        one.close()
    await link.close()
