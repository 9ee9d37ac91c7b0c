"""`mta explain warmup`: how far each source that is warmed up has come, at each provider."""

import time
from collections.abc import Mapping

import msgspec
from rich.text import Text

from mta.admin.access import link
from mta.admin.output import Output, Table, cell
from mta.config.settings import Config
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.layout import CONTROL
from mta.pacing.warmup import PREFIX, Progress, Warmups

_BAR = 10


async def explain_warmup(config: Config, environ: Mapping[str, str], output: Output) -> int:
    """A line for each source and provider; those that have sent nothing yet are named, too."""
    sources = config.shaping.warmups
    if not sources:
        output.say('No source is warmed up. Set warmup = "default" in [sources.NAME] for one that is new.')
        return 0
    warmups = Warmups(sources)

    def note(change: Change) -> None:
        warmups.apply(change.key, change.value)

    async with link(config, environ, "explain") as opened:
        await Bucket(opened, CONTROL).each(note, PREFIX)
    now = time.time()
    shown = Table("source", "provider", "step", "today", "of", "", "began")
    for one in warmups.progress(now):
        output.result(msgspec.to_builtins(one))
        shown.add_row(*_row(one))
    begun = {one.source for one in warmups.progress(now)}
    for source in sources:
        if source not in begun:
            output.result({"source": source, "plan": sources[source].plan.name, "step": 0})
            first = f"{sources[source].plan.steps[0]:,}"
            shown.add_row(
                cell(source),
                cell("-"),
                cell("-"),
                cell("-"),
                cell(first),
                cell("not begun", "dim"),
                cell("-"),
            )
    output.show(shown)
    output.note("Days are UTC, and only days on which mail was sent count.")
    return 0


def _row(one: Progress) -> tuple[Text, ...]:
    step = f"{one.step} of {one.steps}"
    if one.cap is None:
        bar, cap = cell("warm", "green"), "any"
    else:
        filled = min(_BAR, round(_BAR * one.taken / one.cap))
        style = "yellow" if one.taken >= one.cap else "green"
        bar, cap = cell("#" * filled + "." * (_BAR - filled), style), f"{one.cap:,}"
    return (
        cell(one.source),
        cell(one.provider),
        cell(step),
        cell(f"{one.taken:,}"),
        cell(cap),
        bar,
        cell(one.began),
    )
