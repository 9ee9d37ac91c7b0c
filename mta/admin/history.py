"""Reading what a stream holds, by a consumer of one's own: nothing is acknowledged, and nobody else notices.

`read` takes what was there when it began, from a time on, in large pulls.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mta.admin.errors import WrongUsage
from mta.admin.output import Output
from mta.config.units import Seconds
from mta.jetstream.connection import Link
from mta.jetstream.consumers import create_reader, delete_consumer, from_time
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable
from mta.jetstream.pull import End, Pulled, Puller

_BATCH = 1_000
_PULL_BYTES = 16 << 20


def duration(option: str, text: str) -> float:
    """Seconds of an option such as `--since 24h`; WrongUsage for what is none."""
    try:
        return float(Seconds.parse(text))
    except ValueError as error:
        raise WrongUsage(f"{option} {text}: expected {Seconds.expected}") from error


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
    reader = await create_reader(link, stream, subjects, from_time(since))
    total = reader.pending
    received = 0
    with progress(output, total, "reading events") as advance:

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
def progress(output: Output, total: int, what: str) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = output.as_json or not output.errors.is_terminal or not total
    with Progress(*columns, console=output.errors, transient=True, disable=hidden) as shown:
        bar = shown.add_task("", total=total)
        yield lambda: shown.advance(bar)
