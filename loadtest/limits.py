"""Whether a limit holds while daemons end and begin again in the middle of it (G6).

One site has a message rate and a number of connections, and more mail than it takes waits for it all the time. Every
few seconds, at a random moment, the last daemon is stopped by SIGTERM or killed, in turn, and started again at once.
Rates are not stored: that who begins anew does not know what was sent a moment ago must not show. With more daemons
than one the others go on meanwhile.

What the sink accepted is looked at in every window that begins with a message, of one second and of several, and
how many connections it had at once at any time.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from loadtest import crash, fleet, invariants
from loadtest.ledgerfile import open_dots
from loadtest.referee import judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from mta.demo.process import DaemonProcess
from mta.model.lane import Lane

_TOLERANCE = 1.05
_WINDOWS_S = (1, 2, 5, 10)
_DRAWN_SHARE = 0.05
"""A busy machine may draw messages together by so much of a window, which is no fault: it is looked at shorter."""
_SETTLE_S = 6.0
"""Until the first of a life is sent and its rate is what it is."""
_START_S = 3.0
_LIMIT_S = 120.0


class Course(Struct, frozen=True):
    """`between_s` lies between two restarts, and as much at random. `seed` 0 is another one each time."""

    limit: int = 10
    restarts: int = 6
    between_s: float = 3.0
    seed: int = 0


class Limits(Struct, frozen=True):
    """`most` were accepted in any window of so many seconds, `permitted` are as many. `used` is the share of the limit
    that was used until the last restart, while there was no daemon included."""

    daemons: int
    limit: str
    restarts: int
    most: dict[str, int]
    permitted: dict[str, int]
    most_connections: int
    connections_of: int
    used: float
    lost: int
    duplicates: int
    open_dots: int
    faults: tuple[str, ...]


async def limits(course: Course, setting: Setting, progress: Progress) -> Limits:
    setting = replace(
        setting,
        own_nats=True,
        message_rate=course.limit,
        ack_wait_s=8,
        schedule=("1s",),
        notes_connections=True,
    )
    chance = random.Random(course.seed or time.time_ns())
    course_s = _SETTLE_S + course.restarts * (1.5 * course.between_s + _START_S)
    messages = round(course_s * course.limit)
    async with open_rig(setting) as rig:
        asked = await fleet.publish(rig, messages)
        await asyncio.sleep(_SETTLE_S)
        dots = 0
        for number in range(course.restarts):
            progress("restarts", number, course.restarts)
            await asyncio.sleep(course.between_s * chance.uniform(1.0, 2.0))
            dots += await _restart(rig, rig.daemons[-1], is_killed=number % 2 == 1)
        ended_at = time.monotonic()
        limit_s = _LIMIT_S + messages / course.limit
        await rig.until(
            Lane.BULK, messages, limit_s, lambda: progress("the rest", rig.ended[Lane.BULK], messages)
        )
        await rig.until_empty()
        faults = await invariants.finish(rig)
        return _result(rig, course, asked, dots, ended_at, faults)


async def _restart(rig: Rig, daemon: DaemonProcess, *, is_killed: bool) -> int:
    """How many dots were open, and may be sent once more."""
    dots = 0
    rig.unwatch(daemon)
    if is_killed:
        killed_at = time.monotonic()
        await daemon.kill()
        dots = open_dots(daemon.state_dir / "ledger", 0)
        if rig.setting.daemons > 1:  # who takes over may know no more than the last snapshot
            dots += crash.sent_within(rig, killed_at - crash.SNAPSHOT_S, killed_at)
    else:
        await daemon.stop()
    await daemon.start()
    rig.watch(daemon)
    return dots


def _result(
    rig: Rig, course: Course, asked: Sequence[str], dots: int, ended_at: float, faults: tuple[str, ...]
) -> Limits:
    times = sorted(entry.at_ns / 1e9 for entry in rig.acceptances())
    drawn = _DRAWN_SHARE if rig.setting.is_busy else 0.0
    most = {f"{width_s} s": fleet.most_in(times, width_s) for width_s in _WINDOWS_S}
    permitted = {f"{width_s} s": int(course.limit * width_s * _TOLERANCE) for width_s in _WINDOWS_S}
    is_above = any(
        fleet.most_in(times, width_s * (1 - drawn)) > course.limit * width_s * _TOLERANCE
        for width_s in _WINDOWS_S
    )
    connections = rig.most_connections()
    ruling = judge(asked, rig.entries(), rig.events())
    found = [fault for fault in ruling.faults if fault != "duplicates" or ruling.duplicates > dots]
    found += ["above the limit"] if is_above else []
    found += ["too many connections"] if connections > rig.setting.connections else []
    return Limits(
        daemons=rig.setting.daemons,
        limit=f"{course.limit}/s",
        restarts=course.restarts,
        most=most,
        permitted=permitted,
        most_connections=connections,
        connections_of=rig.setting.connections,
        used=round(fleet.between(times, 0.0, ended_at) / (course.limit * (ended_at - times[0])), 3),
        lost=ruling.lost,
        duplicates=ruling.duplicates,
        open_dots=dots,
        faults=(*found, *faults),
    )
