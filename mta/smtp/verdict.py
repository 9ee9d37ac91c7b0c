"""The verdicts of a flight that has not been answered in full: held back until nothing stray can be among
its replies.

A stray reply shifts every later one to the wrong command, so until the flight is complete none of its
verdicts can be believed: a 250 may belong to another message, a 550 to another command (B12).
"""

from mta.model.outcome import Stage
from mta.smtp.fact import Accepted, Fact, Lost, Refused
from mta.smtp.transaction import Work


class Verdicts:
    """In the order in which they were heard. `content_since` is when the first one on content was held
    over."""

    __slots__ = ("_held", "content_since")

    def __init__(self) -> None:
        self._held: list[tuple[Work, Accepted | Refused]] = []
        self.content_since: float | None = None

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, work: Work, fact: Accepted | Refused) -> None:
        self._held.append((work, fact))

    def hold_over(self, now: float) -> None:
        """The flight goes on: let the clock run for verdicts on content, which a crash would turn into
        duplicates."""
        if self.content_since is None and any(is_on_content(fact) for _, fact in self._held):
            self.content_since = now

    def stand(self) -> list[Fact]:
        """All of them, as they are."""
        facts: list[Fact] = [fact for _, fact in self._held]
        self._held.clear()
        self.content_since = None
        return facts

    def stand_on_content(self) -> list[Fact]:
        facts: list[Fact] = [fact for _, fact in self._held if is_on_content(fact)]
        self._held = [(work, fact) for work, fact in self._held if not is_on_content(fact)]
        self.content_since = None
        return facts

    def stand_if_complete(self) -> list[Fact]:
        """Those whose own replies have all come (pattern E, where the flight may never end)."""
        facts: list[Fact] = [fact for work, fact in self._held if not work.pending]
        self._held = [(work, fact) for work, fact in self._held if work.pending]
        return facts

    def fall(self, detail: str) -> list[Fact]:
        """None can be trusted."""
        facts: list[Fact] = [doubt(work, fact, detail) for work, fact in self._held]
        self._held.clear()
        self.content_since = None
        return facts


def is_on_content(fact: Accepted | Refused) -> bool:
    return isinstance(fact, Accepted) or fact.stage is Stage.END_OF_DATA


def doubt(work: Work, fact: Accepted | Refused, detail: str) -> Lost:
    """What is left of a verdict that can not be trusted: ambiguous if the end of data had been written."""
    if is_on_content(fact) or work.is_blind:
        return Lost(fact.transaction, Stage.END_OF_DATA, detail, None, True, fact.smtp_s)
    assert isinstance(fact, Refused)
    return Lost(fact.transaction, fact.stage, detail, None, False, fact.smtp_s)
