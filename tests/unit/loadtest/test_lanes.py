import pytest

from loadtest.lanes import Latency, bulk_rate, latency, percentile
from loadtest.sinklog import Entry


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.01, 1.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_percentile_is_nearest_rank(share: float, expected: float) -> None:
    """Of 100 values the 99th is p99: no interpolation that would flatter the tail."""
    assert percentile([float(number) for number in range(100, 0, -1)], share) == expected


def test_latency_of_one() -> None:
    """One value is all of them."""
    assert latency([3.14159]) == Latency(3.14, 3.14, 3.14)


def test_one_slow_probe_in_two_hundred_fifty_is_not_p99() -> None:
    """With 250 probes two may be slow before p99 is."""
    assert latency([1.0] * 248 + [900.0] * 2).p99_ms == 1.0
    assert latency([1.0] * 247 + [900.0] * 3).p99_ms == 900.0


def test_bulk_rate_counts_only_the_window() -> None:
    """Probes and what was accepted before or after do not count."""
    log = [
        Entry(at, 1, "ok", 10, "0a", f"bulk-{at}@d.test")
        for at in (0, 1_000_000_000, 1_500_000_000, 9_000_000_000)
    ]
    log.append(Entry(1_200_000_000, 1, "ok", 10, "0a", "busy-1@d.test"))
    assert bulk_rate(log, 1_000_000_000, 2_000_000_000) == 2.0
