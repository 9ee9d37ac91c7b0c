"""A session in the hand of a test: what was written and what became of it, on a clock the test owns."""

from mta.model.message import Envelope, Message
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Fact, Impossible, Learned, Transaction, Vacant
from mta.smtp.plan import Plan
from mta.smtp.session import Session
from mta.smtp.settings import Pattern

WIRE = b"Subject: x\r\n\r\n.dot\r\nend\r\n"
PIPELINING = Extensions(pipelining=True)
BOTH = Extensions(pipelining=True, chunking=True)
OFFERS = {
    Pattern.A: Extensions(),
    Pattern.B: PIPELINING,
    Pattern.C: PIPELINING,
    Pattern.CB: BOTH,
    Pattern.E: BOTH,
}
PATTERNS = (Pattern.A, Pattern.B, Pattern.C, Pattern.CB, Pattern.E)


def message(wire: bytes = WIRE) -> Message:
    return Message(wire, "m", "<m@a.test>")


class Dialogue:
    """Keeps the session filled with transactions to r0@b.test, r1@b.test … as long as there are any."""

    def __init__(
        self,
        pattern: Pattern,
        count: int = 1,
        *,
        offer: Extensions | None = None,
        plan: Plan | None = None,
        wire: bytes = WIRE,
        is_known: bool = True,
    ) -> None:
        """`is_known`: with pattern E, the server has taken a message before."""
        plan = plan or Plan(pattern=pattern, verdict=True, window=4)
        self.now = 1000.0
        self.session = Session(offer or OFFERS[pattern], plan, self.now)
        self.waiting = [
            Transaction(Envelope("s@a.test", f"r{number}@b.test", message(wire)), number)
            for number in range(count)
        ]
        self.facts: list[Fact] = []
        self.written = b""
        self.is_read = True
        """The server reads at once what is written; else when the test takes it."""
        if pattern is Pattern.E and is_known:
            self._become_known()
        self.turn([])

    def _become_known(self) -> None:
        """A first message by which the session learns how the server words its replies; then as if nothing had been."""
        waiting, self.waiting = self.waiting, []
        first = Transaction(Envelope("s@a.test", "first@b.test", message()), "first")
        self.turn(self.session.submit(first))
        self.say("250 ok", "250 ok")
        self.say("250 queued")
        assert self.session.pattern is Pattern.E
        self.waiting, self.facts, self.written = waiting, [], b""

    def turn(self, facts: list[Fact]) -> list[Fact]:
        """Deliver facts as a connection does: the owner submits while it hears, then what is due is
        written."""
        self.facts += [fact for fact in facts if not isinstance(fact, Vacant)]
        while self.waiting and self.session.room:
            facts = facts + self.session.submit(self.waiting.pop(0))
            self.facts += [fact for fact in facts if isinstance(fact, Impossible) and fact not in self.facts]
        while chunks := self.session.outgoing(self.now):
            self.written += b"".join(chunks)
            if not self.session.has_more:
                break
        return facts

    def say(self, *lines: str | bytes, after_s: float = 0.01, is_quiet: bool = True) -> list[Fact]:
        """One segment, and then silence for as long as a verdict that nothing follows is held back, unless not
        `is_quiet`. What was written and not taken yet has not arrived at the server."""
        self.now += after_s
        data = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
        facts = self.turn(self.session.feed(data, self.now, unacked=0 if self.is_read else len(self.written)))
        if is_quiet:
            facts = facts + self.pass_quiet()
        return [fact for fact in facts if not isinstance(fact, Vacant)]

    def pass_quiet(self) -> list[Fact]:
        due = self.session.deadline()
        return self.pass_deadline() if due is not None and due[0] == "quiet" else []

    def pass_deadline(self) -> list[Fact]:
        due = self.session.deadline()
        assert due is not None
        self.now = max(self.now, due[1])
        return self.turn(self.session.expire(self.now))

    def lose(self, detail: str = "connection closed by the peer") -> list[Fact]:
        return self.turn(self.session.lost(detail, self.now))

    def take(self) -> bytes:
        """What was written since the last look."""
        written, self.written = self.written, b""
        return written

    def of(self, number: int) -> list[Fact]:
        """What was reported of one transaction."""
        return [
            fact
            for fact in self.facts
            if (transaction := getattr(fact, "transaction", None)) is not None and transaction.tag == number
        ]

    @property
    def due(self) -> tuple[str, int] | None:
        """The command whose reply is due next, and whose it is."""
        positions = self.session._pipeline.due
        if not positions:
            return None
        position, work = positions[0]
        return position.name, work.transaction.tag if work is not None else -1  # type: ignore[return-value]

    @property
    def verdicts(self) -> list[bool]:
        return [fact.c_works for fact in self.facts if isinstance(fact, Learned)]
