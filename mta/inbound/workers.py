"""Worker processes that read reports: what a stranger wrote is parsed where nothing is lost with the parser.

A report gets so much processor time, memory and patience (H8). One that uses it up is guilty, and is refused; one whose
worker ended for no reason that can be told is tried once more, since somebody may have killed it. Others never notice:
the pool starts another worker. A pool that broke or is stuck is replaced, and who was in it is asked to come again.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

import pebble
import structlog
from msgspec import msgpack
from pebble import ProcessExpired

from mta.compose.process import WorkerContext, answered
from mta.inbound import reading
from mta.inbound.settings import WorkerSettings
from mta.inbound.signature import Signature
from mta.model.report import Report

READER = "mta.classify.report:read_report"
_START_S = 60.0
_REPORT = msgpack.Decoder(Report)
_BOOL = msgpack.Decoder(bool)

log = structlog.get_logger()


class Guilty(Exception):
    """The report is to blame: it took too much, or broke whoever read it."""


class WorkersBusy(Exception):
    """Nothing is known of the report: too many wait, or the workers do not come up."""


class ReportWorkers:
    """`start` inside the running loop, `stop` at the end. `reader` is `module:function`: bytes to a `Report`."""

    def __init__(self, settings: WorkerSettings, reader: str = READER) -> None:
        self._settings = settings
        self._reader = reader
        self._context = WorkerContext()
        self._pool: Any = None
        self._in_hand = 0
        self._ends: set[asyncio.Future[None]] = set()

    async def start(self) -> None:
        """Returns when every worker has answered; `WorkersBusy` if they do not."""
        self._pool = self._made()
        pool = self._pool
        try:
            async with asyncio.timeout(_START_S):
                await answered(pool, self._context, reading.ready, self._settings.workers)
        except (TimeoutError, RuntimeError, OSError) as error:
            await self.stop()
            why = f"none has answered in {_START_S:g} s" if isinstance(error, TimeoutError) else str(error)
            raise WorkersBusy(f"no worker for reports comes up: {why}") from error

    async def stop(self) -> None:
        """Kills the workers."""
        self._replace(self._pool, None)
        while self._ends:
            await asyncio.gather(*self._ends)

    async def read(self, raw: bytes) -> Report:
        """`Guilty` or `WorkersBusy` if there is none."""
        return _REPORT.decode(await self._run(reading.read, raw))

    async def verify(self, raw: bytes, signatures: tuple[Signature, ...], records: dict[str, str]) -> bool:
        """Whether one of the signatures holds, by key records by name; raises as `read`."""
        return _BOOL.decode(await self._run(reading.verify, raw, signatures, records))

    async def _run(self, function: Callable[..., bytes], *arguments: Any) -> bytes:
        for is_last in (False, True):
            pool = self._pool
            if pool is None or self._in_hand >= self._settings.most:
                raise WorkersBusy("too many reports wait")
            future = self._scheduled(pool, function, arguments)
            done, _ = await asyncio.wait((future,), timeout=self._settings.patience_s)
            if not done:
                self._replace(pool, self._made())
                raise WorkersBusy("the workers for reports are stuck")
            match future.exception():
                case None:
                    return future.result()
                case BrokenProcessPool():
                    self._replace(pool, self._made())
                    raise WorkersBusy("the workers for reports broke")
                case ProcessExpired() as error if error.exitcode != -signal.SIGPROF and not is_last:
                    log.warning("report_worker_died", exit_code=error.exitcode)
                case TimeoutError() | ProcessExpired() | MemoryError() as error:
                    raise Guilty(type(error).__name__) from error
                case error:
                    log.error("report_reader_failed", error=type(error).__name__, detail=str(error)[:200])
                    raise Guilty(type(error).__name__) from error
        raise AssertionError("the last try returns or raises")

    def _scheduled(
        self, pool: Any, function: Callable[..., bytes], arguments: tuple[Any, ...]
    ) -> asyncio.Future[bytes]:
        """Counted until it or its pool is done, whoever still waits: nobody gets a place by going away."""
        settings = self._settings
        try:
            ours: Future[bytes] = pool.schedule(
                function, (*arguments, settings.cpu_s), timeout=settings.wall_s
            )
        except (RuntimeError, OSError) as error:
            self._replace(pool, self._made())
            raise WorkersBusy("the workers for reports broke") from error
        self._in_hand += 1
        future = asyncio.wrap_future(ours)
        future.add_done_callback(partial(self._on_done, pool))
        return future

    def _on_done(self, pool: Any, future: asyncio.Future[bytes]) -> None:
        if pool is self._pool:
            self._in_hand -= 1
        if not future.cancelled():
            future.exception()  # seen: nobody may wait any more

    def _made(self) -> Any:
        return pebble.ProcessPool(
            max_workers=self._settings.workers,
            max_tasks=self._settings.reports_per_process,
            initializer=reading.start_worker,
            initargs=(self._reader, self._settings),
            context=self._context,
        )

    def _replace(self, before: Any, after: Any) -> None:
        """Once per pool, whoever finds it broken first. What is left in it may never be done."""
        if before is None or before is not self._pool:
            return
        self._pool = after
        self._in_hand = 0

        def end() -> None:
            before.stop()
            before.join()

        ended = asyncio.get_running_loop().run_in_executor(None, end)
        self._ends.add(ended)
        ended.add_done_callback(self._ends.discard)


def usual_workers(cores: int | None = None) -> int:
    """A quarter of the cores: reports are few, and sending must not wait for them."""
    return max(1, (cores or os.cpu_count() or 1) // 4)
