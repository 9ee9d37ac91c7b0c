"""The verdicts on a connection that may still turn out to belong to something else: held back until nothing
stray can be among the replies they were read from.

A stray reply shifts every later one to the wrong command, so until the flight is complete none of its
verdicts can be believed: a 250 may belong to another message, a 550 to another command. Nor is a complete
flight enough: the stray may be its last reply, and the true one still on its way (B12). So a verdict is
*fresh* while its flight is under way, *aged* when that was answered in full, and stands when what came
after it has shown the replies to be in step: a 354 at its place; with CB and E, which have none, the next
flight or transaction answered in full, no sooner than it had arrived; or `Timeouts.quiet_s` in which nothing came.
Where all that is slow, a verdict on content is let go after `HOLD_S`, so that a crash repeats little.
"""

from mta.model.outcome import Stage
from mta.smtp.fact import Accepted, Fact, Lost, Refused
from mta.smtp.settings import Pattern
from mta.smtp.transaction import Work


class Verdicts:
    """In the order in which they were heard. `since` is when the first was left waiting: an aged one, or one
    on content whose flight goes on."""

    __slots__ = ("_aged", "_fresh", "since")

    def __init__(self) -> None:
        self._aged: list[tuple[Work, Accepted | Refused]] = []
        self._fresh: list[tuple[Work, Accepted | Refused]] = []
        self.since: float | None = None

    def __bool__(self) -> bool:
        return bool(self._fresh or self._aged)

    def add(self, work: Work, fact: Accepted | Refused) -> None:
        self._fresh.append((work, fact))

    def go_on(self, pattern: Pattern, now: float) -> list[Fact]:
        """The flight goes on. With E it may never end; else the clock runs for verdicts on content, which a crash
        would turn into duplicates."""
        if pattern is Pattern.E:
            return self.stand_but_last(now)
        if self.since is None and any(is_on_content(fact) for _, fact in self._fresh):
            self.since = now
        return []

    def end_flight(self, pattern: Pattern, now: float) -> list[Fact]:
        """All replies have come, and a 354 was not the last of them."""
        if pattern is Pattern.CB:
            return self.age(now)
        if pattern is Pattern.E:
            return self.stand_but_last(now)
        self.keep(now)
        return []

    def age(self, now: float) -> list[Fact]:
        """The flight is complete, and is the proof of the flights before it, whose verdicts stand."""
        aged = self._aged
        facts: list[Fact] = [fact for _, fact in aged]
        aged.clear()
        self._aged, self._fresh = self._fresh, aged
        self.since = now if self._aged else None
        return facts

    def keep(self, now: float) -> None:
        """The flight is complete, and proves nothing."""
        self._aged += self._fresh
        self._fresh.clear()
        if self.since is None:
            self.since = now

    def stand(self) -> list[Fact]:
        """All of them, as they are."""
        facts: list[Fact] = [fact for _, fact in self._aged]
        facts += [fact for _, fact in self._fresh]
        self._aged.clear()
        self._fresh.clear()
        self.since = None
        return facts

    def stand_aged(self) -> list[Fact]:
        facts: list[Fact] = [fact for _, fact in self._aged]
        self._aged.clear()
        return facts

    def stand_in_time(self) -> list[Fact]:
        """What has waited long enough: all but refusals of an envelope whose flight goes on."""
        facts = self.stand_aged()
        facts += [fact for _, fact in self._fresh if is_on_content(fact)]
        self._fresh = [(work, fact) for work, fact in self._fresh if not is_on_content(fact)]
        self.since = None
        return facts

    def stand_but_last(self, now: float) -> list[Fact]:
        """Those whose own replies have all come, but the last of them (pattern E, where the flight may never
        end): each proves the one before it."""
        complete = [held for held in self._fresh if not held[0].pending]
        if not complete:
            return []
        self._fresh = [held for held in self._fresh if held[0].pending]
        facts = self.stand_aged()
        facts += [fact for _, fact in complete[:-1]]
        self._aged = complete[-1:]
        self.since = now
        return facts

    def fall_refused(self, detail: str) -> list[Fact]:
        """No refusal can be trusted."""
        return self._fall_only(Refused, detail)

    def fall_accepted(self, detail: str) -> list[Fact]:
        """No delivery can be trusted."""
        return self._fall_only(Accepted, detail)

    def _fall_only(self, kind: type[Accepted | Refused], detail: str) -> list[Fact]:
        fallen = [held for held in (*self._aged, *self._fresh) if isinstance(held[1], kind)]
        self._aged = [held for held in self._aged if not isinstance(held[1], kind)]
        self._fresh = [held for held in self._fresh if not isinstance(held[1], kind)]
        return [doubt(work, fact, detail) for work, fact in fallen]

    def fall(self, detail: str) -> list[Fact]:
        """None can be trusted."""
        facts: list[Fact] = [doubt(work, fact, detail) for work, fact in self._aged]
        facts += [doubt(work, fact, detail) for work, fact in self._fresh]
        self._aged.clear()
        self._fresh.clear()
        self.since = None
        return facts


def is_on_content(fact: Accepted | Refused) -> bool:
    return isinstance(fact, Accepted) or fact.stage is Stage.END_OF_DATA


def doubt(work: Work, fact: Accepted | Refused, detail: str) -> Lost:
    """What is left of a verdict that can not be trusted: ambiguous if the end of data had been written."""
    if is_on_content(fact) or work.is_blind:
        return Lost(fact.transaction, Stage.END_OF_DATA, detail, None, True, fact.smtp_s)
    assert isinstance(fact, Refused)
    return Lost(fact.transaction, fact.stage, detail, None, False, fact.smtp_s)
