"""What a great many recipients of one dead destination cost: in memory, and in the rate of the healthy ones (G1).

The dead destination never connects: a connect hangs. Beside it there are a thousand healthy domains, each a site of its
own. First some mailings to the healthy ones go out alone. Then all dead recipients are published, in payloads of 500
and a campaign of their own, and the same mailings go out for as long as the daemon still takes dead ones in. Then once
more alone, unless some of those may be due already, since a machine is not as fast at all times. Rates are medians of
the mailings. At the end no dead recipient may be lost: each is told of in the event stream, or is stored in MTA_RETRY,
or its payload still lies in MTA_PAYLOADS, which is a fault all the same.

With each mailing go transactional messages to the same domains, at a fixed rate, timed from publish to the sink's log.
Meanwhile the daemon's memory and its connections to the dead destination are looked at four times a second; and at the
end, when those who wait in MTA_RETRY are due again.

Connections and message rate of a site are those that are shipped. `rss_mb` is the largest the daemon has been;
`daemon_cpu_us` is its own CPU time for each healthy message, with all that it did for dead ones meanwhile.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from loadtest import invariants, letters
from loadtest.deadslow import is_slower
from loadtest.herd import Herd
from loadtest.lanes import Latency, latency, waits_ms
from loadtest.referee import TERMINAL, judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from loadtest.vitals import vitals
from mta.jetstream.layout import PAYLOADS, RETRY
from mta.model.lane import Lane

DOMAINS = 1000
RSS_MB = invariants.RSS_MB
LEAST_SHARE = 0.9
_CAMPAIGN = "dead"
_FILLER = 1000
_TAG = "dead"
_ROUNDS = 3
_MOST_ROUNDS = 100
_DUE_AGAIN_S = 240.0
"""The least time that parked mail lies there, with something to spare."""
_INTAKE_PER_S = 500.0
"""Dead recipients a second that are taken in at the least, or the run is given up."""
_LIMIT_S = 300.0


_PROBES_PER_S = 10.0
_LOOK_S = 0.25
_MOST_GROWTH_MB = 40.0
"""Of the daemon, from the first quarter of the time it takes dead ones in to the last."""


class Compared(Struct, frozen=True):
    alone: float
    beside: float


class Backlog(Struct, frozen=True):
    """`dead_lost` are told of nowhere and stored nowhere; `dead_stored` wait in MTA_RETRY, into which `retry_messages`
    were written, each at the price of an fsync; `dead_waiting` lie in payloads that were not taken in.
    `dead_connections` are the most that hung at once. Those stored are due within `due_span_s`, at most `due_in_10_s`
    of them in ten seconds. `rss_mb_by_quarter` is the largest of the daemon in each quarter of `intake_s`. The rest is
    about the healthy ones and their mailings, the rounds, and about the transactional messages beside these."""

    dead_recipients: int
    dead_stored: int
    dead_waiting: int
    dead_ended: int
    dead_lost: int
    dead_connections: int
    connections_of: int
    due_span_s: int
    due_in_10_s: int
    retry_messages: int
    rss_mb: float
    rss_mb_by_quarter: tuple[float, ...]
    transactional_alone: Latency
    transactional: Latency
    healthy_msgs_per_s: float
    healthy_msgs_per_s_alone: float
    healthy_msgs_per_s_worst: float
    healthy_rounds: int
    daemon_cpu_us: Compared
    intake_s: float
    lost: int
    duplicates: int
    faults: tuple[str, ...]
    sync_interval: str


class Cost(NamedTuple):
    rss_mb: float
    intake_s: float
    retry_messages: int
    connections: int
    by_quarter: tuple[float, ...]


class _Round(Struct, frozen=True):
    asked: list[str]
    probed: dict[str, int]
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        return len(self.asked) / self.wall_s


async def backlog(dead: int, healthy: int, setting: Setting, progress: Progress) -> Backlog:
    setting = structs.replace(
        setting, own_nats=True, has_dead=True, addresses=DOMAINS, message_rate=100, max_age="72h"
    )
    async with open_rig(setting) as rig:
        warm = await _round(rig, "warm", max(healthy, DOMAINS), progress)
        alone = [await _round(rig, f"before{number}", healthy, progress) for number in range(_ROUNDS)]
        watch = Watch(rig)
        beside: list[_Round] = []
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch.run(), name="backlog: watch")
            await rig.publish_each(letters.subject(Lane.BULK, _CAMPAIGN), _dead_payloads(dead, progress))
            published_at = time.monotonic()
            give_up_at = published_at + _LIMIT_S + dead / _INTAKE_PER_S
            while len(beside) < _MOST_ROUNDS and (
                len(beside) < _ROUNDS or (await rig.messages(PAYLOADS) and time.monotonic() < give_up_at)
            ):
                beside.append(await _round(rig, f"beside{len(beside)}", healthy, progress))
            intake_s = time.monotonic() - published_at
            watching.cancel()
        if intake_s < _DUE_AGAIN_S:
            alone += [await _round(rig, f"after{number}", healthy, progress) for number in range(_ROUNDS)]
        found = vitals(rig.daemon.pid)
        faults = await invariants.idle_again(rig)
        await rig.stop_daemons()
        retry_messages = await rig.written(RETRY)
        whereabouts = await Whereabouts(dead).look(rig, progress)
        await rig.stop()
        faults += invariants.of_logs(rig.logs, is_busy=setting.is_busy)
        return _result(
            rig,
            whereabouts,
            warm,
            alone,
            beside,
            Cost(
                found.peak_mb if found else 0.0,
                intake_s,
                retry_messages,
                watch.connections,
                watch.by_quarter(),
            ),
            faults,
        )


async def _round(rig: Rig, tag: str, number: int, progress: Progress) -> _Round:
    """A mailing to the healthy ones, to its end."""
    mail = letters.content(_FILLER)
    asked = [f"{tag}-{at:07d}@h{at % DOMAINS}.test" for at in range(number)]
    before, used = rig.ended[Lane.BULK], rig.usage()
    probed: dict[str, int] = {}
    probes_before = rig.ended[Lane.TRANSACTIONAL]
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        probing = group.create_task(_probe(rig, tag, probed), name=f"backlog: probe {tag}")
        await rig.publish_each(
            letters.subject(Lane.BULK),
            (
                (
                    f"{tag}-{start}",
                    letters.payload(
                        f"{tag}-{start}", Lane.BULK, mail, asked[start : start + letters.PER_PAYLOAD]
                    ),
                )
                for start in range(0, number, letters.PER_PAYLOAD)
            ),
        )
        limit_s = _LIMIT_S + number / 50
        await rig.until(
            Lane.BULK,
            before + number,
            limit_s,
            lambda: progress(tag, rig.ended[Lane.BULK] - before, number),
        )
        wall_s, cpu_s = rig.last_event_at - started, rig.usage().since(used).daemon
        probing.cancel()
    await rig.until(Lane.TRANSACTIONAL, probes_before + len(probed), _LIMIT_S, lambda: None)
    return _Round(asked, probed, wall_s, cpu_s)


async def _probe(rig: Rig, tag: str, left: dict[str, int]) -> None:
    """Transactional messages to the same domains, until cancelled; `left` is when each was published, in ns."""
    mail, loop = letters.content(_FILLER), asyncio.get_running_loop()
    begin = loop.time()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, begin + number / _PROBES_PER_S - loop.time()))
        address = f"probe-{tag}-{number:05d}@h{number * 7 % DOMAINS}.test"
        body = letters.payload(f"probe-{tag}-{number}", Lane.TRANSACTIONAL, mail, [address])
        at_ns = time.monotonic_ns()
        await asyncio.shield(_publish_one(rig, f"probe-{tag}-{number}", body, left, address, at_ns))


async def _publish_one(
    rig: Rig, name: str, body: bytes, left: dict[str, int], address: str, at_ns: int
) -> None:
    """To its end, even where nobody waits for it any more: what has left is counted."""
    left[address] = at_ns
    await rig.publish(name, Lane.TRANSACTIONAL, body)


class Watch:
    """What the daemon holds while it takes dead ones in."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._resident: list[float] = []
        self.connections = 0
        """The most to the dead destination."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            found = vitals(self._rig.daemon.pid)
            self._resident.append(found.resident_mb if found else 0.0)
            self.connections = max(self.connections, self._rig.connecting())
            await asyncio.sleep(_LOOK_S)

    def by_quarter(self) -> tuple[float, ...]:
        """The largest in each."""
        many = len(self._resident)
        parts = (self._resident[many * part // 4 : many * (part + 1) // 4] for part in range(4))
        return tuple(max(part, default=0.0) for part in parts)


def _dead_payloads(number: int, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Made one at a time, as they are published."""
    mail = letters.content(_FILLER)
    for start in range(0, number, letters.PER_PAYLOAD):
        to = (address_of(at) for at in range(start, min(number, start + letters.PER_PAYLOAD)))
        yield f"{_TAG}-{start}", letters.payload(f"{_TAG}-{start}", Lane.BULK, mail, to, _CAMPAIGN)
        progress("publishing the dead", start, number)


def address_of(number: int) -> str:
    return f"{_TAG}-{number:07d}@dead.test"


class _Recipient(Struct, gc=False):
    email: str


class _Payload(Struct, gc=False):
    recipients: list[_Recipient]


class Whereabouts:
    """Where each dead recipient is: one octet for each, so that a million cost a megabyte."""

    STORED, WAITING, ENDED = 1, 2, 3

    def __init__(self, number: int) -> None:
        self._found = bytearray(number)
        self.herd = Herd()

    async def look(self, rig: Rig, progress: Progress) -> "Whereabouts":
        """To be called when no daemon runs. What ended counts as that, and what is stored before what waits."""
        decoder = msgspec.json.Decoder(_Payload)
        for stream, state in ((PAYLOADS, self.WAITING), (RETRY, self.STORED)):
            async for stored in rig.stored(stream):
                recipients = decoder.decode(stored.data).recipients
                self.herd.note(stored.headers, len(recipients))
                for recipient in recipients:
                    self.note(recipient.email, state)
                progress(f"looking into {stream}", self.count(state), len(self._found))
        for event in rig.events():
            if event.type in TERMINAL:
                self.note(event.recipient, self.ENDED)
        return self

    def note(self, email: str, state: int) -> None:
        local, _, domain = email.partition("@")
        if domain == "dead.test":
            self._found[int(local.partition("-")[2])] = state

    def count(self, state: int) -> int:
        return self._found.count(state)

    @property
    def lost(self) -> int:
        return self._found.count(0)


def _cpu_us(rounds: list[_Round]) -> float:
    return round(sum(one.cpu_s for one in rounds) * 1e6 / sum(len(one.asked) for one in rounds), 1)


def _result(
    rig: Rig,
    dead: Whereabouts,
    warm: _Round,
    alone: list[_Round],
    beside: list[_Round],
    cost: Cost,
    faults: tuple[str, ...],
) -> Backlog:
    rounds = (warm, *alone, *beside)
    asked = {address for one in rounds for address in (*one.asked, *one.probed)}
    healthy = (event for event in rig.events() if not event.recipient.endswith("@dead.test"))
    ruling = judge(asked, rig.entries(), healthy)
    rate = statistics.median(one.per_s for one in beside)
    rate_alone = statistics.median(one.per_s for one in alone)
    arrived = {entry.recipient: entry.at_ns for entry in reversed(rig.acceptances())}
    fast_alone, fast = (
        latency(waits_ms({to: at for one in some for to, at in one.probed.items()}, arrived))
        for some in (alone, beside)
    )
    faults = ruling.faults + faults
    faults += ("transactional_slower",) if is_slower(fast_alone, fast) else ()
    faults += ("dead_connections",) if cost.connections > rig.setting.connections else ()
    faults += ("herd",) if dead.herd.is_one else ()
    faults += ("grows",) if cost.by_quarter[3] > cost.by_quarter[0] + _MOST_GROWTH_MB else ()
    faults += ("dead_lost",) if dead.lost else ()
    faults += ("not_taken_in",) if dead.count(dead.WAITING) else ()
    faults += ("slow",) if rate < LEAST_SHARE * rate_alone else ()
    faults += ("memory",) if cost.rss_mb > RSS_MB and "memory" not in faults else ()
    number = sum(map(dead.count, (0, dead.STORED, dead.WAITING, dead.ENDED)))
    return Backlog(
        dead_recipients=number,
        dead_stored=dead.count(dead.STORED),
        dead_waiting=dead.count(dead.WAITING),
        dead_ended=dead.count(dead.ENDED),
        dead_lost=dead.lost,
        dead_connections=cost.connections,
        connections_of=rig.setting.connections,
        due_span_s=dead.herd.span_s,
        due_in_10_s=dead.herd.busiest,
        retry_messages=cost.retry_messages,
        rss_mb=cost.rss_mb,
        rss_mb_by_quarter=cost.by_quarter,
        transactional_alone=fast_alone,
        transactional=fast,
        healthy_msgs_per_s=round(rate, 1),
        healthy_msgs_per_s_alone=round(rate_alone, 1),
        healthy_msgs_per_s_worst=round(min(one.per_s for one in beside), 1),
        healthy_rounds=len(beside),
        daemon_cpu_us=Compared(_cpu_us(alone), _cpu_us(beside)),
        intake_s=round(cost.intake_s, 1),
        lost=ruling.lost,
        duplicates=ruling.duplicates,
        faults=faults,
        sync_interval=rig.sync_interval(),
    )
