"""`mta suppress import` and `export`: whole lists, in and out.

An import stores what is new in batches that the server keeps with one fsync each; whoever is known already is compared
one by one, so that the heavier mark stays. Before a long one all that is known is read, since that costs less. It may
be run again after it was interrupted: what is there is left alone.
"""

import asyncio
import csv
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.marks_file import COLUMNS, BadLine, Entry, NoList, entries, harmless
from mta.admin.output import Output, many
from mta.admin.suppress import (
    Adding,
    check_tenant,
    found_in,
    kept_address,
    opened_bucket,
    settings_of,
    tell,
)
from mta.config.settings import Config
from mta.jetstream.errors import Conflict
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.subjects import escape
from mta.model import times
from mta.model.suppression import Mark
from mta.suppression.key import is_digest, key_of, mark_key, number_of_key
from mta.suppression.settings import AddressForm
from mta.suppression.store import FOREVER, MarkStore, covers, decode, encode, ends_at, packed
from mta.suppression.table import Table

_BATCH = 500
_BATCHES_AT_ONCE = 4
_SINGLES_AT_ONCE = 64
_SHOWN_BAD = 10
_LONG_BYTES = 1_000_000
_OF_JSON = (".ndjson", ".jsonl", ".json")


class Counts(Struct):
    read: int = 0
    new: int = 0
    known: int = 0
    bad: int = 0


async def import_(
    config: Config | None, environ: Mapping[str, str], output: Output, adding: Adding, file: Path
) -> int:
    """Exit code 1 if any line was bad; the others are in all the same."""
    adding.check(config)
    now, form = time.time(), settings_of(config).addresses
    common = adding.mark(now, form, "")
    counts = Counts()
    async with opened_bucket(config, environ) as (opened, bucket):
        importing = _Import(bucket, counts, now)
        if _is_long(file):
            await importing.look(adding.tenant)
        with _lines(file) as lines, _progress(file, output) as advance:
            try:
                is_json = file.suffix.lower() in _OF_JSON

                def taken(text: str) -> None:
                    output.note(f"{file}: read as {text}.", "dim")

                for entry in entries(lines, now, is_json=is_json, on_taken=taken):
                    counts.read += 1
                    if isinstance(entry, BadLine):
                        counts.bad += 1
                        if counts.bad <= _SHOWN_BAD:
                            output.note(f"{file}, line {entry.line}: {entry.reason}", "yellow")
                        continue
                    await importing.take(*_mark(entry, adding, common, form))
                    advance(entry.line)
            except UnicodeDecodeError as error:
                hint = f"iconv -f latin1 -t utf-8 {file.name} makes it so, if it is Latin-1"
                raise WrongInput(
                    f"{file}: not UTF-8, after {counts.read:,} lines that are in: {hint}"
                ) from error
            except NoList as error:
                raise WrongInput(f"{file}: {error}") from error
            finally:
                await importing.finish()
        if counts.new:
            await tell(opened, "import", adding.tenant, counts.new, adding.detail or f"import of {file.name}")
    output.result({"read": counts.read, "new": counts.new, "known": counts.known, "bad": counts.bad})
    style = "yellow" if counts.bad else "green"
    output.say(f"{counts.new:,} new, {counts.known:,} known already, {many(counts.bad, 'bad line')}.", style)
    return 1 if counts.bad else 0


def _mark(entry: Entry, adding: Adding, common: Mark, form: AddressForm) -> tuple[str, Mark]:
    """The key and the mark of a line; what it leaves open is as for all."""
    expires_at = common.expires_at
    if entry.expires_at is not None:
        expires_at = times.render(entry.expires_at) if entry.expires_at else ""
    mark = Mark(
        entry.reason or common.reason,
        at=common.at,
        source=common.source,
        expires_at=expires_at,
        address=kept_address(entry.target, form),
        detail=entry.detail or common.detail,
    )
    stream = entry.stream or adding.stream
    make = key_of if is_digest(entry.target) else mark_key
    return make(adding.tenant, entry.target, stream), mark


class _Import:
    """Takes marks and stores them; some batches are on their way at once."""

    def __init__(self, bucket: Bucket, counts: Counts, now: float) -> None:
        self._bucket = bucket
        self._store = MarkStore(bucket)
        self._counts = counts
        self._now = now
        self._known = Table()
        self._seen = Table()
        self._batch: list[tuple[str, Mark]] = []
        self._again: list[tuple[str, Mark]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def look(self, tenant: str) -> None:
        """At all that is known of a tenant."""

        def note(change: Change) -> None:
            number = number_of_key(change.key)
            if number is not None and change.value is not None:
                self._known.put(number, packed(decode(change.value)))

        await self._bucket.each(note, escape(tenant))

    async def take(self, key: str, mark: Mark) -> None:
        number = number_of_key(key)
        assert number is not None
        if ends_at(mark) <= self._now or covers(self._known.get(number), packed(mark), self._now):
            self._counts.known += 1
            return
        if self._seen.get(number):
            self._again.append((key, mark))
        else:
            self._seen.put(number, 1)
            self._batch.append((key, mark))
        if len(self._batch) >= _BATCH or len(self._again) >= _BATCH:
            await self._send()

    async def finish(self) -> None:
        await self._send()
        await self._until(0)
        again, self._again = self._again, []
        await self._one_by_one(again)

    async def _send(self) -> None:
        batch, self._batch = self._batch, []
        if len(self._again) >= _BATCH:
            await self._until(0)
            again, self._again = self._again, []
            await self._one_by_one(again)
        if batch:
            await self._until(_BATCHES_AT_ONCE - 1)
            self._tasks.add(asyncio.create_task(self._store_batch(batch), name="import a batch"))

    async def _until(self, most: int) -> None:
        """Returns when no more than `most` batches are on their way; raises what went wrong with one."""
        while len(self._tasks) > most:
            done, self._tasks = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()

    async def _store_batch(self, batch: list[tuple[str, Mark]]) -> None:
        values = []
        for key, mark in batch:
            end = ends_at(mark)
            values.append((key, encode(mark), 0.0 if end == FOREVER else end - self._now))
        try:
            await self._bucket.create_all(values, secrets.token_hex(16))
        except Conflict:
            await self._one_by_one(batch)
        else:
            self._counts.new += len(batch)

    async def _one_by_one(self, marks: list[tuple[str, Mark]]) -> None:
        for start in range(0, len(marks), _SINGLES_AT_ONCE):
            some = marks[start : start + _SINGLES_AT_ONCE]
            for kept in await asyncio.gather(*(self._store.add(key, mark, self._now) for key, mark in some)):
                self._counts.new += kept.is_new
                self._counts.known += not kept.is_new


async def export(
    config: Config | None, environ: Mapping[str, str], output: Output, tenant: str, file: Path | None
) -> int:
    """CSV with a header to a file or standard output, one line each; with `--json` one object a line."""
    check_tenant(config, tenant)
    if output.as_json and file is not None:
        raise WrongUsage("--json writes to standard output: name no file beside it")
    count, now = 0, time.time()
    async with opened_bucket(config, environ) as (_, bucket):
        with _writable(file) as target:
            writer = csv.DictWriter(target, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
            if not output.as_json:
                writer.writeheader()

            def write(change: Change) -> None:
                nonlocal count
                found = found_in(change, now)
                if found is None:
                    return
                count += 1
                fields = found.fields()
                if output.as_json:
                    output.result(fields)
                else:
                    fields["detail"] = " ".join(fields.get("detail", "").split())
                    fields["email"] = fields.get("address", "")
                    writer.writerow({name: harmless(text) for name, text in fields.items()})

            await bucket.each(write, escape(tenant))
    output.note(f"{count:,} exported.", "green")
    return 0


def _is_long(file: Path) -> bool:
    """What cannot be told counts as long."""
    return not file.is_file() or file.stat().st_size > _LONG_BYTES


@contextmanager
def _lines(file: Path) -> Iterator[Iterator[str]]:
    if str(file) == "-":
        yield sys.stdin
        return
    try:
        opened = file.open(encoding="utf-8", newline="")
    except OSError as error:
        raise MissingInput(f"{file}: {error.strerror}") from error
    with opened:
        yield opened


@contextmanager
def _writable(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    try:
        opened = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise MissingInput(f"{file}: {error.strerror}") from error
    with opened:
        yield opened


@contextmanager
def _progress(file: Path, output: Output) -> Iterator["_Advance"]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("lines"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_hidden = output.as_json or not output.errors.is_terminal
    total = None if is_hidden or str(file) == "-" else _count_lines(file)
    with Progress(*columns, console=output.errors, transient=True, disable=is_hidden) as progress:
        yield _Advance(progress, total)


def _count_lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(1 for _ in opened)


class _Advance:
    """Now and then: a bar that moves a million times takes longer than the import."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def __call__(self, line: int) -> None:
        if line % 1_000 == 0:
            self._progress.update(self._task, completed=line)
