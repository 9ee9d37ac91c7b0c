"""Whether a host stands an envelope behind a body, learned on the way (patterns C and CB).

Some servers that offer PIPELINING answer such an envelope with 503 (Haraka) or not at all (chasquid). By then the
message before it has its verdict and no octet of the next one was sent, so that giving up costs a reconnect and can
neither lose nor double a message.
"""

from mta.smtp.plan import Plan
from mta.smtp.settings import Pattern

GROUPS = 3
"""Groups answered as they should be before a host is trusted."""
PROBE_S = 10.0
AHEAD_S = 60.0


class Probe:
    __slots__ = ("_groups", "_is_wanted", "_limit_s", "_verdict")

    def __init__(self, plan: Plan) -> None:
        self._verdict = plan.verdict
        self._is_wanted = plan.pattern is Pattern.C and plan.verdict is None
        self._limit_s = max(PROBE_S, 20 * plan.rtt_s)
        self._groups = 0

    @property
    def limit_s(self) -> float:
        """How long the reply to such a MAIL may take from when its turn has come."""
        return AHEAD_S if self._verdict or self._groups >= GROUPS else self._limit_s

    @property
    def is_unproven(self) -> bool:
        return self._verdict is None and not self._groups

    def succeed(self) -> bool:
        """One group was answered as if its envelope had come alone; True when that settles the question of C."""
        self._groups += 1
        return self._is_wanted and self._groups == GROUPS
