import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.classify import patterns
from mta.classify.patterns import (
    FilteredPatterns,
    Re2Patterns,
    RePatterns,
    fault_of,
    pattern_filter,
    pattern_set,
)
from mta.config.load import shipped_rules
from tests.unit.classify.replies import FACTS, SERVERS, explained

TEXTS = [rule.text for rule in shipped_rules().shipped if rule.text]
BY_RE2, BY_RE, BY_FILTER = Re2Patterns(TEXTS), RePatterns(TEXTS), FilteredPatterns(TEXTS)
WORDS = sorted({word for text in TEXTS for word in text.replace("|", " ").split() if word.isalpha()})


def test_all_engines_agree_on_real_replies() -> None:
    """Every reply of the tables."""
    for said in (*FACTS, *SERVERS):
        for reply in said.replies:
            text = explained(reply, said.stage, said.provider).normal.text
            assert BY_RE2.matches(text) == BY_FILTER.matches(text) == BY_RE.matches(text), text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([*WORDS, "ADDR", "HOST", "IP", "[IP]", "N", ".", ":", "не", "用户", "é"]), max_size=25
    )
)
def test_all_engines_agree_on_made_up_ones(words: list[str]) -> None:
    """Out of the words of the rules themselves."""
    text = " ".join(words)
    assert BY_RE2.matches(text) == BY_FILTER.matches(text) == BY_RE.matches(text)


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.characters(
            exclude_categories=("Cs",), exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
        ),
        max_size=200,
    )
)
def test_all_engines_agree_on_any_text(text: str) -> None:
    """Whatever letters."""
    normal = " ".join(text.split())
    assert BY_RE2.matches(normal) == BY_FILTER.matches(normal) == BY_RE.matches(normal)


def test_places_come_in_order() -> None:
    """The first rule wins, so it must be known which is the first."""
    for engine in (Re2Patterns, RePatterns, FilteredPatterns):
        assert engine(["z", "b", "a"]).matches("a b z") == [0, 1, 2]
        assert engine(["x", "b"]).matches("a b") == [1]
        assert engine(["x"]).matches("a b") == []


def test_without_re2_the_standard_library_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra may be missing."""
    monkeypatch.setattr(patterns, "re2", None)
    assert isinstance(pattern_set(["a"]), RePatterns)
    assert isinstance(pattern_filter(["a"]), RePatterns)
    assert fault_of("a(b|c)") == ""
    assert "no regular expression" in fault_of("a(b")


def test_a_set_that_ran_out_of_memory_still_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """RE2 then says that nothing matches: the sentinel tells."""
    monkeypatch.setattr(patterns, "_MEMORY_BYTES", 60_000)
    text = "b " * 300 + "a" + "c" * 40
    small = Re2Patterns(["(?:a|b)[^d]{40}" for _ in range(20)])
    assert small.matches(text) == list(range(20))


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)b", r"(a)\1", "(?P<n>a)", "(?i)a", r"a\Z", "a*+", "a{2}+", r"\pL", "(", "a{2000}", "[a"],
)  # fmt: skip
def test_what_only_one_understands_is_refused(pattern: str) -> None:
    """Look-around, back-references, flags, possessive and huge repeats."""
    assert fault_of(pattern) != ""


@pytest.mark.parametrize("pattern", TEXTS)
def test_the_shipped_patterns_can_be_used(pattern: str) -> None:
    """The loader takes them on trust."""
    assert fault_of(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("to ADDR", "to ADDR"), ("ADDR|é+", "éé"), ("[a-c]x?", "b"), ("(?:|no) N", " N"), ("用户", "此用户"), (".*", "")],
)  # fmt: skip
def test_a_filter_misses_nothing(pattern: str, text: str) -> None:
    """Capitals, alternatives, and patterns that no word is indispensable to."""
    assert FilteredPatterns([pattern, "never"]).matches(text) == [0]
