from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mta.admin.asyncapi.yaml import render

TEXTS = st.one_of(
    st.text(),
    st.text("ab :#-'\"\n\t[]{},&*!|>%@`~", max_size=30),
    st.text("ab :.#\n", min_size=100, max_size=300),
    st.sampled_from(["yes", "No", "null", "~", "1", "1.0", "0x1", "1e3", "2026-11-22", "_", "<<", "=", "on"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_a_parser_reads_what_was_meant(value: dict[str, Any]) -> None:
    """Whatever it is."""
    assert read(render(value)) == value


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"a": "plain words, and more"}, ["a: plain words, and more"]),
        ({"a": "with: colon"}, ['a: "with: colon"']),
        ({"a": {"b": [1, "x"]}}, ["a:", "  b: [1, x]"]),
        ({"a": [{"b": 1, "c": 2}]}, ["a:", "  - b: 1", "    c: 2"]),
        ({"a": "one\n\ntwo"}, ["a: |-", "  one", "", "  two"]),
        (
            {"a": "word " * 40 + "end"},
            ["a: >-", "  " + "word " * 22 + "word", "  " + "word " * 16 + "word end"],
        ),
        ({"$ref": "#/x", "true": "true"}, ['$ref: "#/x"', '"true": "true"']),
        ({"a": {}, "b": []}, ["a: {}", "b: []"]),
    ],
)
def test_it_is_for_people(value: dict[str, Any], lines: list[str]) -> None:
    """No quotes without need, long texts folded, short lists on one line."""
    assert render(value).splitlines() == lines
