import pytest

from loadtest.rig import Setting
from loadtest.throughput import slowest_rate


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
