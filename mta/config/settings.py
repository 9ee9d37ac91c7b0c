"""The whole configuration, resolved: what `daemon`, `admin` and `cli` hand on to the parts they build.

Each stage gets its own settings out of this and never sees the rest. Everything here has been checked;
keys are loaded and parsed. `text` is the file as read, for showing it.
"""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from mta.classify.rules import RuleBook
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.config.problems import Problem
from mta.delivery.settings import StaticRoute
from mta.dns.settings import DnsSettings
from mta.events.settings import EventSettings
from mta.inbound.settings import InboundSettings
from mta.intake.admission import Rules
from mta.intake.settings import IntakeSettings, TenantPolicy
from mta.jetstream.settings import NatsSettings
from mta.model.lane import Lane
from mta.model.path import EgressPool, EgressSource
from mta.pacing.shaping import Shaping
from mta.queue.settings import Fairness, HoldSettings, RetrySettings
from mta.suppression.settings import SuppressionSettings
from mta.tlsrpt.settings import TlsRptSettings

IndexForm = Literal["full", "hash", "none"]
"""What MTA_INDEX keeps of addresses."""


class NodeSettings(Struct, frozen=True):
    """`name` is unique in the fleet. `workers` 0 means one per core."""

    name: str
    state_dir: Path
    workers: int = 0
    drain_timeout_s: float = 300.0


class HttpSettings(Struct, frozen=True):
    """`public_url` is the base of one-click links, without a slash at its end; empty: there are none. They are answered
    on `address` and `port`; an empty `address`: not here."""

    address: str = "127.0.0.1"
    port: int = 9925
    public_url: str = ""


class Config(Struct, frozen=True, kw_only=True):
    """`shaping` is all of shaping.toml. `hash_keys` and `titles` are by tenant.
    `bounces_origin` is the operator's file, else the shipped one. `advertise`: messages name addresses of ours below
    their tenant's return path.
    `warnings` are what the operator should know although it works."""

    node: NodeSettings
    nats: NatsSettings
    http: HttpSettings = HttpSettings()
    intake: IntakeSettings = IntakeSettings()
    hold: HoldSettings = HoldSettings()
    fair: Fairness = Fairness()
    compose: ComposeSettings = ComposeSettings()
    retry: RetrySettings = RetrySettings()
    dns: DnsSettings = DnsSettings()
    events: EventSettings = EventSettings()
    index_recipients: IndexForm = "full"
    advertise: bool = False
    titles: dict[str, str] = {}
    suppression: SuppressionSettings = SuppressionSettings()
    inbound: InboundSettings = InboundSettings()
    tlsrpt: TlsRptSettings = TlsRptSettings()
    sources: dict[str, EgressSource] = {}
    pools: dict[str, EgressPool] = {}
    routes: tuple[StaticRoute, ...] = ()
    tenants: dict[str, TenantPolicy] = {}
    hash_keys: dict[str, bytes] = {}
    keys: SigningKeys = SigningKeys({})
    shaping: Shaping = Shaping()
    origin: Path
    shaping_origin: Path
    bounces: RuleBook
    bounces_origin: Path
    text: str = ""
    warnings: tuple[Problem, ...] = ()

    def rules(self) -> Rules:
        """What admission needs of it, here and in the verbs that want to know beforehand."""
        max_age_s = {lane: self.retry.of(lane).max_age_s for lane in Lane}
        return Rules(self.tenants, max_age_s, self.http.public_url, self.advertise)

    def __repr__(self) -> str:
        return f"Config(origin={str(self.origin)!r}, node={self.node.name!r})"
