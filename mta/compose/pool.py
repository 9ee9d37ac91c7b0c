"""Worker processes: work in, its answer or the way it died back on the event loop.

Invariants: exactly one of a work's callbacks is called, once, while the pool runs, on the event loop, and never
from within `hand_out`; a pool that broke is replaced and its work handed to the new one. What a death means is
its owner's business.

Why a watchdog stands beside pebble: a worker that is killed from outside between taking a task and
acknowledging it takes the task with it, and one that held the lock of their common pipe blocks all others,
without any future ending.
"""

import asyncio
import signal
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import pebble
from pebble import ProcessExpired

from mta.compose.process import JobFactory, WorkerContext, answered, in_worker, ready, start_worker
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.suspects import Death

PRELOADED = ("mta.compose.job", "mta.compose.process", "pebble.pool.process")
PATIENCE_S = 5.0
"""Beyond the longest deadline, before the pool counts as stuck: pebble looks every 0.1 s."""
START_S = 60.0
MAX_POOLS = 5
"""Pools one piece of work may see break under it before it is given back as our own fault."""


class PoolUnusable(RuntimeError):
    """The workers do not come up: memory limit too low, or no processes to be had."""


class Work:
    """What a worker takes at once. `cpu_s` is what it may use of a processor, `wall_s` how long it may take."""

    __slots__ = ("blob", "cpu_s", "name", "on_answer", "on_death", "pools", "wall_s")

    def __init__(
        self,
        name: str,
        blob: bytes,
        cpu_s: float,
        wall_s: float,
        on_answer: Callable[[bytes], None],
        on_death: Callable[[Death, str], None],
    ) -> None:
        self.name = name
        self.blob = blob
        self.cpu_s = cpu_s
        self.wall_s = wall_s
        self.on_answer = on_answer
        self.on_death = on_death
        self.pools = 0


class WorkerPool:
    def __init__(
        self, settings: ComposeSettings, keys: SigningKeys, workers: int, job: JobFactory, longest_s: float
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._workers = workers
        self._job = job
        self._context = WorkerContext()
        self._patience_s = longest_s + PATIENCE_S
        self._pool: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._in_flight: dict[object, Work] = {}
        self._progress_at = 0.0
        self._repair: asyncio.TimerHandle | None = None
        self._breaks = 0
        self._discards: set[asyncio.Future[None]] = set()

    @property
    def stalled_s(self) -> float:
        """For how long there has been work and none has ended."""
        return self.running().time() - self._progress_at if self._in_flight else 0.0

    def running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the workers have not been started")
        return self._loop

    def open(self) -> None:
        """Processes begin with the first work."""
        self._loop = asyncio.get_running_loop()
        self._watchdog = self._loop.call_later(1.0, self._watch)

    async def start(self) -> None:
        """Returns when every worker has answered."""
        self.open()
        self._pool = await self._started()

    async def stop(self) -> None:
        """Kills the workers. Nobody is called back any more."""
        for timer in (self._watchdog, self._repair):
            if timer is not None:
                timer.cancel()
        self._in_flight.clear()
        pool, self._pool = self._pool, None
        if pool is not None:
            self._discard(pool)
        while self._discards:
            await asyncio.gather(*self._discards)

    async def reload(self, keys: SigningKeys) -> None:
        """New keys for all work handed out from now on; what is in work ends with the old ones (K-10)."""
        self._keys = keys
        if self._pool is not None:
            before, self._pool = self._pool, await self._started()
            self._discard(before, finish=True)

    def hand_out(self, work: Work) -> None:
        if not self._in_flight:
            self._progress_at = self.running().time()
        ticket = object()
        self._in_flight[ticket] = work
        if self._repair is None:
            self._schedule(ticket, work)

    # Handing out and taking back.

    def _schedule(self, ticket: object, work: Work) -> None:
        if self._pool is None:
            self._pool = self._made()
        try:
            future = self._pool.schedule(in_worker, (work.name, work.blob, work.cpu_s), timeout=work.wall_s)
        except (RuntimeError, OSError):
            self._break()
        else:
            future.add_done_callback(partial(self._from_pool, ticket))

    def _from_pool(self, ticket: object, future: Future[bytes]) -> None:
        """Called in a thread of pebble's, even while the daemon is closing its loop."""
        loop = self.running()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._settle, ticket, future)

    def _settle(self, ticket: object, future: Future[bytes]) -> None:
        work = self._in_flight.get(ticket)
        if work is None:  # of a pool that was given up
            return
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._break()
            return
        del self._in_flight[ticket]
        self._progress_at = self.running().time()
        if error is not None:
            work.on_death(_death_of(error), type(error).__name__)
            return
        self._breaks = 0
        work.on_answer(future.result())

    # The pool and its replacement.

    def _made(self) -> Any:
        self._context.set_forkserver_preload(list(PRELOADED))
        return pebble.ProcessPool(
            max_workers=self._workers,
            initializer=start_worker,
            initargs=(self._job, self._settings, self._keys),
            context=self._context,
        )

    async def _started(self) -> Any:
        pool = self._made()
        try:
            async with asyncio.timeout(START_S):
                await answered(pool, self._context, ready, self._workers)
        except (TimeoutError, RuntimeError, OSError) as error:
            self._discard(pool)
            why = f"none has answered in {START_S:g} s" if isinstance(error, TimeoutError) else str(error)
            limit = self._settings.memory_bytes
            raise PoolUnusable(f"no worker comes up: {why}; each may use {limit} bytes of memory") from error
        return pool

    def _break(self) -> None:
        """Once per break: a broken pool fails all its futures. Waits longer each time if no work gets
        through."""
        if self._repair is None:
            delay_s = min(5.0, 0.1 * 2**self._breaks) if self._breaks else 0.0
            self._breaks += 1
            self._repair = self.running().call_later(delay_s, self._mend)

    def _mend(self) -> None:
        self._repair = None
        self._discard(self._pool)
        self._pool = self._made()
        works = list(self._in_flight.values())
        self._in_flight.clear()
        self._progress_at = self.running().time()
        for work in works:
            work.pools += 1
            if work.pools >= MAX_POOLS:
                work.on_death(Death.POOL, "the worker pool keeps breaking")
            else:
                self.hand_out(work)

    def _discard(self, pool: Any, *, finish: bool = False) -> None:
        def end() -> None:
            if finish:
                pool.close()
            else:
                pool.stop()
            pool.join()

        ended = self.running().run_in_executor(None, end)
        self._discards.add(ended)
        ended.add_done_callback(self._discards.discard)

    def _watch(self) -> None:
        if self.stalled_s > self._patience_s:
            self._break()
        self._watchdog = self.running().call_later(1.0, self._watch)


def _death_of(error: BaseException) -> Death:
    """A worker that used up its processor time was ended by the kernel, one that took too long by pebble."""
    match error:
        case TimeoutError():
            return Death.OVERDUE
        case ProcessExpired() if error.exitcode == -signal.SIGPROF:
            return Death.OVERDUE
        case MemoryError():
            return Death.MEMORY
        case OSError():
            return Death.CRASH
    return Death.BUG
