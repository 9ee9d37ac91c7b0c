"""`mta`: the one program. Verbs, their options, and the exit code of everything that can go wrong.

Thin on purpose: what a verb does lives in `mta.admin`, the daemon or the demo, and is imported when it is
asked for, so that `mta --help` costs nothing. A person never sees a traceback; MTA_DEBUG=1 shows it to who
mends things.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from mta.admin.exits import (
    EXIT_CONFIG,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    config_option,
    meaning,
)
from mta.cli_bounces import app as bounces
from mta.cli_dkim import app as dkim_keys
from mta.cli_explain import app as explains
from mta.cli_msg import msg
from mta.cli_options import ConfigOption, DomainArgument, JsonOption, MaybeFile, TenantOption, WhyOption
from mta.cli_options import run as _run
from mta.cli_queue import app as queue
from mta.cli_suppress import app as suppressions

_TYPERS_USAGE = 2

CampaignArgument = Annotated[str, typer.Argument(metavar="[CAMPAIGN]", help="_: payloads without one.")]
LaneOption = Annotated[str, typer.Option("--lane", help="Everything in it: bulk or transactional.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="Without version: the latest.")]

app = typer.Typer(
    name="mta",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
templates = typer.Typer(help="Templates that payloads name instead of carrying them.", no_args_is_help=True)
app.add_typer(templates, name="template")
campaigns = typer.Typer(help="What waits; and hold it back, or let it go.", no_args_is_help=True)
app.add_typer(campaigns, name="campaign")
app.add_typer(bounces, name="bounces")
app.add_typer(dkim_keys, name="dkim")
app.add_typer(explains, name="explain")
app.add_typer(queue, name="queue")
app.add_typer(suppressions, name="suppress")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"mta {version('mta')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """An MTA for wanted mail: payloads in, signed messages out, every outcome back on the stream."""


@app.command()
def run(config: ConfigOption = None) -> None:
    """Start the daemon."""
    from mta.config.load import find, load, shipped

    path = find(config, os.environ)
    if path is None:
        _fail(
            EXIT_CONFIG,
            "no configuration: neither --config nor $MTA_CONFIG is given, and there is no /etc/mta/mta.toml",
            f"Start from the shipped one: cp {shipped('mta.toml')} mta.toml; mta check --config mta.toml. "
            "To see it work without any: mta demo",
        )
    loaded = load(path, os.environ)
    from mta.daemon import run as run_daemon

    raise typer.Exit(run_daemon(loaded))


@app.command()
def demo(
    recipients: Annotated[int, typer.Option(min=1, help="How many to mail.")] = 1000, json: JsonOption = False
) -> None:
    """Send a mailing to three destinations on this machine and check what became of it."""
    from mta.demo.run import run as run_demo

    raise typer.Exit(run_demo(recipients, json))


@app.command()
def setup(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Create or update streams, buckets and consumers."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.setup import setup as verb

    _run(verb(configuration(config, os.environ), os.environ, Output(json)))


@app.command()
def check(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Say whether configuration, keys and rules hold."""
    from mta.admin.check import check as verb
    from mta.admin.output import Output
    from mta.config.load import find, shipped

    path = find(config, os.environ)
    if path is None:
        hint = f"Name one with --config; the shipped one is {shipped('mta.toml')}"
        _fail(EXIT_CONFIG, "there is no configuration to check", hint)
    raise typer.Exit(verb(path, os.environ, Output(json)))


@app.command()
def preflight(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose mail.")],
    domain: DomainArgument = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say whether receivers will believe a tenant's mail, by what DNS holds."""
    from mta.admin.access import needed
    from mta.admin.output import Output
    from mta.admin.preflight.run import preflight as verb

    _run(verb(needed(config, os.environ, with_keys=True), tenant, domain, Output(json)))


@app.command()
def send(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="One payload as JSON; - is stdin.")] = "",
    template: Annotated[MaybeFile, typer.Option(help="HTML template.", readable=False)] = None,
    text: Annotated[MaybeFile, typer.Option(help="Template of the text part.", readable=False)] = None,
    recipients: Annotated[
        MaybeFile, typer.Option(help="CSV or NDJSON with a column email; - is stdin.", readable=False)
    ] = None,
    sender: Annotated[
        str, typer.Option("--from", help="news@acme.example or 'Acme <news@acme.example>'.")
    ] = "",
    subject: Annotated[str, typer.Option(help="May be a template, too.")] = "",
    tenant: TenantOption = "",
    campaign: Annotated[str, typer.Option(help="Groups events and takes turns with others.")] = "",
    stream: Annotated[str, typer.Option(help="Kind of mail, as marketing.")] = "",
    lane: Annotated[str, typer.Option(help="transactional, or bulk unless the payload says so.")] = "",
    unsubscribe: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="List-Unsubscribe by mail; marketing needs this or --one-click."
        ),
    ] = "",
    one_click: Annotated[
        bool, typer.Option("--one-click", help="List-Unsubscribe by a link; needs http.public_url.")
    ] = False,
    list_id: Annotated[str, typer.Option(help="List-Id, as letter.acme.example.")] = "",
    send_at: Annotated[str, typer.Option(metavar="TIME", help="Not before, as 2026-12-24T18:00:00Z.")] = "",
    name_column: Annotated[
        str, typer.Option(help="Column with the display name, where it is not `name`.")
    ] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Publish one payload, or a template to every row of a file.

    The same file sent again is recognised and mails nobody twice.
    """
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import lane_of, mailing_of, send_mailing, send_payload

    chosen = lane_of(lane)
    output = Output(json)
    needed = {
        **{"--template or --text": template or text, "--recipients": recipients},
        **{"--from": sender, "--subject": subject},
    }
    optional = {
        **{"--tenant": tenant, "--campaign": campaign, "--stream": stream},
        **{"--unsubscribe": unsubscribe, "--one-click": one_click, "--list-id": list_id},
        **{"--name-column": name_column, "--send-at": send_at},
    }
    if not _is_mailing(file, needed, optional):
        _run(send_payload(configuration(config, os.environ), os.environ, output, file or "-", chosen))
    assert recipients is not None
    loaded = configuration(config, os.environ)
    mailing = mailing_of(
        loaded,
        template=template,
        text=text,
        sender=sender,
        subject=subject,
        tenant=tenant,
        campaign=campaign,
        unsubscribe=unsubscribe,
        one_click=one_click,
        list_id=list_id,
        stream=stream,
        lane=chosen,
        send_at=send_at,
    )
    _run(send_mailing(loaded, os.environ, output, mailing, recipients, name_column))


@app.command()
def tail(
    tenant: Annotated[str, typer.Option(help="Of one tenant.")] = "",
    type_: Annotated[str, typer.Option("--type", help="delivered, deferred, bounced, …")] = "",
    provider: Annotated[str, typer.Option(help="google, yahoo, …")] = "",
    campaign: Annotated[str, typer.Option(help="Of one campaign; _: of none.")] = "",
    since: Annotated[str, typer.Option(help="Begin in the past, as 10m or 2h.")] = "0",
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0: never.")] = 0,
    no_follow: Annotated[
        bool, typer.Option("--no-follow", help="End with what is there now; needs --since.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show events as they come, or those of the past."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.tail import filters
    from mta.admin.tail import tail as verb

    chosen = filters(tenant, type_, provider, campaign, since)
    loaded = configuration(config, os.environ)
    _run(verb(loaded, os.environ, Output(json), chosen, count, is_following=not no_follow))


app.command()(msg)


@app.command("nodes")
def nodes(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the daemons that answer: version, work in hand, rate, and which of them divides shared limits."""
    from mta.admin.access import configuration
    from mta.admin.nodes import list_nodes
    from mta.admin.output import Output

    _run(list_nodes(configuration(config, os.environ), os.environ, Output(json)))


@templates.command("put")
def template_put(
    name: Annotated[str, typer.Argument(help="What payloads call it.")],
    html: Annotated[MaybeFile, typer.Option(help="HTML part.", readable=False)] = None,
    text: Annotated[MaybeFile, typer.Option(help="Text part.", readable=False)] = None,
    subject: Annotated[str, typer.Option(help="Payloads that name the template have this one.")] = "",
    version: Annotated[str, typer.Option(help="Else the next number.")] = "",
    static: Annotated[
        bool, typer.Option("--static", help="No template language in it: taken as it is.")
    ] = False,
    empty: Annotated[
        bool, typer.Option("--empty", help="What is missing in data renders as nothing.")
    ] = False,
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check a template and store it as a new version."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import read_text, tenant_of
    from mta.admin.template import put
    from mta.compose.templates import StoredTemplate

    template = StoredTemplate(
        subject=subject or None,
        html=read_text(html) if html is not None else None,
        text=read_text(text) if text is not None else None,
        engine="static" if static else "jinja",
        undefined="empty" if empty else "error",
    )
    loaded = configuration(config, os.environ)
    _run(put(loaded, os.environ, Output(json), tenant_of(loaded, tenant), name, template, version))


@templates.command("get")
def template_get(
    name: NameArgument, tenant: TenantOption = "", config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Show a stored template."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.template import get

    loaded = configuration(config, os.environ)
    _run(get(loaded, os.environ, Output(json), tenant_of(loaded, tenant), name))


@templates.command("ls")
def template_ls(tenant: TenantOption = "", config: ConfigOption = None, json: JsonOption = False) -> None:
    """List a tenant's templates and their versions."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.template import ls

    loaded = configuration(config, os.environ)
    _run(ls(loaded, os.environ, Output(json), tenant_of(loaded, tenant)))


@templates.command("render")
def template_render(
    name: NameArgument,
    data: Annotated[str, typer.Option(help="A JSON object, or @FILE.")] = "{}",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a recipient with this data would get."""
    from mta.admin.access import configuration
    from mta.admin.output import Output
    from mta.admin.send import tenant_of
    from mta.admin.template import render

    loaded = configuration(config, os.environ)
    _run(render(loaded, os.environ, Output(json), tenant_of(loaded, tenant), name, data))


@campaigns.command("ls")
def campaign_ls(config: ConfigOption = None, json: JsonOption = False) -> None:
    """List campaigns of which something waits, and what is held back."""
    from mta.admin.access import configuration
    from mta.admin.campaign import ls
    from mta.admin.output import Output

    _run(ls(configuration(config, os.environ), os.environ, Output(json)))


@campaigns.command("pause")
def campaign_pause(
    reason: WhyOption,
    campaign: CampaignArgument = "",
    tenant: TenantOption = "",
    lane: LaneOption = "",
    lasts: Annotated[str, typer.Option("--for", help="As 2h; 0: until resumed.")] = "24h",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Send nothing more of a campaign, a tenant or a lane for a while. What is on the wire goes on."""
    _order("pause", campaign, tenant, lane, reason, lasts, config, json)


@campaigns.command("cancel")
def campaign_cancel(
    reason: WhyOption,
    campaign: CampaignArgument = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Withdraw a campaign or a whole tenant: whoever had no end yet gets a `cancelled` event."""
    _order("cancel", campaign, tenant, "", reason, "0", config, json)


@campaigns.command("resume")
def campaign_resume(
    campaign: CampaignArgument = "",
    tenant: TenantOption = "",
    lane: LaneOption = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Take back a pause, or a cancellation of what is still to come."""
    _order("resume", campaign, tenant, lane, "", "0", config, json)


def _order(
    verb: str, campaign: str, tenant: str, lane: str, reason: str, lasts: str, config: Path | None, json: bool
) -> NoReturn:
    from mta.admin.access import configuration
    from mta.admin.campaign import give, resume, target_of
    from mta.admin.output import Output
    from mta.admin.send import lane_of, tenant_of
    from mta.intake.orders import OrderVerb

    loaded = configuration(config, os.environ)
    named = tenant_of(loaded, tenant) if campaign else tenant
    target = target_of(named, campaign, lane_of(lane) if lane else None)
    output = Output(json)
    if verb == "resume":
        _run(resume(loaded, os.environ, output, target))
    _run(give(loaded, os.environ, output, OrderVerb(verb), target, reason, lasts))


def main() -> NoReturn:
    """Runs the program; ends it with the exit code of what happened."""
    try:
        app(prog_name="mta")
    except SystemExit as ended:
        raise SystemExit(EXIT_USAGE if ended.code == _TYPERS_USAGE else ended.code) from None
    except KeyboardInterrupt:
        raise SystemExit(EXIT_INTERRUPTED) from None
    except Exception as error:
        if os.environ.get("MTA_DEBUG"):
            raise
        code, hint = meaning(error, config_option(sys.argv))
        _fail(code, str(error) or type(error).__name__, hint)
    raise SystemExit(0)


def _is_mailing(file: str, needed: dict[str, Any], optional: dict[str, Any]) -> bool:
    """Whether it is a template plus recipients; ends the program where it is neither that nor one payload."""
    given = [option for option, value in (needed | optional).items() if value]
    missing = [option for option, value in needed.items() if not value]
    if given and file:
        _fail(
            EXIT_USAGE,
            f"a payload says by itself what {', '.join(given)} would: name a payload file, or these",
        )
    if given and missing:
        _fail(EXIT_USAGE, f"a mailing also needs {', '.join(missing)}")
    if not given and not file and sys.stdin.isatty():
        hint = "Name a payload file, or --template and --recipients: mta send --help"
        _fail(EXIT_USAGE, "nothing to send", hint)
    return bool(given)


def _fail(code: int, text: str, hint: str = "") -> NoReturn:
    """One clear line, what to do next, and the exit code."""
    from mta.log import escaped

    lines = [f"mta: {escaped(line)}" for line in text.splitlines()]
    print("\n".join(lines + ([f"     {escaped(hint)}"] if hint else [])), file=sys.stderr)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
