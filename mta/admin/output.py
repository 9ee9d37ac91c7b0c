"""What verbs say: results on stdout, everything else on stderr, and nothing that moves a cursor.

With `--json` stdout carries JSON lines and nothing but. What comes from a stream or a file may hold
anything, so text is escaped and never read as markup.
"""

import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from mta.log import escaped

_GAP = "  "
_LEAST_ROOM = 30


class Output:
    """One verb's stdout and stderr."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = Console(highlight=False, soft_wrap=True)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    def result(self, value: Any) -> None:
        """One JSON line; only with `--json`."""
        if self.as_json:
            self.raw(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS))

    def raw(self, line: bytes) -> None:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()

    def say(self, text: str, style: str = "") -> None:
        """A line for people; silent with `--json`."""
        if not self.as_json:
            self.console.print(Text(escaped(text), style=style))

    def show(self, shown: "Table | Text") -> None:
        if self.as_json:
            return
        width = self.console.width if self.console.is_terminal else 0
        for line in shown.lines(width) if isinstance(shown, Table) else (shown,):
            self.console.print(line)

    def note(self, text: str, style: str = "") -> None:
        """A line beside the result: progress, warnings, what to do next."""
        self.errors.print(Text(escaped(text), style=style))


class Table:
    """Columns without lines. Only the last one is wrapped, between words, and only for a terminal: a path that is
    cut in two cannot be copied, and a line that is cut cannot be searched.

    Where a terminal is too narrow, the columns `spare` are left out, the first of them first, until the others fit:
    for what can be learnt otherwise. If that is not enough the widest column gets what is left, and a cell that does
    not fit there stands on a line of its own, the rest of its row below it."""

    def __init__(self, *columns: str, spare: tuple[str, ...] = (), style: str = "bold") -> None:
        self._rows = [tuple(cell(column, style) for column in columns)]
        self._below: dict[int, list[tuple[Text, int]]] = {}
        self._spare = tuple(columns.index(name) for name in spare)

    def add_row(self, *cells: Text) -> None:
        self._rows.append(cells)

    def add_line(self, text: Text, indent: int = 0) -> None:
        """A line of its own under the last row, wrapped between words like the last column."""
        self._below.setdefault(len(self._rows) - 1, []).append((text, indent))

    def lines(self, width: int) -> Iterator[Text]:
        """For a terminal of this width; 0: for a file."""
        columns, widths = self._layout(width)
        indent = sum(widths) + len(_GAP) * len(widths)
        for number, row in enumerate(self._rows):
            *cells, last = (row[column] for column in columns)
            line = Text()
            at = 0
            for cell, wide in zip(cells, widths, strict=True):
                at += wide + len(_GAP)
                line.append_text(cell)
                if cell.cell_len > wide:
                    yield line
                    line = Text()
                line.append(" " * (at - line.cell_len))
            yield from _wrapped(line, last, indent, width)
            for text, deep in self._below.get(number, ()):
                yield from _wrapped(Text(" " * deep), text, deep, width)

    def _layout(self, width: int) -> tuple[list[int], list[int]]:
        """The columns that are shown, and how wide each but the last is."""
        needed = [max(cell.cell_len for cell in column) for column in zip(*self._rows, strict=True)]
        columns = list(range(len(needed)))
        needed[-1] = min(needed[-1], _LEAST_ROOM)
        beyond = _width(needed) - width if width else 0
        for column in self._spare:
            if beyond <= 0:
                break
            columns.remove(column)
            beyond -= needed[column] + len(_GAP)
        widths = [needed[column] for column in columns[:-1]]
        if beyond > 0 and self._spare:
            widest = widths.index(max(widths))
            widths[widest] = max(widths[widest] - beyond, _LEAST_ROOM // 3)
        return columns, widths


def _wrapped(line: Text, text: Text, indent: int, width: int) -> Iterator[Text]:
    """`text` behind what stands in `line`; what does not fit there goes on below, so far from the edge."""
    room = max(width - indent, _LEAST_ROOM) if width else max(text.cell_len, 1)
    words = wrap(text.plain, room, break_long_words=False, break_on_hyphens=False)
    for part in words or [""]:
        line.append(part, text.style)
        line.rstrip()
        yield line
        line = Text(" " * indent)


def _width(columns: list[int]) -> int:
    return sum(columns) + len(_GAP) * (len(columns) - 1)


def many(count: int, noun: str) -> str:
    """`1 payload`, `2 payloads`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def cell(text: str, style: str = "") -> Text:
    return Text(escaped(text), style=style)
