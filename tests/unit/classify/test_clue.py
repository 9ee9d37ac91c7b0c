import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.classify import clue
from mta.classify.clue import Clues, parts
from mta.config.load import shipped_rules
from tests.unit.classify.replies import FACTS, SERVERS, explained

TEXTS = [rule.text for rule in shipped_rules().shipped if rule.text]
_AT_ONCE = 30
WORDS = sorted({word for text in TEXTS for word in re.split(r"[^a-zA-Z'\u00a0-\uffff]+", text) if word})


@cache
def clues() -> Clues:
    """Each process that collects tests would make them."""
    return Clues(TEXTS)


@cache
def search(source: str) -> re.Pattern[str]:
    return re.compile(source, re.ASCII)


def misses_nothing(text: str) -> bool:
    """Every pattern is found where one of its alternatives is possible and found, and no other is."""
    possible = clues().possible(text)
    found = sum(
        1 << at
        for at, source in enumerate(clues().alternatives)
        if possible >> at & 1 and search(source).search(text) is not None
    )
    return all(
        (search(source).search(text) is not None) == (found & bits != 0)
        for bits, source in zip(clues().bits, TEXTS, strict=True)
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("user unknown", [[{"user "}, {" unknown"}]]),
        ("over quota|mailbox full", [[{"over "}, {" quota"}], [{"mailbox "}, {" full"}]]),
        ("users? are", [[{"user"}, {" are"}]]),
        ("x(?: y)? z", [[{"x"}, {" z"}]]),
        ("no(?: such)+ user", [[{"no"}, {" such"}, {" user"}]]),
        ("no (?:more |such )?user", [[{"no "}, {"user"}]]),
        ("is (?:full|over) now", [[{"is "}, {" full ", " over "}, {" now"}]]),
        ("(?:a b|long|) c", [[{" c"}]]),
        ("(?:short longest|long) c", [[{" longest ", "long "}, {" c"}]]),
        (r"\bdkim\b.*[a-z|(]{1,9}\.$", [[{"dkim"}, {". "}]]),
        ("^full$", [[{" full "}]]),
        ("(?:^|x)full", [[{"full"}]]),
        ("ab{2,3}c{0,1}d", [[{"a"}, {"d"}]]),
        ("", [[]]),
        ("[^]x]y", [[{"y"}]]),
        (r"\w+ (?:\S+ )*z", [[{"z"}]]),
    ],
)  # fmt: skip
def test_what_a_pattern_demands(pattern: str, expected: list[list[set[str]]]) -> None:
    """Fragments without spaces in them, those of a group as alternatives, nothing that need not be there."""
    assert [part.demands for part in parts(pattern)] == expected


def test_an_alternative_is_a_pattern_by_itself() -> None:
    """Those of a group are not parted."""
    sources = [part.source for part in parts(r"a(?:b|c)|[|]\||d$|")]
    assert sources == ["a(?:b|c)", r"[|]\|", "d$", ""]


def test_real_replies_miss_nothing() -> None:
    """Every reply of the tables; of all the patterns but few are left."""
    left = count = 0
    for said in (*FACTS, *SERVERS):
        for reply in said.replies:
            text = explained(reply, said.stage, said.provider).normal.text
            assert misses_nothing(text), text
            possible = clues().possible(text)
            left += sum(possible & bits != 0 for bits in clues().bits)
            count += len(TEXTS)
    assert left < count / 10


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from([*WORDS, "ADDR", "HOST", "IP", "[IP]", "N", ".", ":", "не", "用户"]), max_size=25
    ),
    st.sampled_from([" ", " ", "-", ""]),
)
def test_made_up_ones_miss_nothing(words: list[str], between: str) -> None:
    """Out of the words of the rules themselves, and run together."""
    assert misses_nothing(between.join(words))


@pytest.mark.parametrize("pattern", TEXTS)
def test_every_alternative_is_possible_in_its_own_words(pattern: str) -> None:
    """What is found in a pattern's own source is not missed."""
    for text in (pattern, re.sub(r"\(\?:|[()?*+]|\[.*?\]|\\\w|\{.*?\}", "", pattern)):
        words = text.split()
        for start in range(0, len(words), _AT_ONCE):  # as much as a reply has
            assert misses_nothing(" ".join(words[start : start + 2 * _AT_ONCE]))


@given(st.text(max_size=300))
def test_any_text_misses_nothing(text: str) -> None:
    """Whatever letters."""
    assert misses_nothing(" ".join(text.split()))


def test_order_and_empty_patterns() -> None:
    """Bits rise with the patterns, and one without text is always possible."""
    clues = Clues(["over quota|full", "", "unknown"])
    assert clues.bits == [0b11, 0b100, 0b1000]
    assert clues.possible("nothing") == 0b100
    assert clues.possible("mailbox full, over my quota") == 0b111
    assert clues.possible("unknown") == 0b1100


def test_words_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that makes up words fills no memory."""
    monkeypatch.setattr(clue, "_MOST_KNOWN", 10)
    clues = Clues(["aaaaa|zzzzz"])
    for letter in "abcdefghijklmnopqrstuvwxyz":
        clues.possible(letter * 5)
        assert len(clues._known) <= 10
    assert clues.possible("z" * 200) == 0b10
    assert "z" * 200 not in clues._known
