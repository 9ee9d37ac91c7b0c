"""`mta.pacing.broker`."""

import msgspec
import pytest

from mta.pacing.broker import LEASE_S, MOST_LIMITS, MOST_NODES, Answer, Broker, Want, floor_units

ALL = 1_000_000


def want(units: int, limit: int = 100, rest_s: float = 1.0, has: int = 0, held: int = 0) -> Want:
    return Want("a1 google", limit, rest_s, units, has, held)


class Fleet:
    """A broker whose nodes ask every second."""

    def __init__(self, *names: str, limit: int = 100, rest_s: float = 1.0) -> None:
        self.broker = Broker(0.0)
        self.now = 100.0
        self.limit, self.rest_s = limit, rest_s
        self.wants = dict.fromkeys(names, ALL)
        self.shares: dict[str, int] = {}

    def ask(self, name: str) -> Answer:
        answer = self.broker.ask(name, [want(self.wants[name], self.limit, self.rest_s)], self.now)
        self.shares[name] = answer.shares[0].units
        return answer

    def run(self, seconds: int) -> dict[str, int]:
        for _ in range(seconds):
            for name in self.wants:
                self.ask(name)
            assert sum(self.shares.values()) <= self.limit
            self.now += 1.0
        return self.shares


def test_one_node_gets_all_it_wants() -> None:
    """And no more than there is."""
    fleet = Fleet("n1")
    assert fleet.run(1) == {"n1": 100}
    fleet.wants["n1"] = 7
    assert fleet.run(1) == {"n1": 7}


def test_a_limit_is_divided_evenly_among_those_who_want_more() -> None:
    """Max-min: who wants less has what he wants, and leaves the rest to the others."""
    assert Fleet("n1", "n2").run(15) == {"n1": 50, "n2": 50}
    fleet = Fleet("n1", "n2", "n3")
    fleet.wants["n2"] = 10
    assert fleet.run(15) == {"n1": 45, "n2": 10, "n3": 45}


@pytest.mark.parametrize("rest_s", [0.0, 1.0, 3600.0])
def test_what_one_gives_up_rests_before_another_has_it(rest_s: float) -> None:
    """A rate may have been used up to the last moment: in the same period nobody else may use it again."""
    fleet = Fleet("n1", rest_s=rest_s)
    fleet.run(1)
    fleet.wants["n2"] = ALL
    fleet.ask("n2")
    assert fleet.shares["n2"] == 0
    fleet.ask("n1")
    assert fleet.shares["n1"] == 50
    rest = min(rest_s, LEASE_S)
    for wait_s in (rest / 2, rest / 2 - 0.1) if rest else (0.0,):
        fleet.now += wait_s
        fleet.ask("n1")
        fleet.ask("n2")
        assert fleet.shares["n2"] == (0 if rest else 50)
    fleet.now += 0.2
    fleet.ask("n2")
    assert fleet.shares["n2"] == 50


def test_who_dies_leaves_his_share_within_a_lease() -> None:
    """The others have it at their next ask."""
    fleet = Fleet("n1", "n2")
    fleet.run(15)
    del fleet.wants["n2"], fleet.shares["n2"]
    fleet.run(3)
    assert fleet.shares["n1"] == 50
    assert fleet.run(4)["n1"] == 100


@pytest.mark.parametrize("rest_s", [0.0, 1.0, 3600.0])
def test_who_leaves_in_order_leaves_his_share_when_it_has_rested(rest_s: float) -> None:
    """G6: nothing of his is in use any more, but what he sent a moment ago counts in the same period."""
    fleet = Fleet("n1", "n2", rest_s=rest_s)
    fleet.run(15)
    fleet.broker.leave("n2", fleet.now)
    del fleet.wants["n2"], fleet.shares["n2"]
    rest = min(rest_s, LEASE_S)
    if rest:
        fleet.now += rest / 2
        fleet.ask("n1")
        fleet.now += rest / 2 - 0.1
        fleet.ask("n1")
        assert fleet.shares["n1"] == 50
        fleet.now += 0.2
    fleet.ask("n1")
    assert fleet.shares["n1"] == 100


def test_connections_that_are_open_are_counted_until_they_close() -> None:
    """A share shrinks at once, what is in use goes to nobody else."""
    broker = Broker(0.0)
    broker.ask("n1", [want(ALL, 10, 0.0)], 10.0)
    broker.ask("n2", [want(ALL, 10, 0.0)], 10.0)
    (told,) = broker.ask("n1", [want(ALL, 10, 0.0, held=8)], 11.0).shares
    assert told.units == 5
    (other,) = broker.ask("n2", [want(ALL, 10, 0.0)], 11.0).shares
    assert other.units == 2
    broker.ask("n1", [want(ALL, 10, 0.0, held=5)], 12.0)
    (other,) = broker.ask("n2", [want(ALL, 10, 0.0)], 12.0).shares
    assert other.units == 5


def test_less_than_one_for_each_goes_round() -> None:
    """A single connection among three nodes: none is left out for ever."""
    fleet = Fleet("n1", "n2", "n3", limit=1, rest_s=0.0)
    had = set()
    for _ in range(60):
        had |= {name for name, units in fleet.run(1).items() if units}
    assert had == {"n1", "n2", "n3"}


def test_a_new_broker_waits_for_the_leases_of_the_old_one() -> None:
    """Until then each keeps what he has, and gets no more."""
    broker = Broker(quiet_until=105.0)
    assert broker.ask("n1", [want(ALL, has=30)], 104.9).shares[0].units == 30
    assert broker.ask("n1", [want(ALL, has=30)], 105.0).shares[0].units == 100


def test_something_is_kept_for_who_has_not_asked() -> None:
    """A node whose first message goes there need not wait for the others; it is known to all of them by then."""
    fleet = Fleet("n1")
    for _ in range(10):
        fleet.run(1)
        answer = fleet.broker.ask("n2", [], fleet.now - 1.0)
    assert answer.is_settled
    assert fleet.shares["n1"] == 95
    assert floor_units(100, 2) == 5
    fleet.wants["n2"] = 5
    assert fleet.ask("n2").shares[0].units >= 5


def test_who_has_just_come_is_not_settled() -> None:
    """Nothing was kept for him while nobody knew him."""
    fleet = Fleet("n1")
    fleet.run(1)
    assert not fleet.broker.ask("n2", [], fleet.now).is_settled
    fleet.now += LEASE_S - 0.1
    assert not fleet.broker.ask("n2", [], fleet.now).is_settled


@pytest.mark.parametrize("limit", [1, 2, 5, 10, 99, 100, 3_000])
@pytest.mark.parametrize("nodes", [1, 2, 3, 7, 50])
def test_what_is_kept_for_all_is_not_more_than_there_is(limit: int, nodes: int) -> None:
    """Where nobody has asked, all may begin at once."""
    assert nodes * floor_units(limit, nodes) <= limit


def test_limits_that_nobody_wants_are_forgotten() -> None:
    """Sites come and go by the hundred thousand."""
    broker = Broker(0.0)
    for number in range(1_000):
        broker.ask("n1", [Want(f"site{number}", 10, 0.0, 5)], 10.0 + number)
    assert len(broker._limits) <= LEASE_S + 1


def test_there_is_an_end_to_whom_it_remembers() -> None:
    """Whoever may ask may ask in any name, of anything."""
    broker = Broker(0.0)
    broker.ask("n1", [Want("here", 10, 0.0, 5)], 10.0)
    for number in range(MOST_NODES):
        broker.ask(f"x{number}", (), 10.0)
    late = broker.ask("n2", [Want("here", 10, 0.0, 5)], 10.0)
    assert (late.shares, late.is_settled) == ((), False)
    assert broker.ask("n1", [Want("here", 10, 0.0, 5)], 11.0).shares[0].units > 0
    many = [Want("here", 10, 0.0, 5), *(Want(f"s{number}", 10, 0.0, 5) for number in range(MOST_LIMITS))]
    shares = broker.ask("n1", many, 12.0).shares
    assert len(shares) == len(many)
    assert shares[-1].units == 0
    assert broker.ask("n3", [Want("here", 10, 0.0, 5)], 12.0 + LEASE_S).shares[0].units > 0


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"units": -1}, {"has": -5}, {"held": -5}, {"rest_s": -1.0}, {"units": 0.5}]
)
def test_less_than_nothing_is_wanted_by_nobody(wrong: dict[str, float]) -> None:
    """A share of less than nothing would free more for others than there is."""
    fields = {"scope": "a1 google", "limit": 100, "rest_s": 1.0, "units": 5, "has": 0, "held": 0} | wrong
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(list(fields.values())), type=Want)


@pytest.mark.parametrize("wrong", [b'{"shares":[["a",-1]],"nodes":2,"is_settled":true}', b"[]", b"", b"\xff"])
def test_an_answer_that_is_none_gives_no_share(wrong: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(wrong, type=Answer)
