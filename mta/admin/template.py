"""`mta template`: templates that payloads name, put, listed, read back and tried out.

A template is compiled and rendered in a worker with the daemon's limits, never in this process: it may be anybody's.
What does not compile is not stored.
"""

import email
import email.policy
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import orjson
from msgspec import structs

from mta.admin.access import again, link
from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.judge import rules_of
from mta.admin.output import Output, Table, cell
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.spec import Addressee, Composed, Group, MessageSpec, Sources, encode_spec
from mta.compose.templates import LATEST, StoredTemplate, TemplateExists, TemplateMissing, Templates
from mta.compose.workers import Composer
from mta.config.settings import Config
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import TEMPLATES
from mta.model.lane import Lane

_SOMEBODY = "somebody@example.invalid"
_PARTS = ("subject", "text", "html", "amp")


async def put(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    tenant: str,
    name: str,
    template: StoredTemplate,
    version: str = "",
) -> int:
    """Compiles, stores, points `latest` at it, and lists the variables it wants."""
    fields = _fields(template)
    if not fields.keys() & {"text", "html"}:
        raise WrongUsage("a template needs --html or --text")
    _warn_of_tenant(config, output, tenant)
    async with _composer(config) as composer:
        inspection = await composer.inspect(Sources(fields, template.engine, template.undefined))
    if inspection.problems:
        raise WrongInput(
            "\n".join(["the template does not compile and was not stored:", *inspection.problems])
        )
    async with link(config, environ, "template") as opened:
        try:
            stored_as = await Templates(Bucket(opened, TEMPLATES)).put(tenant, name, template, version)
        except TemplateExists as error:
            raise WrongInput(
                f"{error}; versions do not change: choose another one, or none for the next"
            ) from error
        except ValueError as error:
            raise WrongUsage(str(error)) from error
    output.result({"name": name, "version": stored_as, "variables": inspection.undeclared})
    output.say(f"Stored {name}, version {stored_as}; it is the latest now.", "green")
    output.say("It wants from data: " + (", ".join(inspection.undeclared) or "nothing"))
    for part, source in fields.items():
        if not source.strip():
            output.note(f"Its {part} is empty.", "yellow")
    if "subject" not in fields:
        output.note(
            "It has no subject, and payloads that name it cannot give one: put it again with --subject.",
            "yellow",
        )
    return 0


def _warn_of_tenant(config: Config | None, output: Output, tenant: str) -> None:
    rules = rules_of(config)
    if rules is not None and tenant not in rules.tenants:
        output.note(
            f"The configuration knows no tenant {tenant}, so its payloads are rejected; it knows: "
            f"{', '.join(rules.tenants) or 'none'}.",
            "yellow",
        )


async def get(
    config: Config | None, environ: Mapping[str, str], output: Output, tenant: str, name: str
) -> int:
    """`name` may be `name@version`."""
    found = await _found(config, environ, tenant, name)
    output.result({"name": name.partition("@")[0], **msgspec.to_builtins(found)})
    output.say(
        f"version {found.version}, engine {found.engine}, undefined variables: {found.undefined}", "dim"
    )
    _show_parts(output, _fields(found))
    return 0


async def ls(config: Config | None, environ: Mapping[str, str], output: Output, tenant: str) -> int:
    """Names and versions of one tenant."""
    _warn_of_tenant(config, output, tenant)
    async with link(config, environ, "template") as opened:
        listed = await Templates(Bucket(opened, TEMPLATES)).ls(tenant)
    shown = Table("name", "latest", "versions")
    for one in listed:
        output.result({"name": one.name, "latest": one.latest, "versions": one.versions})
        shown.add_row(cell(one.name), cell(one.latest), cell(", ".join(one.versions)))
    if listed:
        output.show(shown)
    else:
        output.say(f"{tenant} has no templates.")
    return 0


async def render(
    config: Config | None, environ: Mapping[str, str], output: Output, tenant: str, name: str, data: str
) -> int:
    """As a recipient with this data would get it. `data` is a JSON object, or `@` and a file that holds one."""
    variables = _data(data)
    found = await _found(config, environ, tenant, name)
    spec = MessageSpec(
        tenant=tenant,
        payload_id="render",
        payload_key=bytes(16),
        accepted_at=time.time(),
        date_at=time.time(),
        lane=Lane.BULK,
        from_email=_SOMEBODY,
        from_domain=_SOMEBODY.partition("@")[2],
        subject=found.subject or "",
        text=found.text,
        html=found.html,
        amp=found.amp,
        engine=found.engine,
        undefined=found.undefined,
        data=variables,
        require_dkim=False,
        template_label=f"{name.partition('@')[0]}/{found.version}",
    )
    async with _composer(config) as composer:
        (result,) = await composer.render([Group(encode_spec(spec), (Addressee(0, "n0", _SOMEBODY),))])
    if not isinstance(result, Composed):
        raise WrongInput(f"it cannot be rendered: {result.detail}")
    parts = read_back(result.envelope.message.wire)
    output.result({"name": name.partition("@")[0], "version": found.version, **parts})
    _show_parts(output, parts)
    return 0


def read_back(wire: bytes) -> dict[str, str]:
    """Subject and parts of a message, decoded."""
    message = email.message_from_bytes(wire, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    parts = {"subject": str(message["Subject"] or "")}
    for key, subtype in (("text", "plain"), ("html", "html"), ("amp", "x-amp-html")):
        for part in message.walk():
            if part.get_content_type() == f"text/{subtype}" and key not in parts:
                assert isinstance(part, EmailMessage)
                parts[key] = str(part.get_content()).replace("\r\n", "\n")
    return parts


async def _found(config: Config | None, environ: Mapping[str, str], tenant: str, name: str) -> StoredTemplate:
    name, _, version = name.partition("@")
    async with link(config, environ, "template") as opened:
        try:
            return await Templates(Bucket(opened, TEMPLATES)).get(tenant, name, version or LATEST)
        except TemplateMissing as error:
            raise MissingInput(
                f"{error}; there are: mta template ls --tenant {tenant}{again(config)}"
            ) from error


@asynccontextmanager
async def _composer(config: Config | None) -> AsyncIterator[Composer]:
    """One worker with the daemon's limits and none of its keys."""
    settings = config.compose if config is not None else ComposeSettings()
    composer = Composer(structs.replace(settings, workers=1), SigningKeys({}))
    await composer.start()
    try:
        yield composer
    finally:
        await composer.stop()


def _data(given: str) -> bytes:
    """A JSON object; WrongUsage, or WrongInput for a file, with the place of the mistake."""
    wrong: type[WrongUsage | WrongInput] = WrongUsage
    text, name = given.encode(errors="surrogateescape"), "--data"
    if given.startswith("@"):
        wrong, name = WrongInput, given[1:]
        try:
            text = Path(name).read_bytes()
        except OSError as error:
            raise MissingInput(f"{name}: {error.strerror}") from error
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise wrong(f"{name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise wrong(f"{name} is no JSON object")
    return text


def _fields(template: StoredTemplate) -> dict[str, str]:
    parts = {part: getattr(template, part) for part in _PARTS}
    return {part: source for part, source in parts.items() if source is not None}


def _show_parts(output: Output, parts: Mapping[str, str]) -> None:
    for part, source in parts.items():
        output.say(f"--- {part}", "bold")
        for line in source.splitlines():
            output.say(line)
