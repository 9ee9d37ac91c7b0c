"""`mta.delivery.egress`."""

from collections import Counter
from typing import Any

import pytest

from mta.delivery import egress
from mta.delivery.egress import SUSPENDED, WARMING_UP, Asking, Choice, Chosen, Egress, Held
from mta.delivery.reference import Parked, Reference
from mta.model.outcome import Attempt, Delivered, Stage
from mta.model.path import EgressPool, EgressSource, MxHost, Site
from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.actions import Actions
from mta.pacing.rules import SourceWarmup, WarmupPlan
from mta.pacing.warmup import Warmups, WarmupState, encode_state, grant, next_day_at
from tests.unit.delivery.refs import ref

A, B, C = (EgressSource(name, f"{name}.acme.test") for name in "abc")
SITE = Site("mx.test", "google", (MxHost("mx.test"),))
NOON, TODAY = 1_764_158_400.0, "2025-11-26"
PLAN = WarmupPlan("p", (3,))


class World:
    """One pool, named `default`, and all that decides about its sources."""

    def __init__(self, *sources: tuple[EgressSource, int], warm: str = "") -> None:
        self.actions = Actions()
        self.warmups = Warmups({warm: SourceWarmup(PLAN)} if warm else {})
        self.bucket = WarmupState()
        self.wanted: list[tuple[str, str]] = []
        pools = {"default": EgressPool("default", sources)}
        self.egress = Egress(
            pools, self.actions, self.warmups, lambda s, p: self.wanted.append((s, p)), lambda: NOON
        )

    def suspend(self, source: str, until: float = NOON + 600.0, provider: str = "google") -> None:
        aim = Aim(source=source, provider=provider)
        self.actions.put(Action(kind=ActionKind.SUSPEND, aim=aim, since=NOON, until=until))

    def grant(self, source: str) -> None:
        """What the bucket would answer."""
        need = self.warmups.need(source, "google", NOON)
        if need is not None:
            self.bucket, units = grant(self.bucket, PLAN, need)
            self.warmups.granted(need, self.bucket, units)

    def choose(self, site: Site = SITE, **changes: Any) -> Choice | None:
        return self.egress.choose(going(**changes), site)

    def names(self, count: int, site: Site = SITE, **changes: Any) -> list[str]:
        return [
            chosen.source.name
            for _ in range(count)
            if isinstance(chosen := self.choose(site, **changes), Chosen)
        ]


def going(**changes: Any) -> Reference[Any]:
    one = ref(**changes)
    one.provider = "google"
    return one


def test_each_site_sees_the_sources_in_proportion() -> None:
    """Smooth weighted turns, counted per site."""
    world = World((A, 4), (B, 2), (C, 1))
    for name in ("x.test", "y.test"):
        site = Site(name, "google", (MxHost(name),))
        assert Counter(world.names(70, site)) == {"a": 40, "b": 20, "c": 10}


def test_turns_are_spread() -> None:
    """No source stands three times in a row at 2 : 1, however large the numbers are."""
    assert World((A, 2), (B, 1)).names(6) == ["a", "b", "a"] * 2
    assert World((A, 1000), (B, 500)).names(6) == ["a", "b", "a"] * 2


def test_one_source_needs_no_turns() -> None:
    """The usual case."""
    assert World((A, 7)).choose() == Chosen(A)


def test_no_pool_no_choice() -> None:
    """A pool that was taken out of the configuration, while mail for it waited."""
    assert World((A, 1)).choose(pool="gone") is None


def test_what_was_greylisted_stays_with_its_source() -> None:
    """Greylisting knows us by address; a source that was taken out is replaced by the next in turn."""
    world = World((A, 1), (B, 1))
    assert world.names(3, source="b") == ["b", "b", "b"]
    assert world.names(1, source="gone") == ["a"]


def test_a_block_moves_on() -> None:
    """Who was refused because of a source takes another one, as long as there is one."""
    world = World((A, 1), (B, 1))
    assert world.names(4, avoided="a") == ["b"] * 4
    assert World((A, 1)).names(2, avoided="a") == ["a", "a"]


def test_a_suspended_source_is_passed_over_where_it_is_suspended() -> None:
    """At that provider the others take its turns; elsewhere it goes on."""
    world = World((A, 1), (B, 1))
    world.suspend("a")
    assert world.names(4) == ["b"] * 4
    other = Site("mx.other.test", "other", (MxHost("mx.other.test"),))
    assert set(world.names(4, other)) == {"a", "b"}


def test_where_all_are_suspended_mail_is_held_until_the_first_is_free() -> None:
    """And what must keep its source waits for that one, although others are free."""
    world = World((A, 1), (B, 1))
    world.suspend("a", NOON + 600.0)
    assert world.choose(source="a") == Held(NOON + 600.0, SUSPENDED)
    world.suspend("b", NOON + 300.0)
    assert world.choose() == Held(NOON + 300.0, SUSPENDED)


def test_who_stands_by_sends_only_for_the_others() -> None:
    """Weight 0."""
    world = World((A, 1), (B, 0))
    assert world.names(4) == ["a"] * 4
    world.suspend("a")
    assert world.names(2) == ["b"] * 2


def test_overflow_goes_to_a_warmed_source() -> None:
    """A source that is warmed up sends what its cap allows; the rest leaves from the other ones."""
    world = World((A, 1), (B, 1), warm="a")
    assert world.choose() == Asking("a")
    assert world.wanted == [("a", "google")]
    sources = []
    for _ in range(12):
        world.grant("a")
        sources += world.names(1)
    assert Counter(sources)["a"] == 3
    assert Counter(sources)["b"] == 9


def test_without_a_warm_source_the_rest_waits_for_the_next_day() -> None:
    """Never above the cap."""
    world = World((A, 1), warm="a")
    world.warmups.apply("warmup.a.google", encode_state(WarmupState(0, TODAY, 3, TODAY)))
    assert world.choose() == Held(next_day_at(NOON), WARMING_UP)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_unit_is_spent_on_what_was_tried(comes_back: bool) -> None:
    """Mail that is parked, or met no server, or goes another way costs nothing of the cap; what a server heard of
    does."""
    world = World((A, 1), warm="a")
    world.grant("a")
    one = going()
    assert world.egress.choose(one, SITE) == Chosen(A, is_counted=True)
    tried = Attempt(1, NOON, Stage.END_OF_DATA, session_id="s")
    world.egress.note(one, Parked(NOON, "slow") if comes_back else Delivered(tried))
    room = world.choose()
    assert room == Chosen(A, is_counted=True) if comes_back else isinstance(room, Asking)


def test_the_turns_of_sites_are_not_remembered_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """G3: a site is a domain, where domains have hosts of their own."""
    monkeypatch.setattr(egress, "_MOST_SITES", 10)
    world = World((A, 1), (B, 1))
    turns = world.egress._turns["default"]
    for number in range(100):
        name = f"mx{number}.test"
        assert world.choose(Site(name, "other", (MxHost(name),))) in (Chosen(A), Chosen(B))
        assert len(turns._next) <= 10
