"""Templates of text and variables alone, as most are, filled in without running what Jinja compiles.

Invariants: the text is what Jinja would make, character for character, or `fill` gives None and Jinja
decides: undefined names and values that are no strings are its business. `is_tidy` of a text promises what
`mta.compose.mime` and `mta.compose.dkim` would otherwise search it for, each several times.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from jinja2 import nodes
from markupsafe import escape

from mta.compose.dkim import without_extra_space
from mta.compose.header import MAX_LINE

Text = tuple[str, bool]
"""A rendered text and whether it is tidy: ASCII without controls, CRLF its only line ends, no line longer
than 998, and nothing in it for the relaxed canonical form to change but blank lines at its end."""

_NOT_DATA = "self"
"""A name Jinja gives a meaning of its own, whatever data says."""


def _has_markup(text: str) -> bool:
    return "&" in text or "<" in text or ">" in text or "'" in text or '"' in text


def is_tidy(text: str) -> bool:
    lines = text.split("\r\n")
    if max(map(len, lines)) > MAX_LINE or not text.isascii() or not "".join(lines).isprintable():
        return False
    raw = text.encode("ascii")
    return without_extra_space(raw) == raw


class Substitution:
    """`texts` stand before, between and after the variables."""

    def __init__(self, texts: Sequence[str], names: Sequence[str], *, is_markup: bool) -> None:
        self._pieces = [""] * (2 * len(names) + 1)
        self._pieces[::2] = texts
        self._is_markup = is_markup
        self._values: Callable[[Mapping[str, Any]], tuple[Any, ...]]
        if len(names) > 1:
            self._values = itemgetter(*names)
        else:
            name = names[0]
            self._values = lambda variables: (variables[name],)
        self._is_tidy = is_tidy("x".join(texts))
        self._room = MAX_LINE - max(map(len, "".join(texts).split("\r\n")))

    def fill(self, variables: Mapping[str, Any]) -> Text | None:
        try:
            values = self._values(variables)
            joined = " ".join(values)
        except (KeyError, TypeError):
            return None
        if self._is_markup and _has_markup(joined):
            values = tuple([str(escape(value)) for value in values])
            joined = " ".join(values)
        pieces = self._pieces.copy()
        pieces[1::2] = values
        # A value that is empty, or has a space at either end, shows as a double one.
        tidy = (
            self._is_tidy
            and len(joined) <= self._room
            and joined.isascii()
            and joined.isprintable()
            and "  " not in f" {joined} "
        )
        return "".join(pieces), tidy


def substitution(parsed: nodes.Template, *, is_markup: bool) -> Substitution | None:
    """None for a template that does anything else."""
    texts = [""]
    names: list[str] = []
    for statement in parsed.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            if isinstance(node, nodes.TemplateData):
                texts[-1] += node.data
            elif isinstance(node, nodes.Name) and node.name != _NOT_DATA:
                names.append(node.name)
                texts.append("")
            else:
                return None
    return Substitution(texts, names, is_markup=is_markup) if names else None
