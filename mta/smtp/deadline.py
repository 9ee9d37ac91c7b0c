"""Until when a session waits for what: one deadline at a time, told by its phase."""

from mta.smtp.life import Life
from mta.smtp.pipeline import Pipeline
from mta.smtp.plan import Plan
from mta.smtp.probe import Probe
from mta.smtp.transaction import Position
from mta.smtp.verdict import Verdicts

HOLD_S = 1.0
PARTING_S = 5.0
PERMIT_S = 20.0
"""For how long octets may be held back in the middle of a transaction. Peers wait for 3 minutes (RFC 5321 section
4.5.3.2.5); a connection that cannot be used should not be taken up so long."""

OVERDUE = {
    "block": "the peer stopped reading",
    "parting": "closed after 421",
    "permit": "not permitted to send its octets",
}
"""What has gone wrong, where it is not a reply that is missing."""


class Deadlines:
    __slots__ = ("_block_s", "_limits", "_parting_s", "_quiet_s", "least_s")

    def __init__(self, plan: Plan) -> None:
        times = plan.timeouts
        # By Position: RSET is given MAIL's time.
        self._limits = (times.mail_s, times.mail_s, times.rcpt_s, times.data_s, times.dot_s, times.quit_s)
        self._block_s = times.block_s
        self._parting_s = PARTING_S + 2 * plan.rtt_s
        self._quiet_s = min(HOLD_S, max(times.quiet_s, 2 * plan.rtt_s))
        self.least_s = min(HOLD_S, times.block_s, *self._limits)
        """While a reply is due, no deadline is nearer than this to the last change."""

    def next(self, life: Life, pipeline: Pipeline, held: Verdicts, probe: Probe) -> tuple[str, float] | None:
        """None: nothing is waited for."""
        if life is Life.DEAD:
            return None
        since = pipeline.since
        if life is Life.PARTING:
            return "parting", since + self._parting_s
        if pipeline.due:
            position, work = pipeline.due[0]
            limit = self._limits[position]
            if position is Position.MAIL and work is not None and work.is_ahead:
                limit = min(limit, probe.limit_s)
            phase = position.name
        elif pipeline.is_held:
            limit = PERMIT_S
            phase = "permit"
        elif pipeline.current is not None:
            limit = self._block_s
            phase = "block"
        elif held.since is not None:
            return "quiet", since + self._quiet_s
        else:
            return None
        if held.since is not None and held.since + HOLD_S < since + limit:
            return "hold", held.since + HOLD_S
        return phase, since + limit
