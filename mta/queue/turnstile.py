"""Who waits for something that several share, in the order in which they came. Pure.

Whoever was refused stands in line, once; nobody passes while somebody else is first. The first is woken when those
before it are gone; what it then waits for it asks of the rate or the limit itself. A waiter brings the number that it
drew when it was refused first, and keeps it until it was granted what it wants: sent from one line into another, it
does not start again at the end.
"""

from bisect import insort
from typing import Protocol


class Waiter(Protocol):
    def wake(self) -> None:
        """It is its turn to ask again."""
        ...


class Turnstile:
    __slots__ = ("_line", "_numbers")

    def __init__(self) -> None:
        self._line: list[tuple[int, int, Waiter]] = []
        self._numbers: dict[Waiter, int] = {}

    def __len__(self) -> int:
        return len(self._line)

    def __contains__(self, who: object) -> bool:
        return who in self._numbers

    def may_pass(self, who: Waiter) -> bool:
        """Nobody is before it."""
        return not self._line or self._line[0][2] is who

    def join(self, who: Waiter, number: int) -> None:
        if who not in self._numbers:
            self._numbers[who] = number
            insort(self._line, (number, id(who), who))

    def leave(self, who: Waiter) -> None:
        """Granted, or not interested any more: whoever is first now is woken."""
        number = self._numbers.pop(who, None)
        if number is None:
            return
        was_first = self._line[0][2] is who
        if was_first:
            del self._line[0]
        else:
            self._line.remove((number, id(who), who))
        if was_first:
            self.wake_first()

    def wake_first(self) -> None:
        if self._line:
            self._line[0][2].wake()

    def wake_all(self) -> None:
        for _, _, waiter in list(self._line):
            waiter.wake()
