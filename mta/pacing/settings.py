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


class PaceSettings(Struct, frozen=True, gc=False):
    """How sending to one scope falls after a refusal that says "slower", and how it comes back.

    The model is what Google publishes for 4.7.28: nothing for ten minutes, then one connection, then one more at a
    time. So does whoever is refused again by the first message after a cut; each further refusal of a first
    message doubles `silence_s` up to `longest_silence_s`: in two hours that is five messages. `cut_pause_s` is the
    pause after a cut, as what was under way is refused together; `probe_s` is between first messages whose answer is
    due. A connection more is permitted each `recover_s`, and the rate comes back in `return_s`, to `of_ceiling` of what
    was accepted before the refusal; it stays there for `plateau_s` (twice as long each time the same ceiling is met,
    `longest_plateau_s` at most) and then creeps upward by `creep` of itself each `creep_s`. Where the ceiling is not
    known yet the rate doubles each `seek_s`, and four times as fast far below what it can be."""

    silence_s: float = 600.0
    longest_silence_s: float = 7200.0
    cut_pause_s: float = 5.0
    probe_s: float = 5.0
    recover_s: float = 10.0
    return_s: float = 60.0
    of_ceiling: float = 0.97
    plateau_s: float = 6 * 3600.0
    longest_plateau_s: float = 48 * 3600.0
    creep: float = 0.01
    creep_s: float = 600.0
    seek_s: float = 120.0
