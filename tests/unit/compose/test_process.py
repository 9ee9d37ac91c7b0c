"""How the start of workers is awaited; what they may do is tested with real ones."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from mta.compose.process import WorkerContext, answered, ready


class Pool:
    """As pebble's: its futures are those given, and it is broken or not."""

    def __init__(self, *futures: Future[object], active: bool = True) -> None:
        self._futures = iter(futures)
        self.active = active

    def schedule(self, question: Callable[[], object]) -> Future[object]:
        return next(self._futures)


def answer() -> Future[object]:
    future: Future[object] = Future()
    future.set_result(1)
    return future


async def test_everybody_has_answered() -> None:
    """Then it returns."""
    await answered(Pool(answer(), answer()), WorkerContext(), ready, 2)


async def test_an_error_is_raised() -> None:
    """That of the worker, though others are still to come."""
    failed: Future[object] = Future()
    failed.set_exception(OSError("no memory"))
    with pytest.raises(OSError, match="no memory"):
        await answered(Pool(Future(), failed), WorkerContext(), ready, 2)


async def test_a_broken_pool_is_not_waited_for() -> None:
    """It may have forgotten whom it owes an answer."""
    with pytest.raises(RuntimeError, match="end at once"):
        await answered(Pool(answer(), Future(), active=False), WorkerContext(), ready, 2)
