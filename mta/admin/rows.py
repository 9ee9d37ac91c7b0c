"""Recipients from a file: CSV or NDJSON, row by row, each either good or with a reason and its line number.

Pure: lines in, rows out. The columns `email`, `name` and `id` are the recipient's own, all others become
`data`; a JSON line that has a `data` object is a recipient as a payload writes it. An address that comes
again is left out, so that a list with a doubled line does not mail anybody twice.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct

RESERVED = frozenset(("recipient", "payload", "unsubscribe_url"))
"""Names that a template gets from the MTA (contracts.md)."""
_OWN = ("email", "name", "id")
_WHOLE = frozenset((*_OWN, "data", "metadata", "tags"))
_MOST_CHARACTERS = 128  # of name and id (contracts.md)
_MOST_DATA_BYTES = 16_000
# What cannot be an address at all; the daemon decides about the rest and rejects that recipient alone.
_ADDRESS = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,253}")


class Row(Struct, frozen=True):
    """`recipient` is the object that goes into the payload."""

    line: int
    recipient: dict[str, Any]


class BadRow(Struct, frozen=True, gc=False):
    line: int
    reason: str


class Repeated(Struct, frozen=True, gc=False):
    """An address that was there before."""

    line: int


class FileRefused(ValueError):
    """The file as a whole cannot be read as recipients."""


def rows(lines: Iterable[str], *, is_csv: bool, name_column: str = "") -> Iterator[Row | BadRow | Repeated]:
    """`name_column` is the one that holds the display name, where it is not `name`."""
    seen: set[bytes] = set()
    source = _csv_rows(lines, name_column) if is_csv else _json_rows(lines, name_column)
    for line, fields in source:
        made = BadRow(line, fields) if isinstance(fields, str) else _row(line, fields)
        if isinstance(made, Row):
            key = blake2b(made.recipient["email"].lower().encode(), digest_size=8).digest()
            if key in seen:
                yield Repeated(line)
                continue
            seen.add(key)
        yield made


def _csv_rows(lines: Iterable[str], name_column: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    lines = iter(lines)
    header = next(lines, "").removeprefix("\ufeff")
    delimiter = max(",;\t", key=header.count)
    columns = [column.strip() for column in next(csv.reader([header], delimiter=delimiter), [])]
    columns = [column.lower() if column.lower() in _OWN else column for column in columns]
    _check_columns(columns, name_column)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num + 1, f"is no CSV: {error}"
            continue
        line = reader.line_num + 1
        if not values:
            continue
        if len(values) != len(columns):
            yield line, f"has {len(values)} columns, the first line has {len(columns)}"
            continue
        yield line, _named(dict(zip(columns, values, strict=True)), name_column)


def _check_columns(columns: list[str], name_column: str) -> None:
    if "email" not in columns:
        raise FileRefused(
            f"the first line names no column `email` (it has: {', '.join(columns) or 'nothing'})"
        )
    if len(set(columns)) < len(columns):
        raise FileRefused("the first line names a column twice")
    if name_column and name_column not in columns:
        raise FileRefused(f"there is no column `{name_column}` (there are: {', '.join(columns)})")
    if taken := RESERVED & set(columns):
        raise FileRefused(
            f"a column may not be named {', '.join(sorted(taken))}: templates get that from the MTA"
        )


def _json_rows(lines: Iterable[str], name_column: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield line, f"is no JSON: {error}"
            continue
        if not isinstance(fields, dict):
            yield line, "is no JSON object"
            continue
        if taken := RESERVED & set(_data(fields)):
            yield line, f"may not have {', '.join(sorted(taken))}: templates get that from the MTA"
            continue
        yield line, _named(fields, name_column)


def _named(fields: dict[str, Any], name_column: str) -> dict[str, Any]:
    """The name column's value as the name, and still among the data."""
    return fields | {"name": _data(fields).get(name_column, "")} if name_column else fields


def _data(fields: dict[str, Any]) -> dict[str, Any]:
    """What templates see, with the recipient's own among it where the line has no `data` object."""
    data = fields.get("data")
    return data if isinstance(data, dict) else fields


def _row(line: int, fields: dict[str, Any]) -> Row | BadRow:
    recipient: dict[str, Any] = {}
    for key in _OWN:
        value = fields.get(key, "")
        if isinstance(value, int) and not isinstance(value, bool) and key == "id":
            value = str(value)
        if not isinstance(value, str):
            return BadRow(line, f"{key} is no text")
        value = value.strip()
        if key != "email" and len(value) > _MOST_CHARACTERS:
            return BadRow(line, f"{key} is longer than {_MOST_CHARACTERS} characters")
        if value:
            recipient[key] = value
    email = recipient.get("email", "")
    if not email:
        return BadRow(line, "has no email")
    if _ADDRESS.fullmatch(email) is None:
        return BadRow(line, f"{email[:80]!r} is no address")
    data = {key: value for key, value in fields.items() if key not in _OWN}
    if _data(fields) is not fields:
        if strange := data.keys() - _WHOLE:
            return BadRow(
                line, f"has a `data` object and beside it {', '.join(sorted(strange))}: put all into data"
            )
        recipient |= {key: data[key] for key in ("metadata", "tags") if key in data}
        data = _data(fields)
    if data:
        recipient["data"] = data
        if len(orjson.dumps(data)) > _MOST_DATA_BYTES:
            return BadRow(line, f"its data is larger than {_MOST_DATA_BYTES} bytes")
    return Row(line, recipient)
