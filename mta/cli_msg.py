"""`mta msg`: what became of a message."""

import os
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, JsonOption, run


def msg(
    asked: Annotated[
        str,
        typer.Argument(
            metavar="ID|ADDRESS",
            help="Message id, Message-ID, event id, a recipient's address, or your own id of a payload or recipient.",
        ),
    ],
    tenant: Annotated[str, typer.Option(help="Of one tenant.")] = "",
    since: Annotated[
        str, typer.Option(help="How far back, as 24h or 7d; not needed for a message id.")
    ] = "7d",
    limit: Annotated[int, typer.Option(min=1, help="Messages.")] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the whole life of a message: accepted, each attempt, its end, and what came back later."""
    from mta.admin.access import configuration
    from mta.admin.msg import asked_of
    from mta.admin.msg import msg as verb
    from mta.admin.output import Output
    from mta.admin.tail import filters

    chosen = filters(tenant, "", "", "", since)
    loaded = configuration(config, os.environ)
    question = asked_of(asked, config, loaded, os.environ)
    run(
        verb(
            loaded,
            os.environ,
            Output(json),
            question,
            tenant=chosen.tenant,
            since_s=chosen.since_s,
            limit=limit,
        )
    )
