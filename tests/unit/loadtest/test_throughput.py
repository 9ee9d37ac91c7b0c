import pytest

from loadtest.setting import Setting
from loadtest.throughput import ResidentMb, resident_mb, slowest_rate


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting(), 50.0),
        (Setting(connections=1, rtt_ms=50.0), pytest.approx(3.33, abs=0.01)),
        (Setting(connections=1000, rtt_ms=50.0), 50.0),
    ],
)
def test_time_limit_follows_the_distance(setting: Setting, expected: float) -> None:
    """Lock step over a long wire on one connection is slow and no failure."""
    assert slowest_rate(setting) == expected


def test_memory_is_told_of_three_moments() -> None:
    """The last sample is the end; with a single one all three are it."""
    assert resident_mb([float(n) for n in range(9)]) == ResidentMb(2.0, 4.0, 8.0)
    assert resident_mb([7.0]) == ResidentMb(7.0, 7.0, 7.0)
