"""Which of many patterns a text may hold at all, by its words: some microseconds for hundreds of them, whether or not
anybody ever wrote the like.

A pattern is parted at its alternatives. Of each the fragments are taken that whatever it matches must have, none with
a space in it, so that one is found within a word or not at all; the few that tell it best from the others are its
clues. What a word is a clue to is worked out once and remembered as one number with a bit for each. The text may hold
an alternative when its clues are all there: that is never wrong about one that it holds, and seldom about others.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import or_

_MOST_CLUES = 3
"""Of one alternative. With two a third more is searched for in vain, a fourth finds out nothing."""
_BEGINNING = 3
"""Letters that a fragment is looked up by; what is shorter is looked up whole."""
_MOST_KNOWN, _MOST_KNOWN_WORD = 8192, 40

Demand = frozenset[str]
"""Fragments of which there must be one."""

_TOKEN = re.compile(
    r"(?P<run>[^\\\[\](){}.*+?|^$]+)|(?P<escape>\\.)|(?P<choice>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?:)?)|(?P<close>\))"
    r"|(?P<bar>\|)|(?P<start>\^)|(?P<end>\$)|(?P<repeat>(?:[*+?]|\{[^}]*\})\??)|(?P<other>.)",
    re.DOTALL,
)
_FRAGMENT = re.compile(r"(?=((?:^| )[^ ]+(?: |$)))")
_SPACE = re.compile(r" (?![*?{])|\$")
_AT_LEAST_ONE = re.compile(r"\+|\{0*[1-9]")


class Clues:
    """Patterns in a fixed order; `bits[i]` are those of the alternatives of the i-th. An empty one is held by any
    text."""

    __slots__ = ("_given", "_known", "_width", "bits")

    def __init__(self, patterns: Sequence[str]) -> None:
        parted = _chosen(dict.fromkeys(patterns))
        self._width = sum(len(parted[pattern]) for pattern in patterns)
        # The bits of all the first clues, then of all the second, then of all the third.
        masks: dict[str, int] = {}
        self._given = 0
        self.bits: list[int] = []
        at = 0
        for pattern in patterns:
            self.bits.append((1 << at + len(parted[pattern])) - (1 << at))
            for alternative in parted[pattern]:
                for place in range(_MOST_CLUES):
                    bit = 1 << place * self._width + at
                    if place >= len(alternative):
                        self._given |= bit
                        continue
                    for fragment in alternative[place]:
                        masks[fragment] = masks.get(fragment, 0) | bit
                at += 1
        self._known = _Words(masks)

    def possible(self, text: str) -> int:
        """The bits of the alternatives that `text` may hold."""
        found = reduce(or_, map(self._known.__getitem__, text.split(" ")), self._given)
        width = self._width
        possible = (1 << width) - 1
        for _ in range(_MOST_CLUES):
            possible &= found
            found >>= width
        return possible


class _Words(dict[str, int]):
    """The bits of each word, remembered within bounds."""

    def __init__(self, masks: dict[str, int]) -> None:
        super().__init__()
        self._by_beginning: dict[str, list[tuple[str, int]]] = {}
        for fragment, mask in masks.items():
            self._by_beginning.setdefault(fragment[:_BEGINNING], []).append((fragment, mask))

    def __missing__(self, word: str) -> int:
        mask = 0
        spaced = f" {word} "
        by_beginning = self._by_beginning
        for length in range(2 if word.isascii() else 1, _BEGINNING + 1):
            for at in range(len(spaced) - length + 1):
                for fragment, bits in by_beginning.get(spaced[at : at + length], ()):
                    if spaced.startswith(fragment, at):
                        mask |= bits
        if len(word) <= _MOST_KNOWN_WORD:
            if len(self) >= _MOST_KNOWN:
                self.clear()
            self[word] = mask
        return mask


def _chosen(patterns: Iterable[str]) -> dict[str, list[list[Demand]]]:
    """For each pattern the clues of its alternatives: what few patterns demand, and what is long."""
    parted = {pattern: demands(pattern) for pattern in patterns}
    common = Counter(
        fragment
        for alternatives in parted.values()
        for alternative in alternatives
        for demand in alternative
        for fragment in demand
    )

    def rank(demand: Demand) -> tuple[int, int]:
        return max(common[fragment] for fragment in demand), -_shortest(demand)

    def clues(alternative: list[Demand]) -> list[Demand]:
        return sorted(filter(_is_telling, alternative), key=rank)[:_MOST_CLUES]

    return {
        pattern: list({frozenset(found): found for found in map(clues, alternatives)}.values())
        for pattern, alternatives in parted.items()
    }


def _is_telling(demand: Demand) -> bool:
    """One letter of an alphabet is in every text."""
    return all(len(fragment) > 1 or not fragment.isascii() for fragment in demand)


def demands(pattern: str) -> list[list[Demand]]:
    """What each alternative of a pattern cannot do without, with the spaces around it, which every word of a text has,
    the first and the last, too. Only what is sure: of anything that need not be there, or that is not plain, nothing
    is demanded."""
    outer: list[tuple[list[tuple[list[Demand], str]], list[Demand], str]] = []
    alternatives: list[tuple[list[Demand], str]] = []  # each with the run it ends in
    current: list[Demand] = []
    lead = ""  # in front of each alternative
    run = ""  # of letters that are not yet demanded
    last = 0  # where in `current` begins what a repeat would be of, unless it is of the run's last letter
    for token in _TOKEN.finditer(f"{pattern})"):
        kind, said = token.lastgroup, token[0]
        if kind == "run":
            run += said
            continue
        if kind == "escape" and not said[1].isalnum():
            run += said[1]
            continue
        if kind == "repeat" and not run and not _AT_LEAST_ONE.match(said):
            del current[last:]
        if kind == "bar":
            alternatives.append((current, run))
            current, run, last = [], lead, 0
            continue
        if kind == "close":
            alternatives.append((current, run))
            tail = " " if _SPACE.match(pattern, token.end()) else ""
            inner = [[*demanded, *_fragments(ending + tail)] for demanded, ending in alternatives]
            if not outer:
                return inner
            alternatives, current, lead = outer.pop()
            run, last = "", len(current)
            current += inner[0] if len(inner) == 1 else _any_of(inner)
            continue
        if kind == "end":
            run += " "
        current += _fragments(run[:-1] if kind == "repeat" else run)
        begins, run, last = run[-1:], " " if kind == "start" else "", len(current)
        if kind == "open":
            outer.append((alternatives, current, lead))
            lead = " " if begins == " " else ""
            alternatives, current, run, last = [], [], lead, 0
    raise ValueError(f"{pattern!r} does not end")


def _fragments(run: str) -> list[Demand]:
    return [frozenset((fragment,)) for fragment in _FRAGMENT.findall(run)]


def _any_of(alternatives: list[list[Demand]]) -> list[Demand]:
    """What a group demands: of each of its alternatives the longest."""
    if not all(alternatives):
        return []
    return [frozenset().union(*(max(one, key=_shortest) for one in alternatives))]


def _shortest(demand: Demand) -> int:
    return min(map(len, demand))
