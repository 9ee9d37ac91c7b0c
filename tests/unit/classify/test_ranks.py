import pytest

from mta.classify import patterns
from mta.classify.normalise import Normal
from mta.classify.ranks import Ranks
from mta.classify.rules import BASIC, ENHANCED, GENERIC, Rule, RuleBook
from mta.model.outcome import BounceClass, Stage

CLASS = BounceClass.POLICY


def rule(name: str, layer: str = GENERIC, **asked: object) -> Rule:
    return Rule(layer, name, CLASS, **asked)  # type: ignore[arg-type]


BOOK = RuleBook(
    operator=(rule("mine", "operator", text="mine"), rule("of-y", "operator", text="theirs", provider="y")),
    shipped=(
        rule("x-late", "x", provider="x", text="x", stages=frozenset({Stage.RCPT})),
        rule("x-code", "x", provider="x", provider_code="X[12]"),
        rule("y-any", "y", provider="y", codes=frozenset({554})),
        rule("words", text="mine|some words"),
        rule("early", text="too early", stages=frozenset({Stage.CONNECT})),
        rule("later", digit=4, text="later"),
        rule("by-code", ENHANCED, enhanced=((7, 1, 9),)),
        rule("last", BASIC, digit=5),
    ),
    families={"y": ("x",)},
)
RANKS = Ranks(BOOK)


def first(
    text: str,
    provider: str = "other",
    code: int = 550,
    *,
    enhanced: str = "",
    provider_code: str = "",
    stage: Stage | None = Stage.RCPT,
) -> str:
    place = RANKS.places[RANKS.first(stage, provider, Normal(text, code, enhanced, provider_code))]
    return f"{place.layer}: {place.rule.name}"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (first("mine and x", "x"), "operator: mine"),
        (first("theirs"), "basic code: last"),
        (first("theirs", "y"), "operator: of-y"),
        (first("an x with some words", "x"), "provider: x-late"),
        (first("an x with some words"), "generic text: words"),
        (first("an x", "y"), "provider: x-late"),
        (first("an x", "y", 554), "provider: y-any"),
        (first("an x", "x", stage=Stage.DATA), "basic code: last"),
        (first("an x", "x", stage=None), "provider: x-late"),
        (first("some words", "x", provider_code="x2"), "provider: x-code"),
        (first("some words", provider_code="X1"), "provider code: x-code"),
        (first("some words", provider_code="X3"), "generic text: words"),
        (first("too early"), "basic code: last"),
        (first("too early", stage=Stage.CONNECT), "generic text: early"),
        (first("too early", stage=Stage.OUT_OF_BAND), "generic text: early"),
        (first("later"), "basic code: last"),
        (first("later", code=450), "generic text: later"),
        (first("words", enhanced="5.7.9"), "enhanced code: by-code"),
        (first("words", enhanced="5.7.10"), "basic code: last"),
        (first("words", code=450), "basic code: unknown"),
    ],
)
def test_the_first_that_fits(found: str, expected: str) -> None:
    """By layer, provider, stage, codes and text; a book without a last rule has one all the same."""
    assert found == expected


def test_a_late_report_is_about_a_late_stage_first() -> None:
    """A rule of an early stage is asked only when none of a late one has answered."""
    assert first("too early with some words", stage=None) == "generic text: words"


def test_without_re2_the_answers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra may be missing."""
    monkeypatch.setattr(patterns, "re2", None)
    ranks = Ranks(BOOK)
    for text in ("mine", "an x", "some words", "nothing"):
        normal = Normal(text, 550, "", "")
        assert ranks.first(Stage.RCPT, "x", normal) == RANKS.first(Stage.RCPT, "x", normal)
