"""`shaping.toml`: the knobs of pacing, layered default < provider, and which MX names make a provider.

A rule that can never match is a mistake nobody notices, so it is an error here: a suffix that the router
cannot match, one that two providers claim, an example that ends elsewhere. The router compares `"." +
host` with suffixes and the longest one wins.
"""

from typing import Any

from msgspec import Struct, structs

from mta.config.names import a_label, is_token
from mta.config.problems import Findings
from mta.config.reading import join, read, show
from mta.config.units import PerTime, Seconds
from mta.model.tls import TlsOption
from mta.pacing.settings import PathSettings, Provider
from mta.queue.settings import RateLimit
from mta.smtp.settings import Dsn, Pattern, Timeouts


class TimeoutTable(Struct, frozen=True):
    connect: Seconds | None = None
    greeting: Seconds | None = None
    ehlo: Seconds | None = None
    tls: Seconds | None = None
    auth: Seconds | None = None
    mail: Seconds | None = None
    rcpt: Seconds | None = None
    data: Seconds | None = None
    block: Seconds | None = None
    dot: Seconds | None = None
    quit: Seconds | None = None


class KnobTable(Struct, frozen=True, kw_only=True):
    """What is left out comes from the layer below."""

    connections: int | None = None
    connection_rate: PerTime | None = None
    message_rate: PerTime | None = None
    messages_per_connection: int | None = None
    idle_timeout: Seconds | None = None
    pattern: Pattern | None = None
    window: int | None = None
    tls: TlsOption | None = None
    dsn: Dsn | None = None
    timeouts: TimeoutTable = TimeoutTable()


class ProviderTable(KnobTable, frozen=True, kw_only=True):
    """`examples` are MX host names that must come out at this provider."""

    mx: tuple[str, ...]
    examples: tuple[str, ...] = ()


class ShapingDocument(Struct, frozen=True):
    default: KnobTable = KnobTable()
    providers: dict[str, ProviderTable] = {}


_COUNTS = {"connections": 10_000, "messages_per_connection": 1_000_000, "window": 64}


def shaping(table: dict[str, Any], found: Findings) -> tuple[PathSettings, tuple[Provider, ...]]:
    """The default settings and each provider with its own; findings for what cannot be."""
    document = read(ShapingDocument, table, "", found) or ShapingDocument()
    default = _layered(PathSettings(), document.default, "default", found)
    owners: dict[str, str] = {}
    providers = []
    for name, one in document.providers.items():
        path = join("providers", name)
        if not is_token(name) or name == "other":
            found.wrong(path, 'a provider is named by [a-z0-9_-], at most 64 of them, and not "other"')
            continue
        suffixes = [
            suffix
            for at, suffix in enumerate(one.mx)
            if _is_matchable(suffix, f"{path}.mx[{at}]", owners, name, found)
        ]
        if not one.mx:
            found.wrong(f"{path}.mx", "needs at least one suffix, or the provider can never match")
        providers.append(Provider(name, tuple(suffixes), _layered(default, one, path, found)))
    for name, one in document.providers.items():
        for at, example in enumerate(one.examples):
            got = provider_of(example, owners)
            if got != name:
                found.wrong(f"{join('providers', name)}.examples[{at}]", f'{show(example)} matches "{got}"')
    return default, tuple(providers)


def provider_of(mx_host: str, owners: dict[str, str]) -> str:
    """The provider whose longest suffix the host ends with."""
    name = "." + mx_host.lower()
    matching = [suffix for suffix in owners if name.endswith(suffix)]
    return owners[max(matching, key=len)] if matching else "other"


def _is_matchable(suffix: str, path: str, owners: dict[str, str], name: str, found: Findings) -> bool:
    """Whether an MX host can match; then `owners` has learned it."""
    text = ""
    if not suffix.startswith("."):
        text = f'can never match: a suffix starts with a dot, as in ".{suffix.rstrip(".")}"'
    elif suffix.endswith("."):
        text = "can never match: MX names are compared without their final dot"
    elif suffix in owners:
        text = f'can never match: provider "{owners[suffix]}" has it already'
    else:
        try:
            if a_label(suffix[1:]) != suffix[1:]:
                text = "can never match: MX names are compared in lower-case A-labels"
        except ValueError as error:
            text = f"can never match: {show(suffix[1:])} {error}"
    if text:
        found.wrong(path, text)
        return False
    owners[suffix] = name
    return True


def _layered(below: PathSettings, knobs: KnobTable, path: str, found: Findings) -> PathSettings:
    """`below` with every knob that is set here in its place."""
    changes: dict[str, Any] = {}
    for key, most in _COUNTS.items():
        count = getattr(knobs, key)
        if count is not None and not 1 <= count <= most:
            found.wrong(f"{path}.{key}", f"expected 1 to {most}, found {count}")
        elif count is not None:
            changes[key] = count
    for key in ("connection_rate", "message_rate"):
        rate = getattr(knobs, key)
        if rate is not None:
            changes[key] = RateLimit(rate.count, rate.period_s)
    if knobs.idle_timeout is not None:
        changes["idle_timeout_s"] = float(knobs.idle_timeout)
    for key in ("pattern", "tls", "dsn"):
        choice = getattr(knobs, key)
        if choice is not None:
            changes[key] = choice
    changes["timeouts"] = _timeouts(below.timeouts, knobs.timeouts, f"{path}.timeouts", found)
    return structs.replace(below, **changes)


def _timeouts(below: Timeouts, table: TimeoutTable, path: str, found: Findings) -> Timeouts:
    changes = {}
    for key in table.__struct_fields__:
        value = getattr(table, key)
        if value is not None and value <= 0:
            found.wrong(f"{path}.{key}", "must be above 0")
        elif value is not None:
            changes[f"{key}_s"] = float(value)
    return structs.replace(below, **changes)
