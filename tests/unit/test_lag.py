"""Lateness of the loop: what is counted, and that a loop that is held up is seen."""

import asyncio
import time

import pytest

from mta.lag import EVERY_S, Lag, watch


def test_nothing_noted_is_no_lag() -> None:
    assert (Lag().quantile_ms(0.99), Lag().max_ms) == (0.0, 0.0)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 1.0), (0.98, 1.0), (0.99, 8.0), (1.0, 1001.0)])
def test_quantiles(share: float, expected: float) -> None:
    """98 of a hundred on time, one 7 ms late, one beyond the scale."""
    lag = Lag()
    for late_s in (*[0.0004] * 98, 0.0073, 2.5):
        lag.note(late_s)
    assert lag.quantile_ms(share) == expected
    assert lag.max_ms == 2500.0


async def test_a_loop_that_is_held_up_is_seen() -> None:
    """Something on it takes a third of a second."""
    lag = Lag()
    late: asyncio.Queue[float] = asyncio.Queue()
    watching = asyncio.create_task(watch(lag, late.put_nowait, 0.2))
    asyncio.get_running_loop().call_soon(time.sleep, EVERY_S + 0.3)
    async with asyncio.timeout(5):
        assert await late.get() >= 0.29
    watching.cancel()
    assert lag.max_ms >= 290
