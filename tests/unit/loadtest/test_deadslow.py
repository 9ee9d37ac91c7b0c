import pytest

from loadtest.deadslow import is_slower, rate_of
from loadtest.lanes import Latency


@pytest.mark.parametrize(
    ("alone", "beside", "expected"),
    [
        (4.0, 23.9, False),
        (4.0, 24.1, True),
        (100.0, 149.0, False),
        (100.0, 151.0, True),
        (100.0, 50.0, False),
    ],
)
def test_slower(alone: float, beside: float, expected: bool) -> None:
    """Half as much again, or a few ms of noise, whichever is more."""
    assert is_slower(Latency(1.0, alone, 500.0), Latency(1.0, beside, 500.0)) is expected


def test_rate() -> None:
    """Until the last has arrived; who never does is not counted."""
    left = {"a": 0, "b": 1_000_000_000, "c": 1_000_000_000}
    assert rate_of(left, {"a": 500_000_000, "b": 2_000_000_000, "z": 9_000_000_000}) == 1.0
    assert rate_of(left, {}) == 0.0
