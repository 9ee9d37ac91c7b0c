"""A great many domains in a short time, each looked up once (C15, G3).

One message to each of so many distinct domains, published at a constant rate; a name server of the run's own says
which hosts they have (`zone`), and the sink is all of these hosts. MX delivery uses port 25: where that cannot be bound
to loopback addresses the run says so and ends. With `--resolve-only` no mail is sent: the daemon's resolver alone looks
the domains up, at the same rate (`resolving`).

The log of the name server is the judge: a (name, type) that comes again within its TTL is a fault, and so is one that
was repeated for want of an answer, but on a busy machine. With `--restart` the daemon is stopped in order half way
and started again: it may then ask once more, and `busiest_second` says whether it asks for everything at once.
"""

import asyncio
import contextlib
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from loadtest import invariants, letters, zone
from loadtest.processes import ChildProcess, NameserverProcess, NotStarted
from loadtest.referee import judge
from loadtest.resolving import Resolving
from loadtest.rig import SMTP_PORT, Rig, RunFailed, open_rig
from loadtest.setting import Setting
from loadtest.sink import host
from loadtest.throughput import CpuPerMessage, Progress
from loadtest.vitals import vitals
from loadtest.zone import Question
from mta.model.lane import Lane

_FILLER = 1000
_PER_PAYLOAD = 100
_LIMIT_S = 120.0
_LATER = 1.1
"""What a run may take longer than it was to; the last message begins when its time is over."""


class Course(Struct, frozen=True):
    domains: int = 100_000
    seconds: float = 60.0
    restart: bool = False


class Asked(Struct, frozen=True):
    """`again`: within the TTL, in one life of the daemon. `resent`: the same for want of an answer in time; it has the
    id of the question before, or that one was resent, too."""

    questions: int
    most: int
    again: int
    resent: int
    busiest_second: int


class Domains(Struct, frozen=True):
    """`lost` and `duplicates` as in `throughput`; `connections` are those over which mail came, `rss_mb` is
    the largest the daemon has been. CPU is not told where it was started again."""

    domains: int
    delivered: int
    lost: int
    duplicates: int
    faults: tuple[str, ...]
    wall_s: float
    msgs_per_s: float
    connections: int
    questions: int
    questions_per_domain: float
    most_questions_for_one_name: int
    asked_again: int
    resent: int
    busiest_second: int
    rss_mb: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float
    cpu_us_per_message: CpuPerMessage | None
    sync_interval: str


class Resolved(Struct, frozen=True):
    """`failed` had no hosts; memory, CPU and loop are those of the process that resolved."""

    domains: int
    resolved: int
    failed: int
    faults: tuple[str, ...]
    wall_s: float
    questions: int
    questions_per_domain: float
    most_questions_for_one_name: int
    asked_again: int
    resent: int
    busiest_second: int
    cpu_us_per_domain: float
    rss_mb: float
    grown_mb: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float


async def domains(course: Course, setting: Setting, progress: Progress) -> Domains:
    assert setting.zone is not None
    _check_port()
    async with open_rig(setting) as rig:
        run = _Run(rig, course, progress)
        wall_s = await run.deliver()
        found = vitals(rig.daemon.pid)
        faults = await invariants.finish(rig)
        return run.result(wall_s, found.peak_mb if found else 0.0, faults)


def _check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host(0), SMTP_PORT))
        except OSError as error:
            text = (
                f"mail to an MX goes to port {SMTP_PORT}, and that cannot be bound here: {error.strerror}. "
            )
            raise RunFailed(f"{text}Run it as root, or with --resolve-only") from error


class _Run:
    def __init__(self, rig: Rig, course: Course, progress: Progress) -> None:
        self._rig = rig
        self._course = course
        self._progress = progress
        self._asked = [f"r{number:07d}@{zone.domain_of(number)}" for number in range(course.domains)]
        self._lives: list[int] = []
        self._cpu: CpuPerMessage | None = None

    async def deliver(self) -> float:
        """Seconds from the first publish to the last end."""
        rig, course = self._rig, self._course
        started, before = time.monotonic(), rig.usage()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish(), name="domains: publish")
            if course.restart:
                await asyncio.sleep(course.seconds / 2)
                await self._restart()
        limit_s = _LIMIT_S + course.domains / 50
        await rig.until(Lane.BULK, course.domains, limit_s, self._tell)
        if not course.restart:
            used = rig.usage().since(before)
            spent = (used.daemon, used.workers, used.nats, used.sink)
            self._cpu = CpuPerMessage(*(round(seconds * 1e6 / course.domains, 1) for seconds in spent))
        return rig.last_event_at - started

    async def _publish(self) -> None:
        course, loop = self._course, asyncio.get_running_loop()
        mail, begin = letters.content(_FILLER), loop.time()
        async with asyncio.TaskGroup() as group:
            for start in range(0, course.domains, _PER_PAYLOAD):
                due = begin + start * course.seconds / course.domains
                await asyncio.sleep(max(0.0, due - loop.time()))
                name = f"domains-{start}"
                body = letters.payload(name, Lane.BULK, mail, self._asked[start : start + _PER_PAYLOAD])
                group.create_task(self._rig.publish(name, Lane.BULK, body), name=f"publish {name}")
                self._tell()

    async def _restart(self) -> None:
        daemon = self._rig.daemon
        self._rig.unwatch(daemon)
        await daemon.stop()
        self._lives.append(time.monotonic_ns())
        await daemon.start()
        self._rig.watch(daemon)

    def _tell(self) -> None:
        self._progress("domains", self._rig.ended[Lane.BULK], self._course.domains)

    def result(self, wall_s: float, rss_mb: float, faults: tuple[str, ...]) -> Domains:
        rig, course, server = self._rig, self._course, self._rig.nameserver
        assert server is not None
        assert rig.setting.zone is not None
        entries = rig.entries()
        ruling = judge(self._asked, entries, rig.events())
        asked = count(zone.parse(server.log.read_bytes()), rig.setting.zone.ttl_s, self._lives)
        p99_ms, max_ms = invariants.lags(rig.logs)
        faults = (*ruling.faults, *_faults(asked, wall_s, course, is_busy=rig.setting.is_busy), *faults)
        return Domains(
            domains=course.domains,
            delivered=ruling.delivered,
            lost=ruling.lost,
            duplicates=ruling.duplicates,
            faults=faults,
            wall_s=round(wall_s, 2),
            msgs_per_s=round(ruling.delivered / wall_s, 1),
            connections=len({entry.session for entry in entries}),
            questions=asked.questions,
            questions_per_domain=round(asked.questions / course.domains, 3),
            most_questions_for_one_name=asked.most,
            asked_again=asked.again,
            resent=asked.resent,
            busiest_second=asked.busiest_second,
            rss_mb=rss_mb,
            loop_lag_p99_ms=p99_ms,
            loop_lag_max_ms=max_ms,
            cpu_us_per_message=self._cpu,
            sync_interval=rig.sync_interval(),
        )


async def resolve_only(course: Course, setting: Setting, progress: Progress) -> Resolved:
    assert setting.zone is not None
    progress("resolving", 0, course.domains)
    with tempfile.TemporaryDirectory(prefix="mta-load-") as name:
        server = NameserverProcess(Path(name), setting.zone)
        resolving = ResolvingProcess(Path(name))
        try:
            await server.start()
            found = await resolving.run(server.address, course)
        except NotStarted as error:
            raise RunFailed(str(error), f"{server.errors}{resolving.errors}") from error
        finally:
            await resolving.stop()
            await server.stop()
        asked = count(zone.parse(server.log.read_bytes()), setting.zone.ttl_s)
    faults: tuple[str, ...] = ("failed",) if found.failed else ()
    faults += _faults(asked, found.wall_s, course, is_busy=setting.is_busy)
    if not setting.is_busy:
        faults += invariants.too_late(found.loop_lag_p99_ms, found.loop_lag_max_ms)
    return Resolved(
        domains=course.domains,
        resolved=found.resolved,
        failed=found.failed,
        faults=faults,
        wall_s=found.wall_s,
        questions=asked.questions,
        questions_per_domain=round(asked.questions / course.domains, 3),
        most_questions_for_one_name=asked.most,
        asked_again=asked.again,
        resent=asked.resent,
        busiest_second=asked.busiest_second,
        cpu_us_per_domain=found.cpu_us_per_domain,
        rss_mb=found.rss_mb,
        grown_mb=found.grown_mb,
        loop_lag_p99_ms=found.loop_lag_p99_ms,
        loop_lag_max_ms=found.loop_lag_max_ms,
    )


class ResolvingProcess(ChildProcess):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "resolving.err")

    async def run(self, server: str, course: Course) -> Resolving:
        numbers = ("--domains", str(course.domains), "--seconds", str(course.seconds))
        process = await self._spawn(sys.executable, "-m", "loadtest.resolving", "--server", server, *numbers)
        assert process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(course.seconds + _LIMIT_S):
                line = await process.stdout.readline()
        if not line:
            raise NotStarted("the process that resolves said nothing")
        return msgspec.json.decode(line, type=Resolving)


def _faults(asked: Asked, wall_s: float, course: Course, *, is_busy: bool) -> tuple[str, ...]:
    """Of the name server and of the clock."""
    faults: tuple[str, ...] = ("asked_again",) if asked.again else ()
    if is_busy:
        return faults
    faults += ("resent",) if asked.resent else ()
    is_slow = wall_s > course.seconds * _LATER + 1 and not course.restart
    return (*faults, *(("slow",) if is_slow else ()))


def count(questions: Iterable[Question], ttl_s: float, lives: Iterable[int] = ()) -> Asked:
    """`lives`: when the daemon was started again, on the same clock as the questions."""
    starts = sorted(lives)
    last: dict[tuple[int, str, str], tuple[Question, bool]] = {}
    often: Counter[tuple[str, str]] = Counter()
    seconds: Counter[int] = Counter()
    again = resent = 0
    for one in questions:
        often[one.name, one.kind] += 1
        seconds[one.at_ns // 1_000_000_000] += 1
        key = (sum(start <= one.at_ns for start in starts), one.name, one.kind)
        is_resent = False
        if key in last:
            before, was_resent = last[key]
            is_early = one.at_ns - before.at_ns < ttl_s * 1e9
            is_resent = is_early and (was_resent or one.number == before.number)
            resent += is_resent
            again += is_early and not is_resent
        last[key] = one, is_resent
    return Asked(
        questions=often.total(),
        most=max(often.values(), default=0),
        again=again,
        resent=resent,
        busiest_second=max(seconds.values(), default=0),
    )
