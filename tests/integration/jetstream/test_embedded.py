import asyncio
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mta.jetstream.connection import open_link
from mta.jetstream.embedded import Address, EmbeddedServer, find_server, read_address
from mta.jetstream.errors import EmbeddedServerFailed, PermissionMissing, StateDirectoryInUse
from mta.jetstream.settings import NatsSettings
from tests.fakes.nats import eventually, free_port

# Starts a server as a daemon would, says its process number, and waits.
DAEMON = """
import asyncio, sys
from pathlib import Path
from mta.jetstream.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]), report=lambda line: None)
    await server.start()
    print(server.pid, flush=True)
    await server.run()

asyncio.run(main())
"""


def settings(address: Address) -> NatsSettings:
    return NatsSettings(servers=(address.url,), connect_timeout_s=5.0)


def start_daemon(state_dir: Path) -> tuple[subprocess.Popen[str], int]:
    """The daemon, and the process number of its server."""
    daemon = subprocess.Popen([sys.executable, "-c", DAEMON, state_dir], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    return daemon, int(daemon.stdout.readline())


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def sleeper() -> subprocess.Popen[str]:
    return subprocess.Popen(["sleep", "60"], text=True)


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_start_use_stop_and_start_again(tmp_path: Path) -> None:
    """It stores, keeps port and password over a restart of the daemon, and is gone after stop."""
    server = EmbeddedServer(tmp_path, report=lambda _: None)
    address = await server.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        link = await open_link(settings(address), name="test", report=lambda _: None)
        await link.api("STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
        await link.call("s", b"kept")
        await link.close()
        pid = server.pid
        await server.stop()
    assert not is_running(pid)
    again = EmbeddedServer(tmp_path, report=lambda _: None)
    assert await again.start() == address
    link = await open_link(settings(address), name="test", report=lambda _: None)
    assert await link.stored_message("S", 1) is not None
    await link.close()
    await again.stop()


async def test_the_other_verbs_find_it_and_nobody_else(tmp_path: Path) -> None:
    """nats.json and the configuration are ours to read alone; without the password nobody gets in."""
    server = EmbeddedServer(tmp_path, report=lambda _: None)
    address = await server.start()
    assert read_address(tmp_path) == address
    for file in (tmp_path / "nats.json", tmp_path / "nats" / "server.conf"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert address.password not in command_line(server.pid)
    bare = NatsSettings(servers=(f"nats://127.0.0.1:{address.port}",), connect_timeout_s=5.0)
    with pytest.raises(PermissionMissing):
        await open_link(bare, name="test", report=lambda _: None)
    await server.stop()


async def test_a_given_port_is_used(tmp_path: Path) -> None:
    """And no other."""
    port = free_port()
    server = EmbeddedServer(tmp_path, port=port, report=lambda _: None)
    assert (await server.start()).port == port
    await server.stop()


async def test_it_is_started_again_when_it_dies(tmp_path: Path) -> None:
    """On the same port with the same password, so that links come back by themselves; each time is
    reported."""
    lines: list[str] = []
    server = EmbeddedServer(tmp_path, report=lines.append)
    address = await server.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        link = await open_link(settings(address), name="test", report=lambda _: None)
        for times in (1, 2):
            os.kill(server.pid, signal.SIGKILL)
            await eventually(lambda times=times: server.restarts == times)  # type: ignore[misc]
            await eventually(lambda: link.is_connected)
            await link.api("INFO")
        await link.close()
        await server.stop()
    assert sum("starting it again" in line for line in lines) == 2


async def test_one_daemon_a_state_directory(tmp_path: Path) -> None:
    """The second is refused with a line that names the first; after the first one's end it may."""
    first = EmbeddedServer(tmp_path, report=lambda _: None)
    await first.start()
    second = EmbeddedServer(tmp_path, report=lambda _: None)
    with pytest.raises(StateDirectoryInUse, match=f"in use by process {os.getpid()}"):
        await second.start()
    await first.stop()
    await second.start()
    await second.stop()


async def test_it_dies_with_its_daemon(tmp_path: Path) -> None:
    """A daemon killed with -9 leaves no server behind, and the next one starts where it was, unless some other process
    of this machine was given its port meanwhile."""
    found: list[bool] = []
    while not any(found) and len(found) < 5:
        directory = tmp_path / str(len(found))
        directory.mkdir()
        daemon, pid = start_daemon(directory)
        before = read_address(directory)
        kill(daemon)
        server = EmbeddedServer(directory, report=lambda _: None)
        after = await server.start()
        assert not is_running(pid)
        await server.stop()
        assert before is not None
        assert after.password == before.password
        found.append(after == before)
    assert any(found)


async def test_a_server_that_outlived_its_daemon_is_ended(tmp_path: Path) -> None:
    """Even one that does not die by itself: frozen, it hears no SIGTERM."""
    lines: list[str] = []
    daemon, pid = start_daemon(tmp_path)
    os.kill(pid, signal.SIGSTOP)
    kill(daemon)
    server = EmbeddedServer(tmp_path, report=lines.append, stale_s=0.3)
    await server.start()
    assert not is_running(pid)
    assert any("outlived its daemon" in line for line in lines)
    await server.stop()


async def test_a_stranger_with_the_old_number_is_left_alone(tmp_path: Path) -> None:
    """The lock names a process; only one that runs with our configuration is ended."""
    stranger = sleeper()
    holder = EmbeddedServer(tmp_path, report=lambda _: None)
    await holder.start()
    (tmp_path / "nats" / "lock").write_text(f"999999999 {stranger.pid}\n")
    server = EmbeddedServer(tmp_path, report=lambda _: None, stale_s=0.1)
    with pytest.raises(StateDirectoryInUse):
        await server.start()
    assert stranger.poll() is None
    kill(stranger)
    await holder.stop()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Here its store is a file; and the directory is free again afterwards."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "store").write_text("in the way")
    server = EmbeddedServer(tmp_path, report=lambda _: None)
    with pytest.raises(EmbeddedServerFailed, match="does not start"):
        await server.start()
    (tmp_path / "nats" / "store").unlink()
    await server.start()
    await server.stop()
    assert find_server().exists()
