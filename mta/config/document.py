"""The shape of `mta.toml`: every key there is, with its default, as the operator writes it.

Only shapes: what the values mean together is decided in `mta.config.assemble`. The defaults are those of the
stages' own settings (a test compares them).
"""

from typing import Literal

from msgspec import Struct, field

from mta.config.shaping_document import BreakerTable
from mta.config.units import Bytes, Seconds
from mta.events.settings import RecipientForm
from mta.model.tls import TlsOption
from mta.suppression.settings import AddressForm


class NodeTable(Struct, frozen=True):
    name: str = ""
    state_dir: str = "/var/lib/mta"
    workers: int = 0
    drain_timeout: Seconds = Seconds(300)
    shaping: str = "shaping.toml"
    bounces: str = "bounces.toml"


class NatsTable(Struct, frozen=True):
    embedded: bool = True
    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    port: int = 0
    credentials: str = ""
    connect_timeout: Seconds = Seconds(30)
    ack_wait: Seconds = Seconds(30)
    renew: Seconds = Seconds(5)
    margin: Seconds = Seconds(5)
    snapshot: Seconds = Seconds(0.05)
    hold_back: Seconds = Seconds(0.2)


class HttpTable(Struct, frozen=True):
    listen: str = "127.0.0.1:9925"
    public_url: str = ""


class InboundTable(Struct, frozen=True):
    listen: str = ""
    certificate: str = ""
    key: str = ""
    feedback: str = ""
    max_connections: int = 1000
    advertise: bool = False


class QueueTable(Struct, frozen=True):
    payloads_in_work: int = 200
    campaigns_at_once: int = 64
    hold: Seconds = Seconds(60)
    bulk_share: float = 0.125


class ComposeTable(Struct, frozen=True):
    timeout: Seconds = Seconds(10)
    memory: Bytes = Bytes(2 * 10**9)
    max_template: Bytes = Bytes(256_000)
    max_message: Bytes = Bytes(25 * 10**6)


class ScheduleTable(Struct, frozen=True):
    schedule: tuple[Seconds, ...]
    max_age: Seconds


class RetryTable(Struct, frozen=True):
    jitter: float = 0.2
    greylist: Seconds = Seconds(600)
    bulk: ScheduleTable = ScheduleTable(
        tuple(map(Seconds, (300, 900, 1800, 3600, 7200, 14400))), Seconds(72 * 3600)
    )
    transactional: ScheduleTable = ScheduleTable(
        tuple(map(Seconds, (60, 300, 900, 1800, 3600, 7200, 14400))), Seconds(120 * 3600)
    )


class DnsTable(Struct, frozen=True):
    servers: tuple[str, ...] = ()
    validating: str = ""
    allow: tuple[str, ...] = ()
    mta_sts: bool = True


class IndexTable(Struct, frozen=True):
    recipients: Literal["full", "hash", "none"] = "full"


class EventsTable(Struct, frozen=True):
    recipient: RecipientForm = RecipientForm.FULL
    flush: Seconds = Seconds(0.05)


class SuppressionTable(Struct, frozen=True):
    addresses: AddressForm = AddressForm.FULL
    mailbox_full: Seconds = Seconds(90 * 86_400)
    invalid_domain: Seconds = Seconds(30 * 86_400)
    inactive_recipient: Seconds = Seconds(0)
    invalid_recipient: Seconds = Seconds(0)
    recipient_refused: Seconds = Seconds(0)
    unsubscribed: Seconds = Seconds(0)
    complained: Seconds = Seconds(0)


class TlsRptTable(Struct, frozen=True):
    enabled: bool = False
    organization: str = ""
    contact: str = ""
    tenant: str = ""
    sender: str = field(name="from", default="")


class TokensTable(Struct, frozen=True):
    """The order of the file counts: the last key signs."""

    keys: dict[str, str] = {}


class SourceTable(Struct, frozen=True):
    ehlo: str
    address: str = ""
    warmup: str = ""
    warmup_providers: tuple[str, ...] = ()


class RouteTable(Struct, frozen=True):
    host: str
    provider: str = "other"
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    auth: str = ""


class DkimTable(Struct, frozen=True):
    selector: str
    key: str


class DomainTable(Struct, frozen=True):
    dkim: tuple[DkimTable, ...] = ()
    require_dkim: bool = True


class TenantTable(Struct, frozen=True):
    return_path: str
    pools: tuple[str, ...] = ("default",)
    campaign_pools: dict[str, str] = {}
    skip_suppression: bool = False
    weight: int = 1
    hash_key: str = ""
    title: str = ""
    breaker: BreakerTable = BreakerTable()
    domains: dict[str, DomainTable] = {}


class Document(Struct, frozen=True):
    node: NodeTable = NodeTable()
    nats: NatsTable = NatsTable()
    http: HttpTable = HttpTable()
    inbound: InboundTable = InboundTable()
    queue: QueueTable = QueueTable()
    compose: ComposeTable = ComposeTable()
    retry: RetryTable = RetryTable()
    dns: DnsTable = DnsTable()
    index: IndexTable = IndexTable()
    events: EventsTable = EventsTable()
    suppression: SuppressionTable = SuppressionTable()
    tlsrpt: TlsRptTable = TlsRptTable()
    tokens: TokensTable = field(default_factory=TokensTable)
    sources: dict[str, SourceTable] = {}
    pools: dict[str, dict[str, int]] = {}
    routes: dict[str, RouteTable] = {}
    tenants: dict[str, TenantTable] = {}
