"""A tenant with a hundred messages beside one with a million (G4).

The small tenant sends his messages and it is timed until each has its end: first some times alone, on a daemon that has
nothing else to do, then some times beside the other one, all of whose mail lies in the stream by then and goes out as
fast as it can. All go to one site. With `--limit` that site binds, and alone the small tenant has all of it; without,
the machine does. Times are medians of the rounds. What is left of the large tenant's mail at the end is not waited for.
"""

import statistics
import time
from collections.abc import Iterator

from msgspec import Struct, structs

from loadtest import invariants, letters
from loadtest.fleet import between
from loadtest.referee import judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from loadtest.vitals import vitals
from mta.jetstream.layout import PAYLOADS
from mta.model.lane import Lane

LARGE = "large"
MOST_TIMES = 2.0
_FILLER = 1000
_LIMIT_S = 120.0


class Course(Struct, frozen=True):
    """`campaigns` are the large tenant's, `limit` is messages a second to the site; 0: as many as it takes."""

    bulk: int = 1_000_000
    small: int = 100
    campaigns: int = 1
    limit: int = 0
    rounds: int = 7


class Tenants(Struct, frozen=True):
    """`large_waiting` are recipients of the large tenant that lay in the stream before the first and after the last
    round beside him; `ratio` is what the small one takes beside him, of what he takes alone."""

    large_recipients: int
    large_waiting: tuple[int, int]
    large_msgs_per_s: float
    small_recipients: int
    alone_s: tuple[float, ...]
    beside_s: tuple[float, ...]
    ratio: float
    rss_mb: float
    lost: int
    duplicates: int
    faults: tuple[str, ...]
    sync_interval: str


async def tenants(course: Course, setting: Setting, progress: Progress) -> Tenants:
    setting = structs.replace(setting, own_nats=True, others=(LARGE,), max_age="72h")
    if course.limit:
        setting = structs.replace(setting, message_rate=course.limit)
    async with open_rig(setting) as rig:
        run = _Run(rig, course, progress)
        await run.time_of("warm")
        alone = [await run.time_of(f"alone{number}") for number in range(course.rounds)]
        await run.flood()
        before, begun_at = await run.waiting(), time.monotonic()
        beside = [await run.time_of(f"beside{number}") for number in range(course.rounds)]
        after, ended_at = await run.waiting(), time.monotonic()
        found = vitals(rig.daemon.pid)
        await rig.stop()
        faults = invariants.of_logs(rig.logs, is_busy=setting.is_busy)
        return run.result(
            alone, beside, (before, after), (begun_at, ended_at), found.peak_mb if found else 0.0, faults
        )


class _Run:
    def __init__(self, rig: Rig, course: Course, progress: Progress) -> None:
        self._rig = rig
        self._course = course
        self._progress = progress
        self._mail = letters.content(_FILLER)
        self._asked: list[str] = []

    async def time_of(self, tag: str) -> float:
        """Seconds from the publish to the last end of the small tenant's messages."""
        rig, number = self._rig, self._course.small
        to = letters.addresses(f"small-{tag}", number)
        self._asked += to
        before = rig.ended[Lane.BULK]
        begun_at = time.monotonic()
        await rig.publish(tag, Lane.BULK, letters.payload(tag, Lane.BULK, self._mail, to))
        await rig.until(
            Lane.BULK,
            before + number,
            _LIMIT_S + number,
            lambda: self._progress(tag, rig.ended[Lane.BULK] - before, number),
        )
        return rig.last_event_at - begun_at

    async def flood(self) -> None:
        """All of the large tenant's mail, in the stream when this returns."""
        course = self._course
        for number in range(course.campaigns):
            campaign = f"flood{number}"
            subject = letters.subject(Lane.BULK, campaign, LARGE)
            await self._rig.publish_each(subject, self._payloads(number, campaign), LARGE)

    def _payloads(self, number: int, campaign: str) -> Iterator[tuple[str, bytes]]:
        """Of every so many campaigns, made one at a time as they are published."""
        bulk = self._course.bulk
        step = letters.PER_PAYLOAD * self._course.campaigns
        for start in range(number * letters.PER_PAYLOAD, bulk, step):
            to = letters.addresses(LARGE, min(letters.PER_PAYLOAD, bulk - start), start)
            name = f"{LARGE}-{start}"
            yield name, letters.payload(name, Lane.BULK, self._mail, to, campaign, LARGE)
            self._progress("publishing", start // self._course.campaigns, bulk // self._course.campaigns)

    async def waiting(self) -> int:
        """Recipients of the large tenant in payloads that are not acknowledged."""
        return await self._rig.messages(PAYLOADS) * letters.PER_PAYLOAD

    def result(
        self,
        alone: list[float],
        beside: list[float],
        waiting: tuple[int, int],
        span: tuple[float, float],
        rss_mb: float,
        faults: tuple[str, ...],
    ) -> Tenants:
        rig, course = self._rig, self._course
        small = set(self._asked)
        entries = rig.entries()
        ruling = judge(small, (entry for entry in entries if entry.recipient in small), rig.events())
        large = [entry.at_ns / 1e9 for entry in entries if entry.recipient.startswith(LARGE)]
        ratio = statistics.median(beside) / statistics.median(alone)
        faults = (*ruling.faults, *faults)
        faults += ("too_long",) if ratio > MOST_TIMES else ()
        faults += ("nothing_waited",) if waiting[1] < letters.PER_PAYLOAD else ()
        return Tenants(
            large_recipients=course.bulk,
            large_waiting=waiting,
            large_msgs_per_s=round(between(sorted(large), *span) / (span[1] - span[0]), 1),
            small_recipients=course.small,
            alone_s=tuple(round(one, 3) for one in alone),
            beside_s=tuple(round(one, 3) for one in beside),
            ratio=round(ratio, 2),
            rss_mb=rss_mb,
            lost=ruling.lost,
            duplicates=ruling.duplicates,
            faults=faults,
            sync_interval=rig.sync_interval(),
        )
