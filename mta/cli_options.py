"""Options that verbs have in common, and how the end of one becomes the program's."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer

from mta.admin.exits import EXIT_INTERRUPTED

MaybeFile = Optional[Path]  # noqa: UP045 - typer reads it at run time
# `readable=False` everywhere: who reads a file says what is wrong with it, and with which exit code.
ConfigOption = Annotated[
    MaybeFile,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration; else $MTA_CONFIG, else /etc/mta/mta.toml.",
        readable=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
DomainArgument = Annotated[
    str, typer.Argument(metavar="[DOMAIN]", help="One that stands in From; else all of them.")
]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; told to whoever asks.")]
"""Without a default: help marks it as required."""
TenantOption = Annotated[str, typer.Option(help="Not needed where only one is configured.")]


def run(work: Coroutine[Any, Any, int]) -> NoReturn:
    import asyncio  # a fifth of what help costs

    try:
        code = asyncio.run(work)
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    raise typer.Exit(code)
