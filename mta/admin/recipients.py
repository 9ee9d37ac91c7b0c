"""The file of recipients of a mailing: opened, read as often as needed, and looked through before anything is sent."""

import os
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from mta.admin.errors import MissingInput, WrongInput
from mta.admin.judge import judge
from mta.admin.mailing import Mailing, payloads
from mta.admin.output import Output, many
from mta.admin.rows import BadRow, FileRefused, Repeated, Row, rows
from mta.intake.admission import Rules

_SHOWN_BAD_ROWS = 10
_OF_JSON = (".ndjson", ".jsonl", ".json")


class Counts(Struct):
    """What is in a file."""

    recipients: int = 0
    payloads: int = 0
    bad: int = 0
    repeated: int = 0


class RecipientsFile(Struct, frozen=True):
    """`name` is what a person calls it; `name_column` holds the display name, where it is not `name`."""

    path: Path
    name: str
    is_csv: bool
    name_column: str = ""

    def rows(self) -> Iterator[Row | BadRow | Repeated]:
        try:
            lines = self.path.open(encoding="utf-8", newline="")
        except OSError as error:
            raise MissingInput(f"{self.name}: {error.strerror}") from error
        with lines:
            yield from rows(lines, is_csv=self.is_csv, name_column=self.name_column)

    def good(self) -> Iterator[Row]:
        return (row for row in self.rows() if isinstance(row, Row))


@contextmanager
def recipients_file(path: Path, name_column: str) -> Iterator[RecipientsFile]:
    """With `-` standard input. What is no plain file (that, a pipe) is kept in one for the time being, as it is read
    twice, and told by its beginning."""
    if str(path) != "-" and (os.path.isfile(path) or not os.path.exists(path)):
        yield RecipientsFile(path, str(path), path.suffix.lower() not in _OF_JSON, name_column)
        return
    name = "standard input" if str(path) == "-" else str(path)
    with tempfile.NamedTemporaryFile(prefix="mta-send-") as kept:
        try:
            with sys.stdin.buffer if str(path) == "-" else path.open("rb") as source:
                shutil.copyfileobj(source, kept)
        except OSError as error:
            raise MissingInput(f"{name}: {error.strerror}") from error
        kept.flush()
        kept.seek(0)
        is_csv = not kept.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        yield RecipientsFile(Path(kept.name), name, is_csv, name_column)


def checked(file: RecipientsFile, mailing: Mailing, rules: Rules | None, output: Output) -> Counts:
    """Reads the whole file once, as the daemon will read its payloads; WrongInput if anything in it could not be
    sent."""
    counts = Counts()
    bad: list[BadRow] = []
    lines: deque[int] = deque()

    def blame(row: BadRow) -> None:
        counts.bad += 1
        if len(bad) < _SHOWN_BAD_ROWS:
            bad.append(row)

    def good() -> Iterator[Row]:
        for row in file.rows():
            match row:
                case Row():
                    counts.recipients += 1
                    lines.append(row.line)
                    yield row
                case BadRow():
                    blame(row)
                case Repeated():
                    counts.repeated += 1

    try:
        for one in payloads(mailing, good()):
            _, refused = judge(one.body, mailing.lane, rules, time.time())
            of_payload = [lines.popleft() for _ in range(one.recipients)]
            for recipient in refused:
                blame(BadRow(of_payload[recipient.index], recipient.text))
            counts.payloads += 1
    except FileRefused as error:
        raise WrongInput(f"{file.name}: {error}") from error
    except UnicodeDecodeError as error:
        raise WrongInput(f"{file.name}: is not UTF-8; save it as UTF-8 and try again") from error
    except ValueError as error:
        raise WrongInput(f"{error}; nothing was sent") from error
    _tell(file.name, counts, sorted(bad, key=lambda row: row.line), output)
    return counts


def _tell(name: str, counts: Counts, bad: list[BadRow], output: Output) -> None:
    for row in bad:
        output.note(f"{name}: line {row.line} {row.reason}", "red")
    if counts.bad:
        more = f" ({counts.bad - len(bad)} more)" if counts.bad > len(bad) else ""
        raise WrongInput(f"{name}: {many(counts.bad, 'bad row')}{more}; nothing was sent")
    if not counts.recipients:
        raise WrongInput(f"{name}: holds no recipients; nothing was sent")
    if counts.repeated:
        output.note(
            f"{name}: left out {many(counts.repeated, 'row')} with an address that was there before", "yellow"
        )
