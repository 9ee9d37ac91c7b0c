"""Senders whom a provider accuses by name."""

from mta.model.sender import Sender
from mta.pacing.governor import Why
from mta.pacing.streams import Streams

ACME = Sender("acme", "c", "news", "acme.test")
OTHER = Sender("other", "c", "news", "other.test")
WHY = Why(1.8e9, "421 4.7.0 your domain", "rate_limited")


def accused(times: int = 1) -> Streams:
    streams = Streams()
    for number in range(times):
        streams.accuse(ACME, "google", 1000.0 + 60 * number, 10.0, WHY)
    return streams


def test_only_the_accused_waits() -> None:
    """Other senders there, and the same sender elsewhere, go as before."""
    streams = accused(8)
    streams.wait(ACME, "google", 1500.0)
    assert any(streams.wait(ACME, "google", 1500.0) for _ in range(20))
    assert streams.wait(OTHER, "google", 1500.0) == 0.0
    assert streams.wait(ACME, "yahoo", 1500.0) == 0.0


def test_each_accusation_halves_and_time_heals() -> None:
    """Not twice in a minute; it doubles each half hour, and is forgotten at what it was."""
    streams = accused()
    streams.accuse(ACME, "google", 1001.0, 10.0, WHY)
    assert streams.list(1001.0)[0].rate < 5.01
    streams.accuse(ACME, "google", 1100.0, 10.0, WHY)
    assert 2.4 < streams.list(1100.0)[0].rate < 2.7
    assert 4.8 < streams.list(1100.0 + 1800)[0].rate < 5.4
    assert streams.wait(ACME, "google", 1100.0 + 3 * 1800) == 0.0
    assert not len(streams)


def test_what_waits_is_spread_and_goes_at_the_rate() -> None:
    """Told to come again, they do not come all at once, and who comes as told is let through in time."""
    streams = accused(6)
    rate = streams.list(1400.0)[0].rate
    due = [(1400.0, number) for number in range(50)]
    gone: list[float] = []
    while due and len(gone) < 50:
        due.sort()
        now, number = due.pop(0)
        wait = streams.wait(ACME, "google", now)
        if wait:
            due.append((now + wait, number))
        else:
            gone.append(now)
    assert len(gone) == 50
    assert 50 / (gone[-1] - 1400.0) < rate * 1.2
    assert 50 / (gone[-1] - 1400.0) > rate * 0.3


def test_few_are_remembered() -> None:
    """Bounded: the one accused longest ago goes first."""
    streams = Streams()
    for number in range(5_001):
        streams.accuse(Sender(f"t{number}"), "google", 1000.0, 10.0, WHY)
    assert len(streams) == 5_000
    assert all(slow.tenant != "t0" for slow in streams.list(1000.0))


def test_it_can_be_taken_back() -> None:
    """By what is told of it."""
    streams = accused()
    assert streams.release(lambda slow: slow.tenant == "acme", 1000.0) == 1
    assert not len(streams)
