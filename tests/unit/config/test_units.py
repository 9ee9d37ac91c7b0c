import pytest

from mta.config.units import Bytes, PerTime, Seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50ms", 0.05),
        ("30s", 30),
        ("5m", 300),
        ("5min", 300),
        ("2h", 7200),
        ("7d", 604800),
        ("1.5s", 1.5),
        (" 1 s", 1),
    ],
)
def test_times_carry_their_unit(text: str, seconds: float) -> None:
    """Every unit means what it says."""
    assert Seconds.parse(text) == seconds


@pytest.mark.parametrize("text", ["0", 0])
def test_zero_needs_no_unit(text: object) -> None:
    """Nothing is nothing in every unit."""
    assert Seconds.parse(text) == 0.0
    assert Bytes.parse(text) == 0


@pytest.mark.parametrize(
    "text", ["30", 30, 30.0, "", "s", "-5s", "5 parsecs", "5M", "1e3s", "٣s", True, None, [], "5s\n5s"]
)
def test_what_is_no_time_is_refused(text: object) -> None:
    """A number without a unit, or with one of something else, is nobody's time."""
    with pytest.raises(ValueError, match="unit"):
        Seconds.parse(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("256kB", 256_000),
        ("25MB", 25_000_000),
        ("2GB", 2_000_000_000),
        ("1MiB", 1 << 20),
        ("7B", 7),
        ("1.5kb", 1500),
    ],
)
def test_sizes_count_in_thousands_unless_they_say_so(text: str, size: int) -> None:
    """k is 1000 and Ki is 1024."""
    assert Bytes.parse(text) == size


@pytest.mark.parametrize("text", ["256", 256, "256s", "-1kB", "lots", False])
def test_what_is_no_size_is_refused(text: object) -> None:
    """As with times."""
    with pytest.raises(ValueError, match="unit"):
        Bytes.parse(text)


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("100/s", 100, 1),
        ("100/min", 100, 60),
        ("10000/h", 10000, 3600),
        ("0.5/s", 0.5, 1),
        ("7 / d", 7, 86400),
    ],
)
def test_rates_are_a_count_per_period(text: str, count: float, period: float) -> None:
    """The period keeps its length, because bursts follow from it."""
    rate = PerTime.parse(text)
    assert (rate.count, rate.period_s) == (count, period)


@pytest.mark.parametrize("text", ["100", 100, "100/", "/s", "0/s", "100/week", "-1/s", "100 per s"])
def test_what_is_no_rate_is_refused(text: object) -> None:
    """A rate of nothing would be a destination that never gets mail."""
    with pytest.raises(ValueError, match=r"unit|period|above"):
        PerTime.parse(text)
