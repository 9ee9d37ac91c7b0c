"""Reports are read in processes that may die, and nobody else notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mta.inbound.settings import WorkerSettings
from mta.inbound.workers import READER as READER_OF_THE_DAEMON
from mta.inbound.workers import Guilty, ReportWorkers, WorkersBusy
from mta.model.report import Report, ReportKind
from tests.fakes.bombs import BOMBS
from tests.fakes.reports import READER, dsn, mail


@asynccontextmanager
async def reading(reader: str = READER, **settings: Any) -> AsyncIterator[ReportWorkers]:
    workers = ReportWorkers(WorkerSettings(**settings), reader)
    await workers.start()
    try:
        yield workers
    finally:
        await workers.stop()


async def test_a_report_is_read() -> None:
    """In another process; what comes back is a report."""
    async with reading() as workers:
        report = await workers.read(dsn())
        assert report.kind is ReportKind.BOUNCE
        assert report.recipients[0].recipient == "bob@example.test"


@pytest.mark.parametrize(
    ("bomb", "end"),
    [
        ("spin", "ProcessExpired"),
        ("eat", "MemoryError"),
        ("die", "ProcessExpired"),
        ("raise", "LookupError"),
        ("deep", "MemoryError|SyntaxError|RecursionError"),
    ],
)
async def test_h8_a_bomb_is_refused_and_its_neighbours_are_not(bomb: str, end: str) -> None:
    """Each takes processor time, memory or the process; it is guilty, and those beside and behind it are read."""
    async with reading(workers=2, cpu_s=0.5, wall_s=60.0, patience_s=60.0) as workers:
        bad = asyncio.create_task(workers.read(mail(X_Bomb=bomb)))
        good = await asyncio.gather(*(workers.read(dsn()) for _ in range(10)))
        with pytest.raises(Guilty, match=end):
            await bad
        assert {report.kind for report in good} == {ReportKind.BOUNCE}
        after = await asyncio.gather(*(workers.read(dsn()) for _ in range(10)))
        assert after == good


async def test_h8_thirty_two_bombs() -> None:
    """At once, in two workers: as many as are waited for get their turn, all end, and a good one is read after."""
    async with reading(workers=2, cpu_s=0.2) as workers:
        kinds = ("spin", "eat", "die", "raise")
        bombs = [workers.read(mail(X_Bomb=kinds[n % 4])) for n in range(32)]
        ends = await asyncio.gather(*bombs, return_exceptions=True)
        assert {type(end) for end in ends} <= {Guilty, WorkersBusy}
        assert (await workers.read(dsn())).kind is ReportKind.BOUNCE


async def test_a_sleeper_is_woken_by_nobody_and_ends() -> None:
    """Who uses no processor time has a limit by the clock."""
    async with reading(wall_s=0.5) as workers:
        with pytest.raises(Guilty):
            await workers.read(mail(X_Bomb="sleep"))


async def test_a_worker_that_somebody_killed_is_no_fault_of_the_report(tmp_path: Path) -> None:
    """It is read once more."""
    async with reading() as workers:
        report = await workers.read(mail(X_Bomb=str(tmp_path / "killed")))
        assert report.kind is ReportKind.NONE
        assert (tmp_path / "killed").exists()


async def test_who_goes_away_gives_no_place_free() -> None:
    """A report stays counted while it is read, so that peers who hang up cannot pile up work."""
    async with reading(most=2, cpu_s=0.5) as workers:
        left = [asyncio.create_task(workers.read(mail(X_Bomb="spin"))) for _ in range(2)]
        await asyncio.sleep(0)
        for one in left:
            one.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        with pytest.raises(WorkersBusy):
            await workers.read(dsn())


async def test_workers_that_do_not_come_up_are_said_to_be_busy() -> None:
    """A reader that is not there; the daemon does not start."""
    with pytest.raises(WorkersBusy):
        async with reading("no.such:module"):
            pass


async def test_a_pool_that_is_stuck_is_replaced() -> None:
    """Whoever waited is asked to come again, the next one is served."""
    async with reading(patience_s=0.3, wall_s=60.0) as workers:
        with pytest.raises(WorkersBusy):
            await workers.read(mail(X_Bomb="sleep"))
        await asyncio.gather(*workers._ends)
        assert isinstance(await _patient(workers), Report)


async def test_who_was_in_a_pool_that_is_gone_takes_no_place() -> None:
    """Nobody hears of those any more: were they counted, a few pools that got stuck would end all reading."""
    async with reading(patience_s=0.3, wall_s=60.0, most=2) as workers:
        for _ in range(4):
            with pytest.raises(WorkersBusy, match="stuck"):
                await workers.read(mail(X_Bomb="sleep"))
            await asyncio.gather(*workers._ends)
        assert isinstance(await _patient(workers), Report)


async def _patient(workers: ReportWorkers) -> Report:
    """Until the new worker has come up."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await workers.read(dsn())
            except WorkersBusy:
                continue


async def test_h8_bombs_made_to_break_parsers() -> None:
    """By the reader that the daemon has: each is read or refused, and a good report beside each is
    read."""
    async with reading(READER_OF_THE_DAEMON, workers=2) as workers:
        for name, make in BOMBS.items():
            bomb, good = await asyncio.gather(
                workers.read(make()[: 1 << 20]), workers.read(dsn()), return_exceptions=True
            )
            assert isinstance(bomb, Report | Guilty), name
            assert isinstance(good, Report), name
            assert good.recipients[0].recipient == "bob@example.test"
