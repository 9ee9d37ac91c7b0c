"""How far the server's clock is ahead, from what it answers; an answer without a time leaves what was known."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from mta.jetstream.clock import StreamClock
from mta.jetstream.connection import Link
from mta.jetstream.errors import Refused


class Answering:
    """A server that says this to whatever it is asked."""

    def __init__(self, **answer: Any) -> None:
        self.answer = answer

    async def api(self, name: str) -> dict[str, Any]:
        return self.answer


def told(ahead_s: float) -> str:
    """As a server writes it: nanoseconds."""
    return f"{datetime.now(UTC) + timedelta(seconds=ahead_s):%Y-%m-%dT%H:%M:%S.%f}789Z"


@pytest.mark.parametrize("ahead_s", [300.0, 0.0, -300.0])
async def test_the_difference_is_measured(ahead_s: float) -> None:
    clock = StreamClock(cast(Link, Answering(ts=told(ahead_s))))
    assert clock.ahead_s == 0.0
    await clock.measure()
    assert clock.ahead_s == pytest.approx(ahead_s, abs=1.0)
    assert clock.time() == pytest.approx(time.time() + ahead_s, abs=1.0)


@pytest.mark.parametrize(
    "answer", [{}, {"ts": None}, {"ts": 7}, {"ts": "soon"}, {"ts": "2026-11-25T00:00:00"}]
)
async def test_no_time_is_no_measurement(answer: dict[str, Any]) -> None:
    """Nor is one without a zone. It is an error of the server's, which `run` lives through."""
    server = Answering(ts=told(300.0))
    clock = StreamClock(cast(Link, server))
    await clock.measure()
    server.answer = answer
    with pytest.raises(Refused):
        await clock.measure()
    assert clock.ahead_s == pytest.approx(300.0, abs=1.0)
