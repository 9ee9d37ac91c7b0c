"""The rules of a book in the order they are asked, and the first of them that fits a refusal.

Each has a place, or several where it is asked for several providers: the operator's, those of each provider, those on
a provider's code, generic text, and the enhanced and basic codes at the end. What a rule asks for but its text, and
what the words of the refusal leave possible (`mta.classify.clue`), are numbers with a bit for each; what is left of
all of them is searched for, lowest bit first.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from msgspec import Struct

from mta.classify.clue import Clues
from mta.classify.normalise import Normal
from mta.classify.patterns import Search, search_for
from mta.classify.rules import BASIC, ENHANCED, GENERIC, NAMED, Rule, RuleBook
from mta.model.outcome import BounceClass, Stage

_ANYONE = "*"
_CODED = (ENHANCED, BASIC)
_MOST_REMEMBERED = 1024
_UNKNOWN = Rule(BASIC, "unknown", BounceClass.UNDETERMINED, confidence="low")
"""When even the book's last rule is missing."""
_STAGES: dict[Stage | None, frozenset[Stage]] = {
    **{stage: frozenset({stage}) for stage in Stage},
    **dict.fromkeys((None, Stage.OUT_OF_BAND), NAMED),
}
"""Those that are meant. A report that came later may be about any, but most likely about a late one."""


class Place(Struct, frozen=True, gc=False):
    """`asked_for` is the provider for whose refusals the rule is asked here: "" for whomever the rule is for, `_ANYONE`
    whosever it is."""

    rule: Rule
    layer: str
    asked_for: str


class Ranks:
    """`places` are what `first` answers with an index of."""

    def __init__(self, book: RuleBook) -> None:
        self.places = tuple(_places(book))
        self._names = {name: (name, *others) for name, others in book.families.items()}
        texts = [place.rule.text for place in self.places]
        self._searches: dict[str, Search] = {}
        self._clues = Clues(texts)
        self._alternatives, self._bits = self._clues.alternatives, self._clues.bits
        self._place_of = [at for at, bits in enumerate(self._bits) for _ in range(bits.bit_count())]
        self._coded = self._where(lambda place: place.rule.layer in _CODED)
        self._textless = self._where(lambda place: not place.rule.text) & ~self._coded
        asking = {place.rule.provider_code for place in self.places} - {""}
        # Most of what looks like a provider's code is some number of a message: no rule asks for it.
        self._any_code = re.compile("|".join(f"(?:{one})" for one in asking), re.ASCII | re.IGNORECASE)
        self._without_code = self._where(lambda place: not place.rule.provider_code)
        remembered = lru_cache(_MOST_REMEMBERED)
        self._of_stages = remembered(self._at_stages)
        self._of_provider = remembered(self._for_provider)
        self._of_codes = remembered(self._with_codes)
        self._of_provider_code = remembered(self._with_provider_code)

    def first(self, stage: Stage | None, provider: str, normal: Normal) -> int:
        """The index of a place. Without a stage every rule may fit, first those of the stages at which a recipient is
        known."""
        text = normal.text
        fitting = (
            self._of_provider(provider)
            & self._of_codes(normal.code, normal.enhanced.partition(".")[2])
            & self._of_provider_code(normal.provider_code)
        )
        likely = fitting & self._of_stages(_STAGES[stage])
        first = likely & -likely
        if first & self._textless:  # as with most codes of providers
            return self._place_of[first.bit_length() - 1]
        possible = self._clues.possible(text)
        likely &= possible
        if stage is not None and stage is not Stage.OUT_OF_BAND:
            return self._lowest(likely, text)
        found = self._lowest(likely & ~self._coded, text)
        if found >= 0:
            return found
        return self._lowest((fitting & possible & ~self._coded) | (likely & self._coded), text)

    def _lowest(self, bits: int, text: str) -> int:
        """Of the places of the given alternatives the first of which one is found, or -1."""
        while bits:
            at = (bits & -bits).bit_length() - 1
            pattern = self._alternatives[at]
            if not pattern:
                return self._place_of[at]
            search = self._searches.get(pattern)
            if search is None:
                search = self._searches[pattern] = search_for(pattern)
            if search(text):
                return self._place_of[at]
            bits &= bits - 1
        return -1

    def _where(self, does_fit: Callable[[Place], bool]) -> int:
        """The bits of those places."""
        return sum(bits for place, bits in zip(self.places, self._bits, strict=True) if does_fit(place))

    def _at_stages(self, stages: frozenset[Stage]) -> int:
        return self._where(lambda place: not place.rule.stages or not place.rule.stages.isdisjoint(stages))

    def _for_provider(self, provider: str) -> int:
        names = self._names.get(provider, (provider,))

        def is_asked(place: Place) -> bool:
            if place.asked_for == _ANYONE:
                return True
            return place.asked_for in ("", provider) and place.rule.provider in ("", *names)

        return self._where(is_asked)

    def _with_codes(self, code: int, subject: str) -> int:
        """`subject` is the enhanced code without its first part."""
        first, _, last = subject.partition(".")
        group, number = (int(first), int(last)) if last else (-1, -1)

        def fits(place: Place) -> bool:
            rule = place.rule
            return (
                (not rule.codes or code in rule.codes)
                and (not rule.digit or code // 100 == rule.digit)
                and (
                    not rule.enhanced
                    or any(g == group and low <= number <= high for g, low, high in rule.enhanced)
                )
            )

        return self._where(fits)

    def _with_provider_code(self, provider_code: str) -> int:
        if not provider_code or not self._any_code.fullmatch(provider_code):
            return self._without_code
        return self._without_code | self._where(
            lambda place: (
                place.rule.provider_code != ""
                and re.fullmatch(place.rule.provider_code, provider_code, re.ASCII | re.IGNORECASE)
                is not None
            )
        )


def _places(book: RuleBook) -> Iterable[Place]:
    for rule in book.operator:
        yield Place(rule, "operator", "")
    of_providers = [rule for rule in book.shipped if rule.provider]
    for provider in dict.fromkeys((*(rule.provider for rule in of_providers), *book.families)):
        for name in (provider, *book.families.get(provider, ())):
            for rule in of_providers:
                if rule.provider == name:
                    yield Place(rule, "provider", provider)
    for rule in of_providers:
        if rule.provider_code:
            yield Place(rule, "provider code", _ANYONE)
    for layer, name in ((GENERIC, "generic text"), (ENHANCED, "enhanced code"), (BASIC, "basic code")):
        for rule in book.shipped:
            if rule.layer == layer:
                yield Place(rule, name, _ANYONE)
    yield Place(_UNKNOWN, "basic code", _ANYONE)
