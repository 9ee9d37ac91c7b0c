"""`mta bounces`: what refusals and reports mean."""

import os
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, JsonOption

app = typer.Typer(help="What refusals and reports mean, and where that comes from.", no_args_is_help=True)


@app.callback()
def bounces() -> None:
    """What refusals and reports mean, and where that comes from."""


@app.command()
def explain(
    reply: Annotated[
        str,
        typer.Argument(help=r"As a server says it, '550 5.1.1 ...'; several lines, or with \n between them."),
    ],
    provider: Annotated[str, typer.Option(help="Whose server it was: google, yahoo, …")] = "other",
    stage: Annotated[
        str, typer.Option(help="When: connect, helo, tls, auth, mail, rcpt, data, end_of_data, out_of_band.")
    ] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show which class a refusal is of, what follows from it, and by which rule. Asks nothing of the network."""
    from mta.admin.bounces import explain as verb
    from mta.admin.bounces import rules_of, stage_named
    from mta.admin.output import Output

    raise typer.Exit(verb(rules_of(config, os.environ), Output(json), reply, provider, stage_named(stage)))


@app.command()
def read(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Mails as they came; -: stdin.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Read mails that came back: bounces, complaints, automatic answers."""
    from mta.admin.bounce_read import read as verb
    from mta.admin.bounces import rules_of
    from mta.admin.output import Output

    raise typer.Exit(verb(rules_of(config, os.environ), files, Output(json)))
