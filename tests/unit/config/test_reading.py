from enum import StrEnum
from typing import Any, Literal

import pytest
from msgspec import Struct

from mta.config.problems import Findings
from mta.config.reading import join, read, show
from mta.config.units import Bytes, PerTime, Seconds


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(Struct, frozen=True):
    must: str
    may: int = 1


class Outer(Struct, frozen=True):
    number: int = 0
    share: float = 0.0
    word: str = ""
    yes: bool = False
    time: Seconds = Seconds(1)
    size: Bytes = Bytes(1)
    rate: PerTime | None = None
    colour: Colour = Colour.RED
    choice: Literal["a", "b"] = "a"
    words: tuple[str, ...] = ()
    named: dict[str, Inner] = {}
    weights: dict[str, dict[str, int]] = {}
    inner: Inner | None = None


def problems(table: Any) -> list[str]:
    found = Findings("f")
    read(Outer, table, "", found)
    return [str(problem) for problem in found.problems]


def test_values_arrive_in_their_types() -> None:
    """Every kind of value once."""
    found = Findings("f")
    table = {
        "number": 3,
        "share": 1,
        "word": "w",
        "yes": True,
        "time": "50ms",
        "size": "1kB",
        "rate": "5/s",
        "colour": "blue",
        "choice": "b",
        "words": ["x", "y"],
        "named": {"n": {"must": "m"}},
        "weights": {"p": {"s": 2}},
        "inner": {"must": "i"},
    }
    got = read(Outer, table, "", found)
    assert found.problems == []
    assert got == Outer(
        3,
        1.0,
        "w",
        True,
        Seconds(0.05),
        Bytes(1000),
        PerTime(5, 1),
        Colour.BLUE,
        "b",
        ("x", "y"),
        {"n": Inner("m")},
        {"p": {"s": 2}},
        Inner("i"),
    )


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"numbr": 1}, 'f: numbr: unknown key; did you mean "number"?'),
        ({"number": "1"}, 'f: number: expected a whole number, found "1"'),
        ({"number": True}, "f: number: expected a whole number, found true"),
        ({"number": 1.5}, "f: number: expected a whole number, found 1.5"),
        ({"share": "x"}, 'f: share: expected a number, found "x"'),
        ({"word": 1}, "f: word: expected text in quotes, found 1"),
        ({"yes": "no"}, 'f: yes: expected true or false, found "no"'),
        ({"colour": "pink"}, 'f: colour: expected one of "red", "blue", found "pink"'),
        ({"choice": "c"}, 'f: choice: expected one of "a", "b", found "c"'),
        ({"words": "x"}, 'f: words: expected a list in [ ], found "x"'),
        ({"words": ["x", 1]}, "f: words[1]: expected text in quotes, found 1"),
        ({"named": []}, "f: named: expected a table, found a list"),
        ({"named": {"n": 1}}, "f: named.n: expected a table, found 1"),
        ({"named": {"n": {}}}, "f: named.n.must: is missing"),
        ({"named": {"a.b": {"must": "m", "mai": 1}}}, 'f: named."a.b".mai: unknown key; did you mean "may"?'),
        ({"weights": {"p": {"s": "heavy"}}}, 'f: weights.p.s: expected a whole number, found "heavy"'),
        ({"inner": {"must": 1}}, "f: inner.must: expected text in quotes, found 1"),
        (
            {"time": 5},
            'f: time: expected a time such as "50ms", "30s", "5m", "2h" or "7d", found 5 '
            "(not a number with its unit)",
        ),
        (
            {"size": "5s"},
            'f: size: expected a size such as "256kB", "25MB" or "2GB", found "5s" '
            "(unknown unit of size 's')",
        ),
        (
            {"rate": "0/s"},
            'f: rate: expected a rate such as "100/s", "100/min" or "10000/h", found "0/s" '
            "(a rate must be above 0)",
        ),
        ("x", 'f: expected a table, found "x"'),
    ],
)
def test_every_mistake_names_path_expectation_and_finding(table: Any, said: str) -> None:
    """What stands there, what should, and where."""
    assert problems(table) == [said]


def test_all_mistakes_are_told_at_once() -> None:
    """An operator mends a file in one go."""
    assert len(problems({"numbr": 1, "word": 2, "named": {"n": {}}, "time": 1})) == 4


def test_paths_are_quoted_as_toml_does() -> None:
    """A path can be pasted back."""
    assert join("", "a") == "a"
    assert join("a", "b-c_1") == "a.b-c_1"
    assert join("a", 'q"\\') == 'a."q\\"\\\\"'
    assert join("a", "") == 'a.""'


def test_a_value_is_shown_short_and_harmless() -> None:
    """No control character of a file reaches the terminal."""
    assert show("\x1b[2J") == '"\\x1b[2J"'
    assert show("x" * 100) == '"' + "x" * 60 + '…"'
    assert show(False) == "false"
    assert show({}) == "a table"
    assert show([]) == "a list"
    assert show(1.5) == "1.5"
