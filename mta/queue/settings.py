"""Waiting to send and waiting to retry."""

from typing import Annotated

from msgspec import Meta, Struct

from mta.model.lane import Lane


class RetrySchedule(Struct, frozen=True):
    """Seconds before attempt 2, 3, …; the last one repeats until `max_age_s` after the recipient was first
    queued."""

    delays_s: tuple[float, ...]
    max_age_s: float


class RetrySettings(Struct, frozen=True):
    jitter: float = 0.2
    greylist_s: float = 600.0
    bulk: RetrySchedule = RetrySchedule((300, 900, 1800, 3600, 7200, 14400), 72 * 3600)
    transactional: RetrySchedule = RetrySchedule((60, 300, 900, 1800, 3600, 7200, 14400), 120 * 3600)

    def of(self, lane: Lane) -> RetrySchedule:
        return self.bulk if lane is Lane.BULK else self.transactional


class HoldSettings(Struct, frozen=True):
    """How long a recipient may wait for its path before it is parked, and for how long at least it is then
    parked."""

    bulk_s: float = 60.0
    transactional_s: float = 5.0
    bulk_parked_s: float = 300.0
    transactional_parked_s: float = 30.0


class RateLimit(Struct, frozen=True, gc=False):
    """`count` per `period_s` seconds."""

    count: Annotated[float, Meta(gt=0)]
    period_s: Annotated[float, Meta(gt=0)]


class HealthSettings(Struct, frozen=True, gc=False):
    """When a path backs off, and how it comes back. KumoMTA delays after 100 failures in a row, Postfix after
    one failed round of hosts. We begin at one second and double, so that a restart of the peer costs next to
    nothing and a dead one soon only a try every half hour."""

    failures: int = 10
    backoff_s: float = 1.0
    longest_backoff_s: float = 1800.0
    jitter: float = 0.2
    recover_s: float = 30.0


class Fairness(Struct, frozen=True):
    """How those who wait for one path share it. `weights` are those of tenants (1 where none is named): one of weight 2
    has twice the turns of one of weight 1. `bulk_share` is what the bulk lane gets while both wait; transactional mail
    has the rest, and either has all of it while the other has nothing."""

    bulk_share: float = 0.125
    weights: dict[str, int] = {}

    def weight(self, tenant: str) -> int:
        return self.weights.get(tenant, 1)


EVEN = Fairness()
