"""The process pool that composes: chunks in, results back on the event loop.

Templates are hostile, so composing happens in processes that may die: each has a limit on memory and no
core file, each chunk a deadline after which its worker is killed. Invariants: every chunk's callback is
called exactly once while the composer runs, on the event loop, with one result per recipient in the order
given; a recipient fails for a timeout or a crash only after it met it alone, so its neighbours are unhurt;
a pool that broke is replaced and its chunks are handed to the new one.

Why a watchdog stands beside pebble: a worker that is killed from outside between taking a task and
acknowledging it takes the task with it, and one that held the lock of their common pipe blocks all others,
without any future ending.

A template that kills its worker again and again is struck off for a while: the deadline shrinks, then its
recipients fail at once. Otherwise one payload of 1,000 recipients could hold every worker for hours.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import pebble
from msgspec import msgpack

from mta.compose.cache import LruCache
from mta.compose.job import Job
from mta.compose.process import JobFactory, WorkerContext, in_worker, ready, start_worker
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.spec import (
    ComposeFailed,
    Group,
    Inspection,
    Result,
    Sources,
    decode_results,
    decode_spec,
    encode_chunk,
)
from mta.model import ids

PRELOADED = ("mta.compose.job", "mta.compose.process", "pebble.pool.process")
PATIENCE_S = 5.0
"""Beyond a chunk's deadline, before the pool counts as stuck: pebble looks every 0.1 s."""
SHORTER_AFTER = 3
"""Consecutive kills by one spec before its recipients get a fifth of the deadline."""
STRUCK_OFF_AFTER = 16
"""Consecutive kills by one spec before its recipients fail without a try."""
STRUCK_OFF_S = 60.0
START_S = 60.0
MAX_POOLS = 5
"""Pools one chunk may see break under it before it is given back as our own fault."""


class PoolUnusable(RuntimeError):
    """The workers do not come up: memory limit too low, or no processes to be had."""


class _Unit:
    """What is handed to the pool at once: a chunk, or one recipient of a chunk that failed as a whole."""

    name = "compose"

    def __init__(
        self, groups: Sequence[Group], done: Callable[[list[Result]], None], deaths: int = 0
    ) -> None:
        self.groups = groups
        self.whole = done
        self.deaths = deaths
        self.pools = 0
        self.timeout_s = 0.0
        self.blob = b""

    @property
    def is_single(self) -> bool:
        return len(self.groups) == 1 and len(self.groups[0].addressees) == 1

    def done(self, answer: bytes) -> None:
        self.whole(decode_results(answer))

    def fail(self, code: str, detail: str, *, is_local_fault: bool = False) -> None:
        results: list[Result] = []
        for group in self.groups:
            spec = decode_spec(group.spec.blob)
            text = f"template {spec.template_label}, {detail}"
            for addressee in group.addressees:
                message_id = ids.message_id(spec.accepted_at, spec.tenant, spec.payload_id, addressee.key)
                results.append(
                    ComposeFailed(addressee.index, str(message_id), code, text, is_local_fault=is_local_fault)
                )
        self.whole(results)


class _InspectionUnit(_Unit):
    """Templates to look at: nobody's mail, but just as able to kill a worker."""

    name = "inspect"

    def __init__(self, sources: Sources, found: asyncio.Future[Inspection]) -> None:
        super().__init__((), lambda results: None)
        self.blob = msgpack.encode(sources)
        self._found = found

    @property
    def is_single(self) -> bool:
        return True

    def done(self, answer: bytes) -> None:
        if not self._found.done():
            self._found.set_result(msgpack.decode(answer, type=Inspection))

    def fail(self, code: str, detail: str, *, is_local_fault: bool = False) -> None:
        if self._found.done():
            return
        if is_local_fault:
            self._found.set_exception(PoolUnusable(detail))
        else:
            self._found.set_result(Inspection([f"compiling: {detail}"], []))


class Composer:
    """`submit` chunks; their results come to the callback on the event loop. `job` is what runs in a
    worker."""

    def __init__(
        self,
        settings: ComposeSettings,
        keys: SigningKeys,
        *,
        job: JobFactory = Job,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._job = job
        self._clock = clock
        self._workers = settings.workers or os.cpu_count() or 1
        self._pool: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._in_flight: dict[object, _Unit] = {}
        self._outstanding = 0
        self._progress_at = 0.0
        self._repair: asyncio.TimerHandle | None = None
        self._breaks = 0
        self._strikes: LruCache[bytes, tuple[int, float]] = LruCache(1000, 1000)
        self._discards: set[asyncio.Future[None]] = set()

    @property
    def outstanding(self) -> int:
        """Chunks handed out whose callback has not been called."""
        return self._outstanding

    @property
    def workers(self) -> int:
        return self._workers

    async def start(self) -> None:
        """Returns when every worker has answered."""
        self._loop = asyncio.get_running_loop()
        self._pool = await self._started_pool()
        self._watchdog = self._loop.call_later(1.0, self._watch)

    async def stop(self) -> None:
        """Kills the workers. Callbacks of what is outstanding are not called any more."""
        for timer in (self._watchdog, self._repair):
            if timer is not None:
                timer.cancel()
        self._in_flight.clear()
        self._outstanding = 0
        pool, self._pool = self._pool, None
        if pool is not None:
            self._discard(pool)
        while self._discards:
            await asyncio.gather(*self._discards)

    async def reload(self, keys: SigningKeys) -> None:
        """New keys for every chunk submitted from now on; what is in work ends with the old ones (K-10)."""
        self._keys = keys
        before, self._pool = self._pool, await self._started_pool()
        self._discard(before, finish=True)

    def submit(self, groups: Sequence[Group], on_done: Callable[[list[Result]], None]) -> None:
        """One result per recipient, in order, even across groups. Never calls back from within."""
        self._outstanding += 1
        unit = _Unit(groups, partial(self._finish, on_done))
        if any(self._strikes_of(group) for group in groups):
            self._one_by_one(unit)
        else:
            self._hand_out(unit)

    async def render(self, groups: Sequence[Group]) -> list[Result]:
        done: asyncio.Future[list[Result]] = self._running().create_future()
        self.submit(groups, lambda results: None if done.done() else done.set_result(results))
        return await done

    async def inspect(self, sources: Sources) -> Inspection:
        """Compiles templates where they may do no harm, and lists the variables they want. PoolUnusable
        where that cannot be known now."""
        found: asyncio.Future[Inspection] = self._running().create_future()
        self._hand_out(_InspectionUnit(sources, found))
        return await found

    async def check(self, sources: Sources) -> list[str]:
        return (await self.inspect(sources)).problems

    # Handing out and taking back.

    def _hand_out(self, unit: _Unit) -> None:
        unit.timeout_s = self._settings.timeout_s
        if unit.is_single and unit.groups:
            strikes = self._strikes_of(unit.groups[0])
            if strikes >= STRUCK_OFF_AFTER:
                detail = "not tried: it killed its worker for one recipient after another"
                self._running().call_soon(unit.fail, "timeout", detail)
                return
            if strikes >= SHORTER_AFTER:
                unit.timeout_s /= 5
        if not unit.blob:
            unit.blob = encode_chunk(unit.groups, self._clock())
        if not self._in_flight:
            self._progress_at = self._running().time()
        ticket = object()
        self._in_flight[ticket] = unit
        if self._repair is None:
            self._schedule(ticket, unit)

    def _schedule(self, ticket: object, unit: _Unit) -> None:
        try:
            future = self._pool.schedule(in_worker, (unit.name, unit.blob), timeout=unit.timeout_s)
        except (RuntimeError, OSError):
            self._break()
        else:
            future.add_done_callback(partial(self._from_pool, ticket))

    def _from_pool(self, ticket: object, future: Future[bytes]) -> None:
        """Called in a thread of pebble's, even while the daemon is closing its loop."""
        loop = self._running()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._settle, ticket, future)

    def _settle(self, ticket: object, future: Future[bytes]) -> None:
        unit = self._in_flight.get(ticket)
        if unit is None:  # of a pool that was given up
            return
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            self._break()
            return
        del self._in_flight[ticket]
        self._progress_at = self._running().time()
        if error is not None:
            self._died(unit, error)
            return
        self._breaks = 0
        for group in unit.groups:
            self._strikes.put(group.spec.key, (0, 0.0), 1)
        unit.done(future.result())

    def _died(self, unit: _Unit, error: BaseException) -> None:
        for group in unit.groups:
            self._strikes.put(group.spec.key, (self._strikes_of(group) + 1, self._running().time()), 1)
        if not unit.is_single:
            self._one_by_one(unit, deaths=1)
        elif isinstance(error, TimeoutError):
            unit.fail("timeout", f"took more than {unit.timeout_s:g} s")
        elif isinstance(error, MemoryError):
            unit.fail("memory", "out of memory")
        elif not isinstance(error, OSError):
            unit.fail("internal", type(error).__name__, is_local_fault=True)
        elif unit.deaths:
            unit.fail("crash", "ended its worker twice")
        else:
            # A worker may be killed for reasons that are not the message's: it gets a second one.
            unit.deaths += 1
            self._hand_out(unit)

    def _one_by_one(self, unit: _Unit, deaths: int = 0) -> None:
        """In sequence: a hostile chunk then holds one worker, and others get the rest."""
        singles = [Group(group.spec, (addressee,)) for group in unit.groups for addressee in group.addressees]
        results: list[Result] = []
        whole = unit.whole

        def proceed(found: list[Result]) -> None:
            results.extend(found)
            if len(results) == len(singles):
                whole(results)
            else:
                self._hand_out(_Unit((singles[len(results)],), proceed, deaths))

        proceed([])

    def _finish(self, on_done: Callable[[list[Result]], None], results: list[Result]) -> None:
        self._outstanding -= 1
        on_done(results)

    def _strikes_of(self, group: Group) -> int:
        strikes, at = self._strikes.get(group.spec.key) or (0, 0.0)
        return strikes if strikes and self._running().time() - at < STRUCK_OFF_S else 0

    # The pool and its replacement.

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("the composer has not been started")
        return self._loop

    def _make_pool(self) -> Any:
        context = WorkerContext()
        context.set_forkserver_preload(list(PRELOADED))
        return pebble.ProcessPool(
            max_workers=self._workers,
            initializer=start_worker,
            initargs=(self._job, self._settings, self._keys),
            context=context,
        )

    async def _started_pool(self) -> Any:
        pool = self._make_pool()
        try:
            # Blocks for as long as the fork server needs for its imports, hence in a thread.
            answers = await asyncio.to_thread(lambda: [pool.schedule(ready) for _ in range(self._workers)])
            async with asyncio.timeout(START_S):
                await asyncio.gather(*(asyncio.wrap_future(answer) for answer in answers))
        except (TimeoutError, RuntimeError, OSError) as error:
            self._discard(pool)
            limit = self._settings.memory_bytes
            raise PoolUnusable(f"no worker comes up within {limit} bytes of memory: {error}") from error
        return pool

    def _break(self) -> None:
        """Once per break: a broken pool fails all its futures. Waits longer each time if no chunk gets
        through."""
        if self._repair is None:
            delay_s = min(5.0, 0.1 * 2**self._breaks) if self._breaks else 0.0
            self._breaks += 1
            self._repair = self._running().call_later(delay_s, self._mend)

    def _mend(self) -> None:
        self._repair = None
        self._discard(self._pool)
        self._pool = self._make_pool()
        units = list(self._in_flight.values())
        self._in_flight.clear()
        self._progress_at = self._running().time()
        for unit in units:
            unit.pools += 1
            if unit.pools >= MAX_POOLS:
                unit.fail("pool", "the worker pool keeps breaking", is_local_fault=True)
            else:
                self._hand_out(unit)

    def _discard(self, pool: Any, *, finish: bool = False) -> None:
        def end() -> None:
            if finish:
                pool.close()
            else:
                pool.stop()
            pool.join()

        ended = self._running().run_in_executor(None, end)
        self._discards.add(ended)
        ended.add_done_callback(self._discards.discard)

    def _watch(self) -> None:
        loop = self._running()
        patience_s = self._settings.timeout_s + PATIENCE_S
        if self._in_flight and loop.time() - self._progress_at > patience_s:
            self._break()
        self._watchdog = loop.call_later(1.0, self._watch)
