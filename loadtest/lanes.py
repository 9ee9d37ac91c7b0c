"""How long a transactional message takes from publish to the sink's 250, alone and beside saturating bulk.

A probe is a payload of one recipient; probes leave at fixed times, whether or not the one before has
arrived. The time begins right before the publish and ends when the sink writes the recipient down, right
before it answers; both read the one monotonic clock of the host. Bulk is topped up so that some seconds of
it always wait: it never runs dry, and never fills more than the daemon would take anyway.
"""

import asyncio
import math
import time
from collections.abc import Sequence

from msgspec import Struct, structs

from loadtest import invariants, letters
from loadtest.referee import judge
from loadtest.rig import Rig, RunFailed, open_rig
from loadtest.setting import Setting
from loadtest.sinklog import Entry
from loadtest.throughput import Progress
from mta.model.lane import Lane

_FILLER = 1000
_WARM_UP = 1000
_BACKLOG = 15_000
_SATURATED = 3000
_LIMIT_S = 60.0
_WARM_PROBES = 20


class Latency(Struct, frozen=True):
    p50_ms: float
    p99_ms: float
    max_ms: float


class Lanes(Struct, frozen=True):
    idle: Latency
    beside_bulk: Latency
    bulk_msgs_per_s: float
    probes: int
    lost: int
    duplicates: int
    faults: tuple[str, ...]
    sync_interval: str


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that `share` of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def latency(values_ms: Sequence[float]) -> Latency:
    return Latency(
        round(percentile(values_ms, 0.50), 2), round(percentile(values_ms, 0.99), 2), round(max(values_ms), 2)
    )


async def lanes(probes: int, probes_per_s: float, setting: Setting, progress: Progress) -> Lanes:
    async with open_rig(setting) as rig:
        mail = letters.content(_FILLER)
        await _bulk(rig, mail, "warm", _WARM_UP)
        await rig.until(Lane.BULK, _WARM_UP, _LIMIT_S, lambda: progress("warming up", 0, _WARM_UP))
        await _probe(rig, mail, "first", _WARM_PROBES, probes_per_s, progress)
        idle = await _probe(rig, mail, "idle", probes, probes_per_s, progress)
        feeder = _Feeder(rig, mail)
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feeder.run(), name="lanes: bulk")
            await rig.until(
                Lane.BULK, _WARM_UP + _SATURATED, _LIMIT_S, lambda: progress("bulk", 0, _SATURATED)
            )
            beside = await _probe(rig, mail, "busy", probes, probes_per_s, progress)
            feeding.cancel()
        faults = await invariants.finish(rig)
        result = _result(rig, idle, beside)
        return structs.replace(result, faults=result.faults + faults)


class _Feeder:
    """Keeps bulk waiting. `addressed` are the recipients it has published."""

    def __init__(self, rig: Rig, mail: dict[str, str]) -> None:
        self._rig = rig
        self._mail = mail
        self._ended_before = rig.ended[Lane.BULK]
        self.addressed = 0

    async def run(self) -> None:
        while True:
            waiting = self.addressed - (self._rig.ended[Lane.BULK] - self._ended_before)
            if waiting < _BACKLOG:
                await _bulk(self._rig, self._mail, "bulk", letters.PER_PAYLOAD, self.addressed)
                self.addressed += letters.PER_PAYLOAD
            else:
                await asyncio.sleep(0.05)


async def _bulk(rig: Rig, mail: dict[str, str], tag: str, number: int, start: int = 0) -> None:
    for first in range(start, start + number, letters.PER_PAYLOAD):
        to = letters.addresses(tag, min(letters.PER_PAYLOAD, start + number - first), first)
        name = f"{tag}-{first}"
        await rig.publish(name, Lane.BULK, letters.payload(name, Lane.BULK, mail, to))


async def _probe(
    rig: Rig, mail: dict[str, str], tag: str, number: int, per_s: float, progress: Progress
) -> dict[str, int]:
    """Publishes the probes and returns when each left, in ns."""
    loop = asyncio.get_running_loop()
    ended = rig.ended[Lane.TRANSACTIONAL] + number
    left: dict[str, int] = {}
    begin = loop.time()
    async with asyncio.TaskGroup() as group:
        for number_now, address in enumerate(letters.addresses(tag, number)):
            await asyncio.sleep(max(0.0, begin + number_now / per_s - loop.time()))
            name = f"{tag}-{number_now}"
            body = letters.payload(name, Lane.TRANSACTIONAL, mail, [address])
            left[address] = time.monotonic_ns()
            group.create_task(rig.publish(name, Lane.TRANSACTIONAL, body), name=f"probe {name}")
            if number_now % 25 == 0:
                progress(f"probes, {tag}", number_now, number)
    await rig.until(Lane.TRANSACTIONAL, ended, _LIMIT_S, lambda: progress(f"probes, {tag}", number, number))
    return left


def _result(rig: Rig, idle: dict[str, int], beside: dict[str, int]) -> Lanes:
    acceptances = rig.acceptances()
    first_at: dict[str, int] = {}
    for one in acceptances:
        first_at.setdefault(one.recipient, one.at_ns)
    asked = {**idle, **beside}
    ruling = judge(
        asked,
        (one for one in acceptances if one.recipient in asked),
        (event for event in rig.events() if event.recipient in asked),
    )
    return Lanes(
        idle=latency(waits_ms(idle, first_at)),
        beside_bulk=latency(waits_ms(beside, first_at)),
        bulk_msgs_per_s=round(bulk_rate(acceptances, min(beside.values()), max(beside.values())), 1),
        probes=len(asked),
        lost=ruling.lost,
        duplicates=ruling.duplicates,
        faults=ruling.faults,
        sync_interval=rig.sync_interval(),
    )


def waits_ms(left: dict[str, int], arrived: dict[str, int]) -> list[float]:
    """Of those that arrived; the others are lost, and counted as such."""
    waits = [(arrived[address] - at) / 1e6 for address, at in left.items() if address in arrived]
    if not waits:
        raise RunFailed("no probe arrived at the sink")
    return waits


def bulk_rate(acceptances: Sequence[Entry], from_ns: int, to_ns: int) -> float:
    """Bulk messages accepted a second between two moments."""
    number = sum(
        1 for one in acceptances if one.recipient.startswith("bulk-") and from_ns <= one.at_ns <= to_ns
    )
    return number * 1e9 / max(1, to_ns - from_ns)
