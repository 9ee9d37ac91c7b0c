"""`mta.pacing.actions`."""

from mta.model.sender import Sender
from mta.pacing.action import NO_CURB, Action, ActionKind, Aim, Curb, encode_action
from mta.pacing.actions import Actions, read_action
from mta.queue.settings import RateLimit

NEWS = Sender("acme", "spring", "marketing", "acme.test")
SLOW, SLOWER = RateLimit(10, 1.0), RateLimit(60, 60.0)


def suspend(until: float, rule: str = "", **aim: str) -> Action:
    return Action(kind=ActionKind.SUSPEND, aim=Aim(**aim), since=0.0, until=until, rule=rule)


def test_the_longest_suspension_and_the_narrowest_throttle_hold() -> None:
    """What all actions on a path come to is the strictest of each kind."""
    actions = Actions()
    assert actions.curb("a1", "google", "s", 0.0) == NO_CURB
    actions.put(suspend(100.0, source="a1"))
    actions.put(suspend(200.0, provider="google"))
    for number, rate in enumerate((SLOW, SLOWER)):
        aim = Aim(provider="google")
        throttle = Action(
            kind=ActionKind.THROTTLE,
            aim=aim,
            since=0.0,
            until=50.0 + number,
            connections=3 - number,
            message_rate=rate,
            rule=str(number),
        )
        actions.put(throttle)
    assert actions.curb("a1", "google", "s", 10.0) == Curb(200.0, 2, SLOWER)
    assert actions.curb("a2", "google", "s", 60.0) == Curb(200.0)
    assert actions.curb("a2", "yahoo", "s", 10.0) == NO_CURB


def test_the_end_of_a_suspension_is_remembered_for_the_way_back() -> None:
    """A curb tells when it ended, until nobody needs to know any more."""
    actions = Actions()
    actions.put(suspend(100.0, source="a1"))
    assert actions.curb("a1", "google", "s", 150.0).until == 100.0
    actions.forget_ended(150.0)
    assert len(actions) == 1
    assert actions.in_force(150.0) == []
    actions.forget_ended(100.0 + 3601.0)
    assert actions.curb("a1", "google", "s", 4000.0) == NO_CURB


def test_a_sender_is_held_where_it_is_meant() -> None:
    """A tenant stream is held at one provider, and goes on at the others; other senders go on there."""
    actions = Actions()
    assert actions.held_until(NEWS, "a1", "google", "s", 0.0) == 0.0
    actions.put(suspend(100.0, tenant="acme", from_domain="acme.test", provider="google"))
    assert actions.held_until(NEWS, "a1", "google", "s", 50.0) == 100.0
    assert actions.held_until(NEWS, "a1", "google", "s", 100.0) == 0.0
    assert actions.held_until(NEWS, "a1", "yahoo", "s", 50.0) == 0.0
    assert actions.held_until(Sender("other"), "a1", "google", "s", 50.0) == 0.0


def test_the_bucket_is_followed() -> None:
    """A key that is put is in effect, one that is deleted is not, and each changes the version."""
    actions = Actions()
    one = suspend(100.0, source="a1")
    assert actions.apply(one.key, encode_action(one)) == one
    version = actions.version
    assert actions.get(one.id) == one
    assert actions.apply(one.key, None) is None
    assert actions.version > version
    assert actions.in_force(0.0) == []


def test_what_is_no_action_stops_nobody() -> None:
    """Other keys of the bucket and values that cannot be read are left alone."""
    actions = Actions()
    assert actions.apply("pause.tenant.acme", b"{}") is None
    assert actions.apply("action.x", b"\xff") is None
    assert actions.apply("action.x", None) is None
    assert len(actions) == 0


def test_only_a_suspension_holds_a_sender_and_only_its_own() -> None:
    """An alert or a throttle holds nobody; one without a tenant holds whoever has the From domain."""
    actions = Actions()
    aim = Aim(tenant="acme")
    for kind in (ActionKind.ALERT, ActionKind.THROTTLE):
        actions.put(Action(kind=kind, aim=aim, since=0.0, until=100.0))
    assert actions.held_until(NEWS, "a1", "google", "s", 50.0) == 0.0
    actions.put(suspend(90.0, from_domain="acme.test"))
    assert actions.held_until(NEWS, "a1", "google", "s", 50.0) == 90.0
    assert actions.held_until(Sender("acme"), "a1", "google", "s", 50.0) == 0.0
    actions.put(suspend(80.0, from_domain="acme.test"))
    assert actions.held_until(NEWS, "a1", "google", "s", 50.0) == 80.0
    actions.apply(suspend(80.0, from_domain="acme.test").key, None)
    assert actions.held_until(NEWS, "a1", "google", "s", 50.0) == 0.0


def test_an_action_lies_under_its_own_key() -> None:
    """Else nobody could take it back by the key that it has."""
    one = suspend(100.0, source="a1")
    assert read_action(one.key, encode_action(one)) == one
    assert read_action("action.another", encode_action(one)) is None
    assert read_action(f"pause.{one.id}", encode_action(one)) is None


def test_a_flood_of_actions_is_bounded() -> None:
    """The oldest are forgotten, and the count of those that are of senders stays right."""
    actions = Actions()
    for number in range(10_050):
        actions.put(suspend(100.0, tenant=f"t{number}"))
    assert len(actions) == 10_000
    assert actions.held_until(Sender("t0"), "", "", "", 0.0) == 0.0
    assert actions.held_until(Sender("t10049"), "", "", "", 0.0) == 100.0
