"""What was accepted in about the last minute."""

import pytest

from mta.pacing.meter import Meter


def steady(per_second: float, seconds: float) -> tuple[Meter, float]:
    meter, now = Meter(), 1000.0
    for number in range(int(per_second * seconds)):
        now = 1000.0 + number / per_second
        meter.note(now)
    return meter, now


@pytest.mark.parametrize("per_second", [1.0, 7.0, 100.0])
@pytest.mark.parametrize("window_s", [10.0, 30.0, 60.0])
def test_a_steady_rate_is_measured(per_second: float, window_s: float) -> None:
    """Over any window, to a few percent or one message."""
    meter, now = steady(per_second, 200.0)
    assert meter.rate(now, window_s) == pytest.approx(per_second, rel=0.05, abs=1.5 / window_s)


def test_what_is_older_than_a_minute_is_forgotten() -> None:
    """Silence counts."""
    meter, now = steady(10.0, 200.0)
    assert meter.rate(now + 120.0) == 0.0


def test_how_long_the_last_ones_took() -> None:
    """Interpolated inside a bucket; infinity where there were not so many."""
    meter, now = steady(10.0, 200.0)
    assert meter.lasted_s(now, 100) == pytest.approx(10.0, abs=0.6)
    assert meter.lasted_s(now, 5) == pytest.approx(0.5, abs=0.3)
    assert meter.lasted_s(now, 10_000) == float("inf")


def test_the_first_in_a_minute_is_noticed() -> None:
    """A run begins there."""
    meter = Meter()
    assert meter.note(1000.0)
    assert not meter.note(1001.0)
    assert meter.note(1100.0)
