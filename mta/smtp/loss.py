"""What becomes of a transaction that gets no verdict: no attempt, a loss, or a doubt (S-14, S-19)."""

from mta.model.outcome import Stage
from mta.model.reply import Reply
from mta.smtp.fact import Lost, Unsent
from mta.smtp.transaction import SETTLED, STAGE, STAGE_OF_STATE, Position, State, Work


def broken(work: Work, detail: str, reply: Reply | None, now: float, *, is_left: bool) -> Lost | Unsent:
    """The session broke. `is_left`: the peer closed, and it had served us before: what it did not answer even
    MAIL of was not tried."""
    state = work.state
    if state is State.END or work.is_blind:
        return Lost(work.transaction, Stage.END_OF_DATA, detail, reply, True, now - work.since)
    is_unheard = state is State.MAIL and (work.is_ahead or is_left)
    if is_unheard or state is State.NEW or state is State.BALKED:
        return Unsent(work.transaction)
    return Lost(work.transaction, STAGE_OF_STATE[state], detail, reply, False, now - work.since)


def given_up(
    position: Position, work: Work, reply: Reply, now: float, *, has_served: bool
) -> Lost | Unsent | None:
    """421 at this work's own position, None if that says nothing of it. At the end of data it may be no answer to
    it at all: ambiguous."""
    if work.state in SETTLED or (position is Position.RSET and work.is_blind):
        return None
    is_untried = position is Position.RSET or work.state is State.BALKED
    if is_untried or (position is Position.MAIL and (work.is_ahead or has_served)):
        return Unsent(work.transaction)
    is_ambiguous = position is Position.END
    return Lost(work.transaction, STAGE[position], "421", reply, is_ambiguous, now - work.since)
