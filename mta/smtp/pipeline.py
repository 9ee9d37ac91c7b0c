"""What is written when: the order of transactions on one connection, and the replies due for what was
written.

A *flight* is what goes out at once. With every pattern but E the next flight is written only when each
reply to the one before has come, so that octets follow only a 250 to their own MAIL and RCPT. Groups are
those RFC 2920 allows: RSET, MAIL and RCPT anywhere, DATA last; QUIT alone.

It leaves to `mta.smtp.session` what the replies mean.
"""

from collections import deque
from collections.abc import Iterator

from mta.smtp import body, command
from mta.smtp.plan import Plan
from mta.smtp.settings import Pattern
from mta.smtp.transaction import SETTLED, Position, State, Work

WINDOW_OCTETS = 65536
WINDOW_OCTETS_MAX = 1048576
"""E: octets in flight at the start and at most; the bound grows by what is accepted."""


CAUTIOUS_AFTER = 2
"""Refused transactions in a row after which DATA waits for RCPT (chasquid closes at the third error)."""
REFUSAL_BUDGET = 5
"""And after which we reconnect (Postfix delays from 10 errors on, Exim ends at 10 RSETs)."""


class Pipeline:
    """Works move `queue` → (`ahead` →) `current` → settled; with E straight from the queue into the
    window."""

    __slots__ = (
        "_flying",
        "_octets",
        "_octets_max",
        "_out",
        "_window",
        "ahead",
        "at_once",
        "current",
        "due",
        "goes_ahead",
        "is_cautious",
        "is_held",
        "must_reset",
        "pattern",
        "queue",
        "since",
        "stream",
        "uses_bdat",
    )

    def __init__(self, plan: Plan, now: float) -> None:
        self._window = plan.window
        self.turn_to(plan.pattern)
        self.queue: deque[Work] = deque()
        self.current: Work | None = None
        self.ahead: Work | None = None
        """Its envelope went out behind the octets of `current`."""
        self.due: deque[tuple[Position, Work | None]] = deque()
        """The replies to come, in order."""
        self.stream: Iterator[bytes] | None = None
        """The rest of a large body that is being written."""
        self.since = now
        """When something was last written in a turn of ours, or heard."""
        self.is_cautious = False
        """DATA waits for the reply to RCPT."""
        self.is_held = False
        """The octets of a message could go out now, and are not permitted to."""
        self.must_reset = False
        """RSET goes in front of the next MAIL."""
        self._out: list[bytes] = []
        self._flying = 0
        self._octets = 0
        self._octets_max = WINDOW_OCTETS

    def turn_to(self, pattern: Pattern) -> None:
        self.pattern = pattern
        self.goes_ahead = pattern is Pattern.C or pattern is Pattern.CB
        self.uses_bdat = pattern is Pattern.CB or pattern is Pattern.E
        self.at_once = self._window if pattern is Pattern.E else 2 if self.goes_ahead else 1
        """How many transactions are of use here at the same time."""

    def write(self, now: float) -> list[bytes]:
        """Whatever may be written now."""
        self.is_held = False
        if self.stream is not None:
            self._write_block(now)
        elif self.pattern is Pattern.E and self.current is None and self._fill(now):
            pass
        elif not self.due and not self.is_held:
            self._take_turn(now)
        elif self.queue and self.goes_ahead and self.ahead is None:
            current = self.current
            # It came while the end of data was already on its way.
            if current is not None and current.state is State.END:
                self._write_ahead(now)
        out, self._out = self._out, []
        return out

    def quit(self, now: float) -> list[bytes]:
        self.since = now
        self.due.append((Position.QUIT, None))
        return [command.QUIT]

    def advance(self) -> None:
        """Every reply has come: the next transaction moves up."""
        current = self.current
        if current is None or current.state in SETTLED:
            current = self.current = self.ahead
            self.ahead = None
            if current is not None and current.state in SETTLED:  # refused before its turn came
                current = self.current = None
        if current is not None and current.state is State.BALKED:
            current.state = State.NEW
            current.is_ahead = False
            self.must_reset = True

    def grow_careful(self, refused_in_row: int) -> None:
        if refused_in_row >= CAUTIOUS_AFTER:
            self.is_cautious = True
            if self.pattern is Pattern.C:
                self.turn_to(Pattern.B)

    def land(self, work: Work, *, is_accepted: bool) -> None:
        """The reply to its end of data has come."""
        if work.is_blind:
            self._flying -= 1
            self._octets -= _weight(work)
            if is_accepted:
                self._octets_max = min(WINDOW_OCTETS_MAX, self._octets_max + work.size)

    def behind(self, position: Position, work: Work) -> int:
        """Octets written behind the command at this position, of which its reply says nothing."""
        data_octets = 0 if self.uses_bdat else len(command.DATA)
        ahead = self.ahead
        if work.is_blind:
            octets = self._octets - _weight(work)
        elif ahead is None or ahead is work:
            octets = 0
        else:
            octets = len(ahead.mail) + len(ahead.rcpt) + data_octets
        if position is Position.END:
            return octets
        if work.is_blind:
            octets += len(command.bdat_last(work.size)) + work.size
        if position < Position.RCPT:
            octets += len(work.rcpt)
        if position < Position.MAIL:
            octets += len(work.mail)
        return octets if position is Position.DATA else octets + data_octets

    def works(self) -> list[Work]:
        """All that are not settled, in order."""
        found: list[Work] = []
        candidates = [self.current, *(work for _, work in self.due), self.ahead, *self.queue]
        for work in candidates:
            if work is not None and work.state not in SETTLED and work not in found:
                found.append(work)
        return found

    def clear(self) -> None:
        self.due.clear()
        self.queue.clear()
        self.current = self.ahead = self.stream = None
        self.is_held = False

    def _take_turn(self, now: float) -> None:
        work = self.current
        if work is None:
            if not self.queue:
                return
            work = self.current = self.queue.popleft()
        state = work.state
        if state is State.NEW:
            self._write_envelope(work, now)
        elif state is State.RCPT:
            self._put(work.rcpt, Position.RCPT, work)
        elif state is State.DATA and not self.uses_bdat:
            self._put(command.DATA, Position.DATA, work)
        elif state is State.DATA or state is State.BODY:
            self._write_body(work, now)
        if not self.is_held:
            self.since = now

    def _put(self, octets: bytes, position: Position, work: Work) -> None:
        self._out.append(octets)
        self.due.append((position, work))
        work.pending += 1

    def _write_envelope(self, work: Work, now: float) -> None:
        is_lock_step = self.pattern is Pattern.A
        if self.must_reset:
            self.must_reset = False
            self._put(command.RSET, Position.RSET, work)
            if is_lock_step:
                return
        work.state = State.MAIL
        work.since = now
        if is_lock_step:
            self._put(work.mail, Position.MAIL, work)
            return
        self._out += (work.mail, work.rcpt)
        self.due += ((Position.MAIL, work), (Position.RCPT, work))
        work.pending += 2
        if not self.uses_bdat and not self.is_cautious:
            self._put(command.DATA, Position.DATA, work)

    def _write_ahead(self, now: float) -> None:
        """One recipient keeps an envelope far below the 4096 octets that may lie behind a dot."""
        work = self.ahead = self.queue.popleft()
        work.is_ahead = True
        self._write_envelope(work, now)

    def _write_body(self, work: Work, now: float) -> None:
        if not self._is_permitted(work):
            return
        wire = work.wire
        out = self._out
        if self.uses_bdat:
            out.append(command.bdat_last(work.size))
        if work.size >= body.BLOCK:
            self.stream = body.plain_blocks(wire) if self.uses_bdat else body.stuffed_blocks(wire)
            self._write_block(now)
            return
        if self.uses_bdat:
            out.append(wire)
        else:
            out += (body.stuffed(wire), body.END_OF_DATA)
        self._write_end(work, now)

    def _write_block(self, now: float) -> None:
        assert self.stream is not None
        assert self.current is not None
        if not self._is_permitted(self.current):
            return
        self.since = now
        block = next(self.stream, None)
        if block is not None:
            self._out.append(block)
            return
        self.stream = None
        if not self.uses_bdat:
            self._out.append(body.END_OF_DATA)
        self._write_end(self.current, now)

    def _is_permitted(self, work: Work) -> bool:
        self.is_held = not work.transaction.permit()
        return not self.is_held

    def _write_end(self, work: Work, now: float) -> None:
        work.state = State.END
        self.due.append((Position.END, work))
        work.pending += 1
        if self.queue and self.goes_ahead:
            self._write_ahead(now)

    def _fill(self, now: float) -> bool:
        """E: whole transactions, RSET in front of each. A large body waits until the window is empty and
        goes alone."""
        has_written = False
        while self.queue and self._flying < self._window:
            work = self.queue[0]
            weight = _weight(work)
            if work.size >= body.BLOCK or (self._flying and self._octets + weight > self._octets_max):
                break
            if not self._is_permitted(work):
                break
            if not self.due:
                self.since = now
            self.queue.popleft()
            self._flying += 1
            self._octets += weight
            work.is_blind = True
            work.state = State.MAIL
            work.since = now
            self._put(command.RSET, Position.RSET, work)
            self._put(work.mail, Position.MAIL, work)
            self._put(work.rcpt, Position.RCPT, work)
            self._out.append(command.bdat_last(work.size))
            self._put(work.wire, Position.END, work)
            has_written = True
        return has_written


def _weight(work: Work) -> int:
    """Octets of a whole transaction of pattern E."""
    return len(command.RSET) + len(work.mail) + len(work.rcpt) + len(command.bdat_last(work.size)) + work.size
