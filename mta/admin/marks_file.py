"""A suppression list in a file: CSV with a header (between commas, semicolons or tabs), NDJSON, or one address a line;
read line by line, each either good or with a reason and its number.

The columns of CSV and the members of a JSON line are `email` (or `@domain`), `reason`, `expires` (a time, or how long
from now), `detail`, `stream`, and `hash`, under which an entry of a list without addresses comes back.

A program of tables takes a cell of CSV that begins with = + - or @ for a formula, and an address may be what a stranger
made up. So `harmless` puts an apostrophe in front, as those programs do themselves, and reading takes it away again.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from msgspec import Struct

from mta.config.units import Seconds
from mta.model.address import BadAddress, canonical_domain, parse
from mta.model.suppression import SuppressReason
from mta.model.times import moment
from mta.suppression.key import is_digest

COLUMNS = ("email", "hash", "reason", "expires", "detail", "stream", "at", "source")
"""Of an exported file; an import needs none but one of the first two."""
_AS_SHOWN = "address"
"""What `email` is called in the JSON of `ls` and `export`."""
_AS_EMAIL = frozenset(
    (_AS_SHOWN, "e-mail", "mail", "email address", "email_address", "emailaddress", "recipient")
)
"""What it is called in lists of others."""
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_TARGETS = ("email", _AS_SHOWN, "hash")
MOST_DETAIL = 500
_MOST_LINE = 10_000
_STREAM = re.compile(r"[a-z0-9_-]{1,64}\Z")
"""As payloads name theirs: a mark for any other would count for no mail."""
_RISKY = re.compile(r"[=+@-]|'['=+@-]")
_MADE_HARMLESS = re.compile(r"'['=+@-]")
_END_OF_TIME = 253_402_300_799.0
"""The last second of the year 9999."""


class Entry(Struct, frozen=True, gc=False):
    """`target` is a canonical address, `@domain`, or a hash. `expires_at` is seconds since the epoch, 0.0: for good.
    Empty: what the import says for all."""

    line: int
    target: str
    reason: SuppressReason | None = None
    expires_at: float | None = None
    detail: str = ""
    stream: str = ""


class BadLine(Struct, frozen=True, gc=False):
    line: int
    reason: str


class NoList(ValueError):
    """The file as a whole cannot be read as a list."""


def entries(
    lines: Iterable[str],
    now: float,
    *,
    is_json: bool = False,
    on_taken: Callable[[str], None] = lambda taken: None,
) -> Iterator[Entry | BadLine]:
    """Without `is_json` a first line that names a column of addresses or hashes is a header, and all is CSV. `on_taken`
    hears as what the file is taken."""
    if is_json:
        on_taken("JSON, an object a line")
        source = _json_lines(lines)
    else:
        rest = iter(lines)
        first = next(rest, "").lstrip("\ufeff")
        whole = chain((first,), rest)
        delimiter = max(_DELIMITERS, key=first.count)
        names = _columns(first.split(delimiter))
        if "email" in names or "hash" in names:
            on_taken(
                f"CSV between {_DELIMITERS[delimiter]}, with the columns {', '.join(filter(None, names))}"
            )
            source = _csv_lines(whole, delimiter)
        else:
            on_taken("an address a line: the first one is no header, which would name a column email or hash")
            source = _plain_lines(whole)
    for line, fields in source:
        try:
            yield BadLine(line, fields) if isinstance(fields, str) else _entry(line, fields, now)
        except ValueError as error:
            yield BadLine(line, str(error))


def _plain_lines(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, str] | str]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, {"email": line.strip()}


def _json_lines(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line) if len(line) <= _MOST_LINE else "the line is too long"
        except (ValueError, RecursionError):
            fields = "no JSON"
        yield number, fields if isinstance(fields, (dict, str)) else "no JSON object"


def _columns(header: Iterable[str]) -> list[str]:
    """As they are called here, whatever the program that wrote them calls a column of addresses."""
    names = [name.strip().strip('"').lower() for name in header]
    return ["email" if name in _AS_EMAIL else name for name in names]


def _csv_lines(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        names = _columns(next(reader))
    except csv.Error as error:
        raise NoList(f"line {reader.line_num}: {error}") from error
    if twice := {name for name in names if name and names.count(name) > 1}:
        raise NoList(f"the first line names twice: {', '.join(sorted(twice))}")
    if unknown := set(names) - set(COLUMNS) - {""}:
        raise NoList(f"unknown columns: {', '.join(sorted(unknown))}; known are {', '.join(COLUMNS)}")
    while True:
        first = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error:  # of a field beyond the limit of the csv module, 128 kB
            yield first, "a field is too long" + _up_to(first, reader.line_num)
            continue
        if row is None:
            return
        if (
            reader.line_num > first
        ):  # what it took along are addresses, more likely than a text of several lines
            yield first, "a quote does not end on its line" + _up_to(first, reader.line_num)
        elif len(row) > len(names):
            yield first, "there are more fields than columns"
        elif any(row):
            yield first, dict(zip(names, map(_as_it_was, row), strict=False))


def harmless(text: str) -> str:
    """As a cell of CSV, from which reading makes the same text."""
    return f"'{text}" if _RISKY.match(text) else text


def _as_it_was(cell: str) -> str:
    return cell[1:] if _MADE_HARMLESS.match(cell) else cell


def _up_to(first: int, last: int) -> str:
    return f": nothing up to line {last} is read" if last > first else ""


def _entry(line: int, fields: Mapping[str, object], now: float) -> Entry:
    words = {}
    for name in (name for name in (*COLUMNS, _AS_SHOWN) if fields.get(name) is not None):
        value = fields[name]
        if not isinstance(value, str):
            raise ValueError(f"`{name}` is no text")
        words[name] = value.strip()
    reason = words.get("reason", "").lower()
    if reason and reason not in SuppressReason.__members__.values():
        raise ValueError(f"`reason` is none of {', '.join(SuppressReason)}")
    stream = words.get("stream", "")
    if stream and not is_stream(stream):
        raise ValueError("`stream` is not 1 to 64 characters of a-z, 0-9, _ and -")
    expires = words.get("expires", "")
    end = ends_at(expires, now) if expires else None
    if end and end <= now:
        raise ValueError("`expires`: that time has passed")
    return Entry(
        line=line,
        target=target_of(next(filter(None, map(words.get, _TARGETS)), "")),
        reason=SuppressReason(reason) if reason else None,
        expires_at=end,
        detail=" ".join(words.get("detail", "").split())[:MOST_DETAIL],
        stream=stream,
    )


def is_stream(text: str) -> bool:
    return _STREAM.match(text) is not None


def target_of(text: str) -> str:
    """A canonical address, `@domain` or a hash; ValueError."""
    text = text.strip()
    if not text:
        raise ValueError("there is no address")
    if is_digest(text):
        return text
    try:
        if text.startswith("@"):
            return "@" + canonical_domain(text[1:])
        return parse(text, utf8=True).text.lower()
    except BadAddress as error:
        raise ValueError(str(error)) from error


def ends_at(text: str, now: float) -> float:
    """Of a time, or of a duration from now on; 0.0 of `0`, which is for good. ValueError."""
    if text == "0":
        return 0.0
    try:
        return _tellable(now + float(Seconds.parse(text)))
    except ValueError:
        pass
    try:
        return _tellable(moment(text))
    except ValueError as error:
        raise ValueError(
            f"an end such as 90d or 2027-01-31T00:00:00Z is expected, not {text[:40]}"
        ) from error


def _tellable(at: float) -> float:
    """ValueError for what lies beyond the years that have four digits."""
    if not 0.0 < at < _END_OF_TIME:
        raise ValueError(f"{at:.0f} s is no time for a mark")
    return at
