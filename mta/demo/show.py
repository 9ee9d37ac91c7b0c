"""What the demo shows: the table while it runs, the summary, one message as it was received."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mta.demo.policy import Received
from mta.demo.report import Verdict
from mta.demo.tally import Row

_SHOWN_LINES = 70
_DOES = {"google": "refuses unknown users", "yahoo": "greylists first", "other": "accepts"}


def progress(rows: Sequence[Row], asked: int, ended: int, elapsed_s: float) -> RenderableType:
    """One line a destination, and how far it is."""
    table = Table(title="mta demo: three destinations on loopback", title_justify="left")
    table.add_column("destination", no_wrap=True)
    for name, style in (
        ("delivered", "green"),
        ("deferred", "yellow"),
        ("waiting", "yellow"),
        ("bounced", "red"),
        ("failed", "bold red"),
    ):
        table.add_column(name, justify="right", style=style, no_wrap=True)
    for row in rows:
        numbers = (row.delivered, row.deferred, row.waiting, row.bounced, row.failed)
        name = row.provider or "-"
        table.add_row(name, *(str(number) for number in numbers))
    rate = ended / elapsed_s if elapsed_s > 0 else 0.0
    below = Table.grid()
    below.add_row(ProgressBar(total=max(asked, 1), completed=ended, width=72))
    below.add_row(" · ".join(f"{name} {what}" for name, what in _DOES.items()))
    below.add_row(f"{ended} of {asked} recipients ended · {elapsed_s:.1f} s · {rate:.0f} a second")
    return Group(table, below)


def as_received(received: Received, verified: bool) -> RenderableType:
    """Headers and the beginning of the body as the destination read them, and dkimpy's word on the
    signature."""
    lines = received.body.decode("utf-8", "replace").splitlines()
    shown = "\n".join(lines[:_SHOWN_LINES])
    if len(lines) > _SHOWN_LINES:
        shown += f"\n… and {len(lines) - _SHOWN_LINES} lines more"
    envelope = f"MAIL FROM:<{received.sender.decode('ascii')}>\n" + "\n".join(
        f"RCPT TO:<{recipient.decode('ascii')}>" for recipient in received.recipients
    )
    verdict = (
        Text("DKIM: verified by dkimpy", style="green")
        if verified
        else Text("DKIM: FAILED", style="bold red")
    )
    return Group(
        Rule("one message as received"), Text(envelope, style="cyan"), Text(""), Text(shown), Rule(), verdict
    )


def summary(verdict: Verdict, sampled: int) -> RenderableType:
    report = verdict.report
    table = Table(title="summary", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in (
        ("recipients", report.recipients),
        ("delivered", report.delivered),
        ("deferred at least once", report.deferred_seen),
        ("bounced", report.bounced),
        ("failed", report.failed),
        ("accepted twice", report.duplicates),
        ("lost", report.lost),
        (f"DKIM signatures verified (of {sampled})", report.dkim_verified),
        ("recipients a second", report.msgs_per_s),
    ):
        table.add_row(name, str(value))
    if not verdict.faults:
        return Group(table, Text("Every recipient got exactly one terminal event.", style="green"))
    return Group(table, *(Text(f"Wrong: {fault}", style="bold red") for fault in verdict.faults))


def failure(text: str, log: str) -> RenderableType:
    """What went wrong, the end of the daemon's log, and what to do."""
    advice = (
        "If the log names a missing package, install it as it says there. "
        "If a port or the disk is short, free it and run again: the demo keeps nothing between runs."
    )
    return Group(
        Text(text, style="bold red"),
        Rule("end of the daemon's log"),
        Text(log or "(empty)"),
        Rule(),
        Text(advice),
    )
