"""What holds on a path, out of the layers of shaping.toml: default < provider < site < source < override. Pure.

Each layer is a set of knobs; what one leaves out comes from below, and None takes an optional limit away that a lower
one has set. Everything here has been proved by `mta.config.shaping`.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from mta.model.tls import TlsOption
from mta.pacing.rules import AutomationRule, BreakerSettings, SourceWarmup, WarmupPlan
from mta.pacing.settings import Limits, PathSettings
from mta.queue.settings import RateLimit
from mta.smtp.settings import Dsn, Pattern

OTHER = "other"
"""The provider of sites that are nobody's."""

_LIMITS = ("connections", "connection_rate", "message_rate")
_OF_PATH = {
    **dict.fromkeys((*_LIMITS, "host_connections", "messages_per_connection", "window"), ""),
    **dict.fromkeys(("pattern", "tls", "dsn"), ""),
    "idle_timeout": "_s",
    "retry": "_s",
    "max_age": "_s",
}


class Suffixes:
    """Whose a host is, by the longest suffix (`.google.com`) that it ends with at a dot. The router and the proof of
    the file ask the same."""

    def __init__(self, owners: dict[str, str]) -> None:
        self._owners = owners

    def owner(self, host: str) -> str:
        """Empty: nobody's."""
        name = "." + host
        at = 0
        while at >= 0:
            owner = self._owners.get(name[at:])
            if owner is not None:
                return owner
            at = name.find(".", at + 1)
        return ""


class Knobs(Struct, frozen=True, kw_only=True):
    """What one layer sets; UNSET comes from below, None takes away. Times are seconds; `timeouts` are by phase."""

    connections: int | UnsetType = UNSET
    connection_rate: RateLimit | UnsetType = UNSET
    message_rate: RateLimit | UnsetType = UNSET
    host_connections: int | UnsetType | None = UNSET
    provider_connections: int | UnsetType | None = UNSET
    provider_connection_rate: RateLimit | UnsetType | None = UNSET
    provider_message_rate: RateLimit | UnsetType | None = UNSET
    source_connections: int | UnsetType | None = UNSET
    source_connection_rate: RateLimit | UnsetType | None = UNSET
    source_message_rate: RateLimit | UnsetType | None = UNSET
    messages_per_connection: int | UnsetType = UNSET
    window: int | UnsetType = UNSET
    idle_timeout: float | UnsetType = UNSET
    pattern: Pattern | UnsetType = UNSET
    tls: TlsOption | UnsetType = UNSET
    dsn: Dsn | UnsetType = UNSET
    retry: tuple[float, ...] | UnsetType | None = UNSET
    max_age: float | UnsetType | None = UNSET
    timeouts: dict[str, float] = {}

    def items(self) -> dict[str, Any]:
        """The knobs that are set, by the name that the file has for them (`timeouts.mail`)."""
        named = {name: getattr(self, name) for name in self.__struct_fields__ if name != "timeouts"}
        own = {name: value for name, value in named.items() if value is not UNSET}
        return own | {f"timeouts.{phase}": seconds for phase, seconds in self.timeouts.items()}


class Provider(Struct, frozen=True):
    """A group of sites by MX suffix (`.google.com`)."""

    name: str
    mx_suffixes: tuple[str, ...]
    knobs: Knobs = Knobs()


class SiteRule(Struct, frozen=True):
    """Sites by the names of their MX hosts: exact ones, and suffixes with a dot in front."""

    name: str
    mx: tuple[str, ...]
    knobs: Knobs = Knobs()


class Override(Struct, frozen=True):
    """Holds where all that is named matches; the last of several wins. `number` is its place in the file."""

    number: int
    reason: str
    source: str = ""
    provider: str = ""
    site: str = ""
    knobs: Knobs = Knobs()


class Layer(Struct, frozen=True):
    """One that holds on a path. `name` is the path of its table in the file: `providers.google`."""

    name: str
    knobs: Knobs
    reason: str = ""


class Shaping(Struct, frozen=True, kw_only=True):
    """All of shaping.toml, and what mta.toml says of warm-ups and of tenants' breakers."""

    default: Knobs = Knobs()
    providers: tuple[Provider, ...] = ()
    sites: tuple[SiteRule, ...] = ()
    sources: dict[str, Knobs] = {}
    overrides: tuple[Override, ...] = ()
    automation: tuple[AutomationRule, ...] = ()
    breaker: BreakerSettings = BreakerSettings()
    tenant_breakers: dict[str, BreakerSettings] = {}
    plans: dict[str, WarmupPlan] = {}
    warmups: dict[str, SourceWarmup] = {}

    def settings(self, source: str, provider: str, hosts: tuple[str, ...]) -> PathSettings:
        """What holds from a source (empty: any) to a site of these MX hosts; the caller remembers it."""
        return resolved([layer.knobs for layer in self.layers(source, provider, hosts)])

    def layers(self, source: str, provider: str, hosts: tuple[str, ...]) -> tuple[Layer, ...]:
        """Those that hold on a path, the lowest first."""
        found = [Layer("default", self.default)]
        found += [Layer(f"providers.{one.name}", one.knobs) for one in self.providers if one.name == provider]
        site = self.site_rule(hosts)
        if site is not None:
            found.append(Layer(f"sites.{site.name}", site.knobs))
        if source in self.sources:
            found.append(Layer(f"sources.{source}", self.sources[source]))
        named = site.name if site is not None else ""
        found += [
            Layer(f"overrides[{one.number}]", one.knobs, one.reason)
            for one in self.overrides
            if one.source in ("", source) and one.provider in ("", provider) and one.site in ("", named)
        ]
        return tuple(found)

    def site_rule(self, hosts: tuple[str, ...]) -> SiteRule | None:
        """The one that names any of the hosts most exactly: a whole name, else the longest suffix."""
        best, rule = (False, 0), None
        names = [host.lower() for host in hosts]
        for one in self.sites:
            for pattern in one.mx:
                is_exact = not pattern.startswith(".")
                matches = pattern in names if is_exact else any(f".{n}".endswith(pattern) for n in names)
                if matches and (is_exact, len(pattern)) > best:
                    best, rule = (is_exact, len(pattern)), one
        return rule

    def suffixes(self) -> Suffixes:
        return Suffixes({suffix: one.name for one in self.providers for suffix in one.mx_suffixes})

    def breaker_of(self, tenant: str) -> BreakerSettings:
        return self.tenant_breakers.get(tenant, self.breaker)


def setter(layers: tuple[Layer, ...], knob: str) -> Layer | None:
    """The layer that has the last word on a knob; None: nobody says anything, so the code's default holds."""
    return next((layer for layer in reversed(layers) if knob in layer.knobs.items()), None)


def resolved(layers: list[Knobs]) -> PathSettings:
    """The lowest first."""
    values: dict[str, Any] = {}
    for layer in layers:
        values |= layer.items()
    given = PathSettings()
    changes = {f"{name}{unit}": values[name] for name, unit in _OF_PATH.items() if name in values}
    if changes.get("retry_s", ()) is None:
        changes["retry_s"] = ()
    phases = {f"{key[9:]}_s": value for key, value in values.items() if key.startswith("timeouts.")}
    return replace(
        given,
        **changes,
        provider=Limits(*(values.get(f"provider_{name}") for name in _LIMITS)),
        whole_source=Limits(*(values.get(f"source_{name}") for name in _LIMITS)),
        timeouts=replace(given.timeouts, **phases),
    )
