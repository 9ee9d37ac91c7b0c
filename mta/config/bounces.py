"""`bounces.toml`: rules that read a class out of a refusal, as data.

A table is a layer (a provider's name, `generic`, `enhanced`, `basic`), in it each rule is a table of its own name. What
many patterns have in common is a word of `[words]`, which stands in them as `{its-name}`. An operator's file has the
same form; its rules stand in front of all that are shipped. Whether rules do what they say is proven by
`mta.config.proof`; here only what can be seen without matching anything.
"""

import re
from collections.abc import Collection
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from mta.classify.patterns import fault_of
from mta.classify.quoted import stage_of
from mta.classify.rules import ACCUSED, BASIC, BEFORE_MAIL, CLASSES, ENHANCED, GENERIC, NAMED, Rule
from mta.config.names import is_token
from mta.config.problems import Findings, nearest
from mta.config.reading import join, read, show
from mta.model.outcome import BounceClass, Scope, Stage

FAMILIES, WORDS = "families", "words"
OPERATOR = "operator"
_SHARED = (GENERIC, ENHANCED, BASIC)
_ENHANCED = re.compile(r"X\.(\d{1,3})\.(\d{1,3})(?:-(\d{1,3}))?")
_LISTS = frozenset(("stage", "code", "enhanced", "text", "example", "counter"))
_WORD = re.compile(r"\{([a-z][a-z0-9-]*)\}")
_DATE = re.compile(r"\d{4}-\d{2}(?:-\d{2})?")
_CAPITALS = re.compile(r"\\.|(ADDR|HOST|IP|URL|ID|N[a-z]*|TIME|STATUS)(?![A-Z])|([^\W\d_])")


class RuleTable(Struct, frozen=True, kw_only=True):
    """`text` are alternatives, one to a line; a list of one may be a string (`_listed`). `since` is when the fact was
    last known to hold, `source` where it comes from."""

    class_: str = field(name="class")
    stage: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    enhanced: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    provider_code: str = ""
    scope: str = ""
    confidence: Literal["high", "low"] = "high"
    retry: Literal["", "again", "long"] = ""
    detail: str = ""
    since: str
    source: str
    example: tuple[str, ...]
    counter: tuple[str, ...]


def rules(
    table: dict[str, Any],
    found: Findings,
    *,
    providers: Collection[str] | None = None,
    is_operators: bool = False,
) -> tuple[tuple[Rule, ...], dict[str, tuple[str, ...]]]:
    """The rules in order and, for each provider, whose rules hold for it as well; findings for what cannot be.
    `providers` are those there are; None: any name is one. Of the shipped file the patterns are not compiled to see
    whether they can be: that takes a quarter of a second, and a test has done it."""
    families = _families(table.get(FAMILIES, {}), providers, found)
    words = _words(table.get(WORDS, {}), found)
    made = []
    for layer, named in table.items():
        if layer in (FAMILIES, WORDS):
            continue
        if layer not in _SHARED and providers is not None and layer not in providers:
            known = (*_SHARED, *providers)
            found.wrong(join("", layer), f"unknown provider or layer{nearest(layer, known)}")
            continue
        if not isinstance(named, dict):
            found.wrong(join("", layer), f"expected tables such as [{layer}.my-rule], found {show(named)}")
            continue
        for name, one in named.items():
            path = join(join("", layer), name)
            stated = read(RuleTable, _listed(one), path, found)
            if not is_token(name):
                found.wrong(path, "a rule is named by [a-z0-9_-], at most 64 of them")
            elif stated is not None:
                stated = replace(stated, text=_filled(stated.text, words, f"{path}.text", found))
                rule = _rule(layer, name, stated, path, found, is_operators=is_operators)
                made += [rule] if rule is not None else []
    return tuple(made), families


def _listed(one: Any) -> Any:
    """One string where a list of them is wanted is the only one: `text = "spam"`."""
    if not isinstance(one, dict):
        return one
    return {key: [value] if key in _LISTS and isinstance(value, str) else value for key, value in one.items()}


def _words(table: Any, found: Findings) -> dict[str, str]:
    """Each may have those before it in it."""
    words: dict[str, str] = {}
    if not isinstance(table, dict):
        found.wrong(WORDS, f"expected a table, found {show(table)}")
        return words
    for name, pattern in table.items():
        path = join(WORDS, name)
        if not _WORD.fullmatch(f"{{{name}}}") or not isinstance(pattern, str):
            found.wrong(
                path, f'expected a name of [a-z0-9-] and a pattern such as "a|b", found {show(pattern)}'
            )
            continue
        (words[name],) = _filled((pattern,), words, path, found)
    return words


def _filled(patterns: tuple[str, ...], words: dict[str, str], path: str, found: Findings) -> tuple[str, ...]:
    """With the words for their names."""

    def word(name: re.Match[str]) -> str:
        if name[1] not in words:
            found.wrong(path, f"{name[0]} is no word of [words]{nearest(name[1], words)}")
            return name[0]
        return f"(?:{words[name[1]]})"

    return tuple(_WORD.sub(word, pattern) for pattern in patterns)


def _families(table: Any, providers: Collection[str] | None, found: Findings) -> dict[str, tuple[str, ...]]:
    families: dict[str, tuple[str, ...]] = {}
    if not isinstance(table, dict):
        found.wrong(FAMILIES, f"expected a table, found {show(table)}")
        return families
    for name, others in table.items():
        path = join(FAMILIES, name)
        if not isinstance(others, list) or not all(isinstance(one, str) for one in others):
            found.wrong(path, f'expected a list of providers such as ["microsoft"], found {show(others)}')
            continue
        for one in (name, *others):
            if providers is not None and one not in providers:
                found.wrong(path, f"unknown provider {show(one)}{nearest(one, providers)}")
        families[name] = tuple(others)
    return families


def _rule(
    layer: str, name: str, stated: RuleTable, path: str, found: Findings, *, is_operators: bool
) -> Rule | None:
    """None after findings."""
    before = len(found.problems)
    if stated.class_ not in set(BounceClass):
        found.wrong(f"{path}.class", f"unknown class{nearest(stated.class_, BounceClass)}")
    codes, digit = _codes(stated.code, path, found)
    stages = _stages(stated.stage, path, found)
    enhanced = _enhanced(stated.enhanced, path, found)
    if is_operators:
        _check_text(stated, path, found)
    if stated.scope and stated.scope not in ACCUSED:
        found.wrong(f"{path}.scope", f"unknown scope{nearest(stated.scope, ACCUSED)}")
    if not _DATE.fullmatch(stated.since):
        found.wrong(f"{path}.since", f'expected a month or day such as "2026-08", found {show(stated.since)}')
    if not stated.source.strip():
        found.wrong(f"{path}.source", "says nothing: name a page, an RFC's section or a program")
    for key in ("example", "counter"):
        if not getattr(stated, key):
            found.wrong(f"{path}.{key}", "needs at least one reply: `mta check` proves the rule by it")
    if len(found.problems) > before:
        return None
    is_shared = layer in _SHARED
    rule = Rule(
        layer=OPERATOR if is_operators else layer,
        name=f"{layer}.{name}" if is_operators else name,
        bounce_class=BounceClass(stated.class_),
        provider="" if is_shared else layer,
        stages=stages,
        codes=codes,
        digit=digit,
        enhanced=enhanced,
        text="|".join(stated.text),
        provider_code=stated.provider_code,
        accused=stated.scope,
        confidence=stated.confidence,
        retry=stated.retry,
        detail=stated.detail,
        examples=stated.example,
        counters=stated.counter,
    )
    _check_invariants(rule, path, found)
    return rule if len(found.problems) == before else None


def _check_invariants(rule: Rule, path: str, found: Findings) -> None:
    is_recipients = CLASSES[rule.bounce_class].scope is Scope.RECIPIENT and rule.bounce_class not in (
        BounceClass.LOCAL,
        BounceClass.EXPIRED,
    )
    if is_recipients and not (rule.stages and rule.stages <= NAMED):
        text = f"{rule.bounce_class} is about a recipient: expected some of {', '.join(sorted(NAMED))} (S-16)"
        found.wrong(f"{path}.stage", text)
    names_nothing = not rule.text and not rule.provider_code
    is_bare_7_1 = names_nothing and any(group == 7 and low <= 1 <= high for group, low, high in rule.enhanced)
    is_permanent = rule.digit != 4 and (not rule.codes or max(rule.codes) >= 500)
    if is_bare_7_1 and is_permanent and rule.bounce_class is not BounceClass.POLICY:
        found.wrong(f"{path}.enhanced", "a bare 5.7.1 says nothing but policy: add text")
    if rule.retry == "again" and rule.stages and rule.stages <= BEFORE_MAIL:
        found.wrong(
            f"{path}.retry", "has no effect: what is refused before MAIL is tried again anyway (S-16)"
        )


def _codes(words: tuple[str, ...], path: str, found: Findings) -> tuple[frozenset[int], int]:
    if words in (("4yz",), ("5yz",)):
        return frozenset(), int(words[0][0])
    codes = set()
    for at, word in enumerate(words):
        if len(word) == 3 and word.isascii() and word.isdigit() and word[0] in "45":
            codes.add(int(word))
        else:
            found.wrong(
                f"{path}.code[{at}]", f'expected "450", or ["4yz"] or ["5yz"] alone, found {show(word)}'
            )
    return frozenset(codes), 0


def _stages(words: tuple[str, ...], path: str, found: Findings) -> frozenset[Stage]:
    stages = set()
    for at, word in enumerate(words):
        try:
            stages.add(stage_of(word))
        except ValueError as error:
            found.wrong(f"{path}.stage[{at}]", str(error))
    return frozenset(stages)


def _enhanced(words: tuple[str, ...], path: str, found: Findings) -> tuple[tuple[int, int, int], ...]:
    ranges = []
    for at, word in enumerate(words):
        match = _ENHANCED.fullmatch(word)
        if match is None:
            found.wrong(
                f"{path}.enhanced[{at}]",
                f'expected "X.1.1" or "X.7.606-649" (the basic code is the first part), found {show(word)}',
            )
            continue
        group, low = int(match[1]), int(match[2])
        ranges.append((group, low, int(match[3] or low)))
    return tuple(ranges)


def _check_text(stated: RuleTable, path: str, found: Findings) -> None:
    if stated.provider_code and (fault := fault_of(stated.provider_code)):
        found.wrong(f"{path}.provider_code", fault)
    for at, pattern in enumerate(stated.text):
        fault = fault_of(pattern) or ("" if pattern else "matches everything: leave it out")
        if fault:
            found.wrong(f"{path}.text[{at}]", fault)
        for match in _CAPITALS.finditer(pattern):
            letter = match[2]
            if letter and letter != letter.lower():
                found.wrong(
                    f"{path}.text[{at}]",
                    f"can never match: {show(letter)} in {show(pattern)}; refusals are matched in lower case",
                )
                break
