"""Retries on a simulated clock: S-10, greylisting, long delays, and the end."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.outcome import GREYLIST, RETRY_LONG
from mta.queue.schedule import Expire, RetryAt, end_of_life, next_due
from mta.queue.settings import RetrySchedule, RetrySettings

SETTINGS = RetrySettings()
HOUR = 3600.0
START = 1_800_000_000.0


def due(
    *actions: str,
    attempt: int = 1,
    now: float = START,
    schedule: RetrySchedule = SETTINGS.bulk,
    expires_at: float | None = None,
    rng: float = 0.5,
) -> RetryAt | Expire:
    return next_due(
        schedule,
        attempt=attempt,
        queued_at=START,
        now=now,
        jitter=SETTINGS.jitter,
        rng=lambda: rng,
        actions=actions or ("retry",),
        greylist_s=SETTINGS.greylist_s,
        expires_at=expires_at,
    )


def attempts_of(
    schedule: RetrySchedule, rng: Random, expires_at: float | None = None
) -> tuple[list[float], float]:
    """The times, after queueing, of all attempts of a message that is always deferred, and its expiry."""
    now, made = START, [0.0]
    while True:
        match next_due(
            schedule,
            attempt=len(made),
            queued_at=START,
            now=now,
            jitter=0.2,
            rng=rng.random,
            actions=("retry",),
            greylist_s=600.0,
            expires_at=expires_at,
        ):
            case RetryAt(at=at):
                now = at
                made.append(at - START)
            case Expire(at=at):
                return made, at - START


@pytest.mark.parametrize("seed", range(20))
def test_bulk_is_tried_for_three_days(seed: int) -> None:
    """S-10: two attempts in the first hour, growing gaps within the jitter, four hours at the end, expiry at
    72 h."""
    made, expiry = attempts_of(SETTINGS.bulk, Random(seed))
    gaps = [later - earlier for earlier, later in pairwise(made)]
    nominal = [*SETTINGS.bulk.delays_s, *[4 * HOUR] * 100]
    assert sum(1 for at in made if at < HOUR) >= 2
    assert all(0.8 * want - 1 <= gap <= 1.2 * want + 1 for gap, want in zip(gaps, nominal, strict=False))
    assert all(at < 72 * HOUR for at in made)
    assert expiry == 72 * HOUR
    assert 18 <= len(made) <= 27


def test_transactional_is_tried_for_five_days() -> None:
    """S-10: the transactional lane gives up within the 4 to 5 days of the RFC."""
    made, expiry = attempts_of(SETTINGS.transactional, Random(1))
    assert sum(1 for at in made if at < HOUR) >= 4
    assert expiry == 120 * HOUR


def test_what_the_sender_said_wins() -> None:
    """`expires_at` ends it on time, sooner or later than the age of the schedule."""
    made, expiry = attempts_of(SETTINGS.bulk, Random(1), START + 2 * HOUR)
    assert expiry == 2 * HOUR
    assert made[-1] < 2 * HOUR
    _, later = attempts_of(SETTINGS.bulk, Random(1), START + 100 * HOUR)
    assert later == 100 * HOUR
    assert end_of_life(SETTINGS.bulk, START, None) == START + 72 * HOUR


def test_the_schedule_goes_by_attempts_made() -> None:
    """Attempt after attempt the next row holds, and the last one repeats."""
    assert [due(attempt=attempt) for attempt in (1, 2, 3, 6, 7, 40)] == [
        RetryAt(START + delay) for delay in (300.0, 900.0, 1800.0, 14400.0, 14400.0, 14400.0)
    ]


def test_jitter_goes_both_ways() -> None:
    """±20 % of the delay, by the chance given."""
    assert due(rng=0.0) == RetryAt(START + 240.0)
    assert due(rng=1.0 - 1e-12) == RetryAt(pytest.approx(START + 360.0))


@pytest.mark.parametrize("rng", [0.0, 0.25, 0.5, 0.75, 0.999])
def test_greylisting_waits_its_time_at_the_same_source(rng: float) -> None:
    """Ten to twelve minutes, never less, and from the address that was greylisted."""
    retry = due(GREYLIST, rng=rng)
    assert isinstance(retry, RetryAt)
    assert retry.keep_source
    assert 600.0 <= retry.at - START <= 720.0


def test_endless_greylisting_falls_back_to_the_schedule() -> None:
    """Who greylists the third time too is not asked every ten minutes for days."""
    assert due(GREYLIST, attempt=2) == RetryAt(START + 600.0, True)
    assert due(GREYLIST, attempt=6) == RetryAt(START + 14400.0, True)


@pytest.mark.parametrize("beside", [(), ("pause_stream", "alert")])
def test_some_wait_for_hours(beside: tuple[str, ...]) -> None:
    """Action RL, whatever else is to be done: a full mailbox is not emptied in five minutes."""
    assert due(RETRY_LONG, *beside) == RetryAt(START + 4 * HOUR)
    assert due(RETRY_LONG, *beside, attempt=6) == RetryAt(START + 4 * HOUR)


def test_a_short_life_is_not_spent_waiting() -> None:
    """Mail that would not live for the long delay is tried at the usual time instead."""
    retry = due(RETRY_LONG, expires_at=START + 600.0)
    assert retry == RetryAt(START + 300.0)


def test_what_would_be_due_too_late_expires_on_time() -> None:
    """Neither an early bounce nor an attempt after the end: the recipient waits and expires at the end."""
    assert due(attempt=2, expires_at=START + 600.0) == Expire(START + 600.0)
    assert due(attempt=2, expires_at=START + 900.0) == Expire(START + 900.0)
    assert due(attempt=2, expires_at=START + 901.0) == RetryAt(START + 900.0)
    assert due(now=START + 100 * HOUR) == Expire(START + 72 * HOUR)


@settings(deadline=None)
@given(
    st.sampled_from(["retry", RETRY_LONG, GREYLIST, "fail"]),
    st.integers(0, 200),
    st.floats(0, 200 * HOUR),
    st.floats(0, 130 * HOUR) | st.none(),
    st.floats(0, 1, exclude_max=True),
)
def test_nothing_is_due_after_the_end(
    action: str, attempt: int, waited: float, life: float | None, rng: float
) -> None:
    """Whatever the action and the state, a retry lies ahead of now and before the end."""
    expires_at = None if life is None else START + life
    end = end_of_life(SETTINGS.bulk, START, expires_at)
    match due(action, attempt=attempt, now=START + waited, expires_at=expires_at, rng=rng):
        case RetryAt(at=at):
            assert START + waited + 239 < at < end
        case Expire(at=at):
            assert at == end
