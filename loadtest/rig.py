"""The processes of a run: sink, daemon (with the nats-server it brings), and our link to that server.

All in a temporary directory and on free ports; only what was started here is stopped, in order first and by
force after that. What the events say is collected as it comes and counted, but not looked at before the end.
"""

import asyncio
import contextlib
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from msgspec import structs

from loadtest import cpu, letters, referee, sinklog
from loadtest.blackhole import BlackHole, connecting
from loadtest.processes import ChildProcess, NameserverProcess, NatsProcess, NotStarted, SinkProcess
from loadtest.setting import Setting
from loadtest.vitals import Vitals, vitals
from mta.demo.configuration import Plan, write, write_config
from mta.demo.follow import follow
from mta.demo.process import DaemonFailed, DaemonProcess
from mta.jetstream.connection import Link, Stored, open_link
from mta.jetstream.embedded import read_address
from mta.jetstream.errors import JetStreamError
from mta.jetstream.layout import PAYLOADS, RETRY, Capacity
from mta.jetstream.pump import Pump
from mta.jetstream.settings import NatsSettings
from mta.jetstream.setup import setup
from mta.model.lane import Lane

_LOOK_S = 0.05
_AT_ONCE = 8
SMTP_PORT = 25
_LANES = {campaign: lane for lane, campaign in letters.CAMPAIGNS.items()}


Watched = DaemonProcess | ChildProcess


class RunFailed(RuntimeError):
    """The run says nothing about speed: something did not work. `logs` are the ends of the logs."""

    def __init__(self, text: str, logs: str = "") -> None:
        super().__init__(text)
        self.logs = logs


class Rig:
    """Made by `open_rig`. `ended` counts terminal events by lane: each once with `own_nats`, where they may come
    again, else every line. `idle` is what each daemon held when it was first ready."""

    def __init__(self, directory: Path, setting: Setting) -> None:
        self.directory = directory
        self.setting = setting
        self.daemons = [DaemonProcess(directory, directory / "mta.toml")]
        for number in range(2, setting.daemons + 1):
            beside = directory / f"node-{number}"
            beside.mkdir()
            self.daemons.append(DaemonProcess(beside, directory / f"mta-{number}.toml"))
        ports = () if setting.zone is None else (SMTP_PORT,)
        self.sink = SinkProcess(
            directory,
            *setting.sink_options,
            is_tls=setting.is_tls,
            ports=ports,
            notes_connections=setting.notes_connections,
        )
        self.nameserver = None if setting.zone is None else NameserverProcess(directory, setting.zone)
        self.nats = NatsProcess(directory) if setting.own_nats else None
        self._black_hole = BlackHole() if setting.has_dead else None
        self.ended = dict.fromkeys(Lane, 0)
        self.last_event_at = 0.0
        self.idle: dict[DaemonProcess, Vitals] = {}
        self._pump: Pump | None = None
        self._batches: list[bytes] = []
        self._ends: set[str] = set()
        self._client: Link
        self._changed = asyncio.Event()
        self._beside: asyncio.Task[None] | None = None
        self._watching: asyncio.TaskGroup
        self._watched: dict[Watched, asyncio.Task[None]] = {}

    @property
    def daemon(self) -> DaemonProcess:
        """The first, and mostly the only one."""
        return self.daemons[0]

    @property
    def samples(self) -> list[Path]:
        """Messages the sink kept whole, in the order of arrival."""
        return self.sink.samples

    def usage(self) -> cpu.Usage:
        alive = cpu.processes()
        if self.daemon.pid not in alive or self.sink.pid not in alive:
            raise self.failed("daemon or sink ended before its time")
        return cpu.usage(self.daemon.pid, self.sink.pid, alive)

    def sync_interval(self) -> str:
        """As the running server was told; "2m" is its own default."""
        embedded = self.daemon.state_dir / "nats" / "server.conf"
        text = (embedded if self.nats is None else self.nats.config).read_text()
        found = re.search(r'sync_interval\s*[:=]\s*"?(\w+)', text)
        return found[1] if found else "2m"

    def acceptances(self) -> list[sinklog.Entry]:
        return [entry for entry in self.entries() if entry.is_acceptance]

    def entries(self) -> list[sinklog.Entry]:
        return list(sinklog.parse(self.sink.log.read_bytes()))

    def connecting(self) -> int:
        """Connections to `dead.test` that hang."""
        assert self._black_hole is not None
        return connecting(self._black_hole.port, Path("/proc/net/tcp").read_text())

    def most_connections(self) -> int:
        """That the sink had at once."""
        return sinklog.most_connections(self.sink.connections.read_bytes())

    def events(self) -> list[referee.Event]:
        return referee.parse_events(self._batches)

    async def publish(self, name: str, lane: Lane, body: bytes, campaign: str = "") -> None:
        """Returns when the stream has stored it."""
        assert self._pump is not None
        await self._pump.publish_acked(
            letters.subject(lane, campaign), body, msg_id=f"{letters.TENANT}/{name}"
        )

    async def publish_all(self, lane: Lane, named: list[tuple[str, bytes]]) -> None:
        """Hands all to the link at once; returns when the stream has stored them."""
        async with asyncio.TaskGroup() as group:
            for name, body in named:
                group.create_task(self.publish(name, lane, body), name=f"publish {name}")

    async def publish_each(
        self, subject: str, named: Iterable[tuple[str, bytes]], tenant: str = letters.TENANT
    ) -> None:
        """Takes a few at a time, so that they need never all exist; returns when the stream has stored them."""
        assert self._pump is not None
        pump, left = self._pump, iter(named)

        async def publish() -> None:
            for name, body in left:
                await pump.publish_acked(subject, body, msg_id=f"{tenant}/{name}")

        async with asyncio.TaskGroup() as group:
            for number in range(_AT_ONCE):
                group.create_task(publish(), name=f"publisher {number}")

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

    @property
    def logs(self) -> str:
        """All that the daemons wrote."""
        return "\n".join(daemon.log_tail(1_000_000) for daemon in self.daemons)

    def failed(self, text: str) -> RunFailed:
        logs = "".join(f"--- daemon\n{daemon.log_tail()}\n" for daemon in self.daemons)
        return RunFailed(text, f"{logs}--- sink\n{self.sink.errors}")

    def _on_events(self, subject: str, batch: bytes) -> None:
        self._batches.append(batch)
        _, _, _, kind, _, campaign = subject.split(".")
        if kind in referee.TERMINAL and campaign in _LANES:
            self.ended[_LANES[campaign]] += self._new_ends(batch)
            self.last_event_at = time.monotonic()
            self._changed.set()

    def _new_ends(self, batch: bytes) -> int:
        if self.nats is None:
            return len(batch.splitlines())
        before = len(self._ends)
        self._ends.update(event.id for event in referee.parse_events([batch]))
        return len(self._ends) - before

    async def until_connected(self) -> None:
        await self._client.until_connected()

    async def until_empty(self, limit_s: float = 60.0) -> None:
        """Nothing waits in the work queues: whatever was published has been acknowledged to its end."""
        for _ in range(int(limit_s / _LOOK_S)):
            left = {stream: await self.messages(stream) for stream in (PAYLOADS, RETRY)}
            if not any(left.values()):
                return
            await asyncio.sleep(_LOOK_S)
        raise self.failed(f"after {limit_s:g} s the work queues hold {left}")

    async def messages(self, stream: str) -> int:
        """How many lie in it; -1 while nobody can say."""
        with contextlib.suppress(JetStreamError):
            return int((await self._client.api(f"STREAM.INFO.{stream}"))["state"]["messages"])
        return -1

    async def written(self, stream: str) -> int:
        """How many messages were ever stored in it."""
        return int((await self._client.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"])

    async def stored(self, stream: str) -> AsyncIterator[Stored]:
        """All messages that lie in a stream, one at a time."""
        sequence = 1
        while (found := await self._client.next_message(stream, ">", sequence)) is not None:
            yield found
            sequence = found.sequence + 1

    async def start(self, stack: contextlib.AsyncExitStack) -> Link:
        stack.push_async_callback(self._stop_all)
        await self.sink.start()
        if self.nameserver is not None:
            await self.nameserver.start()
        plan = Plan(
            node="load",
            tenant=letters.TENANT,
            domain=letters.DOMAIN,
            others=self.setting.others,
            routes=self.setting.routes(self.sink.ports, self._black_hole.port if self._black_hole else 0),
            shaping=self.setting.shaping,
            schedule=self.setting.schedule,
            max_age=self.setting.max_age,
            dns=f'servers = ["{self.nameserver.address}"]\nallow = ["127.0.0.0/8"]'
            if self.nameserver
            else "",
        )
        if self.nats is None:
            write(self.directory, plan)
            await self._start_daemon(self.daemon)
            address = read_address(self.daemon.state_dir)
            if address is None:
                raise self.failed("the daemon is ready and wrote no nats.json")
            link = await self._link(stack, address.url)
        else:
            await self.nats.start()
            link = await self._link(stack, self.nats.url)
            await setup(link, Capacity(), ack_wait_s=self.setting.ack_wait_s)
            self._configure(structs.replace(plan, nats=self._nats_lines(self.nats)))
            for daemon in self.daemons:
                await self._start_daemon(daemon)
        self._client = link
        self._pump = Pump(link)
        await follow(link, f"mta.event.{letters.TENANT}.>", self._on_events)
        return link

    async def _start_daemon(self, daemon: DaemonProcess) -> None:
        await daemon.start()
        found = vitals(daemon.pid)
        if found is not None:
            self.idle[daemon] = found

    async def _link(self, stack: contextlib.AsyncExitStack, url: str) -> Link:
        link = await open_link(NatsSettings(servers=(url,)), name="loadtest", report=_ignore)
        stack.push_async_callback(link.close)
        return link

    def _nats_lines(self, nats: NatsProcess) -> str:
        wait_s = self.setting.ack_wait_s
        clocks = f'ack_wait = "{wait_s}s"\nrenew = "{wait_s / 6:g}s"\nmargin = "{wait_s / 6:g}s"'
        return f'embedded = false\nservers = ["{nats.url}"]\n{clocks}'

    def _configure(self, plan: Plan) -> None:
        write(self.directory, plan)
        for number, daemon in enumerate(self.daemons[1:], 2):
            further = structs.replace(plan, node=f"load-{number}")
            write_config(self.directory / f"mta-{number}.toml", further, daemon.state_dir)

    async def stop(self) -> None:
        """Daemons and sink, in order: from then on nothing more can be accepted, and the logs are whole."""
        if self._beside is not None:
            self._beside.cancel()
        await self._stop_all()

    async def stop_daemons(self) -> None:
        """In order; streams and sink stay."""
        for daemon in self.daemons:
            self.unwatch(daemon)
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons))

    async def _stop_all(self) -> None:
        await asyncio.gather(*(daemon.stop() for daemon in self.daemons))
        if self._black_hole is not None:
            self._black_hole.close()
        await self.sink.stop()
        if self.nameserver is not None:
            await self.nameserver.stop()
        if self.nats is not None:
            await self.nats.stop()

    def guard(self, group: asyncio.TaskGroup, link: Link) -> None:
        self._beside = group.create_task(self._watch(link), name="rig")

    async def _watch(self, link: Link) -> None:
        """What runs while the scenario does; raises when a process ends before its time."""
        assert self._pump is not None
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump.run(), name="rig: publish")
            group.create_task(link.watch(), name="rig: watch the link")
            self._watching = group
            for daemon in self.daemons:
                self.watch(daemon)
            self.watch(self.sink)
            if self.nameserver is not None:
                self.watch(self.nameserver)
            await asyncio.Event().wait()

    def watch(self, one: Watched) -> None:
        """Its end before its time ends the run."""
        self._watched[one] = self._watching.create_task(self._watch_one(one), name="rig: watch a process")

    def unwatch(self, one: Watched) -> None:
        """It is about to be killed on purpose."""
        self._watched.pop(one).cancel()

    async def _watch_one(self, one: Watched) -> None:
        if isinstance(one, DaemonProcess):
            await one.watch()
        else:
            code = await one.wait()
            raise self.failed(f"{type(one).__name__} ended with exit code {code}")


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
        except (DaemonFailed, JetStreamError, NotStarted) as error:
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
    if isinstance(error, DaemonFailed | JetStreamError | NotStarted):
        return rig.failed(str(error))
    raise error
