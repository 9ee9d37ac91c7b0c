"""`mta explain`: what would be done, and why."""

import os
from enum import Enum
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, JsonOption, TenantOption, run


class TlsChoice(Enum):
    """As `mta.model.tls.TlsOption`; here so that help costs nothing."""

    opportunistic = "opportunistic"
    none = "none"
    require = "require"
    verify = "verify"
    requiretls = "requiretls"


app = typer.Typer(help="What would be done, and why.", no_args_is_help=True)


@app.callback()
def explain() -> None:
    """What would be done, and why."""


@app.command("route")
def route(
    address: Annotated[str, typer.Argument(help="Whom mail would be for.")],
    tenant: TenantOption = "",
    pool: Annotated[str, typer.Option(help="Else the tenant's first.")] = "",
    tls: Annotated[TlsChoice, typer.Option(help="What the payload would ask for.")] = TlsChoice.opportunistic,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show which hosts mail to an address would go to, under which policy, from which source, and why."""
    from mta.admin.access import needed
    from mta.admin.output import Output
    from mta.admin.route import explain_route
    from mta.model.tls import TlsOption

    loaded = needed(config, os.environ)
    run(explain_route(loaded, Output(json), address, tenant=tenant, pool=pool, tls=TlsOption(tls.value)))


@app.command("shaping")
def shaping(
    of: Annotated[str, typer.Argument(metavar="DOMAIN|SOURCE", help="Where mail goes, or where from.")],
    tenant: TenantOption = "",
    pool: Annotated[str, typer.Option(help="Whose sources; else the tenant's first.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show every limit that holds for a domain or a source, and which layer of shaping.toml it comes from."""
    from mta.admin.access import needed
    from mta.admin.output import Output
    from mta.admin.shaping import explain_shaping

    run(explain_shaping(needed(config, os.environ), Output(json), of, tenant=tenant, pool=pool))


@app.command("warmup")
def warmup(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show how far each source that is warmed up has come, at each provider."""
    from mta.admin.access import needed
    from mta.admin.output import Output
    from mta.admin.warmup import explain_warmup

    run(explain_warmup(needed(config, os.environ), os.environ, Output(json)))


@app.command("backlog")
def backlog(
    provider: Annotated[str, typer.Option(help="Of one provider, as google.")] = "",
    campaign: Annotated[str, typer.Option(help="Of one campaign; _: payloads without one.")] = "",
    tenant: Annotated[str, typer.Option(help="Of one tenant.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show how much waits, what binds it, and when it will be done at the present rate."""
    from mta.admin.access import configuration
    from mta.admin.backlog import Chosen, explain_backlog
    from mta.admin.output import Output

    chosen = Chosen(provider, campaign, tenant)
    run(explain_backlog(configuration(config, os.environ), os.environ, Output(json), chosen))
