"""Which of many patterns a text may hold at all, by its words: some microseconds for hundreds of them, whether or not
anybody ever wrote the like.

A pattern is parted at its alternatives. Of each the fragments are taken that whatever it matches must have, none with
a space in it, so that one is found within a word or not at all; the few that tell it best from the others are its
clues. What a word is a clue to is worked out once and remembered as one number with a bit for each. The text may hold
an alternative when its clues are all there: that is never wrong about one that it holds, and seldom about others. It
can then be searched for by itself.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, reduce
from operator import or_

from msgspec import Struct

_MOST_CLUES = 3
"""Of one alternative. With two a third more is searched for in vain, a fourth finds out nothing."""
_BEGINNING = 3
"""Letters that a fragment is looked up by; what is shorter is looked up whole."""
_MOST_KNOWN, _MOST_KNOWN_WORD = 8192, 40

Demand = frozenset[str]
"""Fragments of which there must be one."""


class Part(Struct, frozen=True, gc=False):
    """An alternative of a pattern: by itself, and what it demands."""

    source: str
    demands: list[Demand]


_TOKEN = re.compile(
    r"(?P<run>[^\\\[\](){}.*+?|^$]+)|(?P<escape>\\.)|(?P<choice>\[\^?\]?(?:\\.|[^\]\\])*\])|(?P<open>\((?:\?:)?)|(?P<close>\))"
    r"|(?P<bar>\|)|(?P<start>\^)|(?P<end>\$)|(?P<repeat>(?:[*+?]|\{[^}]*\})\??)|(?P<other>.)",
    re.DOTALL,
)
_FRAGMENT = re.compile(r"(?=((?:^| )[^ ]+(?: |$)))")
_SPACE = re.compile(r" (?![*?{])|\$")
_AT_LEAST_ONE = re.compile(r"\+|\{0*[1-9]")


class Clues:
    """Patterns in a fixed order, parted: `alternatives` has the one of each bit, `bits[i]` are those of the i-th
    pattern. An empty one is held by any text."""

    __slots__ = ("_given", "_known", "alternatives", "bits")

    def __init__(self, patterns: Sequence[str]) -> None:
        parted = {pattern: parts(pattern) for pattern in dict.fromkeys(patterns)}
        rank = _ranked(part for found in parted.values() for part in found)
        self.alternatives: list[str] = []
        self.bits: list[int] = []
        clues: list[list[Demand]] = []
        for pattern in patterns:
            before = len(clues)
            for part in parted[pattern]:
                self.alternatives.append(part.source)
                clues.append(sorted(filter(_is_telling, part.demands), key=rank)[:_MOST_CLUES])
            self.bits.append((1 << len(clues)) - (1 << before))
        # The bits of all the first clues, then of all the second, then of all the third.
        masks: dict[str, int] = {}
        self._given = 0
        for place in range(_MOST_CLUES):
            for at, those in enumerate(clues, place * len(clues)):
                if place >= len(those):
                    self._given |= 1 << at
                    continue
                for fragment in those[place]:
                    masks[fragment] = masks.get(fragment, 0) | 1 << at
        self._known = _Words(masks)

    def possible(self, text: str) -> int:
        """The bits of the alternatives that `text` may hold."""
        found = reduce(or_, map(self._known.__getitem__, text.split(" ")), self._given)
        width = len(self.alternatives)
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


def _ranked(found: Iterable[Part]) -> Callable[[Demand], tuple[int, int]]:
    """By what a demand tells: what few alternatives demand, and what is long, first."""
    common = Counter(fragment for part in found for demand in part.demands for fragment in demand)
    return lambda demand: (max(common[fragment] for fragment in demand), -_shortest(demand))


def _is_telling(demand: Demand) -> bool:
    """One letter of an alphabet is in every text."""
    return all(len(fragment) > 1 or not fragment.isascii() for fragment in demand)


def parts(pattern: str) -> list[Part]:
    """A pattern's alternatives with what each cannot do without, with the spaces around it, which every word of a text
    has, the first and the last, too. Only what is sure: of anything that need not be there, or that is not plain,
    nothing is demanded."""
    outer: list[tuple[list[tuple[list[Demand], str]], list[Demand], str]] = []
    alternatives: list[tuple[list[Demand], str]] = []  # each with the run it ends in
    current: list[Demand] = []
    sources: list[str] = []
    begun = 0  # the alternative of the pattern itself
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
        if kind in ("bar", "close") and not outer:
            sources.append(pattern[begun : token.start()])
            begun = token.end()
        if kind == "bar":
            alternatives.append((current, run))
            current, run, last = [], lead, 0
            continue
        if kind == "close":
            alternatives.append((current, run))
            tail = " " if _SPACE.match(pattern, token.end()) else ""
            inner = [[*demanded, *_fragments(ending + tail)] for demanded, ending in alternatives]
            if not outer:
                return [Part(*part) for part in zip(sources, inner, strict=True)]
            alternatives, current, lead = outer.pop()
            run, last = "", len(current)
            current += inner[0] if len(inner) == 1 else _any_of(inner)
            continue
        if kind == "end":
            run += " "
        if run:
            current += _fragments(run[:-1] if kind == "repeat" else run)
        begins, run, last = run[-1:], " " if kind == "start" else "", len(current)
        if kind == "open":
            outer.append((alternatives, current, lead))
            lead = " " if begins == " " else ""
            alternatives, current, run, last = [], [], lead, 0
    raise ValueError(f"{pattern!r} does not end")


@lru_cache(_MOST_KNOWN)
def _fragments(run: str) -> list[Demand]:
    """Not to be changed: patterns have much in common."""
    return [frozenset((fragment,)) for fragment in _FRAGMENT.findall(run)]


def _any_of(alternatives: list[list[Demand]]) -> list[Demand]:
    """What a group demands: of each of its alternatives the longest."""
    if not all(alternatives):
        return []
    return [frozenset().union(*(max(one, key=_shortest) for one in alternatives))]


def _shortest(demand: Demand) -> int:
    return min(map(len, demand))
