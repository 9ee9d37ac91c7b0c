"""`mta dkim`: its verbs and their options."""

import os
from typing import Annotated

import typer

from mta.cli_options import ConfigOption, DomainArgument, JsonOption, MaybeFile, run

app = typer.Typer(help="Keys that sign mail: make, publish and verify them.", no_args_is_help=True)


@app.command()
def gen(
    domain: Annotated[str, typer.Argument(help="What stands behind the @ in From.")],
    selector: Annotated[str, typer.Argument(help="Names the key in DNS, as s2026.")],
    bits: Annotated[int, typer.Option(help="Of an RSA key, from 1024 to 4096; else 2048.")] = 0,
    ed25519: Annotated[
        bool, typer.Option("--ed25519", help="Small and quick, and only good beside an RSA key.")
    ] = False,
    out: Annotated[
        MaybeFile,
        typer.Option(help="Else dkim/DOMAIN.SELECTOR.pem beside the configuration.", readable=False),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make a private key, and say what to publish and to configure. Overwrites nothing."""
    from mta.admin.dkim_gen import gen as verb
    from mta.admin.dkim_gen import order
    from mta.admin.output import Output
    from mta.config.load import SYSTEM_CONFIG, find

    ordered = order(domain, selector, bits, is_ed25519=ed25519)
    raise typer.Exit(verb(find(config, os.environ) or SYSTEM_CONFIG, ordered, out, Output(json)))


@app.command()
def show(
    domain: DomainArgument = "",
    tenant: Annotated[str, typer.Option(help="Else of all tenants.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the configured keys, and the DNS record that belongs to each."""
    from mta.admin.access import needed
    from mta.admin.dkim import keys_of
    from mta.admin.dkim import show as verb
    from mta.admin.output import Output

    loaded = needed(config, os.environ, with_keys=True)
    raise typer.Exit(verb(keys_of(loaded, domain, tenant), Output(json)))


@app.command()
def check(domain: DomainArgument = "", config: ConfigOption = None, json: JsonOption = False) -> None:
    """Ask DNS for the record of each configured key, and whether signatures hold by it."""
    from mta.admin.access import needed
    from mta.admin.dkim import check as verb
    from mta.admin.dkim import keys_of
    from mta.admin.output import Output

    loaded = needed(config, os.environ, with_keys=True)
    run(verb(loaded, keys_of(loaded, domain), Output(json)))
