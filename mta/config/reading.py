"""From a parsed TOML table to Structs: every key known, every value of its type, every problem with its path.

msgspec converts the single values; the walk over tables is ours because msgspec stops at the first problem
and an operator wants to see all of them. Which keys there are is told by the Struct that is read into.
"""

from collections.abc import Mapping
from enum import Enum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo

from mta.config.problems import Findings
from mta.config.units import Bytes, PerTime, Seconds, Share

T = TypeVar("T", bound=Struct)

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text in quotes",
    bool: "true or false",
    dict: "a table",
    list: "a list in [ ]",
}
_WITH_UNITS = (Seconds, Bytes, PerTime, Share)


def read(shape: type[T], table: object, path: str, found: Findings) -> T | None:
    """A `shape` filled from `table`; None after findings that leave nothing to fill it with."""
    if not isinstance(table, dict):
        found.wrong(path, f"expected {_WORDS[dict]}, found {show(table)}")
        return None
    fields = _fields(shape)
    for key in table:
        if key not in fields:
            found.unknown(join(path, key), key, fields)
    values: dict[str, Any] = {}
    is_complete = True
    for key, field in fields.items():
        if key in table:
            value = _value(field.type, table[key], join(path, key), found)
            if value is not None:
                values[field.name] = value
                continue
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            found.wrong(join(path, key), "is missing")
        is_complete &= field.default is not NODEFAULT or field.default_factory is not NODEFAULT
    return shape(**values) if is_complete else None


@cache
def _fields(shape: type[Struct]) -> Mapping[str, FieldInfo]:
    """By key. Found out once: bounce rules are hundreds of one shape."""
    return {field.encode_name: field for field in msgspec.structs.fields(shape)}


def join(path: str, key: str) -> str:
    """`tenants.acme.domains."acme.example"`: a key that TOML wants quoted is quoted here, too."""
    is_bare = key != "" and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)
    word = key if is_bare else '"' + key.translate({34: '\\"', 92: "\\\\"}) + '"'
    return f"{path}.{word}" if path else word


def show(value: object) -> str:
    """A value as found, short enough for one line and without control characters."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "a table"
        case list():
            return "a list"
        case str():
            text = value.encode("unicode_escape").decode("ascii")
            return f'"{text[:60]}{"…" if len(text) > 60 else ""}"'
        case _:
            return str(value)


def _value(kind: Any, value: object, path: str, found: Findings) -> Any:
    """The converted value, or None after a finding."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:  # X | None: it may be left out; TOML has no null
        return _value(arguments[0], value, path, found)
    if kind in _WITH_UNITS:
        return _with_unit(kind, value, path, found)
    if isinstance(kind, type) and issubclass(kind, Struct):
        return read(kind, value, path, found)
    if origin is dict:
        if not isinstance(value, dict):
            found.wrong(path, f"expected {_WORDS[dict]}, found {show(value)}")
            return None
        items = {key: _value(arguments[1], one, join(path, key), found) for key, one in value.items()}
        return {key: one for key, one in items.items() if one is not None}
    if origin in (tuple, list):
        if not isinstance(value, list):
            found.wrong(path, f"expected {_WORDS[list]}, found {show(value)}")
            return None
        parts = [_value(arguments[0], one, f"{path}[{at}]", found) for at, one in enumerate(value)]
        return tuple(part for part in parts if part is not None)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        found.wrong(path, f"expected {_expected(kind)}, found {show(value)}")
        return None


def _with_unit(kind: Any, value: object, path: str, found: Findings) -> Any:
    try:
        return kind.parse(value)
    except ValueError as error:
        found.wrong(path, f"expected {kind.expected}, found {show(value)} ({error})")
        return None


def _expected(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(f'"{member.value}"' for member in kind)
    if get_args(kind):
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    return _WORDS[kind]
