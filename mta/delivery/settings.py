"""What holds on the way from one source to one site: the simple knobs of shaping.toml, resolved."""

from msgspec import Struct

from mta.model.login import Login
from mta.model.tls import TlsOption
from mta.queue.settings import RateLimit
from mta.smtp.settings import Dsn, Pattern, Timeouts


class PathSettings(Struct, frozen=True):
    """`window` is the number of transactions in flight with pattern E."""

    connections: int = 10
    connection_rate: RateLimit = RateLimit(100, 60.0)
    message_rate: RateLimit = RateLimit(100, 1.0)
    messages_per_connection: int = 100
    idle_timeout_s: float = 10.0
    pattern: Pattern = Pattern.AUTO
    window: int = 4
    dsn: Dsn = Dsn.OFF
    timeouts: Timeouts = Timeouts()
    tls: TlsOption = TlsOption.OPPORTUNISTIC


class Provider(Struct, frozen=True):
    """A group of sites by MX suffix (`.google.com`); `settings` are the layered result for it."""

    name: str
    mx_suffixes: tuple[str, ...]
    settings: PathSettings


class StaticRoute(Struct, frozen=True):
    """A route before MX: `pattern` is a domain or `*.suffix`; the longest match wins. `login` goes with `tls` "verify"
    only."""

    pattern: str
    host: str
    port: int
    provider: str = "other"
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    login: Login | None = None
