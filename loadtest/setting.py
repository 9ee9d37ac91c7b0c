"""What a run is to be like: how far and how bad the sink, how many of what, and the knobs of pacing."""

from collections.abc import Sequence

from msgspec import Struct

from loadtest.sink import host
from loadtest.zone import Zone
from mta.demo.configuration import Route

_SHAPING = """\
[default]
connections = {connections}
connection_rate = "1000000/min"
message_rate = "{message_rate}/s"
messages_per_connection = 1000000
idle_timeout = "2s"
pattern = "{pattern}"
window = {window}
"""
_PHASES = ("connect", "greeting", "ehlo", "tls", "mail", "rcpt", "data", "block", "dot")


class Setting(Struct, frozen=True):
    """`pattern` as on the command line: auto, A, B, C, CB or E<window>. With `own_nats` the nats-server is a process
    beside the daemons, of which there are `daemons`, and messages in work are leased for `ack_wait_s`. Every phase of
    a dialogue ends after `phase_timeout_s`; 0: as is shipped. With `is_busy` a late event loop is no fault. The
    sink `notes_connections` where how many there are at once is asked for.

    All domains in .test are one site, but `h0.test` to `h<addresses - 1>.test`, each a host of its own, and one
    `<phase>-<verb>.test` for each of `bad`, as the sink takes them; with `has_dead`, a connect to `dead.test` never
    ends. With a `zone` there are no routes: a name server of the run says which host of the sink it is, at port 25.
    `others` are tenants besides the one whose events are read."""

    connections: int = 20
    pattern: str = "auto"
    rtt_ms: float = 0.0
    is_tls: bool = False
    sample_every: int = 1000
    own_nats: bool = False
    daemons: int = 1
    ack_wait_s: int = 30
    schedule: tuple[str, ...] = ("5m", "30m")
    max_age: str = "10m"
    message_rate: int = 1_000_000
    notes_connections: bool = False
    phase_timeout_s: int = 0
    addresses: int = 0
    has_dead: bool = False
    is_busy: bool = False
    bad: tuple[str, ...] = ()
    zone: Zone | None = None
    others: tuple[str, ...] = ()

    @property
    def shaping(self) -> str:
        window = self.pattern[1:] if self.pattern[:1] == "E" else ""
        pattern = "E" if window else self.pattern
        timeouts = "".join(f'{phase} = "{self.phase_timeout_s}s"\n' for phase in _PHASES)
        return _SHAPING.format(
            connections=self.connections,
            message_rate=self.message_rate,
            pattern=pattern,
            window=window or 4,
        ) + (f"[default.timeouts]\n{timeouts}" if self.phase_timeout_s else "")

    @property
    def sink_options(self) -> list[str]:
        options = ["--sample-every", str(self.sample_every), "--rtt-ms", str(self.rtt_ms)]
        options += ["--copies"] if self.own_nats else []  # where something dies, copies are to be expected
        addresses = self.addresses if self.zone is None else self.zone.addresses
        options += ["--addresses", str(addresses)] if addresses else []
        return [*options, *(word for bad in self.bad for word in ("--bad", bad))]

    def routes(self, ports: Sequence[int], dead_port: int = 0) -> tuple[Route, ...]:
        """`ports` are those of the sink."""
        if self.zone is not None:
            return ()
        good, *others = ports
        hosts = tuple(Route(f"h{number}.test", good, host=host(number)) for number in range(self.addresses))
        bad = zip(self.bad, others, strict=True)
        return (
            Route("*.test", good),
            *hosts,
            *((Route("dead.test", dead_port),) if dead_port else ()),
            *(Route(domain_of(text), port) for text, port in bad),
        )


def domain_of(bad: str) -> str:
    """Of a `--bad` of the sink."""
    return "-".join(bad.split(":")[:2]) + ".test"
