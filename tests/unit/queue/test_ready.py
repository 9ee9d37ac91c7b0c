"""Whose turn it is: tenants, their campaigns, what large messages cost, and what is no longer wanted."""

import gc
from collections import Counter, deque
from types import FunctionType, ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.lane import Lane
from mta.model.sender import Sender
from mta.queue.ready import ReadyQueue
from mta.queue.settings import Fairness

BULK, TRANSACTIONAL = Lane.BULK, Lane.TRANSACTIONAL
QUANTUM = 8


def fill(queue: ReadyQueue[str], lane: Lane, **counts: int) -> ReadyQueue[str]:
    """`a__x=3`: three of campaign x of tenant a."""
    for key, count in counts.items():
        tenant, _, campaign = key.partition("__")
        for number in range(count):
            queue.put(f"{key}{number}", lane, Sender(tenant, campaign))
    return queue


def filled(lane: Lane = BULK, **counts: int) -> ReadyQueue[str]:
    return fill(ReadyQueue(), lane, **counts)


def test_one_campaign_keeps_its_order() -> None:
    """First in, first out within a campaign."""
    queue = filled(a=5)
    assert queue.take(2, BULK) == ["a0", "a1"]
    queue.put("a5", BULK, Sender("a"))
    assert queue.take(9, BULK) == ["a2", "a3", "a4", "a5"]
    assert queue.take(1, BULK) == []


@pytest.mark.parametrize("names", [("a", "b"), ("t__a", "t__b")])
def test_turns_are_worth_a_quantum(names: tuple[str, str]) -> None:
    """Eight of one tenant or campaign, eight of the next; a turn cut short goes on at the next take."""
    first, second = names
    queue = filled(**{first: 20, second: 20})
    taken = queue.take(5, BULK) + queue.take(5, BULK) + queue.take(10, BULK)
    assert [ref.rstrip("0123456789") for ref in taken] == [first] * 8 + [second] * 8 + [first] * 4


def test_many_campaigns_are_not_many_turns() -> None:
    """A tenant with ten campaigns has the turns of one tenant."""
    queue = fill(filled(b=400), BULK, **{f"a__c{number}": 100 for number in range(10)})
    taken = Counter(ref[0] for ref in queue.take(320, BULK))
    assert taken == {"a": 160, "b": 160}


def test_weights_are_kept() -> None:
    """A tenant of weight 3 has three times the turns."""
    queue = fill(ReadyQueue(fair=Fairness(weights={"a": 3})), BULK, a=400, b=400)
    assert Counter(ref[0] for ref in queue.take(320, BULK)) == {"a": 240, "b": 80}


def test_large_messages_take_more_of_a_turn() -> None:
    """Seventeen slots a message: the other has seventeen messages for each."""
    queue: ReadyQueue[str] = ReadyQueue(slots=lambda ref: 17 if ref[0] == "a" else 1)
    fill(queue, BULK, a=100, b=1700)
    taken = Counter(ref[0] for ref in queue.take(900, BULK))
    assert abs(taken["a"] - 50) <= 2


def test_large_messages_of_a_campaign_take_more_of_its_turn() -> None:
    """The same between campaigns of one tenant: a turn that ends in debt is shorter next time."""
    queue: ReadyQueue[str] = ReadyQueue(slots=lambda ref: 17 if ref[3] == "x" else 1)
    fill(queue, BULK, t__x=100, t__y=1700)
    taken = Counter(ref[3] for ref in queue.take(900, BULK))
    assert abs(taken["x"] - 50) <= 2


def test_who_is_alone_owes_nobody() -> None:
    """Large messages sent while nobody else waited are not paid for when somebody comes."""
    queue: ReadyQueue[str] = ReadyQueue(slots=lambda ref: 400 if ref[0] == "a" else 1)
    fill(queue, BULK, a=20)
    queue.take(10, BULK)
    fill(queue, BULK, b=20)
    assert "a" in {ref[0] for ref in queue.take(2 * QUANTUM, BULK)}


def test_a_late_small_tenant_waits_for_one_turn_only() -> None:
    """G4: a hundred messages behind a million are not behind a million."""
    queue = filled(a=10_000)
    queue.take(16, BULK)
    fill(queue, BULK, b=4)
    assert sum(1 for ref in queue.take(16, BULK) if ref[0] == "b") == 4


def test_transactional_tenants_take_turns_one_by_one() -> None:
    """They alternate, and so do the campaigns of one."""
    assert filled(TRANSACTIONAL, a=3, b=2, c=1).take(6, TRANSACTIONAL) == ["a0", "b0", "c0", "a1", "b1", "a2"]
    assert filled(TRANSACTIONAL, a__x=2, a__y=2).take(3, TRANSACTIONAL) == ["a__x0", "a__y0", "a__x1"]


def test_a_lane_is_taken_from_by_itself() -> None:
    """What waits in the other lane is not touched."""
    queue = fill(filled(b=3), TRANSACTIONAL, t=2)
    assert queue.take(9, TRANSACTIONAL) == ["t0", "t1"]
    assert (queue.count(TRANSACTIONAL), queue.count(BULK), len(queue)) == (0, 3, 3)


def test_what_is_not_wanted_is_dropped_in_its_turn() -> None:
    """A cancelled campaign is not searched for; a take still comes back full, and nobody paid for it."""
    cancelled: set[str] = set()
    queue = fill(ReadyQueue(lambda ref: ref[0] not in cancelled), BULK, a=50, b=50)
    cancelled.add("a")
    assert queue.take(20, BULK) == [f"b{number}" for number in range(20)]
    assert queue.drain(BULK) == [f"b{number}" for number in range(20, 50)]
    assert len(queue) == 0


def test_drain_gives_a_whole_lane() -> None:
    """Parking takes everything of a lane at once."""
    queue = fill(filled(a=20, b=3), TRANSACTIONAL, t=2)
    assert len(queue.drain(BULK)) == 23
    assert (queue.count(BULK), queue.count(TRANSACTIONAL)) == (0, 2)


def test_what_was_not_used_is_first_of_its_campaign() -> None:
    """In its tenant's turn, and where nothing else waits, too."""
    queue = filled(a=3)
    (first,) = queue.take(1, BULK)
    queue.put_back(first, BULK, Sender("a"))
    assert queue.drain(BULK) == ["a0", "a1", "a2"]
    queue.put_back("a1", TRANSACTIONAL, Sender("a"))
    queue.put("b0", BULK, Sender("b"))
    assert sorted(queue) == ["a1", "b0"]


def test_ahead_is_what_is_taken_before() -> None:
    """Who has little waiting does not stand behind all of who has much, be it a tenant or a campaign."""
    queue = filled(a__x=1000, a__y=10, b=20)
    assert queue.ahead(BULK, Sender("c")) == queue.ahead(BULK, Sender("a", "z")) == 0
    assert queue.ahead(BULK, Sender("b")) == 40
    assert queue.ahead(BULK, Sender("a", "y")) == 40
    assert queue.ahead(BULK, Sender("a", "x")) == 1030
    assert queue.ahead(TRANSACTIONAL, Sender("a", "x")) == 0
    fill(queue, TRANSACTIONAL, a=3)
    assert queue.ahead(BULK, Sender("c")) == 3


def test_who_is_gone_is_not_ahead() -> None:
    """A tenant whose last reference was taken has no turns any more."""
    queue = filled(a=1, b=5, c=40)
    queue.take(14, BULK)
    assert queue.count(BULK) == 32
    fill(queue, BULK, b=5)
    assert queue.ahead(BULK, Sender("b")) == 10


def test_nothing_waiting_costs_nothing() -> None:
    """G3: of all tenants and campaigns that a queue has served it keeps the line of the last one, for the next."""
    queue: ReadyQueue[str] = ReadyQueue(slots=lambda ref: 3)
    for number in range(100):
        fill(queue, BULK, **{f"t{number}__{campaign}": 9 for campaign in "xyz"})
    assert lines(queue) == 300
    assert len(queue.drain(BULK)) == 2700
    assert lines(queue) == 1


def lines(queue: ReadyQueue[str]) -> int:
    """How many campaigns have one, wherever it is kept."""
    found: dict[int, object] = {}
    seen: list[object] = [queue]
    while seen:
        for one in gc.get_referents(seen.pop()):
            if id(one) not in found and not isinstance(one, type | ModuleType | FunctionType):
                found[id(one)] = one
                seen.append(one)
    return sum(isinstance(one, deque) for one in found.values())


def test_who_was_kept_is_as_if_he_had_just_come() -> None:
    """Whether he comes again, with another campaign, or somebody else does: nothing of before is owed or counted."""
    queue: ReadyQueue[str] = ReadyQueue(slots=lambda ref: 20)
    fill(queue, BULK, a__x=1)
    assert queue.drain(BULK) == ["a__x0"]
    fill(queue, BULK, a__y=2, b=2)
    assert queue.ahead(BULK, Sender("a", "x")) == 0
    assert queue.ahead(BULK, Sender("b")) == 4
    assert queue.take(4, BULK) == ["a__y0", "b0", "a__y1", "b1"]
    fill(queue, BULK, c=1)
    assert queue.ahead(BULK, Sender("c")) == 1
    assert queue.drain(BULK) == ["c0"]


Put = tuple[str, str, int]
costs = st.sampled_from([1, 1, 1, 2, 5, 17, 40])


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 5), costs), min_size=2),
    st.lists(st.integers(1, 60), min_size=2, max_size=12),
    st.data(),
)
def test_shares_are_within_one_turn(
    tenants: dict[str, tuple[int, int]], takes: list[int], data: st.DataObject
) -> None:
    """While all wait: in any window of what is taken, two tenants differ by a quantum, weighted, and the debt of one
    message each at either end."""
    weights = {name: weight for name, (weight, _) in tenants.items()}
    queue: ReadyQueue[str] = ReadyQueue(slots=lambda ref: tenants[ref][1], fair=Fairness(weights=weights))
    for name in tenants:
        for _ in range(sum(takes)):
            queue.put(name, BULK, Sender(name))
    taken = [ref for most in takes for ref in queue.take(most, BULK)]
    assert len(taken) == sum(takes)
    start = data.draw(st.integers(0, len(taken)))
    window = taken[start : data.draw(st.integers(start, len(taken)))]
    served = Counter(window)
    given_to = {name: served[name] * cost / weight for name, (weight, cost) in tenants.items()}
    for one, (one_weight, one_cost) in tenants.items():
        for other, (weight, cost) in tenants.items():
            bound = QUANTUM + one_cost / one_weight + cost / weight
            assert abs(given_to[one] - given_to[other]) <= bound


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("vwxyz"), costs, min_size=2), st.integers(10, 300))
def test_campaigns_share_what_their_tenant_has(campaigns: dict[str, int], most: int) -> None:
    """The same between campaigns, beside another tenant, whose half stays his."""
    queue: ReadyQueue[Put] = ReadyQueue(slots=lambda ref: ref[2])
    for campaign, cost in campaigns.items():
        for _ in range(most):
            queue.put(("a", campaign, cost), BULK, Sender("a", campaign))
    for _ in range(2 * most):
        queue.put(("b", "", 1), BULK, Sender("b"))
    given_to: Counter[str] = Counter()
    for tenant, campaign, cost in queue.take(most, BULK):
        given_to[tenant + campaign] += cost
    largest = max(campaigns.values())
    of_campaigns = [given_to["a" + campaign] for campaign in campaigns]
    assert max(of_campaigns) - min(of_campaigns) <= 2 * QUANTUM + 2 * largest
    assert abs(sum(of_campaigns) - given_to["b"]) <= QUANTUM + largest + 1


keys = st.tuples(st.sampled_from("abc"), st.sampled_from("xy"))
operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(list(Lane)), keys, st.integers(1, 30), costs),
        st.tuples(st.just("take"), st.sampled_from(list(Lane)), st.integers(1, 40)),
        st.tuples(st.just("unwanted"), st.sampled_from(list(Lane)), keys),
    ),
    max_size=60,
)
Ref = tuple[Lane, tuple[str, str], int, int]


@settings(deadline=None)
@given(operations)
def test_nothing_is_lost_doubled_or_reordered(operations: list[tuple[object, ...]]) -> None:
    """Whatever is done: each reference comes out once, in order within its lane and campaign; a take is full while
    there is something (work-conserving), and counts agree."""
    dropped: set[Ref] = set()
    waiting: dict[tuple[Lane, tuple[str, str]], list[Ref]] = {}
    queue: ReadyQueue[Ref] = ReadyQueue(lambda ref: ref not in dropped, lambda ref: ref[3])

    def wanted(lane: Lane) -> int:
        return sum(ref not in dropped for (of, _), line in waiting.items() if of is lane for ref in line)

    def came(refs: list[Ref]) -> None:
        for ref in refs:
            line = waiting[ref[:2]]
            while line[0] in dropped:
                line.pop(0)
            assert line.pop(0) == ref

    number = 0
    for operation in operations:
        match operation:
            case ("put", Lane() as lane, (str(), str()) as key, int() as count, int() as cost):
                for _ in range(count):
                    number += 1
                    ref = (lane, key, number, cost)
                    queue.put(ref, lane, Sender(*key))
                    waiting.setdefault((lane, key), []).append(ref)
            case ("take", Lane() as lane, int() as most):
                expected = min(most, wanted(lane))
                taken = queue.take(most, lane)
                assert len(taken) == expected
                came(taken)
            case ("unwanted", Lane() as lane, (str(), str()) as key):
                dropped.update(waiting.get((lane, key), ()))
        for lane in Lane:
            assert queue.count(lane) >= wanted(lane)
    for lane in Lane:
        came(queue.drain(lane))
        assert wanted(lane) == queue.count(lane) == 0
