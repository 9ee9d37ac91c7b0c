"""Fixtures shared by all tests, and what makes their start cheaper."""

import gc
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.nats import NatsServer

# Hundreds of children import the program, and every worker rewrites the assertions of all tests: without bytecode each
# of them compiles everything again, in every run.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_sessionstart() -> None:
    """Thirteen thousand tests and their modules are no garbage: nobody looks for any among them, now or later."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


_TURNS = ("scenarios", "integration", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that take longest come first, and those that mostly wait before those that only compute: workers take
    whole modules in this order, and at the end none is left alone with a long one."""
    items.sort(key=lambda item: (item.get_closest_marker("begun_first") is None, _turn(item)))


def _turn(item: pytest.Item) -> int:
    kind = item.path.relative_to(Path(__file__).parent).parts[0]
    return _TURNS.index(kind)


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    """A running nats-server with an empty store."""
    directory = tmp_path / "nats-server"
    directory.mkdir()
    server = NatsServer(directory)
    await server.start()
    yield server
    server.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A real server that could not be had is told even where skips are not."""
    reasons = {
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", ())
        if "real_server" in report.keywords and isinstance(report.longrepr, tuple)
    }
    for reason in sorted(reasons):
        terminalreporter.write_line(
            f"WARNING: real_server tests did not run: {reason}", yellow=True, bold=True
        )
