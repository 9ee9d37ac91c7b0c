"""A worker process: how it is started, what it may use, and how it ends.

Limits (reliability.md section 3.1): memory by RLIMIT_AS, no core file, for each piece of work a deadline by CPU
time beside the pool's by the clock. It heeds no signal but SIGKILL (of the pool at a deadline, or of the kernel
when the daemon dies) and SIGPROF: of the kernel when the CPU time is used up. It holds one `Composing`, made once.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import gc
import os
import resource
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any, Protocol

from mta.compose.settings import ComposeSettings, SigningKeys

PIPE_BYTES = 1 << 20
LEAST_ROOM_BYTES = 16 << 20
"""What must be left of a worker's memory when it is ready; reserved for a moment, never touched."""
LOOK_S = 0.5
"""Between two looks at a pool that is starting."""
_PR_SET_PDEATHSIG = 1
_SAFE_PATH = "PYTHONSAFEPATH"
_LAST = 8
_BLOCKED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


class Composing(Protocol):
    """What runs in a worker: `Job`, or a double of it."""

    def compose(self, blob: bytes) -> bytes: ...

    def inspect(self, blob: bytes) -> bytes: ...


JobFactory = Callable[[ComposeSettings, SigningKeys], Composing]


_worker_job: Composing | None = None
"""Of this worker process, which exists for nothing else; None in every other process."""


def start_worker(factory: JobFactory, settings: ComposeSettings, keys: SigningKeys) -> None:
    global _worker_job
    # The parent is the fork server, which dies with the daemon: kill -9 of the daemon leaves no worker
    # behind.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
    os.nice(settings.niceness)
    for blocked in _BLOCKED:
        signal.signal(blocked, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the keys
    resource.setrlimit(resource.RLIMIT_AS, (settings.memory_bytes, settings.memory_bytes))
    _worker_job = factory(settings, keys)
    # A limit that leaves no room to compose shows now, not at the first message.
    bytearray(LEAST_ROOM_BYTES)
    gc.collect()
    gc.freeze()


def in_worker(name: str, blob: bytes, cpu_s: float) -> bytes:
    """Ended by the kernel at its deadline, so that a busy machine makes nobody guilty and a stopped daemon leaves no
    loop running. SIGPROF ends the process: no code of a template's runs after it."""
    assert _worker_job is not None
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        if name == "compose":
            return _worker_job.compose(blob)
        return _worker_job.inspect(blob)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def ready() -> int:
    return os.getpid()


async def answered(pool: Any, context: "WorkerContext", question: Callable[[], object], number: int) -> None:
    """Returns when workers of a pool of pebble's have answered it so often; RuntimeError says how they ended instead. A
    pool whose workers die before it has seen a task breaks without a word to whoever gave it one: it is looked at."""
    # Blocks for as long as the fork server needs for its imports, hence in a thread.
    answers = await asyncio.to_thread(lambda: [pool.schedule(question) for _ in range(number)])
    waiting = [asyncio.wrap_future(answer) for answer in answers]
    try:
        while True:
            done, left = await asyncio.wait(waiting, timeout=LOOK_S, return_when=asyncio.FIRST_EXCEPTION)
            errors = [error for one in done if (error := one.exception()) is not None]
            if errors and not isinstance(errors[0], BrokenProcessPool):
                raise errors[0]
            if errors or not pool.active:
                raise RuntimeError(f"they end at once, {context.last_end()}")
            if not left:
                return
    finally:
        for one in waiting:
            one.cancel()


class _Starter:
    """The fork server, begun without the working directory on its path: `python -c` imports from there first, even what
    is called as a module of Python's own. Its workers get the daemon's path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def ensure(self) -> None:
        with self._lock:
            before = os.environ.get(_SAFE_PATH)
            os.environ[_SAFE_PATH] = "1"
            try:
                forkserver.ensure_running()
            finally:
                if before is None:
                    del os.environ[_SAFE_PATH]
                else:
                    os.environ[_SAFE_PATH] = before


_starter = _Starter()
"""As there is one fork server in a process."""


class WorkerProcess(ForkServerProcess):
    """Started with the daemon's stop signals blocked (the fork server inherits that, and so do the workers:
    a signal to the whole group must not end them in the middle of a drain), and ended by SIGKILL, at once:
    pebble holds the lock of the common pipe while it waits for a worker to heed SIGTERM."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
        try:
            _starter.ensure()
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def terminate(self) -> None:
        self.kill()


class WorkerContext(ForkServerContext):
    """Pipes hold a whole chunk of results, so that a worker writes it at once and goes on, and the daemon
    is woken once for it (a default pipe of 64 kB costs both of them 100 microseconds more per chunk)."""

    def __init__(self) -> None:
        super().__init__()
        self._made: deque[WorkerProcess] = deque(maxlen=_LAST)

    def Process(self, *args: Any, **kwargs: Any) -> WorkerProcess:  # type: ignore[override]
        process = WorkerProcess(*args, **kwargs)
        self._made.append(process)
        return process

    def last_end(self) -> str:
        """How the last worker that has ended did: `with exit code 1`. What it had to say went to standard error."""
        codes = [one.exitcode for one in tuple(self._made) if one.pid is not None]
        code = next((code for code in reversed(codes) if code is not None), None)
        if code is None:
            return "or cannot be started at all"
        return (
            f"killed by signal {-code}" if code < 0 else f"with exit code {code} (standard error says more)"
        )

    def Pipe(self, duplex: bool = True) -> "tuple[Connection[Any, Any], Connection[Any, Any]]":
        reader, writer = super().Pipe(duplex)
        # The kernel may refuse (fs.pipe-max-size, pipe-user-pages-soft): then the pipe stays as it is.
        with contextlib.suppress(OSError):
            fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return reader, writer
