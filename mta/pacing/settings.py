"""What holds on the way from one source to one site: the knobs of shaping.toml, resolved for a path."""

from msgspec import Struct

from mta.model.tls import TlsOption
from mta.queue.settings import RateLimit
from mta.smtp.settings import Dsn, Pattern, Timeouts


class Limits(Struct, frozen=True, gc=False):
    """Of one scope that several paths share. None: it has no limit of that kind."""

    connections: int | None = None
    connection_rate: RateLimit | None = None
    message_rate: RateLimit | None = None


class PathSettings(Struct, frozen=True):
    """`connections`, `connection_rate` and `message_rate` are those of one source to one site. `host_connections` are
    those of the source to one MX host (None: no more than the site's), `provider` what the source may have at all sites
    of the provider together, `whole_source` everywhere together. `retry_s` are delays that take the place of the lane's
    schedule, where there are any; `max_age_s` ends the life of a recipient earlier than the lane does (None: it does
    not). `window` is the number of transactions in flight with pattern E."""

    connections: int = 10
    connection_rate: RateLimit = RateLimit(100, 60.0)
    message_rate: RateLimit = RateLimit(100, 1.0)
    host_connections: int | None = None
    provider: Limits = Limits()
    whole_source: Limits = Limits()
    messages_per_connection: int = 100
    idle_timeout_s: float = 10.0
    pattern: Pattern = Pattern.AUTO
    window: int = 4
    dsn: Dsn = Dsn.OFF
    timeouts: Timeouts = Timeouts()
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    retry_s: tuple[float, ...] = ()
    max_age_s: float | None = None
