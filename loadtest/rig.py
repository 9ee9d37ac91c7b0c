"""The processes of a run: sink, daemon (with the nats-server it brings), and our link to that server.

All in a temporary directory and on free ports; only what was started here is stopped, in order first and by
force after that. What the events say is collected as it comes and counted, but not looked at before the end.
"""

import asyncio
import contextlib
import datetime
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from loadtest import cpu, letters, referee, sinklog
from mta.demo.configuration import Plan, Route, write
from mta.demo.follow import follow
from mta.demo.process import DaemonFailed, DaemonProcess
from mta.jetstream.connection import Link, open_link
from mta.jetstream.embedded import read_address
from mta.jetstream.errors import JetStreamError
from mta.jetstream.pump import Pump
from mta.jetstream.settings import NatsSettings
from mta.model.lane import Lane

_SHAPING = """\
[default]
connections = {connections}
connection_rate = "1000000/min"
message_rate = "1000000/s"
messages_per_connection = 1000000
idle_timeout = "60s"
pattern = "{pattern}"
window = {window}
"""
_LANES = {campaign: lane for lane, campaign in letters.CAMPAIGNS.items()}
_SINK_START_S = 20.0
_PROJECT = Path(__file__).resolve().parents[1]


class RunFailed(RuntimeError):
    """The run says nothing about speed: something did not work. `logs` are the ends of the logs."""

    def __init__(self, text: str, logs: str = "") -> None:
        super().__init__(text)
        self.logs = logs


class Setting(Struct, frozen=True):
    """`pattern` as on the command line: auto, A, B, C, CB or E<window>."""

    connections: int = 20
    pattern: str = "auto"
    rtt_ms: float = 0.0
    is_tls: bool = False
    sample_every: int = 1000

    @property
    def shaping(self) -> str:
        window = self.pattern[1:] if self.pattern[:1] == "E" else ""
        pattern = "E" if window else self.pattern
        return _SHAPING.format(connections=self.connections, pattern=pattern, window=window or 4)


class Rig:
    """Made by `open_rig`. `ended` counts terminal events by lane, repeats included."""

    def __init__(self, directory: Path, setting: Setting) -> None:
        self.directory = directory
        self.setting = setting
        self.daemon = DaemonProcess(directory, directory / "mta.toml")
        self.ended = dict.fromkeys(Lane, 0)
        self.last_event_at = 0.0
        self._sink: asyncio.subprocess.Process | None = None
        self._pump: Pump | None = None
        self._batches: list[bytes] = []
        self._changed = asyncio.Event()
        self._beside: asyncio.Task[None] | None = None

    @property
    def sink_log(self) -> Path:
        return self.directory / "sink.log"

    @property
    def samples(self) -> list[Path]:
        """Messages the sink kept whole, in the order of arrival."""
        return sorted((self.directory / "samples").glob("*.eml"), key=lambda path: int(path.stem))

    def usage(self) -> cpu.Usage:
        assert self._sink is not None
        alive = cpu.processes()
        if self.daemon.pid not in alive or self._sink.pid not in alive:
            raise self.failed("daemon or sink ended before its time")
        return cpu.usage(self.daemon.pid, self._sink.pid, alive)

    def sync_interval(self) -> str:
        """As the running server was told; "2m" is its own default."""
        text = (self.daemon.state_dir / "nats" / "server.conf").read_text()
        found = re.search(r'sync_interval\s*[:=]\s*"?(\w+)', text)
        return found[1] if found else "2m"

    def acceptances(self) -> list[sinklog.Acceptance]:
        return list(sinklog.parse(self.sink_log.read_bytes()))

    def events(self) -> list[referee.Event]:
        return referee.parse_events(self._batches)

    async def publish(self, name: str, lane: Lane, body: bytes) -> None:
        """Returns when the stream has stored it."""
        assert self._pump is not None
        await self._pump.publish_acked(letters.subject(lane), body, msg_id=f"{letters.TENANT}/{name}")

    async def publish_all(self, lane: Lane, named: list[tuple[str, bytes]]) -> None:
        """Hands all to the link at once; returns when the stream has stored them."""
        async with asyncio.TaskGroup() as group:
            for name, body in named:
                group.create_task(self.publish(name, lane, body), name=f"publish {name}")

    async def until(self, lane: Lane, ended: int, limit_s: float, tick: Callable[[], None]) -> None:
        """Waits for that many terminal events of a lane, calling `tick` every so often; RunFailed when time
        is up."""
        give_up_at = time.monotonic() + limit_s
        while self.ended[lane] < ended:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.25):
                    await self._changed.wait()
            tick()
            if time.monotonic() > give_up_at:
                text = (
                    f"{self.ended[lane]} of {ended} terminal events of the {lane} lane after {limit_s:.0f} s"
                )
                raise self.failed(text)

    def failed(self, text: str) -> RunFailed:
        sink_errors = self.directory / "sink.err"
        sink = sink_errors.read_text()[-2000:] if sink_errors.exists() else ""
        return RunFailed(text, f"--- daemon\n{self.daemon.log_tail()}\n--- sink\n{sink}")

    def _on_events(self, subject: str, batch: bytes) -> None:
        self._batches.append(batch)
        _, _, _, kind, _, campaign = subject.split(".")
        if kind in referee.TERMINAL and campaign in _LANES:
            self.ended[_LANES[campaign]] += len(batch.splitlines())
            self.last_event_at = time.monotonic()
            self._changed.set()

    async def start(self, stack: contextlib.AsyncExitStack) -> Link:
        stack.push_async_callback(self._stop_sink)
        port = await self._start_sink()
        plan = Plan(
            node="load",
            tenant=letters.TENANT,
            domain=letters.DOMAIN,
            routes=(Route("*.test", port),),
            shaping=self.setting.shaping,
        )
        write(self.directory, plan)
        stack.push_async_callback(self.daemon.stop)
        await self.daemon.start()
        address = read_address(self.daemon.state_dir)
        if address is None:
            raise self.failed("the daemon is ready and wrote no nats.json")
        link = await open_link(NatsSettings(servers=(address.url,)), name="loadtest", report=_ignore)
        stack.push_async_callback(link.close)
        self._pump = Pump(link)
        await follow(link, f"mta.event.{letters.TENANT}.>", self._on_events)
        return link

    async def stop(self) -> None:
        """Daemon and sink, in order: from then on nothing more can be accepted, and the logs are whole."""
        if self._beside is not None:
            self._beside.cancel()
        await self.daemon.stop()
        await self._stop_sink()

    def guard(self, group: asyncio.TaskGroup, link: Link) -> None:
        self._beside = group.create_task(self._watch(link), name="rig")

    async def _watch(self, link: Link) -> None:
        """What runs while the scenario does; raises when a process ends before its time."""
        assert self._pump is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump.run(), name="rig: publish")
            group.create_task(link.watch(), name="rig: watch the link")
            group.create_task(self.daemon.watch(), name="rig: watch the daemon")
            group.create_task(self._watch_sink(), name="rig: watch the sink")

    async def _watch_sink(self) -> None:
        assert self._sink is not None
        code = await self._sink.wait()
        raise self.failed(f"the sink ended with exit code {code}")

    async def _start_sink(self) -> int:
        (self.directory / "samples").mkdir()
        arguments = ["--log", str(self.sink_log), "--samples", str(self.directory / "samples")]
        arguments += ["--sample-every", str(self.setting.sample_every), "--rtt-ms", str(self.setting.rtt_ms)]
        if self.setting.is_tls:
            certificate = self.directory / "sink.pem"
            certificate.write_bytes(self_signed("sink.test"))
            arguments += ["--certificate", str(certificate)]
        with (self.directory / "sink.err").open("wb") as errors:
            self._sink = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "loadtest.sink", *arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=_PROJECT,
                start_new_session=True,
            )
        assert self._sink.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SINK_START_S):
                line = await self._sink.stdout.readline()
        if not line.strip().isdigit():
            raise self.failed("the sink did not start")
        return int(line)

    async def _stop_sink(self) -> None:
        if self._sink is None:
            return
        if self._sink.returncode is None:
            self._sink.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._sink.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._sink.pid, signal.SIGKILL)
        await self._sink.wait()


def _ignore(text: str) -> None:
    """What the NATS library complains of at the end of a run is of no interest: the daemon's log has the
    rest."""


@contextlib.asynccontextmanager
async def open_rig(setting: Setting) -> AsyncIterator[Rig]:
    """Everything started and ready to take payloads; at the end all is stopped and the directory is gone. A
    process that ends before its time ends the block: RunFailed, with the logs."""
    with tempfile.TemporaryDirectory(prefix="mta-load-") as name:
        rig = Rig(Path(name), setting)
        failed: RunFailed | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                link = await rig.start(stack)
                async with asyncio.TaskGroup() as group:
                    rig.guard(group, link)
                    yield rig
                    await rig.stop()
        except (DaemonFailed, JetStreamError) as error:
            failed = rig.failed(str(error))
        except BaseExceptionGroup as several:
            failed = _first(several, rig)
        if failed is not None:
            raise failed


def _first(several: BaseExceptionGroup[BaseException], rig: Rig) -> RunFailed:
    """The cause, without the groups it came in; what is no failure of the run goes on as it is."""
    error: BaseException = several
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, RunFailed):
        return error
    if isinstance(error, DaemonFailed | JetStreamError):
        return rig.failed(str(error))
    raise error


def self_signed(name: str) -> bytes:
    """Key and certificate in one PEM: enough for opportunistic TLS, which verifies nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
