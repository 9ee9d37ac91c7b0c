"""`mta bounces`: what refusals and reports mean."""

import os
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, JsonOption, run

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
    code: Annotated[
        int | None, typer.Option(min=400, max=599, help="Which code the words came with, if they have none.")
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show which class a refusal is of, what follows from it, and by which rule. Asks nothing of the network."""
    from mta.admin.access import configuration
    from mta.admin.bounces import explain as verb
    from mta.admin.bounces import provider_named, rules_of, stage_named
    from mta.admin.output import Output

    loaded = configuration(config, os.environ)
    named = provider_named(loaded, provider)
    raise typer.Exit(verb(rules_of(loaded), Output(json), reply, named, stage_named(stage), code or 0))


@app.command()
def read(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Mails as they came; -: stdin.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Read mails that came back: bounces, complaints, automatic answers."""
    from mta.admin.access import configuration
    from mta.admin.bounce_read import read as verb
    from mta.admin.bounces import rules_of
    from mta.admin.output import Output

    raise typer.Exit(verb(rules_of(configuration(config, os.environ)), files, Output(json)))


@app.command("top")
def top(
    tenant: Annotated[str, typer.Option(help="Of one tenant.")] = "",
    provider: Annotated[str, typer.Option(help="google, yahoo, …")] = "",
    campaign: Annotated[str, typer.Option(help="Of one campaign; _: of none.")] = "",
    type_: Annotated[str, typer.Option("--type", help="bounced, deferred, oob_bounced or expired.")] = "",
    since: Annotated[str, typer.Option(help="How far back, as 30m, 24h or 7d.")] = "24h",
    by: Annotated[str, typer.Option(help="class, provider, code, rule, domain or text.")] = "class",
    limit: Annotated[int, typer.Option(min=1, help="Rows.")] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Count what was refused, the most frequent first."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.refusals import REFUSALS
    from mta.admin.refusals import top as verb
    from mta.admin.tail import filters

    chosen = filters(tenant, type_, provider, campaign, since, REFUSALS)
    run(verb(configuration(config, os.environ), os.environ, Output(json), chosen, by, limit))


@app.command("unknown")
def unknown(
    provider: Annotated[str, typer.Option(help="google, yahoo, …")] = "",
    since: Annotated[str, typer.Option(help="How far back, as 24h or 7d.")] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="Rows of each provider.")] = 10,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the replies that no rule understood: what the rules should learn next."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.refusals import unknown as verb
    from mta.admin.tail import filters

    chosen = filters("", "", provider, "", since)
    run(verb(configuration(config, os.environ), os.environ, Output(json), chosen, limit))
