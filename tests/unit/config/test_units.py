import pytest

from mta.config.units import Bytes, PerTime, Seconds, Share, rate_text, time_text
from mta.queue.settings import RateLimit


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


@pytest.mark.parametrize(
    ("text", "share"), [("0.3%", 0.003), ("5 %", 0.05), ("100%", 1.0), ("0", 0.0), (0, 0.0)]
)
def test_shares_carry_their_sign(text: object, share: float) -> None:
    """As people write them."""
    assert Share.parse(text) == share


@pytest.mark.parametrize(
    "text", ["0.3", 0.3, "-1%", "101%", "%", "1e2%", "٣%", "", None, True, "5%%", "1000%"]
)
def test_what_is_no_share_is_refused(text: object) -> None:
    """0.3 could be either."""
    with pytest.raises(ValueError, match=r"%|more than all"):
        Share.parse(text)


@pytest.mark.parametrize("text", ["50ms", "30s", "5m", "1.5h", "90s", "2h", "7d", "100s", "10m", "0.5d"])
def test_a_time_is_shown_as_it_can_be_written(text: str) -> None:
    """The same time again when it is read."""
    seconds = Seconds.parse(text)
    assert Seconds.parse(time_text(seconds)) == seconds


def test_times_and_rates_are_shown_in_units_that_people_use() -> None:
    """The largest one that leaves no small part."""
    shown = {s: time_text(s) for s in (0.05, 1.0, 90.0, 100.0, 600.0, 5400.0, 86400.0, 129600.0)}
    assert list(shown.values()) == ["50ms", "1s", "1.5m", "100s", "10m", "1.5h", "1d", "1.5d"]
    rates = [RateLimit(100, 1.0), RateLimit(0.5, 60.0), RateLimit(10000, 3600.0), RateLimit(5, 86400.0)]
    assert [rate_text(rate) for rate in rates] == ["100/s", "0.5/min", "10000/h", "5/d"]
    assert rate_text(RateLimit(30, 10.0)) == "3/s"
