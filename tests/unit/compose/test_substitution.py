"""What is filled in without Jinja is what Jinja makes, and what is called tidy is tidy."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Template

from mta.compose.dkim import relaxed_body
from mta.compose.mime import text_body
from mta.compose.sandbox import Sandbox
from mta.compose.substitution import is_tidy, substitution
from mta.compose.template import Engine, TemplateFailed

SANDBOXES = {is_markup: Sandbox(is_markup=is_markup, undefined_is_error=True) for is_markup in (False, True)}
pieces = st.lists(
    st.sampled_from(["a", " ", "\n", "\t", "x" * 400, "=", "é", "<b>", "{{ v }}", "{{ w }}"]), max_size=12
)
values = st.text(st.sampled_from("ab <&'\"\r\n\t\0é\u2028=.-"), max_size=5) | st.just("y" * 300)


@given(pieces, values, values, st.booleans())
def test_fills_in_what_jinja_makes(source: list[str], v: str, w: str, is_markup: bool) -> None:
    """And a tidy text takes the same bytes on the wire as one that was looked through."""
    sandbox = SANDBOXES[is_markup]
    parsed = sandbox.parse("".join(source))
    plain = substitution(parsed, is_markup=is_markup)
    variables = {"v": v, "w": w}
    if plain is None:
        assert not {"{{ v }}", "{{ w }}"} & set(source)
        return
    filled = plain.fill(variables)
    assert filled is not None
    text, tidy = filled
    compiled: Template = sandbox.from_string("".join(source))
    assert text == compiled.render(variables)
    if tidy:
        assert text_body("plain", text, is_tidy=True).content == text_body("plain", text).content
        inner = text.encode() + b"."
        assert relaxed_body(inner) == inner + b"\r\n"


@pytest.mark.parametrize(
    ("text", "tidy"),
    [
        ("", True),
        ("one\r\n\r\n two\r\n", True),
        ("x" * 998, True),
        ("x" * 999, False),
        ("two  spaces", False),
        ("a space \r\n", False),
        ("a space ", False),
        ("a\ttab", False),
        ("a\nline feed", False),
        ("a\rreturn", False),
        ("a\0", False),
        ("é", False),
    ],
)
def test_tidy(text: str, tidy: bool) -> None:
    """Only what no later step would look for in vain."""
    assert is_tidy(text) is tidy


@pytest.mark.parametrize("value", ["plain", "two words", "1,240", "a-b_c"])
def test_plain_values_leave_a_text_tidy(value: str) -> None:
    """Or nothing would be gained."""
    plain = substitution(SANDBOXES[True].parse("<p>Hi {{ v }}!</p>\n"), is_markup=True)
    assert plain is not None
    assert plain.fill({"v": value}) == (f"<p>Hi {value}!</p>\r\n", True)


def test_escaping_stays_tidy() -> None:
    """What was escaped is as plain as what needs no escaping."""
    plain = substitution(SANDBOXES[True].parse("<p>{{ v }}</p>"), is_markup=True)
    assert plain is not None
    assert plain.fill({"v": "<i> & co"}) == ("<p>&lt;i&gt; &amp; co</p>", True)


@pytest.mark.parametrize("value", [5, None, True, ["a"], {"a": "b"}])
def test_other_values_are_left_to_jinja(value: Any) -> None:
    """How they look is its business."""
    plain = substitution(SANDBOXES[False].parse("{{ v }}"), is_markup=False)
    assert plain is not None
    assert plain.fill({"v": value}) is None
    assert plain.fill({}) is None
    assert Engine(1000).compile("t", "text", "{{ v }}").render({"v": value}, 100) == str(value)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "text",
        "{{ v|upper }}",
        "{{ v.x }}",
        "{% if v %}{{ v }}{% endif %}",
        "{{ 'v' }}",
        "{{ self }}",
        "{{ v ~ v }}",
    ],
)
def test_what_does_more_is_left_to_jinja(source: str) -> None:
    """Expressions, statements, and the one name that is not data."""
    assert substitution(SANDBOXES[False].parse(source), is_markup=False) is None


def test_size_is_limited() -> None:
    """As of any other template."""
    compiled = Engine(1000).compile("t", "text", "a{{ v }}")
    assert compiled.render({"v": "x" * 9}, 10) == "a" + "x" * 9
    with pytest.raises(TemplateFailed) as raised:
        compiled.render({"v": "x" * 10}, 10)
    assert raised.value.code == "too_large"
