"""What verbs say: results on stdout, everything else on stderr, and nothing that moves a cursor.

With `--json` stdout carries JSON lines and nothing but. What comes from a stream or a file may hold
anything, so text is escaped and never read as markup.
"""

import sys
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mta.log import escaped


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

    def show(self, table: Table | Text) -> None:
        if not self.as_json:
            self.console.print(table)

    def note(self, text: str, style: str = "") -> None:
        """A line beside the result: progress, warnings, what to do next."""
        self.errors.print(Text(escaped(text), style=style))


def table(*columns: str) -> Table:
    """A plain table, without lines."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def many(count: int, noun: str) -> str:
    """`1 payload`, `2 payloads`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def cell(text: str, style: str = "") -> Text:
    return Text(escaped(text), style=style)
