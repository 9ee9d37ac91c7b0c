"""`mta.pacing.share`, and fleets of it under a broker."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.pacing.broker import ASK_S, LEASE_S, Answer, Broker, Share, Want
from mta.pacing.share import Shares

SCOPE = "a1 google"
WANT = Want(SCOPE, 100, 1.0, 1_000)


def told(units: int, *, nodes: int = 2, is_settled: bool = True) -> Answer:
    return Answer((Share(SCOPE, units),), nodes, is_settled)


def met(nodes: int = 2) -> Shares:
    """One that has come to others."""
    shares = Shares()
    shares.meet(nodes, 0.0)
    shares.arrive()
    return shares


def test_who_is_alone_has_all() -> None:
    """No broker, no lease, no question."""
    shares = Shares()
    assert shares.is_alone
    assert shares.units(SCOPE, 100, 0.0) == 100


def test_a_lease_counts_from_when_it_was_asked_for() -> None:
    """The broker counts from later, so it ends here first."""
    shares = met()
    shares.take([WANT], told(60), 10.0)
    assert shares.units(SCOPE, 100, 10.0 + LEASE_S - 0.1) == 60
    assert shares.units(SCOPE, 40, 11.0) == 40


def test_without_a_broker_it_comes_down_to_the_even_part() -> None:
    """The smaller of it and the lease first: others may still hold more than theirs."""
    shares = met(3)
    shares.take([WANT], told(20, nodes=3), 10.0)
    assert shares.units(SCOPE, 100, 10.0 + LEASE_S) == 20
    assert shares.units(SCOPE, 100, 10.0 + 2 * LEASE_S) == 33
    shares.take([WANT], told(90, nodes=3), 30.0)
    assert shares.units(SCOPE, 100, 30.0 + LEASE_S) == 33


def test_who_arrives_waits_until_he_is_known() -> None:
    """Then he may begin with what is kept for him."""
    shares = met()
    assert shares.units(SCOPE, 100, 10.0) == 0
    shares.take([], Answer((), 2, True), 16.0)
    assert shares.units(SCOPE, 100, 16.0) == 5


def test_who_was_alone_goes_on_until_he_is_told() -> None:
    """With all of it; if nobody ever tells him, with what is even."""
    shares = Shares()
    shares.meet(2, 10.0)
    assert shares.units(SCOPE, 100, 10.0) == 100
    shares.take([WANT], told(50), 12.0)
    assert shares.units(SCOPE, 100, 12.0) == 50
    alone = Shares()
    alone.meet(2, 10.0)
    assert alone.units(SCOPE, 100, 10.0 + 2 * LEASE_S) == 0


def test_when_the_others_are_gone_it_is_alone_again() -> None:
    """With all of it."""
    shares = met()
    shares.take([WANT], told(50), 10.0)
    shares.meet(1, 20.0)
    assert shares.units(SCOPE, 100, 20.0) == 100


class Node:
    """Needs all there is."""

    def __init__(self, name: str, nodes: int, now: float) -> None:
        self.name = name
        self.shares = Shares()
        self.shares.meet(nodes, now)
        self.shares.arrive()
        self.asks_at = now

    def ask(self, broker: Broker, limit: int, now: float) -> None:
        wants = [Want(SCOPE, limit, 1.0, limit, self.units(limit, now))]
        self.shares.take(wants, broker.ask(self.name, wants, now), now)
        self.asks_at = now + ASK_S

    def units(self, limit: int, now: float) -> int:
        return self.shares.units(SCOPE, limit, now)


@settings(max_examples=60, deadline=None)
@given(limit=st.integers(1, 300), seed=st.integers(0, 10_000), nodes=st.integers(1, 5))
def test_a_fleet_never_has_more_than_the_limit(limit: int, seed: int, nodes: int) -> None:
    """Whoever comes, dies, or loses the broker: at no moment do the shares of those alive sum to more, and while there
    is a broker most of it is used."""
    rng = Random(seed)
    now, broker, broker_gone_until = 1_000.0, Broker(0.0), 0.0
    fleet = [Node(f"n{number}", nodes, now) for number in range(nodes)]
    calm_since = now
    for _ in range(1_200):
        now += 0.1
        what = rng.random()
        if what < 0.003:
            fleet[rng.randrange(len(fleet))] = Node(f"m{now}", len(fleet), now)
        elif what < 0.005 and len(fleet) < 6:
            fleet.append(Node(f"m{now}", len(fleet) + 1, now))
            for node in fleet:
                node.shares.meet(len(fleet), now)
        elif what < 0.007:
            broker, broker_gone_until = Broker(quiet_until=now + LEASE_S), now + 4.0
        if what < 0.007:
            calm_since = now
        for node in fleet:
            if not node.shares.is_alone and now >= node.asks_at and now >= broker_gone_until:
                node.ask(broker, limit, now)
        used = sum(node.units(limit, now) for node in fleet)
        assert used <= limit
        if now > calm_since + 25.0 and limit >= len(fleet):
            assert used >= limit * 0.9


def test_a_second_node_gets_its_half_of_what_one_had_alone() -> None:
    """The first gives up its half before the second has it, whichever of them the broker is with."""
    now, broker = 1_000.0, Broker(quiet_until=1_000.0 + LEASE_S)
    one = Node("n0", 1, now)
    assert one.units(100, now) == 100
    other = Node("n1", 2, now)
    one.shares.meet(2, now)
    for _ in range(150):
        now += 0.1
        for node in (other, one):
            if now >= node.asks_at:
                node.ask(broker, 100, now)
        assert one.units(100, now) + other.units(100, now) <= 100
    assert (one.units(100, now), other.units(100, now)) == (50, 50)


@pytest.mark.parametrize("dead", [0, 1])
def test_the_share_of_the_dead_is_used_within_ten_seconds(dead: int) -> None:
    """Be it an ordinary node, or the one that was the broker (whose office takes four seconds to pass on)."""
    now, broker = 1_000.0, Broker(0.0)
    fleet = [Node("n0", 2, now), Node("n1", 2, now)]
    for _ in range(300):
        now += 0.1
        for node in fleet:
            if now >= node.asks_at:
                node.ask(broker, 100, now)
    died_at = now
    if dead == 0:
        broker = Broker(quiet_until=now + LEASE_S)
    survivor = fleet[1 - dead]
    while survivor.units(100, now) < 90:
        now += 0.1
        if now >= survivor.asks_at and (dead or now > died_at + 4.0):
            survivor.ask(broker, 100, now)
        assert now < died_at + 10.0
