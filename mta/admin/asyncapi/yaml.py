"""Plain data as YAML for people: in the order it has, long texts folded, short lists on one line.

Written by hand because the program itself reads no YAML; a test reads the result back with a parser.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WIDTH = 118
_INDENT = "  "
_FOLDED, _LITERAL = ">-", "|-"
_WORD = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+ -]*[A-Za-z0-9_]|[A-Za-z_]").fullmatch
_SENTENCE = re.compile(r"[A-Za-z][ -~]*(?<![ :])").fullmatch
"""Can stand behind a colon or a dash without quotes."""
_KEY = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_.-]*").fullmatch
_UNPRINTABLE = re.compile("[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""As JSON writes them they may not stand in YAML."""
_MEANS_ELSE = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"))
"""What YAML 1.1 or 1.2 takes for something other than a text."""


def render(value: Mapping[str, Any]) -> str:
    """Ends in a line feed."""
    return "".join(f"{line}\n" for line in _mapping(value, ""))


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, item in value.items():
        yield from _item(f"{indent}{_key(key)}:", item, indent + _INDENT)


def _sequence(value: Sequence[Any], indent: str) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            lines = list(_mapping(item, indent + _INDENT))
            yield f"{indent}- {lines[0].lstrip()}"
            yield from lines[1:]
        else:
            yield from _item(f"{indent}-", item, indent + _INDENT)


def _item(head: str, value: Any, indent: str) -> Iterator[str]:
    """`head` ends in its colon or dash; what does not fit behind it is indented below."""
    if isinstance(value, str) and (not _is_one_line(value) or len(head) + len(value) >= _WIDTH):
        if _can_be_block(value):
            yield f"{head} {_FOLDED if _is_one_line(value) else _LITERAL}"
            yield from (f"{indent}{line}" if line else "" for line in _block(value, _WIDTH - len(indent)))
            return
    elif isinstance(value, Mapping | list | tuple) and value:
        inline = _inline(value)
        if inline and len(head) + 1 + len(inline) <= _WIDTH:
            yield f"{head} {inline}"
        else:
            yield head
            yield from _mapping(value, indent) if isinstance(value, Mapping) else _sequence(value, indent)
        return
    if isinstance(value, str) and _is_sentence(value):
        yield f"{head} {value}"
    else:
        yield f"{head} {_scalar(value)}"


def _inline(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """Lists of plain values only; empty: not on one line."""
    if isinstance(value, Mapping) or any(isinstance(item, Mapping | list | tuple) for item in value):
        return ""
    return f"[{', '.join(map(_scalar, value))}]"


def _is_sentence(text: str) -> bool:
    is_plain = _SENTENCE(text) is not None and ": " not in text and " #" not in text
    return is_plain and text.lower() not in _MEANS_ELSE


def _key(key: str) -> str:
    return key if _KEY(key) and key.lower() not in _MEANS_ELSE else _scalar(key)


def _can_be_block(text: str) -> bool:
    """Whether a block gives back exactly this: no space at the edges, none twice where lines are folded."""
    is_clean = text == text.strip() and all(line.isprintable() for line in text.split("\n"))
    return is_clean and not (_is_one_line(text) and "  " in text)


def _is_one_line(text: str) -> bool:
    return "\n" not in text


def _block(text: str, width: int) -> list[str]:
    if _is_one_line(text):
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return text.split("\n")


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _WORD(value) and value.lower() not in _MEANS_ELSE:
        return value
    return _UNPRINTABLE.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    return f"\\U{ord(match[0]):08x}"
