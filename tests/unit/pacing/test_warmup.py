"""`mta.pacing.warmup`."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mta.pacing.rules import SourceWarmup, WarmupPlan
from mta.pacing.warmup import (
    Need,
    Progress,
    Room,
    Warmups,
    WarmupState,
    cap_of,
    day_of,
    decode_state,
    encode_state,
    grant,
    next_day_at,
)

DAY_S = 86_400.0
NOON = 1_764_158_400.0  # 2025-11-26 12:00 UTC
TODAY, TOMORROW = "2025-11-26", "2025-11-27"
PLAN = WarmupPlan("default", (10, 100, 1_000))
ONLY_GOOGLE = {"a1": SourceWarmup(PLAN, ("google",))}
KEY = "warmup.a1.google"
MOVES = ["send", "send", "send", "park", "day", "crash"]


class Bucket:
    """What MTA_CONTROL would hold, and nodes that draw on it at once."""

    def __init__(self, plan: WarmupPlan = PLAN) -> None:
        self.plan = plan
        self.state = WarmupState()

    def ask(self, warmups: Warmups, now: float) -> None:
        need = warmups.need("a1", "google", now)
        if need is not None:
            self.state, units = grant(self.state, self.plan, need)
            warmups.granted(need, self.state, units)

    def send(self, warmups: Warmups, now: float) -> bool:
        """One more, if there is room."""
        self.ask(warmups, now)
        return warmups.room("a1", "google", now) is Room.TAKEN


def warming() -> Warmups:
    return Warmups({"a1": SourceWarmup(PLAN)})


def test_days_are_utc() -> None:
    """From midnight to midnight."""
    assert day_of(NOON) == TODAY
    assert day_of(NOON + 12 * 3600.0 - 1.0) == TODAY
    assert day_of(next_day_at(NOON)) == TOMORROW
    assert next_day_at(NOON) == NOON + 12 * 3600.0


def test_who_is_not_warmed_up_is_free() -> None:
    """Another source, or another provider than the plan is for."""
    warmups = Warmups(ONLY_GOOGLE)
    assert warmups.room("a2", "google", NOON) is Room.FREE
    assert warmups.room("a1", "yahoo", NOON) is Room.FREE
    assert warmups.room("a1", "google", NOON) is Room.ASKING
    assert warmups.need("a1", "yahoo", NOON) is None


def test_a_day_ends_at_its_cap_and_the_next_has_a_greater_one() -> None:
    """10, then 100, then 1000, and after the last day the source is warm."""
    warmups, bucket = warming(), Bucket()
    for day, cap in enumerate(PLAN.steps):
        now = NOON + day * DAY_S
        assert sum(bucket.send(warmups, now) for _ in range(cap + 50)) == cap
        assert warmups.room("a1", "google", now) is Room.SPENT
    now = NOON + 3 * DAY_S
    assert warmups.room("a1", "google", now) is Room.FREE
    assert warmups.need("a1", "google", now) is None


def test_a_day_without_mail_does_not_count() -> None:
    """The plan stands still over a weekend."""
    warmups, bucket = warming(), Bucket()
    assert bucket.send(warmups, NOON)
    assert bucket.send(warmups, NOON + 5 * DAY_S)
    assert cap_of(PLAN, bucket.state) == 100
    assert bucket.state.began == TODAY


def test_what_did_not_go_is_given_back() -> None:
    """A unit for mail that was parked serves another, but only on its own day."""
    warmups, bucket = warming(), Bucket()
    for _ in range(10):
        assert bucket.send(warmups, NOON)
    assert not bucket.send(warmups, NOON)
    warmups.give_back("a1", "google", NOON)
    assert warmups.room("a1", "google", NOON) is Room.TAKEN
    warmups.give_back("a1", "google", NOON + DAY_S)
    assert warmups.room("a1", "google", NOON + DAY_S) is Room.ASKING
    warmups.give_back("nobody", "google", NOON)


def test_a_node_that_stops_returns_what_it_has() -> None:
    """Taken and not spent: the others may use it."""
    warmups, bucket = (
        Warmups({"a1": SourceWarmup(WarmupPlan("p", (1_000,)))}),
        Bucket(WarmupPlan("p", (1_000,))),
    )
    assert bucket.send(warmups, NOON)
    assert bucket.state.taken == 20
    (surplus,) = warmups.surplus(NOON)
    assert surplus == Need("a1", "google", TODAY, -19)
    bucket.state, units = grant(bucket.state, bucket.plan, surplus)
    warmups.granted(surplus, bucket.state, units)
    assert bucket.state.taken == 1
    assert warmups.surplus(NOON) == []


def test_units_are_asked_for_before_the_last_is_spent() -> None:
    """So nobody but the first of a day waits for an answer."""
    plan = WarmupPlan("p", (10_000,))
    warmups, bucket = Warmups({"a1": SourceWarmup(plan)}), Bucket(plan)
    bucket.ask(warmups, NOON)
    for _ in range(9_900):
        assert warmups.room("a1", "google", NOON) is Room.TAKEN
        bucket.ask(warmups, NOON)


def test_a_clock_that_is_behind_draws_on_the_day_that_has_begun() -> None:
    """Two hosts around midnight do not each have a cap of their own."""
    ahead, behind, bucket = warming(), warming(), Bucket()
    midnight = next_day_at(NOON)
    assert bucket.send(ahead, midnight + 1.0)
    behind.apply(KEY, encode_state(bucket.state))
    sent = sum(bucket.send(behind, midnight - 1.0) for _ in range(50))
    assert sent == 9
    assert bucket.state.day == TOMORROW


def test_the_bucket_is_followed() -> None:
    """What other nodes took is known; keys that are none of ours, or cannot be read, do no harm."""
    warmups = warming()
    assert warmups.apply(KEY, encode_state(WarmupState(1, TODAY, 100, TODAY))) == ("a1", "google")
    assert warmups.room("a1", "google", NOON) is Room.SPENT
    assert warmups.apply(KEY, None) == ("a1", "google")
    assert warmups.room("a1", "google", NOON) is Room.ASKING
    for key in ("pause.tenant.acme", "warmup.a1", "warmup.stranger.google", "warmup.=FF=GG.google"):
        assert warmups.apply(key, b"{}") is None
    for value in (b"\xff", b'{"step":-1}', b'{"taken":-5}', b"[]"):
        assert decode_state(value) == WarmupState()


def test_progress_is_told() -> None:
    """Where each source stands at each provider, as long as the plan lasts and after it."""
    warmups = warming()
    assert warmups.progress(NOON) == []
    warmups.apply(KEY, encode_state(WarmupState(1, TODAY, 40, TODAY)))
    assert warmups.progress(NOON) == [Progress("a1", "google", "default", 2, 3, 100, 40, TODAY)]
    warmups.apply(KEY, encode_state(WarmupState(3, TODAY, 0, TODAY)))
    assert warmups.progress(NOON) == [Progress("a1", "google", "default", 3, 3, None, 0, TODAY)]


@settings(max_examples=100, deadline=None)
@given(
    caps=st.lists(st.integers(1, 3_000), min_size=1, max_size=4),
    moves=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(MOVES),
            st.integers(1, 200),
        ),
        max_size=60,
    ),
)
def test_no_day_has_more_than_its_cap(caps: list[int], moves: list[tuple[int, str, int]]) -> None:
    """Whoever draws, parks, crashes or comes late: over all nodes no day's mail passes that day's cap."""
    plan = WarmupPlan("p", tuple(caps))
    bucket = Bucket(plan)
    nodes = [Warmups({"a1": SourceWarmup(plan)}) for _ in range(3)]
    now, sent = NOON, 0
    for number, what, count in moves:
        match what:
            case "day":
                now, sent = now + DAY_S, 0
            case "crash":
                nodes[number] = Warmups({"a1": SourceWarmup(plan)})
            case "park" if sent:
                nodes[number].give_back("a1", "google", now)
                sent -= 1
            case _:
                for _ in range(count):
                    sent += bucket.send(nodes[number], now)
        cap = cap_of(plan, bucket.state.at(day_of(now)))
        assert cap is None or sent <= cap
