"""`mta explain route ADDRESS`: where mail to an address would go and why, as the daemon would decide it now.

The daemon's own parts are asked (router, resolver, policies, terms of TLS), with a listener on what they ask of DNS; so
what is shown is what would be done. Nothing is connected to but name servers and the domain's policy host, and nothing
is sent. What a daemon has learned of hosts meanwhile (dead addresses, broken TLS) is in that daemon, not here.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from mta.admin.errors import WrongUsage
from mta.admin.exits import EXIT_NO
from mta.admin.output import Output, Table, cell
from mta.config.settings import Config
from mta.config.units import rate_text
from mta.delivery.lookups import Lookups
from mta.delivery.router import NoRoute, Router
from mta.delivery.security import Barred, insecure_way, secured, terms
from mta.dns.mx import HostAddresses, shuffled
from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, Answer, LookupFailed, RecordKind
from mta.intake.settings import TenantPolicy
from mta.model.address import BadAddress, parse
from mta.model.path import MxHost, Site
from mta.model.tls import DaneState, Demand, TlsOption
from mta.pacing.settings import PathSettings

_MOST_SHOWN = 6  # records of one answer

_DEMANDS = {
    Demand.NONE: "no TLS",
    Demand.OPPORTUNISTIC: "TLS if it is offered, the certificate unverified, else clear text",
    Demand.ENCRYPTED: "TLS or nothing, the certificate unverified",
    Demand.VERIFIED: "TLS or nothing, with a certificate that is valid for this host",
    Demand.DANE: "TLS or nothing, with a certificate that a TLSA record names",
}


class Step(Struct, frozen=True):
    """One decision: what was looked at, what was found, and why that decides as it does. `is_bad`: it stands in the
    way of mail."""

    what: str
    found: str
    why: str
    is_bad: bool = False


class HostStep(Struct, frozen=True):
    """One MX host in the order of preference. `left_out` are addresses that may not be connected to, each with the
    reason. Empty `refused`: it would be connected to."""

    name: str
    port: int
    preference: int
    addresses: tuple[str, ...]
    left_out: tuple[str, ...]
    tls: str
    policy: str
    refused: str


class Explained(Struct, frozen=True):
    """`outcome` is `send`, `defer` or `bounce`."""

    address: str
    domain: str
    outcome: str
    steps: tuple[Step, ...]
    hosts: tuple[HostStep, ...] = ()
    site: str = ""
    provider: str = ""
    pool: str = ""
    sources: tuple[str, ...] = ()


class Listening:
    """`Nameservers` that notes every question with what came of it, and the MX hosts it heard of."""

    def __init__(self, inner: Nameservers, label: str, steps: list[Step], exchanges: dict[str, int]) -> None:
        self._inner = inner
        self._label = label
        self._steps = steps
        self._exchanges = exchanges

    def start(self) -> None:
        self._inner.start()

    async def close(self) -> None:
        await self._inner.close()

    def forget(self) -> None:
        self._inner.forget()

    async def ask(self, name: str, kind: RecordKind) -> Answer:
        what = f"{kind} of {name}"
        try:
            answer = await self._inner.ask(name, kind)
        except Absent as absent:
            found = "the name does not exist" if absent.is_missing else "no such record"
            self._steps.append(Step(what, found, self._asked(absent.is_secure)))
            raise
        except LookupFailed as failure:
            self._steps.append(Step(what, f"no answer: {failure.trouble.detail}", self._label, True))
            raise
        named = [record for record in answer.records if record.kind == "MX"]
        self._exchanges |= {record.value: record.preference for record in named if record.value}
        shown = [f"{record.preference} {record.value or '.'}" for record in named]
        shown = shown or [record.value for record in answer.records]
        rest = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
        ttl_s = min((record.ttl_s for record in answer.records), default=0)
        found = ", ".join(shown[:_MOST_SHOWN]) + rest
        self._steps.append(Step(what, found, f"TTL {ttl_s} s, {self._asked(answer.is_secure)}"))
        return answer

    def _asked(self, is_secure: bool) -> str:
        return f"{self._label}{', DNSSEC holds' if is_secure else ''}"


async def explain_route(
    config: Config, output: Output, address: str, *, tenant: str, pool: str, tls: TlsOption
) -> int:
    """0: it would be sent; 1: it would not, now or ever."""
    explained = await explain(config, address, tenant=tenant, pool=pool, tls=tls)
    _tell(explained, output)
    return 0 if explained.outcome == "send" else EXIT_NO


async def explain(config: Config, address: str, *, tenant: str, pool: str, tls: TlsOption) -> Explained:
    """WrongUsage for what is no address, tenant or pool."""
    try:
        mailbox = parse(address)
    except BadAddress as error:
        raise WrongUsage(f"{address!r} is no address: {error}") from error
    steps = [Step("address", mailbox.text, "as it stands on the wire: the domain in A-labels, in lower case")]
    chosen = pool_of(config, tenant, pool)
    asked: list[Step] = []
    async with asking(config, asked) as (lookups, exchanges):
        router = Router(config.routes, config.shaping, lookups.resolver, lookups.policies)
        static = router.static_route(mailbox.domain)
        if static is not None:
            found = f'"{static.pattern}" -> {static.host}:{static.port}'
            steps.append(Step("route", found, "the longest of [routes] that matches; MX is not asked"))
        else:
            steps.append(Step("route", "none of [routes] matches", "so MX decides"))
        route = router.look_up(mailbox.domain) or await router.resolve(mailbox.domain)
        known = {} if static else {name: await lookups.resolver.addresses(name) for name in exchanges}
    steps += asked
    if isinstance(route, NoRoute):
        return _nowhere(address, mailbox.domain, steps, route)
    pacing = {source.name: router.settings(source.name, route) for source, _ in config.pools[chosen].sources}
    explained = _somewhere(config, address, mailbox.domain, steps, (route, pacing, chosen, tls))
    return replace(explained, hosts=_with_others(explained.hosts, exchanges, known))


def _nowhere(address: str, domain: str, steps: list[Step], route: NoRoute) -> Explained:
    outcome = "bounce" if route.is_permanent else "defer"
    why = "permanent: bounced at once" if route.is_permanent else "temporary: deferred and tried again"
    return Explained(
        address, domain, outcome, (*steps, Step("outcome", f"{route.kind}: {route.detail}", why, True))
    )


def _somewhere(
    config: Config,
    address: str,
    domain: str,
    steps: list[Step],
    chosen: tuple[Site, dict[str, PathSettings], str, TlsOption],
) -> Explained:
    site, pacing, pool, tls = chosen
    security = secured(site, tls)
    hosts = tuple(_host(host, terms(host, security)) for host in shuffled(site.hosts, lambda: 0.0))
    steps += _policy_steps(site)
    steps.append(Step("site", site.name, _why_site(site)))
    steps.append(Step("provider", site.provider, _why_provider(site)))
    steps += _pacing_steps(site, pacing)
    sources = tuple(
        f"{source.name} ({source.address or 'address by the kernel'}, EHLO {source.ehlo}, weight {weight})"
        for source, weight in config.pools[pool].sources
    )
    steps.append(Step("source", "; ".join(sources), f"pool {pool}: in turns, by weight"))
    refused = insecure_way(security)
    usable = [host for host in hosts if not host.refused]
    outcome = "bounce" if refused and site.sts.is_sure else "send" if usable and not refused else "defer"
    if outcome != "send":
        why = "permanent: bounced at once" if outcome == "bounce" else "temporary: deferred and tried again"
        steps.append(Step("outcome", refused or "no host may be used", why, True))
    return Explained(address, domain, outcome, tuple(steps), hosts, site.name, site.provider, pool, sources)


def _host(host: MxHost, allowed: Any) -> HostStep:
    if isinstance(allowed, Barred):
        tls, policy, refused = "not used", allowed.policy, allowed.detail
    else:
        tls, policy, refused = _DEMANDS[allowed.demand], allowed.policy, ""
        if allowed.is_testing:
            tls += "; what MTA-STS would ask for is tried first and reported"
    return HostStep(host.name, host.port, host.preference, host.addresses, (), tls, policy, refused)


def _with_others(
    hosts: tuple[HostStep, ...], exchanges: dict[str, int], known: dict[str, HostAddresses]
) -> tuple[HostStep, ...]:
    """Also the hosts that DNS names and nobody may connect to."""
    used = {host.name for host in hosts}
    told = [
        replace(host, left_out=known[host.name].refused) if host.name in known else host for host in hosts
    ]
    for name, preference in exchanges.items():
        if name in used or name not in known:
            continue
        found = known[name]
        why = "; ".join(found.refused) or (found.trouble.detail if found.trouble else "it has no address")
        told.append(HostStep(name, 25, preference, (), found.refused, "not used", "", why))
    return tuple(sorted(told, key=lambda host: host.preference))


def _policy_steps(site: Site) -> Iterator[Step]:
    if site.is_static:
        yield Step("policy", "not asked", "a route of [routes] is the operator's word")
        return
    sts = site.sts
    if sts.policy is not None:
        found = f"MTA-STS {sts.policy.mode}: {', '.join(sts.policy.mx) or 'no hosts'}"
        yield Step("policy", found, f"id {sts.policy.id}, kept for {sts.policy.max_age_s} s")
    elif sts.fault is not None:
        yield Step("policy", f"MTA-STS cannot be had: {sts.fault}", sts.detail, True)
    else:
        yield Step("policy", "no MTA-STS", "no record at _mta-sts, or dns.mta_sts is off")
    for host in site.hosts:
        if host.dane.state is not DaneState.ABSENT:
            records = ", ".join(f"{one.usage} {one.selector} {one.matching}" for one in host.dane.records)
            found = f"DANE of {host.name}: {host.dane.state} {records}".rstrip()
            yield Step("policy", found, host.dane.detail or "DNSSEC holds from the MX to the TLSA records")


def _pacing_steps(site: Site, pacing: dict[str, PathSettings]) -> Iterator[Step]:
    """Sources for which all is the same are told together."""
    told: dict[str, list[str]] = {}
    for source, settings in pacing.items():
        rates = (
            f"{settings.connections} connections, {settings.messages_per_connection} messages each, "
            f"{rate_text(settings.message_rate)}, pattern {settings.pattern}"
        )
        told.setdefault(rates, []).append(source)
    for rates, sources in told.items():
        whose = "each source" if len(told) == 1 else " and ".join(sources)
        why = f"of {whose} to this site, provider {site.provider}: see mta explain shaping"
        yield Step("pacing", rates, why)


def _why_site(site: Site) -> str:
    if site.is_static:
        return "a route is a site of its own"
    vouched = "; DNSSEC holds for it" if site.is_vouched else ""
    return f"domains with this MX set share connections and limits{vouched}"


def _why_provider(site: Site) -> str:
    if site.is_static:
        return "as the route says"
    return (
        f"by the suffix of {site.hosts[0].name}"
        if site.provider != "other"
        else "no suffix of shaping.toml matches"
    )


def pool_of(config: Config, tenant: str, pool: str) -> str:
    known = config.tenants.get(tenant) if tenant else _only(config)
    if tenant and known is None:
        raise WrongUsage(f"unknown tenant {tenant!r}: {', '.join(config.tenants) or 'none is configured'}")
    name = pool or (known.pools[0] if known is not None else next(iter(config.pools)))
    if name not in config.pools:
        raise WrongUsage(f"unknown pool {name!r}: {', '.join(config.pools)}")
    return name


def _only(config: Config) -> TenantPolicy | None:
    return next(iter(config.tenants.values())) if len(config.tenants) == 1 else None


@asynccontextmanager
async def asking(config: Config, steps: list[Step]) -> AsyncIterator[tuple[Lookups, dict[str, int]]]:
    """As the daemon has them, with a memory of their own; and the MX hosts that were named, with preferences."""
    exchanges: dict[str, int] = {}

    def through(inner: Nameservers, setting: str) -> Nameservers:
        return Listening(inner, f"asked of {setting}", steps, exchanges)

    with tempfile.TemporaryDirectory() as directory:
        lookups = Lookups(config.dns, Path(directory) / "mta-sts.json", through)
        try:
            await lookups.start()
            yield lookups, exchanges
        finally:
            await lookups.close()


def _tell(explained: Explained, output: Output) -> None:
    output.result(to_builtins(explained))
    style = {"send": "green", "defer": "yellow", "bounce": "bold red"}[explained.outcome]
    shown = Table("", "found", "why")
    for step in explained.steps:
        shown.add_row(cell(step.what), cell(step.found, "red" if step.is_bad else ""), cell(step.why, "dim"))
    output.show(shown)
    if explained.hosts:
        output.say("")
        hosts = Table("host", "preference", "addresses", "policy", "what has to hold")
        for host in explained.hosts:
            where = f"{host.name}:{host.port}"
            where_to = " ".join(host.addresses) or ("none" if host.refused else "by name")
            left_out = f" (not {', '.join(host.left_out)})" if host.left_out else ""
            said = cell(f"not used: {host.refused}", "red") if host.refused else cell(host.tls + left_out)
            hosts.add_row(cell(where), cell(str(host.preference)), cell(where_to), cell(host.policy), said)
        output.show(hosts)
    output.say("")
    ends = {"send": "It would be sent.", "defer": "It would be deferred.", "bounce": "It would bounce."}
    output.say(ends[explained.outcome], style)
