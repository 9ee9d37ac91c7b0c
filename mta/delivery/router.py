"""Which site a domain's mail goes to: a static route, else the hosts that DNS names.

Static routes bind before MX and the longest match wins. MX answers are kept by the resolver, as long as their TTL
allows; this module makes `Site`s of them, adds the policy of the domain, and groups sites into providers by the MX
suffix of the most preferred host: the MX set of a domain belongs to one operator. What holds on the way is
`Shaping`'s to say. What a lookup failure means for a recipient is said as a value, not raised.
"""

from collections.abc import Iterable

from msgspec import Struct

from mta.delivery.settings import StaticRoute
from mta.dns.mx import MxAnswer, MxFound, NoMail
from mta.dns.record import DnsTrouble
from mta.dns.resolver import Resolver
from mta.dns.sts import NoSts, StsAnswer, StsFault, StsPolicies
from mta.model.path import NO_STS, MxHost, Site, StsFound
from mta.model.tls import StsPolicy, TlsOption
from mta.pacing.settings import PathSettings
from mta.pacing.shaping import OTHER, Shaping

_MOST_DOMAINS = 50_000
_MOST_SITES = 100_000
_MOST_SETTINGS = 10_000
_NO_POLICY = NoSts("")
_NOT_SURE = StsFound(is_sure=False)


class NoRoute(Struct, frozen=True, gc=False):
    """DNS gave no host to deliver to. `kind` is a word of the resolver (nxdomain, null_mx, servfail, …)."""

    kind: str
    detail: str
    is_permanent: bool


Route = Site | NoRoute


class Router:
    """Built once per configuration. `look_up` answers from memory, `resolve` asks. `policies` None: MTA-STS is off."""

    def __init__(
        self,
        routes: Iterable[StaticRoute],
        shaping: Shaping,
        resolver: Resolver,
        policies: StsPolicies | None = None,
    ) -> None:
        self._exact: dict[str, StaticRoute] = {}
        self._suffixes: dict[str, StaticRoute] = {}
        for route in routes:
            if route.pattern.startswith("*."):
                self._suffixes[route.pattern[1:]] = route
            else:
                self._exact[route.pattern] = route
        self._shaping = shaping
        self._suffixes_of_providers = shaping.suffixes()
        self._settings: dict[tuple[str, str, str], PathSettings] = {}
        self._tls: dict[tuple[str, str], TlsOption] = {}
        self._resolver = resolver
        self._policies = policies
        self._static: dict[str, Site] = {}

    def settings(self, source: str, site: Site) -> PathSettings:
        """What holds from a source (empty: any) to a site: one object for all sites for which the same layers hold."""
        return self._settings_of(source, site.provider, site.hosts)

    def look_up(self, domain: str) -> Route | None:
        """What is known now; None: `resolve` has to ask."""
        site = self._static.get(domain)
        if site is not None:
            return site
        route = self.static_route(domain)
        if route is None:
            return self._known(domain)
        if len(self._static) >= _MOST_DOMAINS:
            self._static.clear()
        site = self._static[domain] = _static_site(route)
        return site

    async def resolve(self, domain: str, *, is_urgent: bool = False) -> Route:
        """Ask DNS; what `is_urgent` waits for nothing else. Never raises for what a peer or a zone can cause."""
        answer = await self._resolver.resolve(domain, is_urgent=is_urgent)
        if isinstance(answer, MxFound) and self._policies is not None:
            return self._route(answer, await self._policies.resolve(domain, is_urgent=is_urgent))
        return self._route(answer)

    async def provider_of(self, domain: str) -> str:
        """Its token; `other` where there is no way to the domain, or none known now."""
        route = self.look_up(domain) or await self.resolve(domain)
        return route.provider if isinstance(route, Site) else OTHER

    async def recheck(self, domain: str) -> None:
        """A policy of the domain stood in the way of its mail: look whether it still is the one that holds (T-06)."""
        if self._policies is not None:
            await self._policies.recheck(domain)

    def _known(self, domain: str) -> Route | None:
        answer = self._resolver.look_up(domain)
        if answer is None or not isinstance(answer, MxFound) or self._policies is None:
            return self._route(answer) if answer is not None else None
        policy = self._policies.look_up(domain)
        return self._route(answer, policy) if policy is not None else None

    def _route(self, answer: MxAnswer, policy: StsAnswer = _NO_POLICY) -> Route:
        match answer:
            case MxFound(hosts=hosts, site_name=name):
                provider = self._suffixes_of_providers.owner(hosts[0].name) or OTHER
                return Site(
                    name,
                    provider,
                    hosts,
                    tls=self._tls_of(name, provider, hosts),
                    is_whole=answer.is_whole,
                    sts=_found(policy),
                    is_vouched=answer.is_secure,
                )
            case NoMail(kind=kind, detail=detail):
                return NoRoute(kind=kind, detail=detail, is_permanent=True)
            case DnsTrouble(kind=kind, detail=detail):
                return NoRoute(kind=kind, detail=detail, is_permanent=False)

    def static_route(self, domain: str) -> StaticRoute | None:
        """The longest route that matches, if any does."""
        exact = self._exact.get(domain)
        if exact is not None or not self._suffixes:
            return exact
        at = domain.find(".")
        while at >= 0:
            route = self._suffixes.get(domain[at:])
            if route is not None:
                return route
            at = domain.find(".", at + 1)
        return None

    def _settings_of(self, source: str, provider: str, hosts: tuple[MxHost, ...]) -> PathSettings:
        names = tuple(host.name for host in hosts)
        rule = self._shaping.site_rule(names)
        key = (source, provider, rule.name if rule is not None else "")
        settings = self._settings.get(key)
        if settings is None:
            if len(self._settings) >= _MOST_SETTINGS:
                self._settings.clear()
            settings = self._settings[key] = self._shaping.settings(source, provider, names)
        return settings

    def _tls_of(self, site: str, provider: str, hosts: tuple[MxHost, ...]) -> TlsOption:
        """Asked for every message, hence remembered, by site only where rules name some; no source has a say in it. By
        provider as well: the same MX set may be in another order."""
        site = site if self._shaping.sites else ""
        option = self._tls.get((site, provider))
        if option is None:
            if len(self._tls) >= _MOST_SITES:
                self._tls.clear()
            option = self._tls[site, provider] = self._settings_of("", provider, hosts).tls
        return option


def _found(policy: StsAnswer) -> StsFound:
    match policy:
        case StsPolicy():
            return StsFound(policy)
        case StsFault(failure=failure, detail=detail):
            return StsFound(fault=failure, detail=detail, is_sure=False)
        case NoSts(is_sure=is_sure):
            return NO_STS if is_sure else _NOT_SURE


def _static_site(route: StaticRoute) -> Site:
    """A static route is a site of its own, whatever its domains' MX may be."""
    host = MxHost(name=route.host, port=route.port)
    return Site(
        name=f"{route.host}:{route.port}",
        provider=route.provider,
        hosts=(host,),
        tls=route.tls,
        is_static=True,
        login=route.login,
    )
