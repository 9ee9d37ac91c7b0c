"""How fast it goes, from what has ended lately."""

import pytest

from mta.admin.lately import Key, Lately, Pace
from mta.model.lane import Lane
from mta.model.sender import Sender

A, B = Key("bulk", "acme", "spring", "google"), Key("transactional", "acme", "spring", "other")


def steady(
    lately: Lately, key: Key, start: float, seconds: float, every_s: float, stream: str = "news"
) -> None:
    count = int(seconds / every_s)
    for number in range(count):
        sender = Sender(key.tenant, key.campaign, stream)
        lately.note(sender, key.provider, Lane(key.lane), start + number * every_s)


@pytest.mark.parametrize("every_s", [0.01, 0.5, 5.0, 30.0])
@pytest.mark.parametrize("seconds", [60.0, 293.0, 1000.0])
def test_a_steady_rate_is_measured(every_s: float, seconds: float) -> None:
    """From a hundred a second to two a minute, after a minute as well as after an hour."""
    lately = Lately()
    steady(lately, A, 1000.0, seconds, every_s)
    assert lately.rate(1000.0 + seconds) == pytest.approx(1 / every_s, rel=0.15)


def test_each_key_has_its_own() -> None:
    """Of two, and of both together."""
    lately = Lately()
    steady(lately, A, 100.0, 60.0, 0.1)
    steady(lately, B, 100.0, 60.0, 1.0)
    paces = lately.paces(160.0)
    assert paces[A].rate == pytest.approx(10.0, rel=0.1)
    assert paces[B].rate == pytest.approx(1.0, rel=0.15)
    assert lately.rate(160.0) == pytest.approx(11.0, rel=0.1)


def test_the_streams_of_a_campaign_are_one() -> None:
    """They differ in what receivers judge by, not in who asks."""
    lately = Lately()
    steady(lately, A, 100.0, 60.0, 0.1, "news")
    steady(lately, A, 100.0, 60.0, 0.1, "offers")
    assert lately.paces(160.0)[A].rate == pytest.approx(20.0, rel=0.1)


def test_what_has_just_begun_is_not_slow() -> None:
    """However long nothing was to be done before."""
    lately = Lately()
    steady(lately, A, 5000.0, 4.0, 0.1)
    assert lately.paces(5004.0)[A] == Pace(40, pytest.approx(10.0, rel=0.05))


def test_what_has_stopped_is_soon_said_to_be_slower_and_then_forgotten() -> None:
    """Nothing in the last ten seconds, less and less in five minutes, then no word of it."""
    lately = Lately()
    steady(lately, A, 100.0, 60.0, 0.1)
    assert lately.paces(190.0)[A].ended == 0
    assert lately.paces(190.0)[A].rate > lately.paces(400.0)[A].rate
    assert lately.paces(600.0) == {}


def test_there_is_an_end_to_how_many_are_remembered() -> None:
    """The quietest go first."""
    lately = Lately()
    for number in range(10_100):
        lately.note(Sender("acme", f"c{number}"), "", Lane.BULK, 100.0)
    paces = lately.paces(101.0)
    assert len(paces) == 10_000
    assert Key("bulk", "acme", "c0", "") not in paces
