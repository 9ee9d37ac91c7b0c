from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.classify import patterns
from mta.classify.patterns import Search, _by_re, _by_re2, fault_of, search_for
from mta.config.load import shipped_rules
from tests.unit.classify.replies import FACTS, SERVERS, explained

TEXTS = [rule.text for rule in shipped_rules().shipped if rule.text]
WORDS = sorted({word for text in TEXTS for word in text.replace("|", " ").split() if word.isalpha()})


@cache
def searches() -> list[tuple[Search, Search]]:
    """By each, made once and only where they are asked."""
    return [(_by_re2(text), _by_re(text)) for text in TEXTS]


def agree(text: str) -> bool:
    return all(by_re2(text) == by_re(text) for by_re2, by_re in searches())


def test_both_agree_on_real_replies() -> None:
    """Every reply of the tables."""
    for said in (*FACTS, *SERVERS):
        for reply in said.replies:
            text = explained(reply, said.stage, said.provider).normal.text
            assert agree(text), text


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from([*WORDS, "ADDR", "HOST", "IP", "[IP]", "N", ".", ":", "не", "用户", "é"]), max_size=25
    )
)
def test_both_agree_on_made_up_ones(words: list[str]) -> None:
    """Out of the words of the rules themselves."""
    assert agree(" ".join(words))


@settings(max_examples=60, deadline=None)
@given(
    st.text(
        st.characters(
            exclude_categories=("Cs",), exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
        ),
        max_size=200,
    )
)
def test_both_agree_on_any_text(text: str) -> None:
    """Whatever letters."""
    assert agree(" ".join(text.split()))


def test_without_re2_the_standard_library_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra may be missing."""
    monkeypatch.setattr(patterns, "re2", None)
    search = search_for("a(b|c)")
    assert search("xac")
    assert not search("xad")
    assert fault_of("a(b|c)") == ""
    assert "no regular expression" in fault_of("a(b")


def test_plain_text_is_no_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine is asked for it."""
    monkeypatch.setattr(patterns, "_by_re2", None)
    monkeypatch.setattr(patterns, "_by_re", None)
    assert search_for("no user, ok")("there is no user, ok?")
    assert not search_for("no user, ok")("no user ok")


class _Exhausted:
    """A set of RE2's that runs out of memory: it then says that nothing matches."""

    @staticmethod
    def SearchSet(options: object) -> "_Exhausted":
        return _Exhausted()

    def Add(self, pattern: str) -> None:
        pass

    def Compile(self) -> None:
        pass

    def Match(self, text: bytes) -> list[int]:
        return []


def test_a_pattern_that_ran_out_of_memory_is_searched_for_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even what always matches was found: `re` answers."""
    monkeypatch.setattr(patterns.re2, "Set", _Exhausted)
    search = search_for("a+b")
    assert search("aab")
    assert not search("b")


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
