"""What a great many recipients of one dead destination cost: in memory, and in the rate of the healthy ones (G1).

The dead destination never connects: a connect hangs. Beside it there are a thousand healthy domains, each a site of its
own. First some mailings to the healthy ones go out alone. Then all dead recipients are published, in payloads of 500
and a campaign of their own, and the same mailings go out for as long as the daemon still takes dead ones in. Then once
more alone, unless some of those may be due already, since a machine is not as fast at all times. Rates are medians of
the mailings. At the end no dead recipient may be lost: each is told of in the event stream, or is stored in MTA_RETRY,
or its payload still lies in MTA_PAYLOADS, which is a fault all the same.

Connections and message rate of a site are those that are shipped. `rss_mb` is the largest the daemon has been;
`daemon_cpu_us` is its own CPU time for each healthy message, with all that it did for dead ones meanwhile.
"""

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from loadtest import invariants, letters
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


class Compared(Struct, frozen=True):
    alone: float
    beside: float


class Backlog(Struct, frozen=True):
    """`dead_lost` are told of nowhere and stored nowhere; `dead_stored` wait in MTA_RETRY, into which `retry_messages`
    were written, each at the price of an fsync; `dead_waiting` lie in payloads that were not taken in. The rest is
    about the healthy ones and their mailings, the rounds."""

    dead_recipients: int
    dead_stored: int
    dead_waiting: int
    dead_ended: int
    dead_lost: int
    retry_messages: int
    rss_mb: float
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


class _Round(Struct, frozen=True):
    asked: list[str]
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
        await rig.publish_each(letters.subject(Lane.BULK, _CAMPAIGN), _dead_payloads(dead, progress))
        published_at = time.monotonic()
        beside: list[_Round] = []
        give_up_at = published_at + _LIMIT_S + dead / _INTAKE_PER_S
        while len(beside) < _MOST_ROUNDS and (
            len(beside) < _ROUNDS or (await rig.messages(PAYLOADS) and time.monotonic() < give_up_at)
        ):
            beside.append(await _round(rig, f"beside{len(beside)}", healthy, progress))
        intake_s = time.monotonic() - published_at
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
            Cost(found.peak_mb if found else 0.0, intake_s, retry_messages),
            faults,
        )


async def _round(rig: Rig, tag: str, number: int, progress: Progress) -> _Round:
    """A mailing to the healthy ones, to its end."""
    mail = letters.content(_FILLER)
    asked = [f"{tag}-{at:07d}@h{at % DOMAINS}.test" for at in range(number)]
    before, used = rig.ended[Lane.BULK], rig.usage()
    started = time.monotonic()
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
        Lane.BULK, before + number, limit_s, lambda: progress(tag, rig.ended[Lane.BULK] - before, number)
    )
    return _Round(asked, rig.last_event_at - started, rig.usage().since(used).daemon)


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

    async def look(self, rig: Rig, progress: Progress) -> "Whereabouts":
        """To be called when no daemon runs. What ended counts as that, and what is stored before what waits."""
        decoder = msgspec.json.Decoder(_Payload)
        for stream, state in ((PAYLOADS, self.WAITING), (RETRY, self.STORED)):
            async for body in rig.stored(stream):
                for recipient in decoder.decode(body).recipients:
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
    asked = {address for one in (warm, *alone, *beside) for address in one.asked}
    healthy = (event for event in rig.events() if not event.recipient.endswith("@dead.test"))
    ruling = judge(asked, rig.entries(), healthy)
    rate = statistics.median(one.per_s for one in beside)
    rate_alone = statistics.median(one.per_s for one in alone)
    faults = ruling.faults + faults
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
        retry_messages=cost.retry_messages,
        rss_mb=cost.rss_mb,
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
