"""Several daemons under one limit: whether they keep to it together, use it, and take over from one that dies.

All send from one source to one site, whose message rate is the limit; each alone could send far more. What was accepted
is looked at second by second, in every window that begins with a message, not only in those of the clock. Then one
daemon is killed, and it is measured how long the others need until they use nine tenths of the limit again.
"""

import asyncio
import random
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from loadtest import crash, letters
from loadtest.referee import judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from mta.model.lane import Lane

_FILLER = 1000
_PER_PAYLOAD = 1
"""So every daemon has some at any time, and none of a payload is parked since the rest of it went before."""
_SETTLE_S = 25.0
"""Until those who were there before have given up their part."""
_TAKES_OVER_S = 10.0
_TOLERANCE = 1.05
_USED = 0.9
_LIMIT_S = 60.0


class Fleet(Struct, frozen=True):
    """`limit_per_s` is the limit, `most_per_s` the most that were accepted in any second, `used` the share of the limit
    that was used while all were alive, `by_node` how it was divided. `takes_over_s` is how long after the death of one
    the others used nine tenths again."""

    daemons: int
    limit_per_s: int
    most_per_s: int
    used: float
    by_node: dict[str, int]
    takes_over_s: float
    lost: int
    duplicates: int
    open_dots: int
    faults: tuple[str, ...]


async def fleet(daemons: int, limit: int, seconds: float, setting: Setting, progress: Progress) -> Fleet:
    setting = replace(
        setting, own_nats=True, daemons=daemons, message_rate=limit, ack_wait_s=8, schedule=("1s",)
    )
    async with open_rig(setting) as rig:
        messages = int(limit * (_SETTLE_S + seconds + 2 * _TAKES_OVER_S))
        asked = await publish(rig, messages)
        await _wait(_SETTLE_S, rig, messages, progress, "until they have shared")
        steady_at = time.monotonic()
        await _wait(seconds, rig, messages, progress, "all alive")
        killed_at = time.monotonic()
        dots = await crash.strike(rig, crash.Blow("daemon"), random.Random()) if daemons > 1 else 0
        await rig.until(
            Lane.BULK,
            messages,
            _LIMIT_S + messages / limit,
            lambda: progress("one is dead", rig.ended[Lane.BULK], messages),
        )
        await rig.until_empty()
        dots += crash.sent_within(rig, killed_at - crash.SNAPSHOT_S, killed_at) if daemons > 1 else 0
        times = sorted(entry.at_ns / 1e9 for entry in rig.acceptances())
        ruling = judge(asked, rig.entries(), rig.events())
        nodes = Counter(event.node for event in rig.events() if event.type == "delivered")
        most = most_in(times, 1.0)
        used = between(times, steady_at, killed_at) / (limit * (killed_at - steady_at))
        takes_over_s = recovers(times, killed_at, limit * _USED) if daemons > 1 else 0.0
        faults = [fault for fault in ruling.faults if fault != "duplicates" or ruling.duplicates > dots]
        faults += ["above the limit"] if most > limit * _TOLERANCE else []
        faults += ["limit not used"] if used < _USED else []
        faults += ["taken over too late"] if takes_over_s > _TAKES_OVER_S else []
        return Fleet(
            daemons=daemons,
            limit_per_s=limit,
            most_per_s=most,
            used=round(used, 3),
            by_node=dict(sorted(nodes.items())),
            takes_over_s=round(takes_over_s, 1),
            lost=ruling.lost,
            duplicates=ruling.duplicates,
            open_dots=dots,
            faults=tuple(faults),
        )


def most_in(times: Sequence[float], window_s: float) -> int:
    """The most in any half-open window of that length; `times` in order."""
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def between(times: Sequence[float], begin: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, begin)


def recovers(times: Sequence[float], since: float, wanted_per_s: float) -> float:
    """Seconds until the first second in which so many were accepted begins."""
    tenth = 0.1
    for step in range(int(_LIMIT_S / tenth)):
        begin = since + step * tenth
        if between(times, begin, begin + 1.0) >= wanted_per_s:
            return step * tenth
    return _LIMIT_S


async def publish(rig: Rig, messages: int) -> list[str]:
    """Returns when the stream has them all, each in a payload of its own."""
    to = letters.addresses("fleet", messages)
    mail = letters.content(_FILLER)
    bodies = (
        (name, letters.payload(name, Lane.BULK, mail, to[start : start + _PER_PAYLOAD]))
        for start, name in ((start, f"fleet-{start}") for start in range(0, messages, _PER_PAYLOAD))
    )
    await rig.publish_each(letters.subject(Lane.BULK), bodies)
    return to


async def _wait(seconds: float, rig: Rig, messages: int, progress: Progress, what: str) -> None:
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        progress(what, rig.ended[Lane.BULK], messages)
        await asyncio.sleep(0.25)
