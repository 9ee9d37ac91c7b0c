"""Rules in order against one refusal: their texts in one pass, then what else they ask for."""

import re
from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from mta.classify.patterns import Engine, pattern_set
from mta.classify.rules import Rule
from mta.model.outcome import Stage


class Refusal(Struct, frozen=True, gc=False):
    """What rules are held against. `subject` is the enhanced code without its first part, `stages` those that may be
    meant (None: any), `names` the provider and those whose rules hold for it."""

    text: str
    code: int
    subject: str
    provider_code: str
    stages: frozenset[Stage] | None
    names: tuple[str, ...]


class Section:
    """Rules of which the first that fits wins. Built once; the sets of patterns are the expensive part."""

    __slots__ = ("_coded", "_numbers", "_rules", "_set", "_textless")

    def __init__(self, rules: Sequence[Rule], engine: Engine = pattern_set) -> None:
        self._rules = tuple(rules)
        with_text = [at for at, rule in enumerate(rules) if rule.text]
        self._numbers = with_text
        self._set = engine([rules[at].text for at in with_text]) if with_text else None
        self._textless = [at for at, rule in enumerate(rules) if not rule.text and not rule.provider_code]
        self._coded = lru_cache(1024)(self._with_code)

    def first(self, refusal: Refusal, *, anyone: bool = False) -> Rule | None:
        """`anyone`: rules of every provider, as far as they ask for a provider's code."""
        if not self._rules:
            return None
        numbers = self._numbers
        found = [numbers[at] for at in self._set.matches(refusal.text)] if self._set is not None else []
        if refusal.provider_code:
            found += self._coded(refusal.provider_code)
        if self._textless:
            found += self._textless
        if len(found) > 1:
            found.sort()
        rules = self._rules
        for at in found:
            rule = rules[at]
            if fits(rule, refusal) and (anyone or not rule.provider or rule.provider in refusal.names):
                return rule
        return None

    def _with_code(self, provider_code: str) -> list[int]:
        return [
            at
            for at, rule in enumerate(self._rules)
            if not rule.text and rule.provider_code and _has_code(rule, provider_code)
        ]


def fits(rule: Rule, refusal: Refusal) -> bool:
    """All that a rule asks for but its text and its provider."""
    return (
        (not rule.stages or refusal.stages is None or not rule.stages.isdisjoint(refusal.stages))
        and (not rule.codes or refusal.code in rule.codes)
        and (not rule.digit or refusal.code // 100 == rule.digit)
        and (not rule.enhanced or _has_subject(rule, refusal.subject))
        and (not rule.provider_code or _has_code(rule, refusal.provider_code))
    )


def found_in(rule: Rule, text: str) -> str:
    """What the rule's text found; empty where it has none."""
    found = re.search(rule.text, text, re.ASCII) if rule.text else None
    return found[0] if found is not None else ""


def _has_subject(rule: Rule, subject: str) -> bool:
    first, _, last = subject.partition(".")
    if not last:
        return False
    group, number = int(first), int(last)
    return any(group == wanted and low <= number <= high for wanted, low, high in rule.enhanced)


def _has_code(rule: Rule, provider_code: str) -> bool:
    return (
        provider_code != ""
        and re.fullmatch(rule.provider_code, provider_code, re.ASCII | re.IGNORECASE) is not None
    )
