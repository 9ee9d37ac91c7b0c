"""`mta queue`: its verbs and their options."""

import os
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, JsonOption, WhyOption, run

app = typer.Typer(help="What holds mail back or slows it; hold some, or let it go.", no_args_is_help=True)


@app.command()
def actions(
    id_: Annotated[str, typer.Option("--id", help="Only this one.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List what is in force: at whom, why, by which reply, until when."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.queue import actions as verb

    run(verb(configuration(config, os.environ), os.environ, Output(json), id_))


@app.command()
def hold(
    reason: WhyOption,
    source: Annotated[str, typer.Option(help="What leaves from this source.")] = "",
    provider: Annotated[str, typer.Option(help="What goes to google, yahoo, …")] = "",
    site: Annotated[str, typer.Option(help="What goes to this site, as events name it.")] = "",
    tenant: Annotated[str, typer.Option(help="What this tenant sends.")] = "",
    stream: Annotated[str, typer.Option(help="Only this kind of its mail.")] = "",
    from_domain: Annotated[str, typer.Option(help="What has this domain in From.")] = "",
    campaign: Annotated[str, typer.Option(help="Only this campaign.")] = "",
    lasts: Annotated[str, typer.Option("--for", help="How long, as 30m, 2h or 1d.")] = "1h",
    connections: Annotated[int | None, typer.Option(min=1, help="Only slow it: so many at once.")] = None,
    rate: Annotated[str, typer.Option(help="Only slow it: messages, as 10/min.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Hold mail back for a while, or slow it. What is named must all be so; what is on the wire goes on."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.queue import Wanted
    from mta.admin.queue import hold as verb
    from mta.pacing.action import Aim

    aim = Aim(source, provider, site, "", tenant, stream, from_domain, campaign)
    wanted = Wanted(aim, reason, lasts, connections, rate)
    run(verb(configuration(config, os.environ), os.environ, Output(json), wanted))


@app.command()
def release(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Or its first characters.")],
    reason: WhyOption,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take actions back. What waits because of them goes out."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.queue import release as verb

    run(verb(configuration(config, os.environ), os.environ, Output(json), ids, reason))
