"""How the NATS servers are reached, and the clocks of work that lives on them."""

from msgspec import Struct

from mta.model.login import Login


class NatsSettings(Struct, frozen=True):
    """`credentials` is the path of a credentials file, "" for none; `login` is what a file with user and password
    holds. `port` is the embedded server's, 0 for any free one.

    `connect_timeout_s` counts at start only: later a link never gives up. A message in work is renewed every
    `renew_s`; no dot starts later than `ack_wait_s - margin_s` after its lease was last asked for. Snapshots
    of the ledger go out every `snapshot_s`; while the last one is unconfirmed for `hold_back_s` no new send
    starts.

    A server that answers no ping for 3 times `ping_s` is left. `inbox_prefix` is what the rights of our user
    name. `events_max_bytes` is lowered to what the server has left, if that is less. -1 is no limit.
    """

    embedded: bool = True
    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    port: int = 0
    credentials: str = ""
    login: Login | None = None
    connect_timeout_s: float = 30.0
    ack_wait_s: float = 30.0
    renew_s: float = 5.0
    margin_s: float = 5.0
    snapshot_s: float = 0.05
    hold_back_s: float = 0.2
    replicas: int = 1
    payloads_max_bytes: int = -1
    events_max_bytes: int = 8 << 30
    inbox_prefix: str = "_INBOX"
    ping_s: float = 5.0


class PumpSettings(Struct, frozen=True):
    """At most `in_flight_bytes` are on the wire unacknowledged, the rest waits here; `pending_bytes` bounds
    both. A message is sent again when no ack came for `ack_timeout_s`, which doubles with each try up to
    `ack_timeout_max_s`."""

    in_flight_bytes: int = 16 << 20
    in_flight_messages: int = 4096
    pending_bytes: int = 128 << 20
    ack_timeout_s: float = 5.0
    ack_timeout_max_s: float = 30.0
    tick_s: float = 0.25
