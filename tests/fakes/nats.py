"""A real nats-server on loopback, for tests: on a free port, its store in a directory of the test's own."""

import asyncio
import inspect
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mta.jetstream.connection import Link
from mta.jetstream.embedded import find_server
from mta.jetstream.layout import EVENTS, fixed_consumers
from mta.jetstream.settings import NatsSettings


@asynccontextmanager
async def running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs them beside the body, and cancels them at its end."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        yield
        for task in tasks:
            task.cancel()


async def eventually(fact: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Returns as soon as `fact()` holds, awaited if need be; TimeoutError when it does not in time."""
    async with asyncio.timeout(timeout_s):
        while True:
            holds = fact()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(0.005)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsServer:
    """Start, kill -9, stop, and start again on the same port with the same store. `sync_interval: always`, as
    shipped."""

    def __init__(
        self,
        directory: Path,
        *,
        extra_config: str = "",
        with_jetstream: bool = True,
        max_payload: str = "8MB",
    ) -> None:
        self.port = free_port()
        self._directory = directory
        self._config = directory / "server.conf"
        self._process: subprocess.Popen[bytes] | None = None
        store = f'store_dir: "{directory / "store"}", sync_interval: always, max_file_store: 4GB'
        jetstream = f"jetstream {{ {store} }}" if with_jetstream else ""
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n{jetstream}\nmax_payload: {max_payload}\n{extra_config}\n'
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def settings(self, **changes: object) -> NatsSettings:
        return NatsSettings(
            **{"embedded": False, "servers": (self.url,), "connect_timeout_s": 10.0} | changes
        )  # type: ignore[arg-type]

    async def start(self) -> None:
        """Returns when the server takes connections."""
        await asyncio.to_thread(self._spawn_and_wait)

    def _spawn_and_wait(self) -> None:
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen([find_server(), "-c", self._config], stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                    if probe.recv(4) == b"INFO":
                        return
            except OSError:
                time.sleep(0.01)
        log_text = (self._directory / "server.log").read_text(errors="replace")
        raise RuntimeError(f"nats-server did not start: {log_text[-2000:]}")

    def kill(self) -> None:
        """As if the machine had died: no goodbye."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            if number == signal.SIGTERM:
                self._process.send_signal(signal.SIGCONT)
            self._process.wait(timeout=30)
            self._process = None


async def event_readers(link: Link) -> int:
    """How many consumers the event stream has beside those of the daemon."""
    there = int((await link.api(f"STREAM.INFO.{EVENTS}"))["state"]["consumer_count"])
    return there - sum(consumer.stream == EVENTS for consumer in fixed_consumers(30.0))
