"""The shape of `shaping.toml`: every key there is, as the operator writes it. What they mean is `mta.config.shaping`'s
business, and that of `mta.config.automation`.
"""

from typing import Any

from msgspec import Struct, field

from mta.config.units import PerTime, Seconds, Share
from mta.model.tls import TlsOption
from mta.pacing.action import ActionKind
from mta.pacing.rules import At
from mta.smtp.settings import Dsn, Pattern


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
    host_connections: int | None = None
    provider_connections: int | None = None
    provider_connection_rate: PerTime | None = None
    provider_message_rate: PerTime | None = None
    source_connections: int | None = None
    source_connection_rate: PerTime | None = None
    source_message_rate: PerTime | None = None
    messages_per_connection: int | None = None
    window: int | None = None
    idle_timeout: Seconds | None = None
    pattern: Pattern | None = None
    tls: TlsOption | None = None
    dsn: Dsn | None = None
    retry: tuple[Seconds, ...] | None = None
    max_age: Seconds | None = None
    timeouts: TimeoutTable = TimeoutTable()


class GroupTable(KnobTable, frozen=True, kw_only=True):
    """A provider or a site: `examples` are MX host names that must come out at it."""

    mx: tuple[str, ...]
    examples: tuple[str, ...] = ()


class OverrideTable(KnobTable, frozen=True, kw_only=True):
    source: str = ""
    provider: str = ""
    site: str = ""
    reason: str


class ActionTable(Struct, frozen=True, kw_only=True):
    kind: ActionKind
    at: At
    for_: Seconds | None = field(name="for", default=None)
    connections: int | None = None
    message_rate: PerTime | None = None


class AutomationTable(Struct, frozen=True, kw_only=True):
    """`text` are alternatives; where a list is wanted one string will do (`mta.config.automation`)."""

    name: str
    provider: str = ""
    except_: tuple[str, ...] = field(name="except", default=())
    class_: tuple[str, ...] = field(name="class", default=())
    accused: tuple[str, ...] = ()
    provider_code: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    count: int = 1
    window: Seconds = Seconds(3600)
    actions: tuple[ActionTable, ...]
    source: str
    example: tuple[str, ...]
    counter: tuple[str, ...]


class BreakerTable(Struct, frozen=True, kw_only=True):
    """What a tenant's leaves out comes from that of shaping.toml, and what that leaves out has its default."""

    enabled: bool | None = None
    complaint_share: Share | None = None
    spam_share: Share | None = None
    unknown_share: Share | None = None
    least_delivered: int | None = None
    least_outcomes: int | None = None
    window: Seconds | None = None


class PlanTable(Struct, frozen=True):
    steps: tuple[int, ...]


class ShapingDocument(Struct, frozen=True):
    """Tables with knobs stay as they are, for `"none"` may stand in them where a limit does."""

    default: dict[str, Any] = {}
    providers: dict[str, dict[str, Any]] = {}
    sites: dict[str, dict[str, Any]] = {}
    sources: dict[str, dict[str, Any]] = {}
    overrides: tuple[dict[str, Any], ...] = ()
    automation: tuple[dict[str, Any], ...] = ()
    breaker: BreakerTable = BreakerTable()
    warmup: dict[str, PlanTable] = {}
