"""The SMTP dialogue after EHLO, without a socket: replies are paired with commands, facts come out.

The owner feeds what was read (`feed`), takes what is to be written (`outgoing`), and calls `expire` when
`deadline` has passed; what was settled by it comes back as facts. Time is an argument everywhere. Rules
kept here:
- a reply counts only at its position; a reply to nothing, bytes left over, or a reply that its position can
  not have break the session, for good (B12);
- verdicts are held back until their flight has been answered in full, so that one whose flight turns out to
  hold a stray reply becomes `Lost`: never `Accepted`, and never a refusal blamed on the wrong command. Only
  a verdict on content whose flight is slow is let go after `HOLD_S`, so that a crash repeats little;
- 421 anywhere: nothing more is written, what still comes is settled (S-06);
- two refusals in a row: DATA only after a 250 to RCPT; five: QUIT;
- what the peer closes before it answered MAIL has not been tried, if it had served us before (S-19).

It leaves to `mta.smtp.transaction` what a reply does to one transaction, to `mta.smtp.pipeline` what is
written when, to `mta.smtp.connection` the socket and the timer, to its owner what to send next and what a
refusal means.
"""

from mta.model.outcome import Stage
from mta.model.reply import Reply
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Accepted, Ended, Fact, Impossible, Learned, Lost, Refused, Transaction, Unsent
from mta.smtp.life import LIVES, Life, Turn
from mta.smtp.parser import ReplyReader
from mta.smtp.pipeline import Pipeline
from mta.smtp.plan import Plan
from mta.smtp.probe import Probe
from mta.smtp.settings import Pattern
from mta.smtp.transaction import SETTLED, STAGE, STAGE_OF_STATE, OutOfStep, Position, State, Work, prepare
from mta.smtp.verdict import Verdicts, doubt

HOLD_S = 1.0
CAUTIOUS_AFTER = 2
"""Refused transactions in a row after which DATA waits for RCPT (chasquid closes at the third error)."""
REFUSAL_BUDGET = 5
"""Refused transactions in a row after which we reconnect (Postfix delays from 10 errors on, Exim ends at 10
RSETs)."""
PARTING_S = 5.0


class Session:
    """One dialogue. Dead after anything unexpected, and dead for good."""

    def __init__(self, offer: Extensions, plan: Plan, now: float) -> None:
        times = plan.timeouts
        self._offer = offer
        self._plan = plan
        # By Position: RSET is given MAIL's time.
        self._limits = (times.mail_s, times.mail_s, times.rcpt_s, times.data_s, times.dot_s, times.quit_s)
        self._messages = min(plan.messages, offer.mail_max or plan.messages)
        self._reader = ReplyReader()
        self._pipeline = Pipeline(plan, now)
        self._probe = Probe(plan)
        self._life = Life.OPEN
        self._facts: list[Fact] = []
        self._held = Verdicts()
        self._now = now
        self._taken = 0
        self._open = 0
        self._refused_in_row = 0
        self._has_ended = False
        self._is_broken = False
        self.served = 0
        """Transactions the peer has given a verdict on."""

    @property
    def room(self) -> int:
        """How many more transactions may be submitted now."""
        if self._life is not Life.OPEN:
            return 0
        free, left = self._pipeline.at_once - self._open, self._messages - self._taken
        return (free if free < left else left) if free > 0 else 0

    @property
    def is_open(self) -> bool:
        """Further transactions are taken, now or later."""
        return self._life is Life.OPEN and self._taken < self._messages

    @property
    def is_idle(self) -> bool:
        return not self._open and not self._pipeline.due

    @property
    def is_over(self) -> bool:
        """The connection is to be closed."""
        return self._life is Life.DEAD

    @property
    def is_clean(self) -> bool:
        """It ended with the reply to our QUIT."""
        return self._life is Life.DEAD and not self._is_broken

    @property
    def has_more(self) -> bool:
        """`outgoing` has more of a large body, as soon as the transport takes it."""
        return self._pipeline.stream is not None

    @property
    def pattern(self) -> Pattern:
        """The one in use now; it changes when the peer turns out not to stand the one planned."""
        return self._pipeline.pattern

    def submit(self, transaction: Transaction) -> list[Fact]:
        """Take one. What can not be sent here is `Impossible` at once; without room it is `Unsent`."""
        if self.room <= 0:
            return [Unsent(transaction)]
        work = prepare(transaction, self._offer)
        if isinstance(work, Impossible):
            return [work]
        self._pipeline.queue.append(work)
        self._taken += 1
        self._open += 1
        return []

    def quit(self) -> list[Fact]:
        """Begin nothing more, finish what has begun, then QUIT. The owner's wish is not reported as an
        end."""
        if self._life is Life.OPEN:
            self._has_ended = True
            self._turn(Turn.END)
            self._drop_queue()
        return self._take_facts()

    def feed(self, data: bytes, now: float) -> list[Fact]:
        self._now = now
        for reply in self._reader.feed(data):
            self._hear(reply)
            if self._life is Life.DEAD:
                return self._take_facts()
        if self._reader.fault:
            self._break(self._reader.fault)
        elif not self._pipeline.due:
            if self._reader.is_empty:
                self._end_flight()
            else:
                self._break("bytes left over, and no reply was due")
        elif self._held:
            # With E a flight may never end: there a verdict stands when its own replies have all come.
            if self._pipeline.pattern is Pattern.E:
                self._facts += self._held.stand_if_complete()
            else:
                self._held.hold_over(now)
        return self._take_facts()

    def lost(self, detail: str, now: float, *, by_peer: bool = True) -> list[Fact]:
        """The connection is gone: closed, reset, or given up by its owner."""
        self._now = now
        self._break(detail, is_tainted=False, by_peer=by_peer)
        return self._take_facts()

    def outgoing(self, now: float) -> list[bytes]:
        """What is to be written next; decided only now, so that what was submitted meanwhile can go along."""
        if self._life is not Life.OPEN and self._life is not Life.ENDING:
            return []
        pipeline = self._pipeline
        if self._life is Life.ENDING and not pipeline.due and pipeline.current is None and not pipeline.queue:
            self._turn(Turn.DRAIN)
            return pipeline.quit(now)
        return pipeline.write(now)

    def deadline(self) -> tuple[str, float] | None:
        """What is waited for, and until when; None: for nothing."""
        if self._life is Life.DEAD:
            return None
        pipeline = self._pipeline
        since = pipeline.since
        if self._life is Life.PARTING:
            return "parting", since + PARTING_S + 2 * self._plan.rtt_s
        if not pipeline.due:
            if pipeline.current is None:
                return None
            return "block", since + self._plan.timeouts.block_s
        position, work = pipeline.due[0]
        limit = self._limits[position]
        if position is Position.MAIL and work is not None and work.is_ahead:
            limit = min(limit, self._probe.limit_s)
        held_since = self._held.content_since
        if held_since is not None and held_since + HOLD_S < since + limit:
            return "hold", held_since + HOLD_S
        return position.name, since + limit

    def expire(self, now: float) -> list[Fact]:
        """Act on the deadline if it has passed."""
        due = self.deadline()
        if due is None or due[1] > now:
            return []
        self._now = now
        phase = due[0]
        if phase == "hold":
            self._facts += self._held.stand_on_content()
        elif phase == "block":
            self._break("the peer stopped reading", is_tainted=False)
        elif phase == "parting":
            self._break("closed after 421", is_tainted=False, by_peer=True)
        elif phase == "MAIL" and self._pipeline.ahead is not None:
            # The message before has its verdict and no octet of this one was sent: costs a reconnect, no
            # more.
            self._facts.append(Learned(False))
            self._break("no reply to an envelope behind a body", is_tainted=False, is_error=False)
        else:
            self._break(f"no reply to {phase} in time", is_tainted=False)
        return self._take_facts()

    # Hearing.

    def _hear(self, reply: Reply) -> None:
        pipeline = self._pipeline
        pipeline.since = self._now
        if not pipeline.due:
            if reply.code == 421:
                self._part(reply)
            elif pipeline.stream is not None:
                self._break("reply before the end of data", reply)
            else:
                self._break("a reply, and none was due")
            return
        position, work = pipeline.due.popleft()
        if work is None:
            self._turn(Turn.DRAIN)
            return
        work.pending -= 1
        if reply.code == 421:
            self._give_up(position, work, reply)
            self._part(reply)
        elif position is not Position.RSET:
            self._move(position, work, reply)
        elif not reply.is_positive:
            self._break("RSET refused", reply, is_tainted=False, by_peer=True)

    def _move(self, position: Position, work: Work, reply: Reply) -> None:
        was = work.state
        try:
            state = work.hear(position, reply)
        except OutOfStep as error:
            self._pipeline.due.appendleft((position, work))
            # 354 at its own position says nothing against the refusal before it (B20); all else does.
            self._break(str(error), is_tainted=position is not Position.DATA or reply.code // 100 != 3)
            return
        pipeline = self._pipeline
        if state is State.RCPT:
            pipeline.must_reset = False
            if work.is_ahead and self._probe.succeed():
                self._facts.append(Learned(True))
        elif state is State.ACCEPTED:
            pipeline.land(work, is_accepted=True)
            self._refused_in_row = 0
            self._conclude(work, Accepted(work.transaction, reply, self._now - work.since))
        elif state is State.REFUSED or state is State.BALKED:
            self._refuse(position, work, reply, is_new=state is not was)

    def _refuse(self, position: Position, work: Work, reply: Reply, is_new: bool) -> None:
        pipeline = self._pipeline
        is_end = position is Position.END
        if is_end:
            pipeline.land(work, is_accepted=False)
        if not is_new:
            return
        pipeline.must_reset = not is_end or pipeline.uses_bdat
        if work.state is State.BALKED:
            self._facts.append(Learned(False))
            pipeline.pattern = Pattern.B
            return
        if work.is_ahead and position is Position.MAIL and self._probe.succeed():
            self._facts.append(Learned(True))
        self._refused_in_row += 1
        verb = position.name if not is_end else "BDAT" if pipeline.uses_bdat else "."
        self._conclude(work, Refused(work.transaction, STAGE[position], verb, reply, self._now - work.since))
        if pipeline.pattern is Pattern.E:
            pipeline.pattern = Pattern.CB

    def _conclude(self, work: Work, fact: Accepted | Refused) -> None:
        self._open -= 1
        self.served += 1
        if self._life is Life.PARTING and isinstance(fact, Accepted):
            # Behind a 421 that answered no command, every position is one too early.
            self._facts.append(doubt(work, fact, "accepted behind a 421"))
        else:
            self._held.add(work, fact)

    # Settling.

    def _take_facts(self) -> list[Fact]:
        facts, self._facts = self._facts, []
        return facts

    def _turn(self, turn: Turn) -> None:
        self._life = LIVES[self._life][turn]

    def _end_flight(self) -> None:
        """Every reply that was due has come, and nothing else: the verdicts stand."""
        if self._held:
            self._facts += self._held.stand()
        if self._life is Life.PARTING:
            self._break("421", is_tainted=False, by_peer=True)
            return
        self._pipeline.advance()
        if self._refused_in_row:
            self._grow_careful()
        if self._life is Life.OPEN and not self._open and self._taken >= self._messages:
            self._end("messages per connection")

    def _grow_careful(self) -> None:
        if self._refused_in_row >= CAUTIOUS_AFTER:
            self._pipeline.is_cautious = True
            if self._pipeline.pattern is Pattern.C:
                self._pipeline.pattern = Pattern.B
        if self._refused_in_row >= REFUSAL_BUDGET and self._life is Life.OPEN:
            self._end("refusals in a row")

    def _end(self, reason: str) -> None:
        self._turn(Turn.END)
        self._drop_queue()
        self._report_end(Ended(reason, None, False))

    def _report_end(self, ended: Ended) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._facts.append(ended)

    def _part(self, reply: Reply) -> None:
        """S-06: the peer closes. What was written may still be answered, all else is given up."""
        self._turn(Turn.PART)
        self._facts += self._held.stand()
        self._drop_queue()
        pipeline = self._pipeline
        for work in pipeline.works():
            if work is pipeline.ahead or not work.pending:
                self._lose(work, "421", reply, by_peer=True)
        pipeline.stream = None
        self._report_end(Ended("421", reply, not self.served))

    def _give_up(self, position: Position, work: Work, reply: Reply) -> None:
        """421 at this work's own position. At the end of data it may be no answer to it at all: ambiguous."""
        if work.state in SETTLED or (position is Position.RSET and work.is_blind):
            return
        is_untried = position is Position.RSET or work.state is State.BALKED
        if is_untried or (position is Position.MAIL and (work.is_ahead or self.served)):
            self._settle(work, Unsent(work.transaction))
            return
        is_ambiguous = position is Position.END
        lost = Lost(work.transaction, STAGE[position], "421", reply, is_ambiguous, self._now - work.since)
        self._settle(work, lost)

    def _break(
        self,
        detail: str,
        reply: Reply | None = None,
        *,
        is_tainted: bool = True,
        is_error: bool = True,
        by_peer: bool = False,
    ) -> None:
        """The end, now. `is_tainted`: no verdict of the present flight can be trusted."""
        if self._life is Life.DEAD:
            return
        self._is_broken = True
        self._facts += self._held.fall(detail) if is_tainted else self._held.stand()
        pipeline = self._pipeline
        ahead = pipeline.ahead
        is_telling = self._probe.is_unproven and (is_tainted or by_peer) and self._life is not Life.PARTING
        if is_telling and ahead is not None and ahead.state is State.MAIL:
            self._facts.append(Learned(False))
        is_clean = by_peer and self.served > 0
        for work in pipeline.works():
            is_clean &= not self._lose(work, detail, reply, by_peer)
        pipeline.clear()
        if self._life is not Life.QUITTING:
            self._report_end(Ended(detail, reply, is_error and not is_clean))
        self._turn(Turn.BREAK)

    def _lose(self, work: Work, detail: str, reply: Reply | None, by_peer: bool) -> bool:
        """Settle one that will get no verdict; True if that was an attempt."""
        state = work.state
        transaction = work.transaction
        if state is State.END or work.is_blind:
            self._settle(
                work, Lost(transaction, Stage.END_OF_DATA, detail, reply, True, self._now - work.since)
            )
            return True
        is_unheard = state is State.MAIL and (work.is_ahead or (by_peer and self.served > 0))
        if is_unheard or state is State.NEW or state is State.BALKED:
            self._settle(work, Unsent(transaction))
            return False
        self._settle(
            work, Lost(transaction, STAGE_OF_STATE[state], detail, reply, False, self._now - work.since)
        )
        return True

    def _settle(self, work: Work, fact: Lost | Unsent) -> None:
        work.state = State.GONE
        self._open -= 1
        self._facts.append(fact)

    def _drop_queue(self) -> None:
        queue = self._pipeline.queue
        while queue:
            work = queue.popleft()
            self._settle(work, Unsent(work.transaction))
