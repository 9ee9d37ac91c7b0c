"""`shaping.toml`: the knobs of pacing in their layers, and which MX names make a provider or a site.

A rule that can never match is a mistake nobody notices, so it is an error: a suffix that the router cannot match, one
that two claim, an example that ends elsewhere, an override that a later one takes all effect from. What has to be known
of mta.toml as well is looked at in `mta.config.shaping_proof`, what automation says in `mta.config.automation`.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, TypeVar

from msgspec.structs import replace

from mta.config import automation
from mta.config.names import a_label, is_token
from mta.config.problems import Findings, nearest
from mta.config.reading import join, read, show
from mta.config.shaping_document import (
    BreakerTable,
    GroupTable,
    KnobTable,
    OverrideTable,
    PlanTable,
    ShapingDocument,
    TimeoutTable,
)
from mta.config.units import rate_text
from mta.pacing.rules import At, BreakerSettings, WarmupPlan
from mta.pacing.shaping import Knobs, Override, Provider, Shaping, SiteRule, Suffixes, setter
from mta.queue.settings import RateLimit

Table = TypeVar("Table", bound=KnobTable)

NONE = "none"
_OPTIONAL = (
    *("host_connections", "provider_connections", "provider_connection_rate", "provider_message_rate"),
    *("source_connections", "source_connection_rate", "source_message_rate", "retry", "max_age"),
)
_WHOLE_SOURCE = ("source_connections", "source_connection_rate", "source_message_rate")
_COUNTS = {
    **dict.fromkeys(("connections", "host_connections"), 10_000),
    **dict.fromkeys(("provider_connections", "source_connections"), 100_000),
    "messages_per_connection": 1_000_000,
    "window": 64,
}
_MOST_DELAYS = 30
_MOST_STEPS = 365
_MOST_MESSAGES = 1_000_000_000
_LONGEST_AGE_S = 5 * 86_400.0
"""As long as a payload may live."""


def shaping(table: dict[str, Any], found: Findings) -> Shaping:
    """All that the file says; findings for what cannot be."""
    document = read(ShapingDocument, table, "", found) or ShapingDocument()
    default = _knobs(KnobTable, document.default, "default", found)[1]
    providers = tuple(_providers(document, found))
    names = {provider.name for provider in providers}
    read_ = Shaping(
        default=default,
        providers=providers,
        sites=tuple(_sites(document, found)),
        sources={name: _source(name, one, found) for name, one in document.sources.items()},
        overrides=tuple(_overrides(document, names, found)),
        automation=automation.rules(document.automation, {*names, "other"}, found),
        breaker=breaker(document.breaker, BreakerSettings(), "breaker", found),
        plans={name: _plan(name, one, found) for name, one in document.warmup.items()},
    )
    _check_overrides(read_, found)
    _check_sense(read_, found)
    _check_throttles(read_, found)
    return read_


def _providers(document: ShapingDocument, found: Findings) -> Iterator[Provider]:
    owners: dict[str, str] = {}
    examples: list[tuple[str, str, str]] = []
    for name, one in document.providers.items():
        path = join("providers", name)
        if not is_token(name) or name == "other":
            found.wrong(path, 'a provider is named by [a-z0-9_-], at most 64 of them, and not "other"')
            continue
        group, knobs = _knobs(GroupTable, one, path, found)
        if group is None:
            continue
        suffixes = tuple(_patterns(group, path, owners, name, found, noun="provider"))
        examples += [(f"{path}.examples[{at}]", text, name) for at, text in enumerate(group.examples)]
        yield Provider(name, suffixes, knobs)
    known = Suffixes(owners)
    for path, example, name in examples:
        got = known.owner(example.lower()) or "other"
        if got != name:
            found.wrong(path, f'{show(example)} matches "{got}"')


def _sites(document: ShapingDocument, found: Findings) -> Iterator[SiteRule]:
    owners: dict[str, str] = {}
    examples: list[tuple[str, str, str]] = []
    rules = []
    for name, one in document.sites.items():
        path = join("sites", name)
        if not is_token(name):
            found.wrong(path, "a site is named by [a-z0-9_-], at most 64 of them")
            continue
        group, knobs = _knobs(GroupTable, one, path, found)
        if group is None:
            continue
        rules.append(SiteRule(name, tuple(_patterns(group, path, owners, name, found, noun="site")), knobs))
        examples += [(f"{path}.examples[{at}]", text, name) for at, text in enumerate(group.examples)]
    known = Shaping(sites=tuple(rules))
    for path, example, name in examples:
        rule = known.site_rule((example,))
        if rule is None or rule.name != name:
            found.wrong(path, f"{show(example)} matches {f'site {rule.name}' if rule else 'no site'}")
    yield from rules


def _patterns(
    group: GroupTable, path: str, owners: dict[str, str], name: str, found: Findings, *, noun: str
) -> Iterator[str]:
    """Those that an MX host can match; `owners` learns them."""
    if not group.mx:
        found.wrong(f"{path}.mx", f"needs at least one name, or the {noun} can never match")
    for at, pattern in enumerate(group.mx):
        text = _unmatchable(pattern, is_suffix=noun == "provider" or pattern.startswith("."))
        if not text and pattern in owners:
            text = f'{noun} "{owners[pattern]}" has it already'
        if text:
            found.wrong(f"{path}.mx[{at}]", f"can never match: {text}")
        else:
            owners[pattern] = name
            yield pattern


def _unmatchable(pattern: str, *, is_suffix: bool) -> str:
    """Why no MX host can match; empty: one can."""
    if is_suffix and not pattern.startswith("."):
        return f'a suffix starts with a dot, as in ".{pattern.rstrip(".")}"'
    if pattern.endswith("."):
        return "MX names are compared without their final dot"
    name = pattern[1:] if is_suffix else pattern
    if not is_suffix and _is_address(name):
        return ""  # of a host in [routes]
    try:
        return "" if a_label(name) == name else "MX names are compared in lower-case A-labels"
    except ValueError as error:
        return f"{show(name)} {error}"


def _is_address(text: str) -> bool:
    try:
        return str(ip_address(text)) == text
    except ValueError:
        return False


def _source(name: str, table: dict[str, Any], found: Findings) -> Knobs:
    """Which host is connected to under which terms is decided before a source is chosen."""
    path = join("sources", name)
    knobs = _knobs(KnobTable, table, path, found)[1]
    if "tls" in knobs.items():
        found.wrong(f"{path}.tls", "does not depend on the source: set it for a provider or a site")
    return knobs


def _overrides(document: ShapingDocument, providers: set[str], found: Findings) -> Iterator[Override]:
    for number, one in enumerate(document.overrides):
        path = f"overrides[{number}]"
        table, knobs = _knobs(OverrideTable, one, path, found)
        if table is None:
            continue
        if not table.reason.strip():
            found.wrong(f"{path}.reason", "says nothing: whoever finds this in a year needs to know why")
        if not (table.source or table.provider or table.site):
            found.wrong(path, "names no source, provider or site: what holds everywhere goes to [default]")
        if table.provider and table.provider not in {*providers, "other"}:
            found.wrong(f"{path}.provider", f"unknown provider{nearest(table.provider, providers)}")
        if table.site and table.site not in document.sites:
            found.wrong(f"{path}.site", f"unknown site{nearest(table.site, document.sites)}")
        if table.source and "tls" in knobs.items():
            found.wrong(f"{path}.tls", "does not depend on the source: leave the source out")
        if not knobs.items():
            found.wrong(path, "sets nothing: name a knob")
        yield Override(number, table.reason, table.source, table.provider, table.site, knobs)


def _check_overrides(shaping: Shaping, found: Findings) -> None:
    """One that a later one covers, and whose every knob that sets, too, has no effect."""
    for at, one in enumerate(shaping.overrides):
        for later in shaping.overrides[at + 1 :]:
            covers = (
                later.source in ("", one.source)
                and later.provider in ("", one.provider)
                and later.site in ("", one.site)
            )
            if covers and one.knobs.items() and one.knobs.items().keys() <= later.knobs.items().keys():
                text = f"has no effect: overrides[{later.number}] holds wherever this does, and sets the same"
                found.wrong(f"overrides[{one.number}]", f"{text}; the later one wins: put this behind it")
                break


def _check_sense(shaping: Shaping, found: Findings) -> None:
    """Limits that never bind, each said once, of the layer that brought it about."""
    pairs = (
        ("host_connections", ("connections",)),
        ("connections", ("provider_connections", "source_connections")),
    )
    seen = set()
    for source in ("", *shaping.sources):
        for provider in ("other", *(one.name for one in shaping.providers)):
            layers = shaping.layers(source, provider, ())
            settings = shaping.settings(source, provider, ())
            values = {
                "connections": settings.connections,
                "host_connections": settings.host_connections,
                "provider_connections": settings.provider.connections,
                "source_connections": settings.whole_source.connections,
            }
            for less, sums in pairs:
                low = values[less]
                high, more = min(
                    ((most, knob) for knob in sums if (most := values[knob]) is not None), default=(low, less)
                )
                if low is None or high is None or low <= high:
                    continue
                knob, layer = max(
                    ((knob, layer) for knob in (less, more) if (layer := setter(layers, knob)) is not None),
                    key=lambda pair: layers.index(pair[1]),
                    default=(less, layers[0]),
                )
                path = f"{layer.name}.{knob}"
                if path not in seen:
                    seen.add(path)
                    found.odd(path, f"{less} = {low} can never be reached: {more} is {high}")


def _check_throttles(shaping: Shaping, found: Findings) -> None:
    """Of one way: those that let through as much as goes anyway."""
    for rule in shaping.automation:
        settings = shaping.settings("", rule.provider or "other", ())
        for at, action in enumerate(rule.actions):
            if action.at is not At.PATH:
                continue
            path, rate = f"{join('automation', rule.name)}.actions[{at}]", action.message_rate
            if action.connections is not None and action.connections >= settings.connections:
                text = f"changes nothing: connections = {settings.connections} holds there anyway"
                found.odd(f"{path}.connections", text)
            if rate is not None and _per_second(rate) >= _per_second(settings.message_rate):
                text = (
                    f'changes nothing: message_rate = "{rate_text(settings.message_rate)}" holds there anyway'
                )
                found.odd(f"{path}.message_rate", text)


def _knobs(
    shape: type[Table], table: dict[str, Any], path: str, found: Findings
) -> tuple[Table | None, Knobs]:
    """A table with what it sets. `"none"` takes an optional limit away; findings for what is out of range."""
    unset = {key for key, value in table.items() if value == NONE and key in _OPTIONAL}
    for key, value in table.items():
        if value == NONE and key not in (*_OPTIONAL, "tls", *unset) and key in KnobTable.__struct_fields__:
            found.wrong(f"{path}.{key}", "cannot be without a value: leave it out to take that from below")
    rest = {key: value for key, value in table.items() if value != NONE or key == "tls"}
    stated = read(shape, rest, path, found)
    if stated is None:
        return None, Knobs()
    values: dict[str, Any] = dict.fromkeys(unset)
    for key in KnobTable.__struct_fields__:
        value = getattr(stated, key)
        if value is None or isinstance(value, TimeoutTable):
            continue
        fault = _fault(key, value)
        if fault:
            found.wrong(f"{path}.{key}", fault)
        else:
            values[key] = _plain(value)
    for key in _WHOLE_SOURCE if path != "default" and not path.startswith("sources.") else ():
        if key in values:
            found.wrong(f"{path}.{key}", "holds for a source everywhere: set it in [default] or [sources.…]")
    return stated, Knobs(**values, timeouts=_timeouts(stated.timeouts, f"{path}.timeouts", found))


def _fault(key: str, value: Any) -> str:
    """What is wrong with the value of a knob; empty: nothing."""
    if key in _COUNTS and not 1 <= value <= _COUNTS[key]:
        return f"expected 1 to {_COUNTS[key]}, found {value}"
    if key == "max_age" and not 0 < value <= _LONGEST_AGE_S:
        return 'expected more than 0 and at most "5d"'
    if key == "retry" and not (0 < len(value) <= _MOST_DELAYS and min(value) > 0):
        return f'expected 1 to {_MOST_DELAYS} times, each above 0, or "none"'
    return ""


def _plain(value: Any) -> Any:
    """Without the units that it was written in."""
    match value:
        case RateLimit():
            return RateLimit(value.count, value.period_s)
        case float():
            return float(value)
        case tuple():
            return tuple(float(one) for one in value)
        case _:
            return value


def _timeouts(table: TimeoutTable, path: str, found: Findings) -> dict[str, float]:
    set_ = {}
    for phase in table.__struct_fields__:
        value = getattr(table, phase)
        if value is not None and value <= 0:
            found.wrong(f"{path}.{phase}", "must be above 0")
        elif value is not None:
            set_[phase] = float(value)
    return set_


def breaker(table: BreakerTable, below: BreakerSettings, path: str, found: Findings) -> BreakerSettings:
    """`below` with all that is set here in its place."""
    for key in ("least_delivered", "least_outcomes"):
        count = getattr(table, key)
        if count is not None and not 1 <= count <= _MOST_MESSAGES:
            found.wrong(f"{path}.{key}", f"expected 1 to {_MOST_MESSAGES}, found {count}")
    if table.window is not None and not 60 <= table.window <= 7 * 86_400:
        found.wrong(f"{path}.window", 'expected "1m" to "7d"')
    names = {"enabled": "is_on", "window": "window_s"}
    changes = {
        names.get(key, key): _plain(value)
        for key in table.__struct_fields__
        if (value := getattr(table, key)) is not None
    }
    return replace(below, **changes)


def _plan(name: str, table: PlanTable, found: Findings) -> WarmupPlan:
    path = join("warmup", name)
    if not is_token(name):
        found.wrong(path, "a plan is named by [a-z0-9_-], at most 64 of them")
    steps = table.steps
    if not 1 <= len(steps) <= _MOST_STEPS:
        found.wrong(f"{path}.steps", f"expected 1 to {_MOST_STEPS} days, found {len(steps)}")
    for at, (before, step) in enumerate(zip((0, *steps), steps, strict=False)):
        if not before < step <= _MOST_MESSAGES:
            text = f"expected more than the day before ({before}), at most {_MOST_MESSAGES}, found {step}"
            found.wrong(f"{path}.steps[{at}]", text)
    return WarmupPlan(name, steps)


def _per_second(rate: RateLimit) -> float:
    return rate.count / rate.period_s
