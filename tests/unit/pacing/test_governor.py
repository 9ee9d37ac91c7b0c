"""One scope: limits, shares, actions and the pace, whichever is least."""

import pytest

from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.actions import Actions
from mta.pacing.governor import Governor, Why
from mta.pacing.pace import PaceState
from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.settings import Limits
from mta.queue.settings import RateLimit

EPOCH = 1.8e9
WHY = Why(EPOCH, "421 4.7.0 slower", "rate_limited")


class Path:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


class Clock:
    now = 1000.0

    def wall(self) -> float:
        return EPOCH + self.now


def governor(
    limits: Limits,
    actions: Actions | None = None,
    scope: Scope | None = None,
    clock: Clock | None = None,
    born_at: float = float("-inf"),
) -> Governor:
    scope = scope or Scope(ScopeKind.PROVIDER, "a1", "google")
    actions = actions if actions is not None else Actions()
    return Governor(scope, "google", limits, actions, (clock or Clock()).wall, born_at)


def action(kind: ActionKind, until: float, **more: object) -> Action:
    aim = Aim(source="a1", provider="google")
    return Action(kind=kind, aim=aim, since=EPOCH, until=EPOCH + until, **more)  # type: ignore[arg-type]


def test_what_has_no_limit_waits_for_nothing() -> None:
    """No rate, no count, nothing to be told."""
    one = governor(Limits())
    assert one.message_wait(1000.0, Path()) == one.connection_wait(1000.0, Path()) == 0.0
    assert one.standing(1000.0) is None
    assert one.demand() is None


def test_who_has_just_begun_waits_for_one_interval() -> None:
    """G6: for a message as for a connection, of which the life before may have had one a moment ago."""
    limits = Limits(connection_rate=RateLimit(2, 60.0), message_rate=RateLimit(1, 60.0))
    one = governor(limits, born_at=1000.0)
    assert one.message_wait(1001.0, Path()) == pytest.approx(59.0, abs=0.1)
    assert one.connection_wait(1001.0, Path()) == pytest.approx(29.0, abs=0.1)
    assert one.message_wait(1061.0, Path()) == one.connection_wait(1061.0, Path()) == 0.0


def test_the_least_of_limits_holds() -> None:
    """Configured, shared and thrown in by an action."""
    actions = Actions()
    one = governor(Limits(connections=10, message_rate=RateLimit(100, 1.0)), actions)
    one.look(1000.0)
    assert one.rate is not None
    assert one.rate.per_second == 100
    one.share(Limits(connections=4, message_rate=RateLimit(50, 1.0)))
    one.look(1000.0)
    assert (one.most, one.rate.per_second) == (4, pytest.approx(50))
    actions.put(
        action(ActionKind.THROTTLE, 2000.0, connections=2, message_rate=RateLimit(60, 60.0), rule="t")
    )
    one.look(1000.0)
    assert (one.most, one.rate.per_second) == (2, pytest.approx(1))
    actions.apply(f"action.{next(iter(actions.in_force(EPOCH))).id}", None)
    one.share(None)
    one.look(1000.0)
    assert (one.most, one.rate.per_second) == (10, pytest.approx(100))


def test_a_suspension_is_obeyed_and_left_with_one_connection() -> None:
    """Nothing before its end; then one message on one connection, and one more at a time."""
    actions, clock = Actions(), Clock()
    one = governor(Limits(connections=10), actions, clock=clock)
    actions.put(action(ActionKind.SUSPEND, 1600.0, rule="s"))
    one.look(1000.0)
    assert one.blocked_until(1000.0) == pytest.approx(1600.0)
    assert one.message_wait(1000.0, Path()) == pytest.approx(600.0)
    row = one.standing(1000.0)
    assert row is not None
    assert (row.state, row.until) == (PaceState.SILENT, pytest.approx(EPOCH + 1600.0))
    clock.now = 1601.0
    assert one.message_wait(1601.0, Path()) == 0.0
    assert one.most == 1
    one.note_accepted(1602.0)
    clock.now = 1602.0
    one.look(1602.0)
    assert one.most == 1
    clock.now = 1613.0
    one.look(1613.0)
    assert one.most == 2


def test_a_suspension_that_is_cancelled_ends() -> None:
    """At once, and all is as it was before: a person who held it for a moment has learned nothing about the peer."""
    actions, clock = Actions(), Clock()
    one = governor(Limits(connections=10), actions, clock=clock)
    held = action(ActionKind.SUSPEND, 1600.0, rule="s")
    actions.put(held)
    one.look(1000.0)
    actions.apply(held.key, None)
    one.look_again()
    assert one.blocked_until(1001.0) <= 1001.0
    assert one.most == 10


def test_what_holds_for_the_provider_is_its_governor_s_business() -> None:
    """The site's does not begin a way back of its own."""
    actions = Actions()
    actions.put(action(ActionKind.SUSPEND, 1600.0, rule="s"))
    one = governor(Limits(connections=10), actions, Scope(ScopeKind.SITE, "a1", "mx.test"))
    one.look(1000.0)
    assert one.blocked_until(1000.0) <= 1000.0


def test_an_action_on_a_host_is_for_that_host() -> None:
    """`host` in its aim."""
    actions = Actions()
    aim = Aim(source="a1", host="mx1.test")
    actions.put(Action(kind=ActionKind.SUSPEND, aim=aim, since=EPOCH, until=EPOCH + 1600.0))
    mine = governor(Limits(), actions, Scope(ScopeKind.HOST, "a1", "mx1.test"))
    other = governor(Limits(), actions, Scope(ScopeKind.HOST, "a1", "mx2.test"))
    assert mine.connection_wait(1000.0, Path()) > 500.0
    assert other.connection_wait(1000.0, Path()) == 0.0


def test_who_is_refused_slows_and_says_why() -> None:
    """Which reply, since when."""
    one = governor(Limits(message_rate=RateLimit(100, 1.0)))
    one.look(1000.0)
    assert one.note_refused(1000.0, WHY)
    row = one.standing(1000.0)
    assert row is not None
    assert (row.reply, row.bounce_class, row.since) == (WHY.reply, WHY.bounce_class, WHY.at)
    one.release()
    assert one.standing(1000.0) is None


def test_too_many_connections_cost_no_message() -> None:
    """Connections only."""
    one = governor(Limits(connections=8, message_rate=RateLimit(100, 1.0)))
    one.look(1000.0)
    one.note_limited(1000.0, 8, WHY)
    one.look(1000.0)
    assert one.most == 4
    assert one.rate is not None
    assert one.rate.per_second == 100


def test_a_free_connection_goes_to_who_waited_first() -> None:
    """He is woken, and nobody else gets it meanwhile; whoever holds them is told that they are wanted."""
    one = governor(Limits(connections=1))
    holder, first, second = Path(), Path(), Path()
    assert one.connection_wait(1000.0, holder) == 0.0
    one.take_connection(1000.0, holder)
    one.holders = {holder: 1}
    one.queue_up(first, 1, is_connection=True)
    one.queue_up(second, 2, is_connection=True)
    assert holder.woken
    assert one.is_waited_for
    one.give_back()
    assert (first.woken, second.woken) == (1, 0)
    assert one.connection_wait(1001.0, holder) > 0
    assert one.connection_wait(1001.0, second) > 0
    assert one.connection_wait(1001.0, first) == 0.0
    one.take_connection(1001.0, first)
    assert second.woken


def test_what_is_wanted_is_counted() -> None:
    """Since the time before."""
    one = governor(Limits(connections=3, message_rate=RateLimit(100, 1.0)))
    one.take_connection(1000.0, Path())
    one.granted += 5
    one.queue_up(Path(), 1, is_connection=False)
    demand = one.demand()
    assert demand is not None
    assert (demand.connections, demand.messages, demand.messages_waited_for) == (1, 5, 1)
    demand = one.demand()
    assert demand is not None
    assert demand.messages == 0
