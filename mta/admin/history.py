"""Reading what a stream holds, by a consumer of one's own: nothing is acknowledged, and nobody else notices.

`read` takes what was there when it began, from a time on, in large pulls; `create` is the first step of it, and of
whoever follows a stream for ever (`mta.admin.tail`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mta.admin.errors import WrongUsage
from mta.admin.output import Output
from mta.config.units import Seconds
from mta.jetstream.connection import Link
from mta.jetstream.consumers import delete_consumer
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable, NotFound
from mta.jetstream.layout import NS
from mta.jetstream.pull import End, Pulled, Puller

_BATCH = 1_000
_PULL_BYTES = 16 << 20
_PATIENCE_S = 10.0
_FORGOTTEN_AFTER_S = 60


class Reader(Struct, frozen=True, gc=False):
    """A consumer; `pending` messages wait for it."""

    name: str
    pending: int


def from_time(at: float) -> dict[str, Any]:
    """Start with what the stream took at `at` (seconds since the epoch) or later."""
    start = datetime.fromtimestamp(max(at, 0.0), UTC)
    return {"deliver_policy": "by_start_time", "opt_start_time": start.isoformat()}


def duration(option: str, text: str) -> float:
    """Seconds of an option such as `--since 24h`; WrongUsage for what is none."""
    try:
        return float(Seconds.parse(text))
    except ValueError as error:
        raise WrongUsage(f"{option} {text}: expected {Seconds.expected}") from error


async def create(link: Link, stream: str, subjects: Sequence[str], start: dict[str, Any]) -> Reader:
    """Forgotten by the server when it was idle for a while. NotFound where there is no such stream."""
    name = link.inbox().rpartition(".")[2]
    config: dict[str, Any] = {
        "name": name,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _FORGOTTEN_AFTER_S * NS,
        **start,
    }
    request = f"CONSUMER.CREATE.{stream}.{name}"
    if len(subjects) == 1:
        config["filter_subject"] = subjects[0]
        request += f".{subjects[0]}"
    else:
        config["filter_subjects"] = list(subjects)
    query = {"stream_name": stream, "config": config, "action": "create"}
    try:
        info = await link.api(request, query, timeout_s=_PATIENCE_S)
    except NotFound as error:
        raise NotFound(f"there is no stream {stream}") from error
    return Reader(name, int(info.get("num_pending", 0)))


async def read(
    link: Link,
    stream: str,
    subjects: Sequence[str],
    since: float,
    on_message: Callable[[Pulled], None],
    output: Output,
) -> int:
    """Hands over each message that the stream took at `since` (seconds since the epoch) or later and holds now, oldest
    first, and returns how many there were. JetStreamUnavailable where it breaks off."""
    reader = await create(link, stream, subjects, from_time(since))
    total = reader.pending
    received = 0
    with _progress(output, total) as advance:

        def count(pulled: Pulled) -> None:
            nonlocal received
            received += 1
            on_message(pulled)
            advance()

        puller = Puller(link, stream, reader.name, count)
        await puller.open()
        try:
            while received < total:
                end = await puller.pull(min(_BATCH, total - received), max_bytes=_PULL_BYTES)
                if end.end not in (End.FULL, End.EMPTY):
                    raise JetStreamUnavailable(f"reading {stream} broke off: {end.text or end.end}")
                if not end.received:  # the rest grew too old meanwhile
                    break
        finally:
            await puller.close()
            # If this fails the server forgets it by itself.
            with suppress(JetStreamError):
                await delete_consumer(link, stream, reader.name)
    return received


@contextmanager
def _progress(output: Output, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("reading events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = output.as_json or not output.errors.is_terminal or not total
    with Progress(*columns, console=output.errors, transient=True, disable=hidden) as progress:
        bar = progress.add_task("", total=total)
        yield lambda: progress.advance(bar)
