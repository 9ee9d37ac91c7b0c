"""Pauses and cancellations: keys there and back, and what they cover."""

import pytest

from mta.intake.orders import FOREVER, Order, Orders, OrderVerb, Target, encode_order, order_key, parse_key
from mta.model.lane import Lane

PAUSE, CANCEL = OrderVerb.PAUSE, OrderVerb.CANCEL
NOW = 1000.0


@pytest.mark.parametrize("verb", OrderVerb)
@pytest.mark.parametrize(
    "target",
    [
        Target("acme", "spring"),
        Target("acme", "_"),
        Target("acme"),
        Target(lane=Lane.BULK),
        Target("Acme GmbH", "Frühling.2026 *>"),
    ],
)
def test_keys_are_read_back(verb: OrderVerb, target: Target) -> None:
    """Whatever stands in a name; no two targets share a key."""
    assert parse_key(order_key(verb, target)) == (verb, target)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "pause",
        "pause.tenant",
        "stop.tenant.acme",
        "pause.lane.express",
        "pause.campaign.acme",
        "warmup.a.b",
    ],
)
def test_other_keys_are_nobodys_orders(key: str) -> None:
    """The bucket has other tenants."""
    assert parse_key(key) is None
    assert Orders().apply(key, b"{}") is None


def orders(*given: tuple[OrderVerb, Target, float]) -> Orders:
    found = Orders()
    for verb, target, until in given:
        found.apply(order_key(verb, target), encode_order(Order("why", "who", 1.0, until)))
    return found


def test_a_pause_covers_what_it_names() -> None:
    """A campaign, a tenant, a lane; the longest counts, and one that is over counts for nothing."""
    found = orders(
        (PAUSE, Target("acme", "spring"), NOW + 10),
        (PAUSE, Target("acme"), NOW - 1),
        (PAUSE, Target("other"), 0.0),
        (PAUSE, Target(lane=Lane.TRANSACTIONAL), NOW + 5),
    )
    assert found.paused_until(Lane.BULK, "acme", "spring", NOW) == NOW + 10
    assert found.paused_until(Lane.BULK, "acme", "autumn", NOW) == 0.0
    assert found.paused_until(Lane.BULK, "other", "", NOW) == FOREVER
    assert found.paused_until(Lane.TRANSACTIONAL, "acme", "", NOW) == NOW + 5
    assert found.is_lane_paused(Lane.TRANSACTIONAL, NOW)
    assert not found.is_lane_paused(Lane.TRANSACTIONAL, NOW + 5)
    assert not found.is_lane_paused(Lane.BULK, NOW)


def test_cancelled_is_a_campaign_or_a_whole_tenant() -> None:
    """Payloads without a campaign are one, too."""
    found = orders((CANCEL, Target("acme", "_"), 0.0), (CANCEL, Target("other"), 0.0))
    assert found.cancelled("acme", "") is not None
    assert found.cancelled("acme", "spring") is None
    assert found.cancelled("other", "spring") is not None


def test_what_is_taken_back_covers_nothing() -> None:
    """The key is gone from the bucket."""
    found = orders((CANCEL, Target("acme"), 0.0))
    found.apply(order_key(CANCEL, Target("acme")), None)
    assert found.cancelled("acme", "spring") is None
    assert found.items() == []


@pytest.mark.parametrize("value", [b"\xff{", b'{"until":1e300}', b'{"until":-1}'])
def test_an_order_that_cannot_be_read_holds(value: bytes) -> None:
    """Somebody meant to stop something: better to wait than to send."""
    found = Orders()
    found.apply("pause.tenant.acme", value)
    assert found.paused_until(Lane.BULK, "acme", "", NOW) == FOREVER
