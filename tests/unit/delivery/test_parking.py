"""Who may wait for a path: by what is ahead of him, and by what the peer was seen to take."""

import time
from collections import Counter
from random import Random
from types import SimpleNamespace

import pytest

from mta.delivery.parking import Parking, suspended
from mta.delivery.reference import Reference, is_wanted, slots
from mta.model.lane import Lane
from mta.model.sender import Sender
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.scope import OTHER
from mta.pacing.settings import PathSettings
from mta.queue.ready import ReadyQueue
from mta.queue.settings import HoldSettings, RateLimit
from tests.unit.delivery.refs import Sending, ref

Queue = ReadyQueue[Reference[Sending]]
MANY, FEW = Sender("many"), Sender("few")


class Nobody:
    """Whose path it is does not matter here."""

    def wake(self) -> None:
        raise AssertionError("nobody waits for a message here")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    monkeypatch.setattr("mta.delivery.parking.asyncio", SimpleNamespace(get_running_loop=lambda: one))
    return one


def parking(per_s: float = 10.0) -> Parking:
    settings = PathSettings(message_rate=RateLimit(per_s, 1.0))
    passage = Governors(Actions(), lambda: 0.0).passage("one", "mx.test", OTHER, settings, Nobody())
    return Parking(HoldSettings(), passage, Random(1))


def filled(count: int, lane: Lane = Lane.BULK, sender: Sender = MANY) -> Queue:
    queue: Queue = ReadyQueue(is_wanted, slots)
    for number in range(count):
        queue.put(ref(str(number), lane=lane, sender=sender), lane, sender)
    return queue


def slow(one: Parking, clock: Clock, per_s: int) -> None:
    """It was busy for ten seconds, at this rate."""
    for second in range(10):
        for _ in range(per_s):
            one.note_served(clock.now + second)
    clock.now += 10


def test_rate_times_hold_may_be_ahead(clock: Clock) -> None:
    """Sixty seconds of bulk at ten a second."""
    one, queue = parking(), filled(599)
    assert not one.is_late(queue, ref(sender=MANY))
    queue.put(ref(sender=MANY), Lane.BULK, MANY)
    assert one.is_late(queue, ref(sender=MANY))


def test_who_has_much_waiting_parks_nobody_else(clock: Clock) -> None:
    """G4: neither another tenant, nor another campaign, nor transactional mail of his own."""
    one, queue = parking(), filled(600)
    assert not one.is_late(queue, ref(sender=FEW))
    assert not one.is_late(queue, ref(sender=Sender("many", "another")))
    assert not one.is_late(queue, ref(sender=MANY, lane=Lane.TRANSACTIONAL))


def test_what_a_peer_takes_counts_where_it_is_less(clock: Clock) -> None:
    """Two a second: a hundred and twenty, whatever its limit; and what was taken in before is parked from the end."""
    one, queue = parking(1000.0), filled(500)
    assert one.excess(queue) == []
    slow(one, clock, 2)
    assert one.is_late(queue, ref(sender=MANY))
    late = one.excess(queue)
    assert [one.addressee.email for one in late] == [f"{number}@d.test" for number in range(120, 500)]
    assert [one.addressee.email for one in queue.drain(Lane.BULK)] == [f"{n}@d.test" for n in range(120)]


def test_excess_is_looked_for_now_and_then(clock: Clock) -> None:
    """Not before twice what may be ahead waits: each time costs what waits."""
    one, queue = parking(1000.0), filled(240)
    slow(one, clock, 2)
    assert one.excess(queue) == []


@pytest.mark.parametrize(("per_s", "count"), [(0.5, 200), (5.0, 1_200), (50.0, 9_000)])
def test_who_is_put_off_is_back_before_the_path_is_idle(clock: Clock, per_s: float, count: int) -> None:
    """However many come at once: as long as somebody waits, in hand or parked, one goes when its turn is."""
    one, queue = parking(per_s), filled(0)
    waiting: list[tuple[float, int]] = [(0.0, count)]
    sent, idle = 0, 0.0
    while sent < count:
        arrived = sum(number for due_at, number in waiting if due_at <= clock.now)
        waiting = [(due_at, number) for due_at, number in waiting if due_at > clock.now]
        off = Counter[float]()
        for _ in range(arrived):
            new = ref(sender=MANY)
            if not one.is_late(queue, new):
                queue.put(new, Lane.BULK, MANY)
                continue
            parked = one.put_off(new, "ready")
            off[clock.now + parked.due_at - time.time()] += 1
        waiting += off.items()
        gone = len(queue.take(1, Lane.BULK))
        sent += gone
        idle += (1 - gone) / per_s
        clock.now += 1 / per_s
    assert idle < 0.05 * count / per_s


def test_who_cannot_come_sooner_is_put_off_for_no_longer(clock: Clock) -> None:
    """A million more than the path takes: they are looked at again in five minutes, should it be faster by then."""
    one, queue = parking(1.0), filled(60)
    assert one.is_late(queue, ref(sender=MANY))
    dues = [one.put_off(ref(sender=MANY), "ready").due_at - time.time() for _ in range(2_000)]
    assert 15.0 < dues[0] <= 30.0
    assert 115.0 < dues[100] <= 130.0
    assert all(299 < due < 361 for due in dues[300:])


def test_a_suspension_has_an_end(clock: Clock) -> None:
    """They are due then, all within a minute, or after an hour, should it be taken back; not beyond their own end."""
    for wait_s, least, most in ((20.0, 20, 24), (1800.0, 1800, 1860), (90_000.0, 3600, 3660), (-5.0, 0, 1)):
        one = suspended(ref(), wait_s, "suspended", Random(1))
        assert one.is_held
        assert least - 1 <= one.due_at - time.time() <= most + 1
    end = time.time() + 10
    assert suspended(ref(expires_at=end), 1800.0, "suspended", Random(1)).due_at == end


def test_a_few_may_wait_for_the_slowest(clock: Clock) -> None:
    """It may become faster, and nobody would know."""
    one, queue = parking(), filled(9)
    one.note_served(clock.now)
    clock.now = 30.0
    assert not one.is_late(queue, ref(sender=MANY))


def test_a_slow_peer_keeps_nobody_out(clock: Clock) -> None:
    """What can be sent in three seconds is what intake counts: by its limit, then by twice what it was seen to take."""
    one = parking(1000.0)
    assert one.sendable(5000, 3.0) == 3001
    one.note_served(clock.now)
    clock.now = 1.0
    assert one.sendable(5000, 3.0) == 7
    assert one.sendable(5, 3.0) == 5
    assert one.sendable(0, 3.0) == 0


def test_who_had_nothing_to_do_is_not_slow(clock: Clock) -> None:
    """It is forgotten what was seen before."""
    one, queue = parking(1000.0), filled(240)
    slow(one, clock, 1)
    assert one.is_late(queue, ref(sender=MANY))
    one.forget_served()
    assert not one.is_late(queue, ref(sender=MANY))
