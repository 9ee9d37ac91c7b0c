"""`mta suppress`: its verbs and their options."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, JsonOption, MaybeFile, TenantOption, WhyOption, run

AddressesArgument = Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Or @domain, or a hash.")]
ReasonOption = Annotated[str, typer.Option(help="manual, unsubscribed, complained, invalid_recipient, …")]
ExpiresOption = Annotated[str, typer.Option(help="As 90d or 2027-01-31T00:00:00Z; 0: for good.")]
StreamOption = Annotated[str, typer.Option(help="Only mail of this stream; _: bulk mail without one.")]
DetailOption = Annotated[str, typer.Option(help="Whatever helps who finds it.")]

app = typer.Typer(help="Who gets no more mail: list, add, remove.", no_args_is_help=True)


@app.command()
def ls(
    address: Annotated[str, typer.Argument(metavar="[ADDRESS]", help="Or @domain, or a hash.")] = "",
    tenant: Annotated[str, typer.Option(help="Else of all tenants.")] = "",
    reason: Annotated[str, typer.Option(help="Only those with this one.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List who is suppressed, or say whether one is."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.suppress import ls as verb

    loaded = configuration(config, os.environ)
    named = tenant_of(loaded, tenant) if address else tenant
    run(verb(loaded, os.environ, Output(json), named, reason, address))


@app.command()
def add(
    addresses: AddressesArgument,
    reason: ReasonOption = "manual",
    expires: ExpiresOption = "0",
    detail: DetailOption = "",
    stream: StreamOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Suppress addresses or whole domains. A heavier mark stays."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.suppress import Adding
    from mta.admin.suppress import add as verb

    loaded = configuration(config, os.environ)
    adding = Adding(tenant_of(loaded, tenant), reason, expires, detail, stream)
    run(verb(loaded, os.environ, Output(json), adding, addresses))


@app.command()
def rm(
    addresses: AddressesArgument,
    reason: WhyOption,
    stream: StreamOption = "",
    force: Annotated[bool, typer.Option("--force", help="Even who complained.")] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take addresses off the list, so that they are mailed again."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.suppress import rm as verb

    loaded = configuration(config, os.environ)
    named, output = tenant_of(loaded, tenant), Output(json)
    run(verb(loaded, os.environ, output, named, addresses, reason=reason, stream=stream, is_forced=force))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV, NDJSON, or an address a line; - is stdin.")],
    reason: ReasonOption = "manual",
    expires: ExpiresOption = "0",
    detail: DetailOption = "",
    stream: StreamOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Add a whole list. The options hold for lines that do not say."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.suppress import Adding
    from mta.admin.suppress_bulk import import_ as verb

    loaded = configuration(config, os.environ)
    adding = Adding(tenant_of(loaded, tenant), reason, expires, detail, stream)
    run(verb(loaded, os.environ, Output(json), adding, file))


@app.command()
def export(
    file: Annotated[MaybeFile, typer.Argument(help="Else standard output.")] = None,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write a tenant's list as CSV."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.suppress_bulk import export as verb

    loaded = configuration(config, os.environ)
    run(verb(loaded, os.environ, Output(json), tenant_of(loaded, tenant), file))
