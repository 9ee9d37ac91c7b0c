import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.intake.objects import has_repeated_key, is_too_deep, repeated_key

KEYS = st.sampled_from(["a", "b:", "://", "[", "}", 'q"', "\\", "é"])
JSON = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(JSON, st.integers(0, 6))
def test_depth_is_that_of_the_values(value: Any, limit: int) -> None:
    """Brackets in strings are none."""
    assert is_too_deep(json.dumps(value).encode(), limit) == (depth(value) > limit)


def test_brackets_in_strings_hide_no_depth() -> None:
    """Closing ones in front of what opens make it look flat."""
    text = b'["]",' * 40 + b"1" + b',"["]' * 40
    assert is_too_deep(text, 39)
    assert not is_too_deep(text, 40)


@given(st.lists(st.dictionaries(KEYS, JSON, max_size=3), max_size=3), st.sampled_from([None, 1]))
def test_keys_that_differ_are_not_repeated(objects: list[dict[str, Any]], indent: int | None) -> None:
    """Colons in keys, values and spaces beside them raise no false alarm."""
    text = json.dumps(objects, indent=indent, separators=(" , ", " : ")).encode()
    assert not has_repeated_key(text, orjson.loads(text))
    assert repeated_key(text) is None


@pytest.mark.parametrize(
    "text",
    [
        b'[{"a":1,"a":2}]',
        b'[{"a" :1,"a" : 1e5}]',
        rb'[{"a":1,"\u0061":"\u003a"}]',
        b'[{"b":"://","a":1,"a":"://"}]',
        b'[{"x":{"a":1,"a":2}}]',
        b'[{"x":[{"a":"12:30","b":0,"a":":"}]}]',
        b'[{},{"a":{},"a":{"b":1}}]',
    ],
)
def test_a_repeated_key_is_found(text: bytes) -> None:
    """However it is written, whatever stands beside it."""
    assert has_repeated_key(text, orjson.loads(text))
    assert repeated_key(text) == "a"
    assert repeated_key(text.replace(b'"x"', b'"data"'), ("data",)) == (None if b'"x"' in text else "a")
