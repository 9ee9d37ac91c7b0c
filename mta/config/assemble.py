"""From the shape of the file to what it means: names resolved, ranges checked, keys loaded, stages'
settings filled.

Pure: the environment, the host's name and the reader of keys are arguments. Every check adds its finding
and goes on. A key whose feature is not built yet must hold its default: nothing an operator sets is
ignored in silence.
"""

from ipaddress import ip_address, ip_network
from operator import attrgetter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from mta.classify.rules import RuleBook
from mta.compose.settings import ComposeSettings
from mta.config.document import Document, RouteTable
from mta.config.identities import KeyReader, hash_keys, pools, signing_keys, sources, tenants
from mta.config.inbound import inbound
from mta.config.names import a_label, host_and_port
from mta.config.problems import Findings, nearest
from mta.config.reading import join, show
from mta.config.settings import Config, HttpSettings, NodeSettings
from mta.config.shaping_proof import tenant_breakers, warmups
from mta.delivery.settings import StaticRoute
from mta.dns.settings import DnsSettings, loopback
from mta.events.settings import EventSettings
from mta.intake.settings import IntakeSettings, TenantPolicy
from mta.jetstream.settings import NatsSettings
from mta.model.address import BadAddress, are_related, parse
from mta.model.login import Login, login_of
from mta.model.path import EgressSource
from mta.model.tls import TlsOption
from mta.pacing.shaping import OTHER, Shaping
from mta.queue.settings import Fairness, HoldSettings, RetrySchedule, RetrySettings
from mta.suppression.settings import SuppressionSettings
from mta.tlsrpt.settings import TlsRptSettings

MAX_TITLE = 80
_OF_ROUTES = (TlsOption.OPPORTUNISTIC, TlsOption.NONE, TlsOption.REQUIRE, TlsOption.VERIFY)
_POSITIVE = (
    "node.drain_timeout",
    "nats.connect_timeout",
    "nats.ack_wait",
    "nats.renew",
    "nats.margin",
    "nats.snapshot",
    "nats.hold_back",
    "queue.payloads_in_work",
    "queue.campaigns_at_once",
    "queue.hold",
    "compose.timeout",
    "compose.max_template",
    "compose.max_message",
    "retry.greylist",
    "retry.bulk.max_age",
    "retry.transactional.max_age",
    "events.flush",
)
_LEAST_BULK_SHARE, _MOST_BULK_SHARE = 0.01, 0.5
_MOST_WEIGHT = 100
_LEAST_WORKER_BYTES = (
    256_000_000  # an interpreter with OpenSSL and Jinja maps about 150 MB before it does anything
)


def assemble(
    document: Document,
    *,
    node: NodeSettings,
    credentials: str,
    login: Login | None,
    shaping: Shaping,
    origin: Path,
    shaping_origin: Path,
    bounces: RuleBook,
    bounces_origin: Path,
    text: str,
    read_key: KeyReader,
    found: Findings,
) -> Config:
    """The configuration; whether it can be used is in `found`."""
    _check_ranges(document, found)
    our_sources = sources(document, node.name, found)
    our_pools = pools(document, our_sources, found)
    our_tenants = tenants(document, our_pools, found)
    return Config(
        node=node,
        nats=_nats(document, credentials, login, found),
        http=_http(document, found),
        intake=IntakeSettings(
            payloads_in_work=document.queue.payloads_in_work,
            campaigns_at_once=document.queue.campaigns_at_once,
            renew_s=float(document.nats.renew),
            ack_wait_s=float(document.nats.ack_wait),
            margin_s=float(document.nats.margin),
        ),
        hold=HoldSettings(bulk_s=float(document.queue.hold)),
        fair=_fair(document, found),
        compose=ComposeSettings(
            workers=node.workers,
            timeout_s=float(document.compose.timeout),
            memory_bytes=int(document.compose.memory),
            max_template_bytes=int(document.compose.max_template),
            max_message_bytes=int(document.compose.max_message),
        ),
        retry=_retry(document),
        dns=_dns(document, found),
        events=EventSettings(recipient=document.events.recipient, flush_s=float(document.events.flush)),
        index_recipients=document.index.recipients,
        advertise=_advertise(document, our_tenants, found),
        titles=_titles(document, found),
        suppression=_suppression(document),
        inbound=inbound(document, origin, read_key, found),
        tlsrpt=_tlsrpt(document, our_sources, our_tenants, found),
        sources=our_sources,
        pools=our_pools,
        routes=_routes(document, shaping, read_key, found),
        tenants=our_tenants,
        hash_keys=hash_keys(document, read_key, found),
        keys=signing_keys(document, read_key, found),
        shaping=replace(
            shaping,
            warmups=warmups(document, shaping, found),
            tenant_breakers=tenant_breakers(document, shaping, found),
        ),
        origin=origin,
        shaping_origin=shaping_origin,
        bounces=bounces,
        bounces_origin=bounces_origin,
        text=text,
        warnings=tuple(found.warnings),
    )


def node_name(document: Document, host_name: str, instance: str, found: Findings) -> str:
    """`node.name`, else the host's; an instance of a template unit adds its own name. Unique in the fleet,
    because a node's ledger is found by it."""
    name = document.node.name or host_name.lower()
    if instance:
        name = f"{name}-{instance}"
    if not name or len(name) > 64 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name):
        found.wrong("node.name", f"expected at most 64 letters, digits, dots and hyphens, found {show(name)}")
    return name


def _check_ranges(document: Document, found: Findings) -> None:
    for path in _POSITIVE:
        if _at(document, path) <= 0:
            found.wrong(path, "must be above 0")
    if not 0 <= document.node.workers <= 1024:
        found.wrong("node.workers", "expected 0 (one per core) to 1024")
    if not 0 <= document.nats.port < 65536:
        found.wrong("nats.port", "expected 0 (any free one) to 65535")
    if document.compose.memory < _LEAST_WORKER_BYTES:
        found.wrong("compose.memory", 'a worker needs at least "256MB"')
    if not 0 <= document.retry.jitter < 1:
        found.wrong("retry.jitter", "expected 0 to below 1: the share by which a delay may differ")
    nats = document.nats
    if nats.renew + nats.margin >= nats.ack_wait:
        found.wrong("nats.ack_wait", "must be longer than nats.renew and nats.margin together")
    for lane in ("bulk", "transactional"):
        schedule = getattr(document.retry, lane).schedule
        if not schedule or min(schedule) <= 0:
            found.wrong(f"retry.{lane}.schedule", "needs at least one time, each above 0")


def _at(document: Document, path: str) -> Any:
    return attrgetter(path)(document)


def _nats(document: Document, credentials: str, login: Login | None, found: Findings) -> NatsSettings:
    nats = document.nats
    if nats.embedded and nats.servers != Document().nats.servers:
        found.wrong("nats.servers", "has no effect beside the embedded server: set nats.embedded = false")
    if nats.embedded and nats.credentials:
        found.wrong("nats.credentials", "has no effect beside the embedded server: set nats.embedded = false")
    if not nats.embedded and not nats.servers:
        found.wrong("nats.servers", "needs at least one server, or set nats.embedded = true")
    for at, server in enumerate(nats.servers):
        parts = urlsplit(server)
        if parts.scheme not in ("nats", "tls", "ws", "wss") or not parts.hostname:
            found.wrong(f"nats.servers[{at}]", 'expected an address such as "nats://127.0.0.1:4222"')
        elif parts.password or parts.username:
            found.wrong(
                f"nats.servers[{at}]", "must not hold a password: nats.credentials names a file for it"
            )
    if nats.hold_back < nats.snapshot:
        found.wrong("nats.hold_back", "is shorter than nats.snapshot: sending would stop at every snapshot")
    return NatsSettings(
        servers=nats.servers,
        embedded=nats.embedded,
        port=nats.port,
        credentials=credentials,
        login=login,
        connect_timeout_s=float(nats.connect_timeout),
        ack_wait_s=float(nats.ack_wait),
        renew_s=float(nats.renew),
        margin_s=float(nats.margin),
        snapshot_s=float(nats.snapshot),
        hold_back_s=float(nats.hold_back),
    )


def _http(document: Document, found: Findings) -> HttpSettings:
    table = document.http
    url = _public_url(table.public_url, found)
    if not table.listen:
        return HttpSettings("", 0, url)
    try:
        host, port = host_and_port(table.listen, 9925)
        return HttpSettings(str(ip_address(host)), port, url)
    except ValueError:
        found.wrong("http.listen", 'expected an address such as "127.0.0.1:9925", or ""')
        return HttpSettings("", 0, url)


def _titles(document: Document, found: Findings) -> dict[str, str]:
    """Tenants by the names that people know them by."""
    titles = {name: table.title for name, table in document.tenants.items() if table.title}
    for name, title in titles.items():
        if len(title) > MAX_TITLE or not title.isprintable():
            text = f"expected at most {MAX_TITLE} printable characters, found {show(title)}"
            found.wrong(f"{join('tenants', name)}.title", text)
    return titles


def _fair(document: Document, found: Findings) -> Fairness:
    """Bulk may have at most half: transactional mail comes first."""
    share = document.queue.bulk_share
    if not _LEAST_BULK_SHARE <= share <= _MOST_BULK_SHARE:
        text = f"must be between {_LEAST_BULK_SHARE} and {_MOST_BULK_SHARE}, so that neither lane starves"
        found.wrong("queue.bulk_share", text)
    weights = {name: table.weight for name, table in document.tenants.items() if table.weight != 1}
    for name, weight in weights.items():
        if not 1 <= weight <= _MOST_WEIGHT:
            found.wrong(f"{join('tenants', name)}.weight", f"must be between 1 and {_MOST_WEIGHT}")
    return Fairness(share, weights)


def _advertise(document: Document, tenants: dict[str, TenantPolicy], found: Findings) -> bool:
    """Whoever answers to the addresses must find a token in them that is ours."""
    if not document.inbound.advertise:
        return False
    if not document.tokens.keys:
        found.wrong("inbound.advertise", "needs a key in [tokens]")
    for tenant in tenants.values():
        for domain in tenant.domains:
            if not are_related(tenant.return_path, domain):
                path = join(f"{join('tenants', tenant.name)}.domains", domain)
                text = f"mail names no address for complaints: return_path {tenant.return_path} is not of this domain"
                found.odd(path, f"{text} (RFC 9477)")
    return True


def _public_url(url: str, found: Findings) -> str:
    if not url:
        return ""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or not url.isascii():
        found.wrong("http.public_url", 'expected an https address such as "https://u.example.com" (RFC 8058)')
    return url.rstrip("/")


def _retry(document: Document) -> RetrySettings:
    bulk, transactional = (
        RetrySchedule(tuple(float(delay) for delay in table.schedule), float(table.max_age))
        for table in (document.retry.bulk, document.retry.transactional)
    )
    return RetrySettings(document.retry.jitter, float(document.retry.greylist), bulk, transactional)


def _suppression(document: Document) -> SuppressionSettings:
    table = document.suppression
    return SuppressionSettings(
        addresses=table.addresses,
        mailbox_full_s=float(table.mailbox_full),
        invalid_domain_s=float(table.invalid_domain),
        inactive_recipient_s=float(table.inactive_recipient),
        invalid_recipient_s=float(table.invalid_recipient),
        recipient_refused_s=float(table.recipient_refused),
        unsubscribed_s=float(table.unsubscribed),
        complained_s=float(table.complained),
    )


def _dns(document: Document, found: Findings) -> DnsSettings:
    for at, server in enumerate(document.dns.servers):
        try:
            host, _ = host_and_port(server, 53)
            ip_address(host)
        except ValueError:
            found.wrong(f"dns.servers[{at}]", 'expected an address such as "192.0.2.53" or "192.0.2.53:5353"')
    for at, network in enumerate(document.dns.allow):
        try:
            ip_network(network)
        except ValueError as error:
            found.wrong(f"dns.allow[{at}]", f'expected a network such as "10.0.0.0/8" ({error})')
    table = document.dns
    if table.validating:
        try:
            loopback(table.validating)
        except ValueError as error:
            found.wrong(
                "dns.validating",
                f'{show(table.validating)} {error}: expected "127.0.0.1", or with a port "127.0.0.1:5353"',
            )
    return DnsSettings(table.servers, table.validating, table.allow, mta_sts=table.mta_sts)


def _routes(
    document: Document, shaping: Shaping, read_key: KeyReader, found: Findings
) -> tuple[StaticRoute, ...]:
    known = {OTHER, *(provider.name for provider in shaping.providers)}
    seen: dict[str, str] = {}
    shown: dict[tuple[str, int], str] = {}
    routes = []
    for name, table in document.routes.items():
        path = join("routes", name)
        prefix = "*." if name.startswith("*.") else ""
        try:
            pattern = prefix + a_label(name.removeprefix("*."))
        except ValueError as error:
            found.wrong(path, f'{error}: expected "domain" or "*.suffix"')
            continue
        try:
            host, port = host_and_port(table.host, 25)
        except ValueError as error:
            found.wrong(f"{path}.host", f'{show(table.host)} {error}: expected "name:port"')
            continue
        if pattern in seen:
            found.wrong(path, f'is the same route as "{seen[pattern]}"')
        seen[pattern] = name
        if table.provider not in known:
            found.wrong(f"{path}.provider", f"unknown provider{nearest(table.provider, known)}")
        if table.tls not in _OF_ROUTES:
            found.wrong(
                f"{path}.tls", f"expected one of {', '.join(_OF_ROUTES)}: {table.tls} is of a message"
            )
        if shown.setdefault((host, port), table.auth) != table.auth:
            found.wrong(f"{path}.auth", "is not that of another route to this host: connections are shared")
        login = _login(table, f"{path}.auth", read_key, found)
        routes.append(StaticRoute(pattern, host, port, table.provider, table.tls, login))
    return tuple(routes)


def _login(table: RouteTable, path: str, read_key: KeyReader, found: Findings) -> Login | None:
    """D13: what a route shows its host; no host sees it that has not proven its name."""
    if not table.auth:
        return None
    if table.tls != "verify":
        found.wrong(path, 'needs tls = "verify": a password is shown to nobody who has not proven his name')
    content = read_key("auth", table.auth, path, found)
    if content is None:
        return None
    try:
        return login_of(content.content)
    except ValueError as error:
        found.wrong(path, f"{table.auth} {error}")
        return None


def _tlsrpt(
    document: Document, sources: dict[str, EgressSource], tenants: dict[str, TenantPolicy], found: Findings
) -> TlsRptSettings:
    """On, every text of it is filled. Reports are mail of ours, so somebody must be there who may send it."""
    table = document.tlsrpt
    if not table.enabled:
        return TlsRptSettings()
    tenant = tenants.get(table.tenant or next(iter(tenants), ""))
    if tenant is None:
        text = (
            "unknown tenant" + nearest(table.tenant, tenants)
            if table.tenant
            else "needs a tenant to send reports"
        )
        found.wrong("tlsrpt.tenant" if table.tenant else "tlsrpt.enabled", text)
        return TlsRptSettings()
    if not tenant.domains:
        found.wrong("tlsrpt.enabled", f"tenant {tenant.name} has no domain that reports could come from")
        return TlsRptSettings()
    sender = _address(table.sender or f"tls-reports@{next(iter(tenant.domains))}", "tlsrpt.from", found)
    if not sender:
        return TlsRptSettings()
    domain = sender.rpartition("@")[2]
    policy = tenant.domains.get(domain)
    if policy is None:
        found.wrong(
            "tlsrpt.from", f"{domain} is no domain of tenant {tenant.name}{nearest(domain, tenant.domains)}"
        )
    elif not policy.selectors:
        found.odd(
            "tlsrpt.from", f"{domain} has no DKIM key: reports by mail will be ignored (RFC 8460 section 3)"
        )
    return TlsRptSettings(
        is_on=True,
        organization=table.organization or next(iter(sources.values())).ehlo,
        contact=_address(table.contact or f"postmaster@{domain}", "tlsrpt.contact", found),
        tenant=tenant.name,
        sender=sender,
    )


def _address(text: str, path: str, found: Findings) -> str:
    try:
        return parse(text).text
    except BadAddress as error:
        found.wrong(path, str(error))
        return ""
