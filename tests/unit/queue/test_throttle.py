"""Rates and limits: never above limit x 1.05 (G6), no loss of rate by late timers, leases exactly once."""

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.queue.settings import RateLimit
from mta.queue.throttle import Lately, Limit, Rate

limits = st.builds(RateLimit, st.floats(1, 20_000), st.sampled_from([1.0, 60.0, 3600.0]))
gaps = st.lists(st.floats(0, 0.3), min_size=1, max_size=300)


def taken(rate: Rate, now: float, most: int = 100_000) -> int:
    """How many of `most` it grants at once."""
    return next((number for number in range(most) if rate.take(now)), most)


def most_in_window(grants: list[float], width: float) -> int:
    """The greatest number of grants in any half-open window of `width`."""
    most = first = 0
    for last, at in enumerate(grants):
        while at - grants[first] >= width * (1 - 1e-9):
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(deadline=None)
@given(limits, gaps)
def test_no_window_holds_more_than_the_limit_and_five_percent(limit: RateLimit, gaps: list[float]) -> None:
    """G6: whenever and however greedily one asks, no window of the period gets more than count x 1.05."""
    rate = Rate(limit)
    now, grants = 500.0, []
    for gap in gaps:
        now += gap * limit.period_s
        while rate.take(now) == 0.0 and len(grants) < 3000:
            grants.append(now)
    assert most_in_window(grants, limit.period_s) <= max(ceil(limit.count), limit.count * 1.05 + 1e-6)


@settings(deadline=None)
@given(
    st.builds(RateLimit, st.floats(0.1, 2_000), st.sampled_from([1.0, 60.0])),
    st.lists(st.floats(0, 0.02), min_size=1, max_size=30),
    st.integers(0, 5),
)
def test_no_window_of_the_peer_holds_more_either(limit: RateLimit, ways: list[float], rest: int) -> None:
    """G6: some messages take up to 20 ms longer than others to whom they go; whoever asks does so all the time."""
    rate = Rate(limit)
    now, arrived = 500.0, []
    for number in range(int(2.2 * limit.count) + 3):
        if number == rest:
            now += limit.period_s  # a burst is possible
        now += rate.peek(now)
        now += 1e-9 * now if rate.peek(now) else 0.0
        assert rate.take(now) == 0.0
        arrived.append(now + ways[number % len(ways)])
    assert most_in_window(sorted(arrived), limit.period_s) <= max(
        ceil(limit.count), limit.count * 1.05 + 1e-6
    )


@settings(deadline=None)
@given(limits, st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.3)), min_size=2, max_size=30))
def test_who_begins_anew_knows_nothing_and_takes_no_more(
    limit: RateLimit, lives: list[tuple[int, float]]
) -> None:
    """G6: a daemon that is started again, however often, grants no more than one that lives on."""
    now, grants = 500.0, []
    for asks, rest in lives:
        rate = Rate(limit, used_until=now)
        for _ in range(asks):
            now += 1e-9 * now + (rate.peek(now) or -1e-9 * now)
            assert rate.take(now) == 0.0
            grants.append(now)
        now += rest * limit.period_s / limit.count
    assert most_in_window(grants, limit.period_s) <= max(ceil(limit.count), limit.count * 1.05 + 1e-6)


def test_what_was_used_before_is_paid_after_one_interval() -> None:
    """And no sooner; who comes later does not notice."""
    assert Rate(RateLimit(1, 60.0), used_until=500.0).peek(500.0) == pytest.approx(60.02)
    assert Rate(RateLimit(1, 60.0), used_until=500.0).peek(561.0) == 0.0
    assert Rate(RateLimit(6000, 60.0), used_until=500.0).peek(500.0) == pytest.approx(0.01)


@settings(deadline=None)
@given(limits, st.integers(0, 2000))
def test_who_waits_as_told_is_granted(limit: RateLimit, before: int) -> None:
    """The wait that a refusal names is enough, and `peek` says the same without granting."""
    rate = Rate(limit)
    now = 500.0
    taken(rate, now, before)
    wait = rate.peek(now)
    assert wait == rate.peek(now)
    if wait:
        assert rate.take(now) == wait
        assert rate.take(now + wait + 1e-9 * now) == 0.0
    else:
        assert rate.take(now) == 0.0


@pytest.mark.parametrize("per_second", [1, 100, 3_000, 10_000, 50_000])
def test_waiting_as_told_reaches_the_full_rate(per_second: int) -> None:
    """A caller that sleeps as told, woken up to a millisecond late, loses at most 2 % of the rate."""
    rate = Rate(RateLimit(per_second, 1.0))
    now, granted, asked = 500.0, 0, 0
    while now < 510.0:
        asked += 1
        got = taken(rate, now, 1000)
        granted += got
        if not got:
            now += rate.peek(now) + (0.001 if asked % 2 else 0.0)
    assert 0.98 * per_second * 10 <= granted <= 1.06 * per_second * 10


@pytest.mark.parametrize("per_second", [10_000, 100_000])
def test_a_high_rate_asks_for_few_wakeups(per_second: int) -> None:
    """Where grants come faster than timers fire, a refusal waits for several of them."""
    rate = Rate(RateLimit(per_second, 1.0))
    while rate.take(0.0) == 0.0:
        pass
    wait = rate.peek(0.0)
    assert wait >= 0.0009
    assert taken(rate, wait + 1e-9) >= int(0.0009 * per_second)


def test_after_a_pause_some_come_at_once() -> None:
    """No more than a late timer makes up for, however long the pause, then the even pace."""
    rate = Rate(RateLimit(1000, 1.0))
    assert taken(rate, 0.0) in (10, 11)
    assert taken(rate, 100.0) in (10, 11)
    assert 95 <= sum(taken(rate, 100.0 + at / 1000) for at in range(1, 101)) <= 101


def test_a_low_rate_grants_one_at_a_time() -> None:
    """10 per second have no burst: 5 % of ten is nothing. They come a little later than evenly: who is delayed on the
    way would make eleven of them at the peer."""
    rate = Rate(RateLimit(10, 1.0))
    assert rate.take(0.0) == 0.0
    assert rate.take(0.0) == pytest.approx(0.102)
    assert taken(rate, 0.1021) == 1


def test_a_rate_rests_when_all_it_granted_is_paid() -> None:
    """As long as a grant counts, it is not as if it were new."""
    rate = Rate(RateLimit(100, 1.0))
    assert rate.has_rested(0.0)
    assert taken(rate, 0.0, 2) == 2
    assert not rate.has_rested(0.019)
    assert rate.has_rested(0.021)


@pytest.mark.parametrize(
    ("count", "period_s"), [(0, 1.0), (-1, 1.0), (1, 0.0), (float("inf"), 1.0), (float("nan"), 1.0)]
)
def test_a_rate_needs_positive_numbers(count: float, period_s: float) -> None:
    """Nothing per time is a suspension, not a rate."""
    with pytest.raises(ValueError, match="rate"):
        Rate(RateLimit(count, period_s))


def test_leases_count_what_is_in_use() -> None:
    """A limit gives what it has, and what comes back can be given again."""
    limit = Limit(2)
    first, second = limit.acquire(), limit.acquire()
    assert first is not None
    assert second is not None
    assert limit.acquire() is None
    assert (limit.in_use, limit.free) == (2, 0)
    first.release()
    assert (limit.in_use, limit.free) == (1, 1)
    assert limit.acquire() is not None


def test_a_lease_comes_back_once() -> None:
    """A second release is a bug that must not free someone else's unit."""
    limit = Limit(1)
    lease = limit.acquire()
    assert lease is not None
    lease.release()
    with pytest.raises(RuntimeError, match="twice"):
        lease.release()
    assert limit.in_use == 0


def test_a_limit_may_shrink_below_its_use() -> None:
    """After a cut nothing is granted until enough leases came back."""
    limit = Limit(3)
    leases = [limit.acquire() for _ in range(3)]
    limit.resize(1)
    assert limit.free == 0
    for lease in leases[:2]:
        assert lease is not None
        lease.release()
    assert limit.acquire() is None
    assert leases[2] is not None
    leases[2].release()
    assert limit.acquire() is not None


def test_a_limit_is_not_negative() -> None:
    """Zero closes; less is nonsense."""
    assert Limit(0).acquire() is None
    with pytest.raises(ValueError, match="negative"):
        Limit(-1)
    with pytest.raises(ValueError, match="negative"):
        Limit(1).resize(-2)


def test_lately_is_about_half_a_second() -> None:
    """What was noted counts in its quarter and the next, and is forgotten after a pause."""
    sent = Lately(0.0)
    for _ in range(5):
        sent.note()
    assert sent.count(0.2) == 5
    assert sent.count(0.3) == 5
    sent.note()
    assert sent.count(0.4) == 6
    assert sent.count(0.6) == 1
    assert sent.count(2.0) == 0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.5, 500), st.lists(st.floats(0, 0.2), min_size=1, max_size=40)),
        min_size=2,
        max_size=8,
    )
)
def test_a_rate_that_changes_stays_below_the_greatest(course: list[tuple[float, list[float]]]) -> None:
    """G6: however it is retuned, no window holds more than the greatest limit in effect in it, plus 5 %."""
    rate = Rate(RateLimit(course[0][0], 1.0))
    now, grants, reigns = 500.0, [], []
    for count, gaps in course:
        rate.retune(RateLimit(count, 1.0), now)
        reigns.append((now, count))
        for gap in gaps:
            now += gap
            while rate.take(now) == 0.0 and len(grants) < 4000:
                grants.append(now)
    for place, at in enumerate(grants):
        inside = [other for other in grants[place:] if other < at + 1.0 - 1e-9]
        ends = [start for start, _ in reigns[1:]] + [float("inf")]
        greatest = max(
            count
            for (start, count), end in zip(reigns, ends, strict=True)
            if start <= inside[-1] and end >= at
        )
        assert len(inside) <= max(ceil(greatest), greatest * 1.05) + 1e-6


def test_retuning_gives_no_burst() -> None:
    """Retuned at every moment to about the same, it grants no more than before."""
    rate = Rate(RateLimit(100, 1.0))
    now, granted = 500.0, 0
    for step in range(2000):
        rate.retune(RateLimit(100 + step % 2, 1.0), now)
        granted += rate.take(now) == 0.0
        now += 0.001
    assert granted <= 2 * 101 * 1.05


@pytest.mark.parametrize("count", [0.1, 0.47, 1.0, 20.0])
def test_retuning_to_the_same_price_costs_no_grant(count: float) -> None:
    """A slow rate that is retuned each second goes as fast as it says, and no faster."""
    rate = Rate(RateLimit(count, 1.0))
    now, granted = 500.0, 0
    while now < 600.0:
        rate.retune(RateLimit(count * (1 + 1e-6 * (int(now) % 2)), 1.0), now)
        granted += rate.take(now) == 0.0
        now += 0.01
    assert 100 * count * 0.8 - 1 <= granted <= 100 * count + 1


def test_a_faster_rate_does_not_wait_for_the_slow_one() -> None:
    """One an hour, then a hundred a second: what was granted counts for a second of the new limit at most."""
    rate = Rate(RateLimit(1, 3600.0))
    assert rate.take(500.0) == 0.0
    assert rate.peek(500.0) > 3000
    rate.retune(RateLimit(100, 1.0), 500.0)
    assert rate.peek(500.0) <= 1.0


def test_a_rate_is_retuned_to_sense_only() -> None:
    """As when it is made."""
    with pytest.raises(ValueError, match="positive"):
        Rate(RateLimit(1, 1.0)).retune(RateLimit(0, 1.0), 500.0)
