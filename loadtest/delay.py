"""A delay line: what goes in comes out in order, each piece a fixed time later.

It delays pieces, not commands: ten commands that came in one read leave as one piece after one delay, so a
peer that pipelines gains what it would gain on a long wire. Pure: its owner brings the time and the timer.
"""

from collections import deque
from typing import Generic, TypeVar

Piece = TypeVar("Piece")


class DelayLine(Generic[Piece]):
    """`due` hands out what has been inside for `delay_s`; `next_due_at` says when to ask again."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._pieces: deque[tuple[float, Piece]] = deque()

    def push(self, now: float, piece: Piece) -> None:
        self._pieces.append((now + self._delay_s, piece))

    def due(self, now: float) -> list[Piece]:
        pieces = self._pieces
        out: list[Piece] = []
        while pieces and pieces[0][0] <= now:
            out.append(pieces.popleft()[1])
        return out

    @property
    def next_due_at(self) -> float | None:
        return self._pieces[0][0] if self._pieces else None
