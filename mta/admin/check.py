"""`mta check`: whether the configuration holds and this machine fits it, a line for each thing, with what
to do.

Asks nothing of the network: what NATS and DNS say is the daemon's business at its start.
"""

import errno
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mta.admin.exits import EXIT_CONFIG, EXIT_NO
from mta.admin.grade import Grade, Line, tell
from mta.admin.machine import bind_error, unbindable
from mta.admin.output import Output, many
from mta.classify.classifier import Classifier
from mta.config.automation import prove as prove_automation
from mta.config.load import load, shipped
from mta.config.names import host_and_port
from mta.config.problems import ConfigError, Findings
from mta.config.proof import prove
from mta.config.settings import Config
from mta.config.state import trouble, unusable
from mta.inbound.tls import Unusable, expired, server_context
from mta.jetstream.embedded import find_server
from mta.jetstream.errors import ExtraMissing
from mta.pacing.shaping import Shaping


def check(path: Path, environ: Mapping[str, str], output: Output) -> int:
    """0: all well, warnings allowed; 1: this machine does not fit; 78: the configuration is broken."""
    try:
        config = load(path, environ)
    except ConfigError as error:
        lines = [
            Line(Grade.FAIL, problem.path or "file", f"{problem.text}  [{problem.file}]")
            for problem in error.problems
        ]
        tell(lines, output)
        return EXIT_CONFIG
    broken = _unproven(config)
    lines = [*_configuration(config), *broken, *_machine(config)]
    tell(lines, output)
    if broken:
        return EXIT_CONFIG
    return EXIT_NO if any(line.grade is Grade.FAIL for line in lines) else 0


def _configuration(config: Config) -> Iterator[Line]:
    """What was read and understood."""
    yield Line(Grade.PASS, "configuration", f"{config.origin}, node {config.node.name}")
    yield Line(Grade.PASS, "shaping", f"{config.shaping_origin}: {_shaped(config.shaping)}")
    book = config.bounces
    own = f"{config.bounces_origin}: {many(len(book.operator), 'rule')} in front of " if book.operator else ""
    yield Line(Grade.PASS, "bounces", f"{own}{shipped('bounces.toml')}: {len(book.shipped)} rules")
    if config.nats.login is not None:
        yield Line(Grade.PASS, "NATS login", f"user {config.nats.login.user}")
    elif config.nats.credentials:
        yield Line(Grade.PASS, "NATS credentials", f"{config.nats.credentials} holds a JWT and its seed")
    for name, tenant in config.tenants.items():
        signed = [
            f"{domain} ({', '.join(policy.selectors) or 'unsigned'})"
            for domain, policy in tenant.domains.items()
        ]
        if signed:
            yield Line(Grade.PASS, f"tenant {name}", "; ".join(signed))
    if config.keys.tokens:
        yield Line(
            Grade.PASS, "token keys", f"{len(config.keys.tokens)}, {config.keys.tokens[-1].key_id} signs"
        )
    yield from _inbound(config)
    for warning in config.warnings:
        yield Line(Grade.WARN, warning.path, warning.text)


def _shaped(shaping: Shaping) -> str:
    suffixes = sum(len(provider.mx_suffixes) for provider in shaping.providers)
    named = f"{suffixes} MX suffix{'' if suffixes == 1 else 'es'}"
    parts = [f"{many(len(shaping.providers), 'provider')} by {named}, all reachable"]
    for noun, there in (
        ("site", shaping.sites),
        ("source", shaping.sources),
        ("override", shaping.overrides),
        ("automatic rule", shaping.automation),
        ("warm-up plan", shaping.plans),
    ):
        parts += [many(len(there), noun)] if there else []
    return ", ".join(parts)


def _inbound(config: Config) -> Iterator[Line]:
    """Where reports come in, and whether in private."""
    settings = config.inbound
    if settings.listen:
        domains = sorted({tenant.return_path for tenant in config.tenants.values()})
        text = f"{settings.listen}, reports to {', '.join(domains) or 'nobody'}; their MX must name this host"
        yield Line(Grade.PASS, "inbound", text)
    elif config.advertise:
        text = "messages name addresses of ours, and this node does not listen: see that another one does"
        yield Line(Grade.WARN, "inbound.advertise", text)
    if config.http.public_url:
        where = f"{config.http.address}, port {config.http.port}" if config.http.address else "elsewhere"
        yield Line(Grade.PASS, "one-click", f"{config.http.public_url}/o/ is answered at {where}")
    if not settings.certificate:
        return
    made = server_context(settings.certificate, settings.key)
    if isinstance(made, Unusable):
        yield Line(Grade.FAIL, "inbound certificate", f"{made.reason}; reports come without TLS")
    elif since := expired(settings.certificate, time.time()):
        text = f"{settings.certificate} has expired on {since}: renew it, some senders refuse it"
        yield Line(Grade.WARN, "inbound certificate", text)
    else:
        yield Line(Grade.PASS, "inbound certificate", settings.certificate)


def _unproven(config: Config) -> list[Line]:
    """Bounce rules and automatic ones that do not do what their examples say."""
    found = Findings(str(config.shaping_origin))
    prove_automation(config.shaping.automation, Classifier(config.bounces), found)
    lines = [Line(Grade.FAIL, one.path, f"{one.text}  [{one.file}]") for one in found.problems]
    for place, is_operators in ((config.bounces_origin, True), (shipped("bounces.toml"), False)):
        found = Findings(str(place))
        prove(config.bounces, found, is_operators=is_operators)
        lines += [
            Line(Grade.FAIL, problem.path, f"{problem.text}  [{problem.file}]") for problem in found.problems
        ]
    return lines


def _machine(config: Config) -> Iterator[Line]:
    """What the configuration expects of this machine."""
    if config.nats.embedded:
        try:
            yield Line(Grade.PASS, "nats-server", f"embedded: {find_server()}")
        except ExtraMissing as error:
            yield Line(Grade.FAIL, "nats-server", f"{error}, or set nats.embedded = false and nats.servers")
    for source in config.sources.values():
        if source.address:
            yield _bindable(source.name, source.address)
    if config.inbound.listen:
        yield _listens("inbound.listen", *host_and_port(config.inbound.listen, 0))
    if config.http.public_url and config.http.address:
        yield _listens("http.listen", config.http.address, config.http.port)
    yield _state(config.node.state_dir)


def _listens(what: str, address: str, port: int) -> Line:
    """A port in use may be our own daemon's, and a right that is missing here may be the daemon's or systemd's."""
    error = bind_error(address, port)
    where = f"{address}, port {port}"
    if error is None:
        return Line(Grade.PASS, what, f"{where} can be bound")
    if error.errno == errno.EADDRINUSE:
        return Line(
            Grade.WARN, what, f"{where} is in use: right if that is the daemon; it cannot start if not"
        )
    if isinstance(error, PermissionError):
        return Line(
            Grade.WARN, what, f"{where} cannot be bound by this user: let systemd do it, by a socket unit"
        )
    return Line(Grade.FAIL, what, f"{where}: {error.strerror or error}. Name an address of this machine")


def _bindable(name: str, address: str) -> Line:
    if reason := unbindable(address):
        text = f"{address}: {reason}. Give this machine that address, or correct [sources]"
        return Line(Grade.FAIL, f"source {name}", text)
    return Line(Grade.PASS, f"source {name}", f"{address} can be bound")


def _state(place: Path) -> Line:
    """Only a warning where this user may not: the check may run as another than the daemon."""
    error = trouble(place)
    if error is None:
        said = "can be written" if place.is_dir() else "is made at the first start"
        return Line(Grade.PASS, "state directory", f"{place} {said}")
    if isinstance(error, PermissionError):
        text = f"{place} cannot be written by this user: run as the daemon's, or set node.state_dir"
        return Line(Grade.WARN, "state directory", text)
    return Line(Grade.FAIL, "state directory", unusable(place, error))
