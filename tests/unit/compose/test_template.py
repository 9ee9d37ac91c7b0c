"""Templates: compiled, rendered, and refused with field, line and variable."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.compose.template import Constant, Engine, TemplateFailed, check_template, undeclared


def render(source: str, field: str = "text", limit: int = 1_000_000, **data: Any) -> str:
    engine = Engine(256_000)
    undefined = data.pop("undefined", "error")
    compiled = engine.compile("acme", field, source, "jinja", undefined)
    return compiled.render({**engine.globals(undefined), **data}, limit)


def test_html_is_escaped_and_text_is_not() -> None:
    """Autoescape belongs to html and amp alone."""
    assert render("{{ x }}", "html", x="<a & 'b'>") == "&lt;a &amp; &#39;b&#39;&gt;"
    assert render("{{ x }}", "amp", x='"') == "&#34;"
    assert [render("{{ x }}", field, x="<&>") for field in ("text", "subject", "headers.X")] == ["<&>"] * 3


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.text())))
def test_escaping_is_complete(value: Any) -> None:
    """Our short cut past markupsafe lets none of its five characters through."""
    shown = render("{{ x }}", "html", x=value)
    assert not any(character in shown for character in "<>\"'")
    assert shown.count("&") == shown.count("&amp;") + shown.count("&lt;") + shown.count("&gt;") + shown.count(
        "&#"
    )


def test_markup_of_macros_and_blocks_stays_markup() -> None:
    """What was escaped once is not escaped again."""
    source = (
        "{% macro m(x) %}<b>{{ x }}</b>{% endmacro %}{% set y %}<i>{{ x }}</i>{% endset %}{{ m(x) }}{{ y }}"
    )
    assert render(source, "html", x="&") == "<b>&amp;</b><i>&amp;</i>"


def test_line_ends_become_crlf() -> None:
    """Of the template, with its final one kept, whether it has instructions or not."""
    assert render("a\nb{{ x }}\rc\r\n", x="") == "a\r\nb\r\nc\r\n"
    assert render("a\nb\rc\r\n") == "a\r\nb\r\nc\r\n"


def test_static_is_left_alone() -> None:
    """The engine `static` shows braces as they are."""
    compiled = Engine(1000).compile("acme", "html", "{{ x }}{% nonsense\n", "static")
    assert isinstance(compiled, Constant)
    assert compiled.render({}, 100) == "{{ x }}{% nonsense\r\n"


def test_undefined_names_field_line_and_variable() -> None:
    """E9."""
    with pytest.raises(TemplateFailed) as failure:
        render("a\nb\n<b>{{ voucher }}</b>", "html")
    assert str(failure.value) == "html, line 3: 'voucher' is undefined"


def test_undefined_in_a_macro_has_the_line_of_the_macro() -> None:
    """The innermost line of the template counts."""
    source = "{% macro m() %}\n{{ voucher }}\n{% endmacro %}\n\n{{ m() }}"
    with pytest.raises(TemplateFailed, match=r"text, line 2: 'voucher' is undefined"):
        render(source)


def test_undefined_may_be_empty() -> None:
    """With `undefined` "empty" even an attribute of nothing is nothing."""
    assert render("[{{ a }}{{ a.b.c }}]", undefined="empty") == "[]"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a\n{% if %}", "text, line 2: "),
        ("{{ 1 / 0 }}", "text, line 1: ZeroDivisionError: division by zero"),
        ("{{ x|nofilter }}", "text, line 1: No filter named 'nofilter'."),
        ("\n{% include 'x' %}", "text, line 2: include is not available"),
        ("{% extends 'x' %}", "text, line 1: extends is not available"),
        ("{% import 'x' as y %}", "text, line 1: import is not available"),
        ("{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}", "text: nested too deeply"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "text, line 1: nested too deeply",
        ),
        ("".join(f"{{% block b{n} %}}{{% endblock %}}" for n in range(600)), "text: more than 500 blocks"),
    ],
)
def test_failure(source: str, expected: str) -> None:
    """Whatever is wrong, the text says where and what."""
    with pytest.raises(TemplateFailed) as failure:
        render(source, x=1)
    assert str(failure.value).startswith(expected)


def test_failure_text_is_one_short_line() -> None:
    """A message of an exception may hold data: it is cut, and holds no controls."""
    with pytest.raises(TemplateFailed) as failure:
        render("{{ x|int(base=16) + [] }}{{ {}[x] }}", x="evil\r\n\u2028" * 100)
    text = str(failure.value)
    assert len(text) < 300
    assert text.isprintable()


def test_output_is_capped_while_it_is_written() -> None:
    """A loop that writes without end stops at the cap (E6)."""
    with pytest.raises(TemplateFailed) as failure:
        render(
            "{% for a in range(9999) %}{% for b in range(9999) %}xxxx{% endfor %}{% endfor %}", limit=10_000
        )
    assert failure.value.code == "too_large"


def test_output_of_one_expression_is_capped() -> None:
    """Also where no loop is: the sum of the parts counts."""
    with pytest.raises(TemplateFailed) as failure:
        render("{{ x }}{{ x }}", x="a" * 600, limit=1000)
    assert failure.value.code == "too_large"


def test_template_bytes_are_capped() -> None:
    """Bytes, not characters; and only of what Jinja would have to compile."""
    engine = Engine(10)
    engine.compile("acme", "text", "{{x}}" + "a" * 5)
    with pytest.raises(TemplateFailed, match="more than 10 bytes"):
        engine.compile("acme", "text", "{{x}}" + "é" * 3)
    engine.compile("acme", "text", "é" * 6)
    engine.compile("acme", "text", "{{x}}" + "é" * 3, "static")


def test_data_is_never_compiled() -> None:
    """Instructions in data come out as text."""
    for hostile in ("{{ 7*7 }}", "{% include '/etc/passwd' %}", "{# #}", "${7*7}"):
        assert render("{{ x }}", x=hostile) == hostile


def test_cache_keeps_tenants_apart() -> None:
    """E12: equal sources of two tenants are two templates; one tenant's are one."""
    engine = Engine(1000)
    first = engine.compile("acme", "text", "{{ x }}")
    assert engine.compile("acme", "text", "{{ x }}") is first
    assert engine.compile("other", "text", "{{ x }}") is not first
    assert engine.compile("acme", "html", "{{ x }}") is not first


def test_cache_is_bounded() -> None:
    """E11: a stream of distinct templates does not grow it, and a hot one stays."""
    engine = Engine(1000, entries=10)
    hot = engine.compile("acme", "text", "hot {{ x }}")
    for number in range(50):
        engine.compile("acme", "text", f"{number} {{{{ x }}}}")
        assert engine.compile("acme", "text", "hot {{ x }}") is hot
    assert engine.cached == 10


def test_check_lists_problems_by_field() -> None:
    """One line for each field that cannot be used."""
    fields = {"subject": "Hi {{ name }}", "html": "{% if %}", "text": "a\n{% include 'x' %}"}
    problems = check_template(fields, 1000)
    assert [problem.split(":")[0] for problem in problems] == ["html, line 1", "text, line 2"]


def test_undeclared_leaves_out_what_the_mta_gives() -> None:
    """Reserved names, globals and names the template sets itself are not wanted from data."""
    source = "{{ a }}{% for b in c %}{{ b }}{{ loop.index }}{% endfor %}{{ recipient.name }}{{ range(3) }}"
    assert undeclared(source + "{{ payload.id }}{{ unsubscribe_url }}{% set d = 1 %}{{ d }}") == {"a", "c"}
