"""Everything that can go wrong with a peer, all at once and for as long as one likes, in both lanes (G9, K5).

A steady trickle of mail: most of it ordinary, some asking the sink for a fault (`script`), some to ports that are bad
before a recipient is known. Every recipient has an end that his word implies, and is to have that one. `kills` adds
deaths of worker, sink or NATS at random moments.

Half of the hosts get no faulty mail. Transactional mail to these is timed, from publish to the sink's log, first alone
and then beside all the rest: that is what of the loop's lag can be seen from outside. A host that has faults is left
with few connections, some of which stall; so ordinary mail may expire there, the sooner the shorter its life is
(`expired_early`): a fault only in a run in which mail lives long enough. Memory is told by its slope over the second
half of the run; it is judged where that half is long enough to say anything.
"""

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import AsyncIterator

from msgspec import Struct, structs

from loadtest import invariants, letters
from loadtest.crash import Blow, strike
from loadtest.lanes import Latency, latency, waits_ms
from loadtest.referee import Event, Ruling, judge, misended
from loadtest.rig import Rig, open_rig
from loadtest.script import Phase, accepts, act_at, expected_end
from loadtest.setting import Setting, domain_of
from loadtest.throughput import Progress
from loadtest.vitals import Vitals, slope_mb_per_h, vitals
from mta.model.lane import Lane

KILLS = ("worker", "nats", "sink")
WORDS = (
    *("421-rcpt-once", "451-rcpt-once", "550-rcpt", "cut-rcpt-once", "reset-rcpt-once", "stall-rcpt-once"),
    *("late-rcpt-1", "451-data-once", "550-data", "cut-data-once", "stall-data-2-once", "late-data-1"),
    *("cut-body-once", "reset-body-once", "stall-body-3-once", "late-body-1"),
    *("421-dot-once", "451-dot-once", "554-dot", "cut-dot-once", "reset-dot-once", "stall-dot-once"),
    *("late-dot-1", "252-dot", "cut-after", "stall-after", "451-dot", "cut-dot", "stall-rcpt"),
)
BAD = (
    *("connect:554", "connect:421", "connect:stall", "connect:reset", "connect:late:1"),
    *("ehlo:451", "ehlo:550", "ehlo:cut", "mail:451", "mail:550", "mail:421", "mail:stall", "mail:late:1"),
)
_HOSTS = 20
_FAULTY_SHARE, _BAD_SHARE = 0.02, 0.01
_PROBES_PER_S = 10.0
_PHASE_S = 10
"""Of a client. Longer than any delay, shorter than a stall is worth waiting for."""
_SHORTEST_LIFE_S, _LONGEST_LIFE_S = 60, 600
_PATIENT_S = 300
"""A life in which a throttled path gets its connections back."""
_ALONE_SHARE, _LEAST_ALONE_S = 0.1, 5.0
_KILL_EVERY_S = (10.0, 20.0)
_FORWARD_S = 30.0
_SLOPE_FROM_MINUTES = 30.0
_MOST_SLOPE = 1.0
_FILLER = 1000


class Soak(Struct, frozen=True):
    """`misended` are the first of those who ended otherwise than they should have; `expired_early` expired on a host
    with faults and should have been delivered or bounced. `lag` is of transactional mail to
    hosts without faults."""

    minutes: float
    recipients: int
    ended: dict[str, int]
    lost: int
    duplicates: int
    ambiguous: int
    kills: dict[str, int]
    misended: tuple[str, ...]
    expired_early: int
    lag_alone: Latency
    lag: Latency
    rss_mb: float
    rss_slope_mb_per_h: float
    descriptors: int
    descriptors_most: int
    descriptors_idle: int
    faults: tuple[str, ...]
    sync_interval: str
    seed: int


class Course(Struct, frozen=True):
    minutes: float
    per_s: int = 100
    kills: tuple[str, ...] = ()
    seed: int = 0

    @property
    def life_s(self) -> int:
        """Of a message: what is never accepted expires, and the run ends only then."""
        return int(min(_LONGEST_LIFE_S, max(_SHORTEST_LIFE_S, 12 * self.minutes)))


async def soak(course: Course, setting: Setting, progress: Progress) -> Soak:
    course = structs.replace(course, seed=course.seed or time.time_ns() % 1_000_000)
    setting = structs.replace(
        setting,
        own_nats=True,
        addresses=_HOSTS,
        bad=BAD,
        schedule=("1s", "3s", "5s"),
        max_age=f"{course.life_s}s",
        phase_timeout_s=_PHASE_S,
    )
    async with open_rig(setting) as rig:
        run = _Run(rig, course, progress)
        alone_s = max(_LEAST_ALONE_S, 60 * course.minutes * _ALONE_SHARE)
        await run.probe("alone", alone_s)
        async with run.watched(), run.killed(), asyncio.TaskGroup() as group:
            group.create_task(run.probe("beside", 60 * course.minutes), name="soak: probes")
            group.create_task(run.feed(60 * course.minutes), name="soak: mail")
        await run.until_ended()
        found = await invariants.finish(rig)
        return run.result(found)


class _Run:
    def __init__(self, rig: Rig, course: Course, progress: Progress) -> None:
        self._rig = rig
        self._course = course
        self._progress = progress
        self._chance = random.Random(course.seed)
        self._mail = letters.content(_FILLER)
        self._asked: dict[Lane, list[str]] = {lane: [] for lane in Lane}
        self._left: dict[str, dict[str, int]] = {}
        self._samples: list[tuple[float, Vitals]] = []
        self._kills: dict[str, int] = dict.fromkeys(course.kills, 0)

    # -- mail ---------------------------------------------------------------------------------------------------

    async def feed(self, seconds: float) -> None:
        """One bulk payload a second, and a transactional one with a fault."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number in range(max(1, int(seconds))):
            await asyncio.sleep(max(0.0, begin + number - loop.time()))
            to = [self._address(f"b{number}x{at}") for at in range(self._course.per_s)]
            await self._publish(f"bulk-{number}", Lane.BULK, to)
            word = self._chance.choice(WORDS)
            await self._publish(
                f"trans-{number}", Lane.TRANSACTIONAL, [f"{word}.t{number}@h{number % 10}.test"]
            )
            self._progress("soak", number, int(seconds))

    async def probe(self, tag: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        left = self._left[tag] = {}
        begin = loop.time()
        for number in range(int(seconds * _PROBES_PER_S)):
            await asyncio.sleep(max(0.0, begin + number / _PROBES_PER_S - loop.time()))
            address = f"{tag}-{number:07d}@h{10 + number % 10}.test"
            left[address] = time.monotonic_ns()
            await self._publish(f"{tag}-{number}", Lane.TRANSACTIONAL, [address])
            if tag == "alone":
                self._progress("probes alone", number, int(seconds * _PROBES_PER_S))

    def _address(self, tag: str) -> str:
        """Ordinary ones go to all hosts, faulty ones to the first half of them."""
        dice = self._chance.random()
        if dice < _BAD_SHARE:
            return f"{tag}@{domain_of(self._chance.choice(BAD))}"
        if dice < _BAD_SHARE + _FAULTY_SHARE:
            return f"{self._chance.choice(WORDS)}.{tag}@h{self._chance.randrange(_HOSTS // 2)}.test"
        return f"{tag}@h{self._chance.randrange(_HOSTS)}.test"

    async def _publish(self, name: str, lane: Lane, to: list[str]) -> None:
        await self._rig.publish(name, lane, letters.payload(name, lane, self._mail, to))
        self._asked[lane] += to

    async def until_ended(self) -> None:
        """The last ones expire."""
        limit_s = 2 * self._course.life_s + _FORWARD_S
        for lane, asked in self._asked.items():
            tick = functools.partial(self._progress, f"to the end of {lane}", 0, len(asked))
            await self._rig.until(lane, len(asked), limit_s, tick)
        await self._rig.until_empty()

    # -- what goes on beside it ---------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self._watch(), name="soak: vitals")
            yield
            task.cancel()

    async def _watch(self) -> None:
        while True:
            found = vitals(self._rig.daemon.pid)
            if found is not None:
                self._samples.append((time.monotonic(), found))
            await asyncio.sleep(1.0)

    @contextlib.asynccontextmanager
    async def killed(self) -> AsyncIterator[None]:
        """The one who dies in the end is alive again when this is left."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            if self._kills:
                group.create_task(self._kill(stop), name="soak: kills")
            yield
            stop.set()

    async def _kill(self, stop: asyncio.Event) -> None:
        """I7: after each death something must have ended within half a minute, or the run is over."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._chance.uniform(*_KILL_EVERY_S)):
                    await stop.wait()
            if stop.is_set():
                return
            victim = self._chance.choice(self._course.kills)
            await strike(self._rig, Blow(victim), self._chance)
            self._kills[victim] += 1
            ended = self._rig.ended[Lane.TRANSACTIONAL]
            await self._rig.until(Lane.TRANSACTIONAL, ended + 1, _FORWARD_S, lambda: None)

    # -- the end ------------------------------------------------------------------------------------------------

    def result(self, found: tuple[str, ...]) -> Soak:
        asked = [address for of in self._asked.values() for address in of]
        events = self._rig.events()
        ruling = judge(asked, self._rig.entries(), events)
        wrong = misended(expected, asked, events)
        early = [one for one in wrong if one.type == "expired" and has_faults(one.recipient)]
        wrong = [one for one in wrong if one not in early]
        half = self._samples[len(self._samples) // 2 :]
        slope = slope_mb_per_h([(at, one.resident_mb) for at, one in half])
        arrived = {entry.recipient: entry.at_ns for entry in reversed(self._rig.acceptances())}
        return Soak(
            minutes=self._course.minutes,
            recipients=len(asked),
            ended=ruling.ended,
            lost=ruling.lost,
            duplicates=ruling.duplicates,
            ambiguous=sum(event.ambiguous for event in events),
            kills=self._kills,
            misended=tuple(f"{one.recipient}: {one.type} instead of {one.right}" for one in wrong[:10]),
            expired_early=len(early),
            lag_alone=latency(waits_ms(self._left["alone"], arrived)),
            lag=latency(waits_ms(self._left["beside"], arrived)),
            rss_mb=max(one.peak_mb for _, one in self._samples),
            rss_slope_mb_per_h=round(slope, 2),
            descriptors=half[-1][1].descriptors,
            descriptors_most=max(one.descriptors for _, one in self._samples),
            descriptors_idle=self._rig.idle[self._rig.daemon].descriptors,
            faults=self._faults(ruling, events, slope)
            + (("misended",) if wrong else ())
            + (("expired_early",) if early and self._course.life_s >= _PATIENT_S else ())
            + found,
            sync_interval=self._rig.sync_interval(),
            seed=self._course.seed,
        )

    def _faults(self, ruling: Ruling, events: list[Event], slope: float) -> tuple[str, ...]:
        """A sink that dies may have accepted what it could not answer: so many copies are no fault then."""
        faults = [name for name in ruling.faults if name != "duplicates"]
        permitted = sum(event.ambiguous for event in events) if "sink" in self._kills else 0
        if ruling.duplicates > permitted:
            faults.append("duplicates")
        if self._course.minutes >= _SLOPE_FROM_MINUTES and slope > _MOST_SLOPE:
            faults.append("slope")
        return tuple(faults)


_OF_DOMAINS = {domain_of(bad): act_at(bad) for bad in BAD}


def expected(recipient: str) -> str:
    """How he is to end. A port that refuses before MAIL bounces nobody: that is not about a recipient."""
    act = _OF_DOMAINS.get(recipient.partition("@")[2])
    if act is None:
        return expected_end(recipient)
    if accepts(act):
        return "delivered"
    return "bounced" if act.phase is Phase.MAIL and act.verb[0] == "5" else "expired"


def has_faults(recipient: str) -> bool:
    """Whether his host is one that faulty mail goes to."""
    domain = recipient.partition("@")[2]
    return domain in _OF_DOMAINS or int(domain.removeprefix("h").removesuffix(".test")) < _HOSTS // 2
