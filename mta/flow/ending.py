"""What becomes of a payload's recipients without an attempt: it failed, expired, is withdrawn, too early or paused, or
they want no more mail. No I/O."""

from collections.abc import Callable

from mta.delivery.reference import Parked, Settlement
from mta.flow.references import expired
from mta.flow.work import Ref, Work
from mta.intake.orders import Orders
from mta.model.outcome import Cancelled, Suppressed
from mta.suppression.suppressions import Suppressions

_PAUSED_S = 600.0
"""Parked for so long at a time, whatever the pause's own end: when it is taken back early, nobody should wait for an
hour."""
PAUSED = "paused"
EARLY = "early"


def ending_of(
    work: Work, orders: Orders, now: float, jitter: float, ahead_s: float = 0.0
) -> Callable[[Ref], Settlement] | None:
    """For each reference of it; None: it is to be sent. `jitter` in [0, 1) spreads those who are parked; `ahead_s` is
    how far the server's clock is ahead of `now`: by that one `send_at` is kept, where the payload names one."""
    admitted = work.admitted
    failure = work.failure
    if failure is not None:
        return lambda ref: failure
    if admitted.expires_at <= now:
        return lambda ref: expired(ref, now)
    order = orders.cancelled(admitted.tenant, admitted.campaign)
    if order is not None:
        withdrawn = Cancelled(now, order.reason)
        return lambda ref: withdrawn
    if admitted.send_at > max(now + ahead_s, admitted.accepted_at):
        early = Parked(due_at=admitted.send_at - ahead_s, reason=EARLY)
        return lambda ref: early
    until = orders.paused_until(admitted.lane, admitted.tenant, admitted.campaign, now)
    if until:
        longest = now + _PAUSED_S * (1.0 + 0.2 * jitter)
        parked = Parked(due_at=min(until, longest, admitted.expires_at), reason=PAUSED, is_held=True)
        return lambda ref: parked
    return None


def suppressed_of(
    work: Work, suppressions: Suppressions, now: float
) -> Callable[[Ref], Settlement | None] | None:
    """For each reference of it; None, there as here: it is to be sent. A due payload is looked at as a fresh one is:
    much can have happened since it was stored."""
    admitted = work.admitted
    skips = admitted.payload.skip_suppression
    scope = suppressions.scope(admitted.tenant, admitted.stream, admitted.lane, skips=skips)
    if scope is None:
        return None

    def ending(ref: Ref) -> Settlement | None:
        reason = scope.reason(ref.addressee.email, ref.domain, now)
        return None if reason is None else Suppressed(now, reason)

    return ending
