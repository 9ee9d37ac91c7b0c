"""The sandbox: no way out, and no short way to a gigabyte."""

import tracemalloc

import pytest

from mta.compose.template import Engine, TemplateFailed

BOMBS = [
    "'a' * 10**9",
    "10**9 * 'a'",
    "[1] * 10**9",
    "2**(2**33)",
    "9**99999",
    "(2**4000) * (2**4000)",
    "'a'.center(10**9)",
    "'a'|center(10**9)",
    "'a'.zfill(10**9)",
    "'a'.ljust(10**9)",
    "'a'.rjust(10**9)",
    "'a'.expandtabs(10**9)",
    "'{:>999999999}'.format(1)",
    "'{:{}}'.format(1, 999999999)",
    "'{x:>999999999}'.format_map({'x': 1})",
    "'%999999999d'|format(1)",
    "'%*d'|format(999999999, 1)",
    "'%999999999d' % 1",
    "'%(a)999999999d' % {'a': 1}",
    "'%(a)999999999d'|format(a=1)",
    "'%(a)-.999999999f'|format(a=1)",
    "'%(a(b)%)999999999d' % {'a(b)%': 1}",
    "'%%%999999999d' % 1",
    "'%-%%999999999d' % 1",
    "'%l%%999999999d' % 1",
    "'%(a)s%(b)*d' % {'a': 1, 'b': 1}",
    "('%(a' ~ ')999999999d')|format(a=1)",
    "lipsum(n=100000)",
    "range(10**9)|list",
    "'a'|indent(10**9)",
    "'a'|indent('x' * 100000)",
    "('a\\n' * 100000)|indent(999)",
    "'a'|wordwrap(1, wrapstring='x')",
    "[1]|batch(10**9)|list",
    "[1]|slice(10**8)|list",
    "(1).to_bytes(10**9, 'big')",
    "1|round(-10**9)",
    "1.5|round(10**9, 'ceil')",
    "[1]|tojson(10**9)",
    "('a' * 100000).join(range(9999))",
    "range(9999)|join('a' * 100000)",
    "[{'x': 'a' * 100000}, {'x': 'a' * 999999}]|join(',', attribute='x')",
    "('a' * 1000)|replace('', 'x' * 100000)",
    "('a' * 1000).replace('a', 'x' * 100000)",
]
ESCAPES = [
    "''.__class__",
    "''['__class__']",
    "''|attr('__class__')",
    "[''].__class__.__mro__",
    "{}.__init__.__globals__",
    "range.__self__",
    "cycler.__init__.__globals__",
    "joiner.__init__.__globals__.os",
    "namespace.__init__",
    "self.__init__",
    "self._TemplateReference__context",
    "''.format.__self__.__class__",
    "'{0.__class__}'.format(1)",
    "'{0.__class__.__mro__}'.format_map({'0': 1})",
    "['a']|map(attribute='__class__')|list",
    "[].append(1)",
    "{}.update(a=1)",
    "{}.pop('x')",
    "(1).real.__class__",
    "().__class__.__bases__[0].__subclasses__()",
    "''.join.__self__.__class__",
    "dict.mro()",
    "dict.fromkeys",
    "'' is __import__",
    "get_flashed_messages.__globals__",
    "undefined.__class__",
    "(1|string).encode('utf-8')",
]
HARMLESS = {
    "name.upper()": "BOB",
    "name.replace('o', '0')": "B0b",
    "name|replace('o', '0')": "B0b",
    "', '.join(items)": "a, b",
    "items|join('-')": "a-b",
    "rows|join('+', attribute='x')": "1+2",
    "'{:>5}'.format(name)": "  Bob",
    "'{:,.2f}'.format(price)": "1,234.50",
    "'%.2f'|format(price)": "1234.50",
    "'%s %%' % name": "Bob %",
    "'%s 50%%1000' % name": "Bob 50%1000",
    "'%s 10000%%' % name": "Bob 10000%",
    "'%(a(b))5s|%(2026)s|%%(10000)' % {'a(b)': 'x', '2026': 'y'}": "    x|y|%(10000)",
    "price * 2": "2469.0",
    "2 ** 10": "1024",
    "7 % 4": "3",
    "'-' * 3": "---",
    "price|round(1)": "1234.5",
    "name|center(9)": "   Bob   ",
    "'a\\nb'|indent(2)": "a\r\n  b".replace("\r\n", "\n"),
    "range(3)|list": "[0, 1, 2]",
    "order.id": "7",
    "order['id']": "7",
    "order.get('nothing', 'x')": "x",
    "items|batch(1)|list|length": "2",
    "{'a': '<b>'}|tojson": '{"a": "\\u003cb\\u003e"}',
    "missing|default('there')": "there",
}
DATA = {
    "name": "Bob",
    "items": ["a", "b"],
    "rows": [{"x": 1}, {"x": 2}],
    "price": 1234.5,
    "order": {"id": 7},
}


def render(expression: str) -> str:
    engine = Engine(256_000)
    variables = {**engine.globals("error"), **DATA}
    return engine.compile("acme", "text", f"{{{{ {expression} }}}}").render(variables, 5_000_000)


@pytest.mark.parametrize("expression", BOMBS)
def test_bomb(expression: str) -> None:
    """Refused with a reason, before it has made much (E5)."""
    tracemalloc.start()
    try:
        with pytest.raises(TemplateFailed):
            render(expression)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("expression", ESCAPES)
def test_escape(expression: str) -> None:
    """Nothing of the interpreter is reached, and nothing of it is shown."""
    try:
        shown = render(expression)
    except TemplateFailed:
        return
    assert not any(word in shown for word in ("class", "function", "method", "object at", "module"))


@pytest.mark.parametrize(("expression", "shown"), HARMLESS.items())
def test_harmless(expression: str, shown: str) -> None:
    """What templates need every day works as in plain Jinja."""
    assert render(expression) == shown


@pytest.mark.parametrize(
    "thing",
    [
        "range",
        "joiner()",
        "cycler('a')",
        "cycler('a').next",
        "name.upper",
        "name['upper']",
        "name|attr('upper')",
        "''.format",
        "''.join",
        "items.count",
        "self.part",
        "self['part']",
    ],
)
@pytest.mark.parametrize(
    "printed", ["{}", "'' ~ {}", "[{}]", "[{}]|join", "'%s'|format({})", "{}|string|upper"]
)
def test_what_is_no_value_is_not_printed(thing: str, printed: str) -> None:
    """Its address would be another one in each attempt."""
    source = f"{{% block part %}}{{% endblock %}}{{{{ {printed.format(thing)} }}}}"
    engine = Engine(256_000)
    with pytest.raises(TemplateFailed, match="not allowed"):
        engine.compile("acme", "text", source).render({**engine.globals("error"), **DATA}, 1000)


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("items|map('upper')", "['A', 'B']"),
        ("items|select('equalto', 'a')", "['a']"),
        ("items|reject('equalto', 'a')", "['b']"),
        ("rows|selectattr('x', 'equalto', 1)", "[{'x': 1}]"),
        ("rows|rejectattr('x', 'equalto', 1)", "[{'x': 2}]"),
        ("items|reverse", "['b', 'a']"),
        ("name|reverse", "boB"),
        ("items|unique", "['a', 'b']"),
        ("items|batch(1)", "[['a'], ['b']]"),
        ("items|slice(1)", "[['a', 'b']]"),
        ("order|items", "[('id', 7)]"),
        ("cycler('a', 'b').next()", "a"),
        ("joiner()()", ""),
        ("order.items()|list", "[('id', 7)]"),
    ],
)
def test_iterators_are_made_at_once(expression: str, shown: str) -> None:
    """They too would print as an address."""
    assert render(expression) == shown


def test_a_block_may_be_repeated() -> None:
    """`self` gives what can be called."""
    engine = Engine(256_000)
    source = "{% block part %}x{% endblock %}{{ self.part() }}"
    source += "{% for i in range(2) %}{{ loop.cycle('a', 'b') }}{% endfor %}"
    assert engine.compile("acme", "text", source).render(engine.globals("error"), 1000) == "xxab"


def test_no_randomness() -> None:
    """Every attempt must make the same mail."""
    with pytest.raises(TemplateFailed, match="random"):
        render("[1, 2]|random")
