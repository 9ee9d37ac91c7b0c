"""When a deferred recipient is tried again (S-10), and when no more.

Invariants: a retry is never due at or after the end of the recipient's life, which is `expires_at` where the
payload has one and else `max_age_s` after it was first queued; what would be due later expires *at* that end,
neither before (the sender was promised the time) nor after. No last try is squeezed in just before it: it
would meet the same peer a few minutes after the schedule chose to wait for hours. All times are seconds since
the epoch; chance is an argument.
"""

from collections.abc import Callable

from msgspec import Struct

from mta.model.outcome import GREYLIST, RETRY_LONG
from mta.queue.settings import RetrySchedule

_LONG_DELAY_S = 4 * 3600.0  # a full mailbox or a limit per mailbox is not better in minutes
_GREYLIST_TRIES = 2  # who still greylists a known triplet is not waiting for its first retry


class RetryAt(Struct, frozen=True, gc=False):
    """`keep_source`: greylisting knows us by address, so the next attempt must come from the same source."""

    at: float
    keep_source: bool = False


class Expire(Struct, frozen=True, gc=False):
    """No further attempt; the `expired` event is due at `at`, which may be past already."""

    at: float


def next_due(
    schedule: RetrySchedule,
    *,
    attempt: int,
    queued_at: float,
    now: float,
    jitter: float,
    rng: Callable[[], float],
    actions: tuple[str, ...],
    greylist_s: float,
    expires_at: float | None,
) -> RetryAt | Expire:
    """`actions` are those of the verdict. `attempt` counts the attempts made, `rng` gives floats in [0, 1), `jitter` is
    the share either way."""
    end = end_of_life(schedule, queued_at, expires_at)
    normal = schedule.delays_s[min(max(attempt, 1), len(schedule.delays_s)) - 1]
    spread = 2.0 * rng() - 1.0
    keep_source = GREYLIST in actions
    delay = normal
    if keep_source:
        # Upwards only: a retry within the greylisting time is a wasted attempt.
        delay = greylist_s if attempt <= _GREYLIST_TRIES else max(greylist_s, normal)
        spread = abs(spread)
    elif RETRY_LONG in actions:
        delay = max(normal, _LONG_DELAY_S)
    factor = 1.0 + jitter * spread
    due = now + delay * factor
    if due >= end:
        # For mail with a short life a try at the usual time is worth more than a wait it cannot survive.
        due = now + normal * factor
    return RetryAt(due, keep_source) if due < end else Expire(end)


def end_of_life(schedule: RetrySchedule, queued_at: float, expires_at: float | None) -> float:
    """When a recipient expires. What the sender said wins, shorter or longer; admission bounds it."""
    return expires_at if expires_at is not None else queued_at + schedule.max_age_s
