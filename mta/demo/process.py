"""A daemon as a child process: started, awaited, stopped; its log kept for when something goes wrong.

The child has a session of its own, so that a Ctrl-C meets only its parent, which then stops it in order. It
is ready when it says so by sd_notify, as it would say to systemd.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import mta

_FOREIGN = (
    "MTA_CONFIG",
    "STATE_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
)

_COMMAND = (sys.executable, "-P", "-m", "mta.cli", "run")


class DaemonFailed(RuntimeError):
    """The daemon did not start, or ended before its time. `log` is the end of what it wrote."""

    def __init__(self, text: str, log: str) -> None:
        super().__init__(text)
        self.log = log


class DaemonProcess:
    """`directory` holds the configuration; log and notify socket are put beside it. `command` is what is started,
    without `--config`."""

    def __init__(self, directory: Path, config: Path, command: tuple[str, ...] = _COMMAND) -> None:
        self.state_dir = directory / "state"
        self.command = command
        self._config = config
        self._log = directory / "daemon.log"
        self._notify = directory / "notify"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self, timeout_s: float = 60.0) -> None:
        """Returns when the daemon is ready; DaemonFailed says why it is not. After its end it may be started again."""
        self._notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as notify:
            notify.bind(str(self._notify))
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(*self.command, "--config", str(self._config)),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environment(),
                    start_new_session=True,
                )
            await self._await_ready(notify, timeout_s)

    async def watch(self) -> None:
        """Raises DaemonFailed when the daemon ends."""
        assert self._process is not None
        code = await self._process.wait()
        raise self._failed(f"The daemon ended with exit code {code}")

    async def kill(self) -> None:
        """kill -9, of this process alone."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def stop(self, timeout_s: float = 20.0) -> None:
        """In order by SIGTERM; what is left after `timeout_s` is killed, children included."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def log_tail(self, lines: int = 30) -> str:
        try:
            text = self._log.read_text(errors="replace")
        except OSError as error:
            return f"(no log: {error})"
        return "\n".join(text.splitlines()[-lines:])

    async def _await_ready(self, notify: socket.socket, timeout_s: float) -> None:
        failed: DaemonFailed | None = None
        try:
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                ended = group.create_task(self.watch(), name="daemon: watch its end")
                await self._ready(notify)
                ended.cancel()
        except TimeoutError:
            failed = self._failed(f"The daemon was not ready after {timeout_s:g} s")
        except ExceptionGroup as several:
            failed = next(error for error in several.exceptions if isinstance(error, DaemonFailed))
        if failed is not None:
            raise failed

    async def _ready(self, notify: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while b"READY=1" not in (await loop.sock_recv(notify, 4096)).split(b"\n"):
            pass

    def _failed(self, text: str) -> DaemonFailed:
        return DaemonFailed(text, self.log_tail())

    def _environment(self) -> dict[str, str]:
        """Ours, without what is meant for another service; the child finds the same `mta` that runs here."""
        environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        found = [str(Path(package).parent) for package in mta.__path__]
        beside = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(found + ([beside] if beside else []))
        environment["NOTIFY_SOCKET"] = str(self._notify)
        return environment
