"""The SMTP dialogue after EHLO, without a socket: replies are paired with commands, facts come out.

The owner feeds what was read (`feed`), takes what is to be written (`outgoing`), and calls `expire` when
`deadline` has passed; what was settled by it comes back as facts. Time is an argument everywhere. Rules
kept here:
- a reply counts only at its position; a reply to nothing, bytes left over, or a reply that its position can
  not have break the session, for good (B12);
- verdicts are held back until what follows shows that no stray reply was among theirs (`mta.smtp.verdict`):
  one that is out of step becomes `Lost`, never `Accepted`, and never a refusal blamed on the wrong command.
  The next transactions go on meanwhile (`Vacant`);
- with BDAT, a reply worded as the answer to another command is one that its position can not have, and several
  transactions fly at once (pattern E) only once the peer's words are known (`mta.smtp.wording`);
- 421 anywhere: nothing more is written, what still comes is settled (S-06);
- two refusals in a row: DATA only after a 250 to RCPT; five: QUIT;
- octets are held back until their owner permits them, and given up if that takes too long;
- what the peer closes before it answered MAIL has not been tried, if it had served us before (S-19).

It leaves to `mta.smtp.transaction` what a reply does to one transaction, to `mta.smtp.pipeline` what is
written when, to `mta.smtp.connection` the socket and the timer, to its owner what to send next.
"""

from mta.model.reply import Reply
from mta.smtp.deadline import OVERDUE, Deadlines
from mta.smtp.extensions import Extensions
from mta.smtp.fact import (
    VACANT,
    Accepted,
    Ended,
    Fact,
    Impossible,
    Learned,
    Lost,
    Refused,
    Transaction,
    Unsent,
)
from mta.smtp.life import LIVES, Life, Turn
from mta.smtp.loss import broken, given_up
from mta.smtp.parser import ReplyReader
from mta.smtp.pipeline import REFUSAL_BUDGET, Pipeline
from mta.smtp.plan import Plan
from mta.smtp.probe import Probe
from mta.smtp.settings import Pattern
from mta.smtp.transaction import STAGE, OutOfStep, Position, State, Work, prepare
from mta.smtp.verdict import Verdicts, doubt
from mta.smtp.wording import Wording

_TOO_EARLY = "a reply to what the peer had not received"


class Session:
    """One dialogue. Dead after anything unexpected, and dead for good."""

    def __init__(self, offer: Extensions, plan: Plan, now: float) -> None:
        self._offer = offer
        self._dsn = plan.dsn
        self._deadlines = Deadlines(plan)
        self.least_wait_s = self._deadlines.least_s
        self._messages = min(plan.messages, offer.mail_max or plan.messages)
        self._reader = ReplyReader()
        self._pipeline = Pipeline(plan, now)
        self._probe = Probe(plan)
        self._wording = Wording()
        self._is_learning = False
        """Pattern E is wanted, and the words of the peer are not known yet."""
        if plan.pattern is Pattern.E:
            self._is_learning = True
            self._pipeline.turn_to(Pattern.CB)
        self._life = Life.OPEN
        self._facts: list[Fact] = []
        self._held = Verdicts()
        self._now = now
        self._unacked = 0
        self._taken = 0
        self._open = 0
        self._refused_in_row = 0
        self._has_ended = False
        self._is_broken = False
        self._is_in_step = False
        """The last reply was a 354 at its place: no stray came before it."""
        self._is_in_doubt = False
        """QUIT was answered with what may belong to the command before it."""
        self._has_news = False
        """A transaction was settled, and the owner has not heard of it."""
        self.served = 0
        """Transactions the peer has given a verdict on."""

    @property
    def room(self) -> int:
        """How many more transactions may be submitted now."""
        free = self._pipeline.at_once - self._open
        if free <= 0 or self._life is not Life.OPEN:
            return 0
        left = self._messages - self._taken
        return free if free < left else left

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
        work = prepare(transaction, self._offer, self._dsn)
        if isinstance(work, Impossible):
            return [work]
        self._pipeline.queue.append(work)
        self._taken += 1
        self._open += 1
        return []

    def quit(self) -> list[Fact]:
        """Begin nothing more, finish what has begun, then QUIT. Not reported as an end."""
        if self._life is Life.OPEN:
            self._has_ended = True
            self._turn(Turn.END)
            self._drop_queue()
        return self._take_facts()

    def feed(self, data: bytes, now: float, *, unacked: int = 0) -> list[Fact]:
        """`unacked`: how many of the octets written the peer's host had surely not received when it sent this."""
        self._now = now
        self._unacked = unacked
        reader = self._reader
        for reply in reader.feed(data):
            self._hear(reply)
            if self._life is Life.DEAD:
                return self._take_facts()
        pipeline = self._pipeline
        if reader.fault:
            if pipeline.due:  # it stands in the place of a later reply
                self._facts += self._held.stand_aged()
            self._break(reader.fault)
        elif not pipeline.due:
            if not reader.is_empty:
                self._break("bytes left over, and no reply was due")
            elif unacked and self._life is not Life.PARTING:
                self._break(_TOO_EARLY)
            else:
                self._end_flight()
        elif self._held:
            self._facts += self._held.go_on(pipeline.pattern, now)
            self._tell_room()
        return self._take_facts()

    def lost(self, detail: str, now: float, *, by_peer: bool = True) -> list[Fact]:
        """Closed, reset, or given up by its owner."""
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
        return self._deadlines.next(self._life, self._pipeline, self._held, self._probe)

    def expire(self, now: float) -> list[Fact]:
        """Act on the deadline if it has passed."""
        due = self.deadline()
        if due is None or due[1] > now:
            return []
        self._now = now
        phase = due[0]
        if phase == "hold":
            self._facts += self._held.stand_in_time()
        elif phase == "quiet":
            self._facts += self._held.stand()
            if self._life is Life.QUITTING:
                self._turn(Turn.DRAIN)
        elif phase == "MAIL" and self._pipeline.ahead is not None:
            # The message before has its verdict, no octet of this one was sent: it costs a reconnect.
            self._facts.append(Learned(False))
            self._break("no reply to an envelope behind a body", is_tainted=False, is_error=False)
        elif phase == "permit":
            self._withhold(OVERDUE[phase])
        else:
            detail = OVERDUE.get(phase) or f"no reply to {phase} in time"
            self._break(detail, is_tainted=False, by_peer=phase == "parting")
        return self._take_facts()

    def _withhold(self, detail: str) -> None:
        """Its envelope was accepted and its end was never written: not an attempt. The peer is left waiting for octets,
        so the connection is of no more use."""
        current = self._pipeline.current
        if current is not None:
            self._pipeline.current = None
            self._settle(current, Unsent(current.transaction))
        self._break(detail, is_tainted=False, is_error=False)

    def _hear(self, reply: Reply) -> None:
        pipeline = self._pipeline
        pipeline.since = self._now
        if not pipeline.due:
            if reply.code == 421:
                # It may be the true reply to an end of data that a stray has answered.
                self._facts += self._held.fall_accepted("421, and no reply was due")
                self._part(reply)
            elif pipeline.stream is not None:
                self._break("reply before the end of data", reply)
            else:
                self._break("a reply, and none was due")
            return
        position, work = pipeline.due.popleft()
        if work is None:
            self._hear_farewell(reply)
            return
        if self._unacked and self._unacked > pipeline.behind(position, work):
            pipeline.due.appendleft((position, work))
            self._break(_TOO_EARLY)
            return
        is_worded = pipeline.uses_bdat and reply.is_positive and position is not Position.RSET
        if is_worded and not self._wording.fits(position, reply, is_blind=work.is_blind):
            pipeline.due.appendleft((position, work))
            self._facts.append(Learned(False))
            self._break(f"{reply.code} to {position.name}, worded as the reply to another command")
            return
        work.pending -= 1
        if position is Position.RSET or reply.code == 421:
            self._hear_aside(position, work, reply)
            return
        was = work.state
        try:
            state = work.hear(position, reply)
        except OutOfStep as error:
            pipeline.due.appendleft((position, work))
            # 354 at its own position says nothing against the refusal before it (B20); all else does.
            self._break(str(error), is_tainted=position is not Position.DATA or reply.code // 100 != 3)
            return
        self._is_in_step = state is State.BODY
        if state is State.RCPT:
            pipeline.must_reset = False
            if work.is_ahead and self._probe.succeed():
                self._facts.append(Learned(True))
        elif state is State.ACCEPTED:
            if work.is_blind:
                pipeline.land(work, is_accepted=True)
            self._refused_in_row = 0
            if self._is_learning and self._wording.is_telling:
                self._is_learning = False
                pipeline.turn_to(Pattern.E)
            self._conclude(work, Accepted(work.transaction, reply, self._now - work.since))
        elif state is State.REFUSED or state is State.BALKED:
            self._refuse(position, work, reply, is_new=state is not was)

    def _hear_aside(self, position: Position, work: Work, reply: Reply) -> None:
        """421, or what a RSET is answered with."""
        if reply.code != 421:
            if not reply.is_positive:
                # It may be a reply to the transaction before, shifted: then that was refused by a stray.
                self._facts += self._held.fall_refused(f"{reply.code} to RSET")
                is_tainted = work.is_blind or not (reply.is_transient or reply.is_permanent)
                self._break("RSET refused", reply, is_tainted=is_tainted, by_peer=True)
            return
        fact = given_up(position, work, reply, self._now, has_served=self.served > 0)
        if fact is not None:
            self._settle(work, fact)
        self._part(reply)

    def _hear_farewell(self, reply: Reply) -> None:
        """What is no reply to QUIT may be one to the last command before it, late: then 221 is still to come. A
        refusal is not believed at all beside it; a delivery stands if none comes."""
        held = self._held
        if held and reply.code not in (221, 421):
            detail = f"{reply.code} to QUIT"
            if self._is_in_doubt or reply.code // 100 == 3:
                self._break(detail)
                return
            self._is_in_doubt = True
            self._facts += held.fall_refused(detail)
            self._pipeline.due.append((Position.QUIT, None))
            return
        if self._is_in_doubt and held:
            self._break("a reply too many before QUIT")
            return
        self._facts += held.stand()
        self._turn(Turn.DRAIN)

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
            pipeline.turn_to(Pattern.B)
            return
        if work.is_ahead and position is Position.MAIL and self._probe.succeed():
            self._facts.append(Learned(True))
        self._refused_in_row += 1
        verb = position.name if not is_end else "BDAT" if pipeline.uses_bdat else "."
        self._conclude(work, Refused(work.transaction, STAGE[position], verb, reply, self._now - work.since))
        if pipeline.pattern is Pattern.E:
            pipeline.turn_to(Pattern.CB)

    def _conclude(self, work: Work, fact: Accepted | Refused) -> None:
        self._open -= 1
        self.served += 1
        if self._life is Life.PARTING and isinstance(fact, Accepted):
            # Behind a 421 that answered no command, every position is one too early.
            self._facts.append(doubt(work, fact, "accepted behind a 421"))
        else:
            self._held.add(work, fact)
            self._has_news = True

    def _take_facts(self) -> list[Fact]:
        facts, self._facts = self._facts, []
        if facts:
            self._has_news = False
        return facts

    def _tell_room(self) -> None:
        if self._has_news and not self._facts and self._life is Life.OPEN:
            self._facts.append(VACANT)

    def _turn(self, turn: Turn) -> None:
        self._life = LIVES[self._life][turn]

    def _end_flight(self) -> None:
        """Every reply that was due has come, and nothing else."""
        held = self._held
        pipeline = self._pipeline
        if held:
            if self._is_in_step or self._life is Life.PARTING:
                self._facts += held.stand()
            else:
                self._facts += held.end_flight(pipeline.pattern, self._now)
        if self._life is Life.PARTING:
            self._break("421", is_tainted=False, by_peer=True)
        elif self._life is not Life.QUITTING:
            pipeline.advance()
            if self._refused_in_row or not self._open:
                self._end_in_time()
            if self._has_news:
                self._tell_room()

    def _end_in_time(self) -> None:
        self._pipeline.grow_careful(self._refused_in_row)
        if self._life is not Life.OPEN:
            return
        if self._refused_in_row >= REFUSAL_BUDGET:
            self._end("refusals in a row")
        elif not self._open and self._taken >= self._messages:
            self._end("messages per connection")

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
        fact = broken(work, detail, reply, self._now, is_left=by_peer and self.served > 0)
        self._settle(work, fact)
        return isinstance(fact, Lost)

    def _settle(self, work: Work, fact: Lost | Unsent) -> None:
        work.state = State.GONE
        self._open -= 1
        self._facts.append(fact)

    def _drop_queue(self) -> None:
        queue = self._pipeline.queue
        while queue:
            work = queue.popleft()
            self._settle(work, Unsent(work.transaction))
