"""The Jinja environment templates run in: a sandbox whose every way to blow up is closed or capped.

Jinja's own sandbox keeps templates from the interpreter. What it leaves open is growth: one short
expression that makes a gigabyte. So operators, filters and methods that multiply their input are capped
here (reliability.md section 1.3), those that have no place in mail are gone, and methods are an allow-list
per type. What only grows step by step (loops, recursion, doubling) is left to the clock and the memory
limit of the worker process.

There is no loader, so nothing here reads files; `random` is gone, since every attempt must make the same
mail.
"""

import json
import re
import string
from collections.abc import Callable, Iterable
from functools import wraps
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

from jinja2 import ChainableUndefined, StrictUndefined, filters, pass_eval_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import TemplateReference
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner
from markupsafe import Markup, soft_str

MAX_STRING = 1_000_000
"""Characters one capped operation may make. A mail of a megabyte of one expression is no mail."""
MAX_WIDTH = 1000
MAX_ITEMS = 10_000
"""Length of a `range` and of multiplied sequences; Jinja's own cap is 100,000, and loops nest."""
MAX_INTEGER_BITS = 4096

_FUNCTIONS = (FunctionType, MethodType, BuiltinMethodType)
_WIDTHS = re.compile("[0-9.*#+ -]*[hlL]?")
_BRACKET = re.compile("[()]")
_STRING_METHODS = frozenset(
    {
        "capitalize", "casefold", "count", "endswith", "find", "format", "format_map", "index",
        "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace",
        "istitle", "isupper", "join", "lower", "lstrip", "partition", "removeprefix",
        "removesuffix", "replace", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
        "splitlines", "startswith", "strip", "striptags", "swapcase", "title", "unescape", "upper",
    }
)  # fmt: skip
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, _STRING_METHODS),
    (dict, frozenset({"get", "items", "keys", "values"})),
    (list, frozenset({"count", "index"})),
    (tuple, frozenset({"count", "index"})),
    (int, frozenset({"bit_length"})),
    (float, frozenset({"is_integer"})),
    (bytes, frozenset()),
    (type, frozenset()),
)
_LAZY_FILTERS = (
    "batch",
    "items",
    "map",
    "reject",
    "rejectattr",
    "reverse",
    "select",
    "selectattr",
    "slice",
    "unique",
)
"""What they give is made at once: an iterator shows its address where it is printed."""
_DROPPED_FILTERS = ("lipsum", "pprint", "random", "wordwrap")


def _refuse(what: str) -> SecurityError:
    return SecurityError(f"{what} is not allowed in a template")


def _unprintable(self: object) -> str:
    """Python would show an address, which is of no use to a reader, another one in each attempt, and the
    interpreter's own business."""
    raise _refuse("printing what is no value")


class Function:
    """A function or method as templates see it: to be called."""

    __slots__ = ("_function",)
    __repr__ = __str__ = _unprintable

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


class _Cycler(Cycler):
    __repr__ = __str__ = _unprintable


class _Joiner(Joiner):
    __repr__ = __str__ = _unprintable


class OwnBlocks(TemplateReference):
    """`self` in a template."""

    def __getitem__(self, name: str) -> Any:
        return Function(super().__getitem__(name))


def _at_once(lazy: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(lazy)
    def eager(*args: Any, **kwargs: Any) -> Any:
        made = lazy(*args, **kwargs)
        return made if isinstance(made, str) else list(made)

    return eager


def _to_be_called(value: Any) -> Any:
    return Function(value) if isinstance(value, _FUNCTIONS) else value


def capped_range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_ITEMS:
        raise _refuse(f"a range of more than {MAX_ITEMS} items")
    return numbers


def _multiply(left: Any, right: Any) -> Any:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, (str, bytes, list, tuple)) and isinstance(times, int):
            limit = MAX_STRING if isinstance(sequence, (str, bytes)) else MAX_ITEMS
            if len(sequence) * times > limit:
                raise _refuse(f"a product of more than {limit} items")
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(max(1, left.bit_length()) * abs(right))
    return left**right


def _check_bits(bits: int) -> None:
    if bits > MAX_INTEGER_BITS:
        raise _refuse(f"a number of more than {MAX_INTEGER_BITS} bits")


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        _check_printf(left)
    return left % right


_BINOPS: dict[str, Callable[[Any, Any], Any]] = {"*": _multiply, "**": _power, "%": _modulo}


def _check_printf(template: str) -> None:
    """Widths may be literal and small: `%5.2f` is formatting, `%*d` and `%(key)999999999d` are bombs."""
    at = template.find("%")
    while at >= 0:
        after = _after_key(template, at + 1)
        found = _WIDTHS.match(template, after)
        assert found is not None
        _check_widths(found[0])
        at = template.find(
            "%", found.end() + 1
        )  # behind the letter of the conversion, which may be another %


def _after_key(template: str, at: int) -> int:
    """Where the flags begin: behind a key in brackets, which may hold more of them."""
    if not template.startswith("(", at):
        return at
    depth = 0
    for found in _BRACKET.finditer(template, at):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return found.end()
    return len(template)


def _check_widths(spec: str) -> None:
    digits = 0
    for character in spec:
        digits = digits + 1 if character.isdigit() else 0
        if digits > 3 or character in "*{":
            raise _refuse(f"the format {spec[:20]!r}")


def _check_brace_format(template: str) -> None:
    for _, _, spec, _ in string.Formatter().parse(template):
        if spec:
            _check_widths(spec)


def _check_size(size: int) -> None:
    if size > MAX_STRING:
        raise _refuse(f"a text of more than {MAX_STRING} characters")


def _check_width(width: Any) -> None:
    if not isinstance(width, int) or abs(width) > MAX_WIDTH:
        raise _refuse(f"a width over {MAX_WIDTH}")


def _check_replace(text: str, old: str, new: str) -> None:
    _check_size(len(text) + text.count(old) * len(new))


def _join_items(separator: str, items: Iterable[Any]) -> list[str]:
    texts: list[str] = []
    size = 0
    for item in items:
        texts.append(soft_str(item))
        size += len(texts[-1]) + len(separator)
        _check_size(size)
    return texts


# Filters: the originals behind a check of what they are about to make.


def _center(value: Any, width: int = 80) -> str:
    _check_width(width)
    return filters.do_center(value, width)


def _indent(text: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    step = len(width) if isinstance(width, str) else width
    _check_width(step)
    _check_size(len(text) + (text.count("\n") + 1) * step)
    return filters.do_indent(text, width, first, blank)


def _format(value: str, *args: Any, **kwargs: Any) -> str:
    _check_printf(soft_str(value))
    return filters.do_format(value, *args, **kwargs)


@pass_eval_context
def _replace(eval_ctx: Any, value: Any, old: str, new: str, count: int | None = None) -> str:
    _check_replace(soft_str(value), soft_str(old), soft_str(new))
    return filters.do_replace(eval_ctx, value, old, new, count)


@pass_eval_context
def _join(eval_ctx: Any, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    items: Iterable[Any] = value
    if attribute is not None:
        items = map(filters.make_attrgetter(eval_ctx.environment, attribute), value)
    items = list(items)
    _join_items(soft_str(d), items)
    return filters.sync_do_join(eval_ctx, items, d)


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Any:
    _check_width(linecount)
    return filters.do_batch(value, linecount, fill_with)


def _slice(value: Any, slices: int, fill_with: Any = None) -> Any:
    _check_width(slices)
    return filters.sync_do_slice(value, slices, fill_with)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    if not isinstance(precision, int) or abs(precision) > 20:
        raise _refuse("rounding to more than 20 places")
    return filters.do_round(value, precision, method)


def _tojson(value: Any, indent: int | None = None) -> Markup:
    """As Jinja's own: safe between <script> tags and in single-quoted attributes."""
    if indent is not None and not 0 <= indent <= 8:
        raise _refuse("an indentation over 8")
    dumped = json.dumps(value, indent=indent, sort_keys=True)
    for character in "<>&'":
        dumped = dumped.replace(character, f"\\u{ord(character):04x}")
    return Markup(dumped)


class Sandbox(ImmutableSandboxedEnvironment):
    """One of four: with or without HTML escaping, undefined variables an error or empty."""

    intercepted_binops = frozenset(_BINOPS)

    def __init__(self, *, is_markup: bool, undefined_is_error: bool) -> None:
        super().__init__(
            undefined=StrictUndefined if undefined_is_error else ChainableUndefined,
            autoescape=is_markup,
            newline_sequence="\r\n",
            keep_trailing_newline=True,
        )
        self.binop_table.update(_BINOPS)
        self.globals |= {"range": Function(capped_range), "cycler": _Cycler, "joiner": _Joiner}
        del self.globals["lipsum"]
        for name in _DROPPED_FILTERS:
            self.filters.pop(name, None)
        self.filters.update(
            center=_center, indent=_indent, format=_format, replace=_replace, batch=_batch, slice=_slice,
            round=_round, tojson=_tojson, join=_join,
        )  # fmt: skip

        for name in _LAZY_FILTERS:
            self.filters[name] = _at_once(self.filters[name])

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _to_be_called(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _to_be_called(super().getitem(obj, argument))

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        for kind, allowed in _METHODS:
            if isinstance(obj, kind):
                return attr in allowed
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Jinja asks this for every attribute, so methods of strings that can grow get their check here."""
        owner = getattr(value, "__self__", None)
        if not isinstance(owner, str) or not callable(value):
            return None
        name = getattr(value, "__name__", "")
        if name in ("format", "format_map"):
            wrapped = super().wrap_str_format(value)

            def checked_format(*args: Any, **kwargs: Any) -> str:
                _check_brace_format(owner)
                assert wrapped is not None
                return wrapped(*args, **kwargs)

            return checked_format
        if name == "replace":

            def checked_replace(old: str, new: str, count: int = -1) -> str:
                _check_replace(owner, old, new)
                return owner.replace(old, new, count)

            return checked_replace
        if name == "join":
            return lambda items: owner.join(_join_items(owner, items))
        return None
