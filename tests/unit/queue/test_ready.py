"""Whose turn it is: lanes, campaigns, and what is no longer wanted."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.lane import Lane
from mta.queue.ready import ReadyQueue

BULK, TRANSACTIONAL = Lane.BULK, Lane.TRANSACTIONAL


def fill(queue: ReadyQueue[str], lane: Lane, **counts: int) -> ReadyQueue[str]:
    for key, count in counts.items():
        for number in range(count):
            queue.put(f"{key}{number}", lane, key)
    return queue


def filled(lane: Lane = BULK, **counts: int) -> ReadyQueue[str]:
    return fill(ReadyQueue(), lane, **counts)


def test_one_campaign_keeps_its_order() -> None:
    """First in, first out within a key."""
    queue = filled(a=5)
    assert queue.take(2, BULK) == ["a0", "a1"]
    queue.put("a5", BULK, "a")
    assert queue.take(9, BULK) == ["a2", "a3", "a4", "a5"]
    assert queue.take(1, BULK) == []


def test_campaigns_take_turns_of_a_quantum() -> None:
    """Eight of one, eight of the next, and a turn cut short goes on at the next take."""
    queue = filled(a=20, b=20)
    first = queue.take(5, BULK) + queue.take(5, BULK) + queue.take(10, BULK)
    assert [ref[0] for ref in first] == ["a"] * 8 + ["b"] * 8 + ["a"] * 4


def test_a_late_small_campaign_waits_for_one_turn_only() -> None:
    """G4: a hundred messages behind a million are not behind a million."""
    queue = filled(a=10_000)
    queue.take(16, BULK)
    fill(queue, BULK, b=4)
    assert sum(1 for ref in queue.take(16, BULK) if ref[0] == "b") == 4


def test_transactional_keys_take_turns_one_by_one() -> None:
    """Tenants of the transactional lane alternate."""
    queue = filled(TRANSACTIONAL, a=3, b=2, c=1)
    assert queue.take(6, TRANSACTIONAL) == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_a_lane_is_taken_from_by_itself() -> None:
    """What waits in the other lane is not touched."""
    queue = fill(filled(b=3), TRANSACTIONAL, t=2)
    assert queue.take(9, TRANSACTIONAL) == ["t0", "t1"]
    assert (queue.count(TRANSACTIONAL), queue.count(BULK), len(queue)) == (0, 3, 3)


def test_what_is_not_wanted_is_dropped_in_its_turn() -> None:
    """A cancelled campaign is not searched for; a take still comes back full."""
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


operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(list(Lane)), st.sampled_from("abc"), st.integers(1, 30)),
        st.tuples(st.just("take"), st.sampled_from(list(Lane)), st.integers(1, 40)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(operations)
def test_nothing_is_lost_doubled_or_reordered(operations: list[tuple[object, ...]]) -> None:
    """Whatever is done: each reference comes out once, in order within its lane and key, and counts agree."""
    queue: ReadyQueue[tuple[Lane, str, int]] = ReadyQueue()
    put: Counter[tuple[Lane, str]] = Counter()
    out: Counter[tuple[Lane, str]] = Counter()

    def waiting(lane: Lane) -> int:
        return sum(put[lane, key] - out[lane, key] for key in "abc")

    def came(refs: list[tuple[Lane, str, int]]) -> None:
        for lane, key, number in refs:
            assert number == out[lane, key]
            out[lane, key] += 1

    for operation in operations:
        match operation:
            case ("put", Lane() as lane, str() as key, int() as count):
                for _ in range(count):
                    queue.put((lane, key, put[lane, key]), lane, key)
                    put[lane, key] += 1
            case ("take", Lane() as lane, int() as most):
                expected = min(most, waiting(lane))
                taken = queue.take(most, lane)
                assert len(taken) == expected
                came(taken)
        assert [queue.count(lane) for lane in Lane] == [waiting(lane) for lane in Lane]
    for lane in Lane:
        came(queue.drain(lane))
    assert out.total() == put.total()
