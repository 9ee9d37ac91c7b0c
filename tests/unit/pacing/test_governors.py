"""All governors there are."""

import pytest

from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.passage import Passage
from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.settings import Limits, PathSettings
from mta.queue.settings import RateLimit

SETTINGS = PathSettings(provider=Limits(connections=5, message_rate=RateLimit(50, 1.0)))


class Path:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def known() -> Governors:
    return Governors(Actions(), lambda: 1.8e9)


def passage(governors: Governors, site: str = "mx.test") -> Passage:
    return governors.passage("a1", site, "google", SETTINGS, Path())


def test_paths_share_the_governors_of_their_scopes() -> None:
    """Two sites of one provider: two of their own, one of the provider, one of the source."""
    governors = known()
    passage(governors, "a.test")
    passage(governors, "b.test")
    assert len(governors) == 4


def test_what_nobody_needs_is_forgotten() -> None:
    """G3: when its path is gone and its rates have rested; not before."""
    governors = known()
    one = passage(governors)
    one.take_message(1000.0)
    governors.forget_idle(2000.0)
    assert len(governors) == 3
    one.close()
    governors.forget_idle(1000.0)
    assert len(governors) > 0
    for _ in range(2):
        governors.forget_idle(2000.0)
    assert len(governors) == 0


def test_a_share_holds_for_who_comes_later() -> None:
    """A scope that was not in use has its share when it is."""
    governors = known()
    scope = Scope(ScopeKind.PROVIDER, "a1", "google")
    governors.share(scope, Limits(message_rate=RateLimit(5, 1.0)))
    one = passage(governors)
    assert one.message_wait(1000.0) == 0.0
    one.take_message(1000.0)
    assert one.message_wait(1000.0) == pytest.approx(1 / 5, rel=0.03)
    governors.share(scope, None)
    assert one.message_wait(1000.0) <= 1 / 50


def test_wants_are_of_scopes_with_limits() -> None:
    """Of the source, which has none here, nothing is to be shared."""
    governors = known()
    passage(governors).take_message(1000.0)
    assert {(demand.scope.kind.value, demand.messages) for demand in governors.demands()} == {
        ("site", 1),
        ("provider", 1),
    }


def test_nothing_is_released_that_is_not_known() -> None:
    """And that is said."""
    assert not known().release(Scope(ScopeKind.SITE, "a1", "nobody.test"))


def test_who_waits_looks_again_when_actions_change() -> None:
    """An action that was cancelled may be what held him."""
    governors = known()
    owner = Path()
    one = governors.passage("a1", "mx.test", "google", PathSettings(message_rate=RateLimit(1, 60.0)), owner)
    one.take_message(1000.0)
    one.take_message(1000.0)
    governors.wake()
    assert owner.woken
