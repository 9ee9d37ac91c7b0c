"""`mta explain shaping DOMAIN|SOURCE`: what holds on the way to a domain, or for a source, and which layer of
shaping.toml says so.

For a domain the daemon's own router is asked, so provider, site and hosts are those that its mail would have now.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct, to_builtins

from mta.admin.errors import WrongUsage
from mta.admin.exits import EXIT_NO
from mta.admin.output import Output, Table, cell, many
from mta.admin.route import Step, asking, pool_of
from mta.config.names import a_label
from mta.config.settings import Config
from mta.config.units import rate_text, time_text
from mta.delivery.router import NoRoute, Router
from mta.model.path import MxHost, Site
from mta.pacing.rules import AutomaticAction, AutomationRule, SourceWarmup
from mta.pacing.settings import PathSettings
from mta.pacing.shaping import OTHER, Knobs, Layer, Override, Shaping, setter
from mta.queue.settings import RateLimit

_BUILT_IN = "built in"
_STYLES = {"providers": "cyan", "sites": "green", "sources": "green", "overrides": "bold yellow"}
_TIMES = frozenset(("idle_timeout", "max_age"))


class Held(Struct, frozen=True):
    """One knob: its value as the file would have it, and the layer that it comes from."""

    knob: str
    value: str
    layer: str
    reason: str = ""


class Way(Struct, frozen=True):
    """What holds from these sources, which have all of it in common, to a place."""

    sources: tuple[str, ...]
    to: str
    knobs: tuple[Held, ...]


class Automatic(Struct, frozen=True):
    rule: str
    does: str
    when: str
    source: str


class Warming(Struct, frozen=True):
    """Of one source; `first` and `last` are messages a day."""

    source: str
    plan: str
    days: int
    first: int
    last: int
    providers: tuple[str, ...]


class Explained(Struct, frozen=True):
    """`of` is a domain or a source; what does not go with it is empty."""

    of: str
    file: str
    ways: tuple[Way, ...]
    warmups: tuple[Warming, ...]
    provider: str = ""
    by: str = ""
    site: str = ""
    site_rule: str = ""
    hosts: tuple[str, ...] = ()
    pool: str = ""
    pools: tuple[str, ...] = ()
    automation: tuple[Automatic, ...] = ()


async def explain_shaping(config: Config, output: Output, of: str, *, tenant: str, pool: str) -> int:
    """0: told; 1: there is no way to the domain now, so nobody can tell whose it is. WrongUsage for what is neither
    domain nor source."""
    if of in config.sources:
        _tell(_of_source(config, of), output)
        return 0
    try:
        domain = a_label(of.rpartition("@")[2].rstrip("."))
    except ValueError as error:
        raise WrongUsage(f"{of!r} {error}, and no source: {', '.join(config.sources)}") from error
    chosen = pool_of(config, tenant, pool)
    steps: list[Step] = []
    async with asking(config, steps) as (lookups, _):
        router = Router(config.routes, config.shaping, lookups.resolver, lookups.policies)
        route = router.look_up(domain) or await router.resolve(domain)
    if isinstance(route, NoRoute):
        output.result({"of": domain, "kind": route.kind, "detail": route.detail})
        known = f" It is no source either: {', '.join(config.sources)}." if "." not in domain else ""
        output.note(f"No way to {domain}: {route.kind}, {route.detail}.{known}", "red")
        return EXIT_NO
    _tell(_of_domain(config, domain, route, chosen), output)
    return 0


def _of_domain(config: Config, domain: str, site: Site, pool: str) -> Explained:
    shaping, hosts = config.shaping, tuple(host.name for host in site.hosts)
    sources = [source.name for source, _ in config.pools[pool].sources]
    rule = shaping.site_rule(hosts)
    return Explained(
        of=domain,
        file=str(config.shaping_origin),
        ways=tuple(_ways(shaping, sources, site, f"to {domain}")),
        warmups=tuple(_warming(config.shaping.warmups, sources, site.provider)),
        provider=site.provider,
        by=_by(site),
        site=site.name,
        site_rule=rule.name if rule is not None else "",
        hosts=hosts,
        pool=pool,
        automation=tuple(_automatic(one) for one in shaping.automation if one.is_of(site.provider)),
    )


def _of_source(config: Config, source: str) -> Explained:
    """With what overrides make of it at other places; what a provider or a site has of its own is told by domain."""
    shaping = config.shaping
    pools = tuple(name for name, pool in config.pools.items() if source in (s.name for s, _ in pool.sources))
    ways = [*_ways(shaping, [source], Site("", OTHER, ()), "to a site that no layer names")]
    for one in shaping.overrides:
        if one.source == source and (one.provider or one.site):
            names = (("provider", one.provider), ("site", one.site))
            place = " and ".join(f"{noun} {name}" for noun, name in names if name)
            ways += _ways(shaping, [source], _example(shaping, one), f"to {place}")
    return Explained(
        of=source,
        file=str(config.shaping_origin),
        ways=tuple(ways),
        warmups=tuple(_warming(config.shaping.warmups, [source], "")),
        pools=pools,
    )


def _by(site: Site) -> str:
    if site.is_static:
        return "as the route says"
    return f"by the suffix of {site.hosts[0].name}" if site.provider != OTHER else "no suffix matches"


def _example(shaping: Shaping, override: Override) -> Site:
    """One that it matches."""
    patterns = next((site.mx for site in shaping.sites if site.name == override.site), ())
    hosts = tuple(MxHost(f"mx{one}" if one.startswith(".") else one) for one in patterns[:1])
    return Site("", override.provider or OTHER, hosts)


def _ways(shaping: Shaping, sources: Iterable[str], site: Site, to: str) -> Iterable[Way]:
    """Sources for which all is the same are told together."""
    hosts = tuple(host.name for host in site.hosts)
    ways: dict[tuple[Held, ...], list[str]] = {}
    for source in sources:
        layers = shaping.layers(source, site.provider, hosts)
        held = _held(layers, shaping.settings(source, site.provider, hosts), site)
        ways.setdefault(held, []).append(source)
    return (Way(tuple(names), to, held) for held, names in ways.items())


def _held(layers: tuple[Layer, ...], settings: PathSettings, site: Site) -> tuple[Held, ...]:
    names = [name for name in Knobs.__struct_fields__ if name != "timeouts"]
    phases = [name for name in settings.timeouts.__struct_fields__ if name != "quiet_s"]
    values = {name: _value(settings, name) for name in names}
    values |= {f"timeouts.{p.removesuffix('_s')}": time_text(getattr(settings.timeouts, p)) for p in phases}
    held = []
    for knob, value in values.items():
        layer = setter(layers, knob)
        if knob == "tls" and site.is_static:
            held.append(Held(knob, str(site.tls), "the route in mta.toml"))
        elif layer is None:
            held.append(Held(knob, value, _BUILT_IN))
        else:
            held.append(Held(knob, value, layer.name, layer.reason))
    return tuple(held)


def _value(settings: PathSettings, knob: str) -> str:
    """As the file would have it."""
    scope, _, limit = knob.partition("_")
    if scope == "provider":
        value: Any = getattr(settings.provider, limit)
    elif scope == "source":
        value = getattr(settings.whole_source, limit)
    else:
        value = getattr(settings, f"{knob}_s" if knob in _TIMES or knob == "retry" else knob)
    match value:
        case None | ():
            return "none"
        case RateLimit():
            return rate_text(value)
        case tuple():
            return " ".join(map(time_text, value))
        case float():
            return time_text(value)
        case int():
            return f"{value:,}" if value >= 10_000 else str(value)
        case _:
            return str(value)


def _automatic(rule: AutomationRule) -> Automatic:
    wanted = [
        ", ".join(sorted(rule.bounce_classes)),
        f"code {', '.join(sorted(code.upper() for code in rule.provider_codes))}"
        if rule.provider_codes
        else "",
        f"accusing {', '.join(sorted(rule.accused))}" if rule.accused else "",
        f"text {' or '.join(rule.texts)}" if rule.texts else "",
    ]
    times = "the first" if rule.count == 1 else f"{rule.count} in {time_text(rule.window_s)}"
    when = f"{times}: {'; '.join(part for part in wanted if part)}"
    return Automatic(rule.name, ", ".join(map(_does, rule.actions)), when, rule.source)


def _does(action: AutomaticAction) -> str:
    limits = [f"{action.connections} conn" if action.connections is not None else ""]
    limits += [rate_text(action.message_rate) if action.message_rate is not None else ""]
    to = " ".join(part for part in ("to", *limits) if part) if any(limits) else ""
    words = (str(action.kind), str(action.at), to, f"for {time_text(action.for_s)}")
    return " ".join(word for word in words if word) if action.kind != "alert" else "alert"


def _warming(warmups: dict[str, SourceWarmup], sources: Iterable[str], provider: str) -> Iterable[Warming]:
    """`provider` empty: at any."""
    for source in sources:
        one = warmups.get(source)
        if one is not None and (not provider or one.holds_at(provider)):
            steps = one.plan.steps
            yield Warming(source, one.plan.name, len(steps), steps[0], steps[-1], one.providers)


def _tell(explained: Explained, output: Output) -> None:
    output.result(to_builtins(explained))
    head = Table("", explained.of)
    if explained.provider:
        head.add_row(cell("provider"), cell(f"{explained.provider}, {explained.by}"))
        ruled = (
            f"[sites.{explained.site_rule}]" if explained.site_rule else "none of [sites] names a host of it"
        )
        head.add_row(cell("site"), cell(f"{explained.site}: {ruled}"))
        head.add_row(cell("hosts"), cell(" ".join(explained.hosts)))
        head.add_row(cell("pool"), cell(explained.pool))
    else:
        head.add_row(cell("source"), cell(f"of {', '.join(explained.pools) or 'no pool: it sends nothing'}"))
    head.add_row(cell("file"), cell(explained.file))
    output.show(head)
    first = explained.ways[0]
    for way in explained.ways:
        output.say("")
        differs = "" if way is first else ": as above, but" if way.knobs != first.knobs else ": as above"
        output.say(f"From {', '.join(way.sources)} {way.to}{differs}", "bold")
        if way.knobs == first.knobs and way is not first:
            continue
        knobs = Table("knob", "value", "from")
        for held in way.knobs if way is first else [one for one in way.knobs if one not in first.knobs]:
            style = _STYLES.get(held.layer.partition(".")[0].partition("[")[0], "dim")
            why = f"{held.layer}: {held.reason}" if held.reason else held.layer
            knobs.add_row(
                cell(held.knob), cell(held.value, "dim" if held.value == "none" else ""), cell(why, style)
            )
        output.show(knobs)
    if explained.warmups:
        output.say("")
        warmups = Table("warm-up", "plan", "messages a day")
        for one in explained.warmups:
            where = f", only at {', '.join(one.providers)}" if one.providers else ""
            text = f"{one.first:,} to {one.last:,} in {many(one.days, 'day')} with mail{where}"
            warmups.add_row(cell(one.source), cell(one.plan), cell(text))
        output.show(warmups)
    if explained.automation:
        output.say("")
        output.say("What happens by itself", "bold")
        rules = Table("rule", "when, and what then")
        for rule in explained.automation:
            rules.add_row(cell(rule.rule), cell(rule.when))
            rules.add_row(cell(""), cell(f"-> {rule.does}", "yellow"))
        output.show(rules)
