"""A destination that takes its time for every message, beside healthy ones (I6).

It answers the dot two seconds late, to bulk and to transactional mail alike, for as long as the run lasts. The healthy
ones get bulk at a fixed rate that the machine can bear, and transactional mail; both are timed from publish to the
sink's log, first without the slow destination and then beside it. With more bulk than could be sent nobody could say
who waits for whom; with a fixed rate the rate is kept or is not, and the time each message takes says the rest.

The slow one gets twice what it can take, so its queue grows for as long as the run lasts; then it is waited for.
"""

import asyncio
import itertools
import time

from msgspec import Struct, structs

from loadtest import invariants, letters
from loadtest.lanes import Latency, latency, waits_ms
from loadtest.referee import judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from mta.model.lane import Lane

_HOSTS = 20
_SLOW = "h0.test"
_LATE_S = 2
_PROBES_PER_S, _PER_PAYLOAD = 10, 20
"""So many transactional messages a second, and so many bulk payloads, of so many."""
_SLOW_SHARE = 2.0
"""Of what the slow one can take: one message on each connection in `_LATE_S`."""
_SETTLE_S = 3.0
_FILLER = 1000
_LIMIT_S = 120.0
MOST_SLOWER = 1.5
LEAST_SHARE = 0.9
_NOISE_MS = 20.0
"""Of a p99 on a machine that does other things too."""


class Deadslow(Struct, frozen=True):
    """`slow_recipients` are those of the slow destination, `slow_s` is how long they were waited for. Times and rates
    are of the healthy ones."""

    seconds: float
    transactional_alone: Latency
    transactional: Latency
    bulk_alone: Latency
    bulk: Latency
    bulk_msgs_per_s_alone: float
    bulk_msgs_per_s: float
    slow_recipients: int
    slow_s: float
    lost: int
    duplicates: int
    faults: tuple[str, ...]
    sync_interval: str


Part = dict[Lane, dict[str, int]]
"""When each message of a part of the run left, in ns, by lane."""


async def deadslow(seconds: float, setting: Setting, progress: Progress) -> Deadslow:
    setting = structs.replace(setting, own_nats=True, addresses=_HOSTS, message_rate=100)
    async with open_rig(setting) as rig:
        run = _Run(rig, progress)
        await run.healthy("warm", _SETTLE_S)
        alone = await run.healthy("alone", seconds)
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(run.feed_slow(), name="deadslow: the slow one")
            await asyncio.sleep(_SETTLE_S)
            beside = await run.healthy("beside", seconds)
            feeding.cancel()
        waiting_since = time.monotonic()
        await rig.until_empty(_LIMIT_S + _SLOW_SHARE * (seconds + _SETTLE_S))
        slow_s = time.monotonic() - waiting_since
        faults = await invariants.finish(rig)
        return run.result(seconds, alone, beside, slow_s, faults)


class _Run:
    def __init__(self, rig: Rig, progress: Progress) -> None:
        self._rig = rig
        self._progress = progress
        self._mail = letters.content(_FILLER)
        self._asked: list[str] = []
        self._slow = 0

    async def healthy(self, tag: str, seconds: float) -> Part:
        """Bulk and transactional at their rates for so long, and to their end."""
        rig, loop = self._rig, asyncio.get_running_loop()
        left: Part = {lane: {} for lane in Lane}
        before = dict(rig.ended)
        begin = loop.time()
        for number in range(int(seconds * _PROBES_PER_S)):
            await asyncio.sleep(max(0.0, begin + number / _PROBES_PER_S - loop.time()))
            for lane, many in ((Lane.TRANSACTIONAL, 1), (Lane.BULK, _PER_PAYLOAD)):
                to = [f"{tag}-{number}x{at}@h{1 + (number + at) % (_HOSTS - 1)}.test" for at in range(many)]
                to = [f"{lane[0]}-{address}" for address in to]
                left[lane].update(dict.fromkeys(to, time.monotonic_ns()))
                await self._publish(f"{lane}-{tag}-{number}", lane, to)
            self._progress(tag, number, int(seconds * _PROBES_PER_S))
        for lane, sent in left.items():
            await rig.until(lane, before[lane] + len(sent), _LIMIT_S, lambda: None)
        self._asked += [address for sent in left.values() for address in sent]
        return left

    async def feed_slow(self) -> None:
        """Until cancelled: a payload a second in each lane, in a campaign that is not counted among the ended."""
        loop = asyncio.get_running_loop()
        many = max(1, round(_SLOW_SHARE * self._rig.setting.connections / _LATE_S))
        begin = loop.time()
        for number in itertools.count():
            await asyncio.sleep(max(0.0, begin + number - loop.time()))
            for lane, size in ((Lane.TRANSACTIONAL, 1), (Lane.BULK, many)):
                to = [f"late-dot-{_LATE_S}.{lane[0]}{number}x{at}@{_SLOW}" for at in range(size)]
                self._asked += to
                self._slow += size
                await self._publish(f"{lane}-slow-{number}", lane, to, "slow")

    async def _publish(self, name: str, lane: Lane, to: list[str], campaign: str = "") -> None:
        body = letters.payload(name, lane, self._mail, to, campaign)
        await self._rig.publish(name, lane, body, campaign)

    def result(
        self, seconds: float, alone: Part, beside: Part, slow_s: float, faults: tuple[str, ...]
    ) -> Deadslow:
        rig = self._rig
        ruling = judge(self._asked, rig.entries(), rig.events())
        arrived = {entry.recipient: entry.at_ns for entry in reversed(rig.acceptances())}
        waits = {
            (part, lane): latency(waits_ms(of[lane], arrived))
            for part, of in (("alone", alone), ("beside", beside))
            for lane in Lane
        }
        rate_alone, rate = (rate_of(of[Lane.BULK], arrived) for of in (alone, beside))
        slower = [f"{lane}_slower" for lane in Lane if is_slower(waits["alone", lane], waits["beside", lane])]
        return Deadslow(
            seconds=seconds,
            transactional_alone=waits["alone", Lane.TRANSACTIONAL],
            transactional=waits["beside", Lane.TRANSACTIONAL],
            bulk_alone=waits["alone", Lane.BULK],
            bulk=waits["beside", Lane.BULK],
            bulk_msgs_per_s_alone=round(rate_alone, 1),
            bulk_msgs_per_s=round(rate, 1),
            slow_recipients=self._slow,
            slow_s=round(slow_s, 1),
            lost=ruling.lost,
            duplicates=ruling.duplicates,
            faults=(
                *ruling.faults,
                *slower,
                *(("rate",) if rate < LEAST_SHARE * rate_alone else ()),
                *faults,
            ),
            sync_interval=rig.sync_interval(),
        )


def rate_of(left: dict[str, int], arrived: dict[str, int]) -> float:
    """Messages a second from the first that left to the last that arrived."""
    ends = [arrived[address] for address in left if address in arrived]
    return len(ends) * 1e9 / max(1, max(ends) - min(left.values())) if ends else 0.0


def is_slower(alone: Latency, beside: Latency) -> bool:
    """I6, with some allowance where a p99 is a few ms anyway."""
    return beside.p99_ms > max(MOST_SLOWER * alone.p99_ms, alone.p99_ms + _NOISE_MS)
