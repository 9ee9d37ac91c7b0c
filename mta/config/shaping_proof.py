"""Whether what shaping.toml names is there, and what it sets can ever hold, given the sources and routes of mta.toml.

Proved with the matching that the router does, on names made from the rules themselves. Pure.
"""

from collections.abc import Collection, Iterator

from mta.config.document import Document
from mta.config.problems import Findings, nearest
from mta.config.reading import join, show
from mta.config.shaping import breaker
from mta.config.shaping_document import BreakerTable
from mta.delivery.settings import StaticRoute
from mta.pacing.rules import BreakerSettings, SourceWarmup
from mta.pacing.shaping import OTHER, Shaping, SiteRule


def warmups(document: Document, shaping: Shaping, found: Findings) -> dict[str, SourceWarmup]:
    """By source; findings for plans and providers that are not there."""
    known = {OTHER, *(provider.name for provider in shaping.providers)}
    made = {}
    for name, table in document.sources.items():
        path = join("sources", name)
        if not table.warmup:
            if table.warmup_providers:
                found.wrong(f"{path}.warmup_providers", 'has no effect without a plan: warmup = "default"')
            continue
        plan = shaping.plans.get(table.warmup)
        if plan is None:
            found.wrong(f"{path}.warmup", f"unknown plan{nearest(table.warmup, shaping.plans)}")
        for at, provider in enumerate(table.warmup_providers):
            if provider not in known:
                found.wrong(f"{path}.warmup_providers[{at}]", f"unknown provider{nearest(provider, known)}")
        if plan is not None:
            made[name] = SourceWarmup(plan, table.warmup_providers)
    return made


def tenant_breakers(document: Document, shaping: Shaping, found: Findings) -> dict[str, BreakerSettings]:
    """Of the tenants that have bounds of their own."""
    return {
        name: breaker(table.breaker, shaping.breaker, f"{join('tenants', name)}.breaker", found)
        for name, table in document.tenants.items()
        if table.breaker != BreakerTable()
    }


def prove_reach(
    shaping: Shaping, sources: Collection[str], routes: tuple[StaticRoute, ...], found: Findings
) -> None:
    """Findings for sources that are not there, and overrides that nothing can match."""
    for name in shaping.sources:
        if name not in sources:
            text = f"can never match: no source of mta.toml is named so{nearest(name, sources)}"
            found.wrong(join("sources", name), text)
    sites = {site.name: site for site in shaping.sites}
    for one in shaping.overrides:
        path = f"overrides[{one.number}]"
        if one.source and one.source not in sources:
            text = f"can never match: no source of mta.toml is named so{nearest(one.source, sources)}"
            found.wrong(f"{path}.source", text)
        site = sites.get(one.site)
        if site is not None and one.provider:
            providers = set(_providers_of(shaping, site, routes))
            if one.provider not in providers:
                text = f"can never match: site {site.name} is of {' or '.join(sorted(providers))}"
                found.wrong(f"{path}.provider", f"{text}, not of {show(one.provider)}")


def _providers_of(shaping: Shaping, site: SiteRule, routes: tuple[StaticRoute, ...]) -> Iterator[str]:
    """Whose the site's hosts can be: by their names, by narrower suffixes of providers, or by a route's word."""
    suffixes = shaping.suffixes()
    for pattern in site.mx:
        yield suffixes.owner(_host(pattern)) or OTHER
    for provider in shaping.providers:
        for suffix in provider.mx_suffixes:
            if shaping.site_rule((_host(suffix),)) is site:
                yield provider.name
    for route in routes:
        if shaping.site_rule((route.host,)) is site:
            yield route.provider


def _host(pattern: str) -> str:
    """A name that the pattern matches."""
    return f"mx{pattern}" if pattern.startswith(".") else pattern
