"""What a death in the middle of full load costs: kill -9 of the daemon, of a worker, of NATS or of the sink, again and
again.

A round publishes a mailing, waits until a random part of it has gone out, kills, starts again what was killed (with
`--daemons` more than one, not the daemon: the others have to finish), and waits until every recipient has his end. Then
the referee joins what was asked for, what the sink wrote down and what the event stream says. `open_dots` is what may
have been sent twice: the dots that the books of the dead daemon hold unanswered, or, where the daemon lived on, the
attempts it reported as ambiguous. A worker or NATS may cost nothing at all.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterable

from msgspec import Struct

from loadtest import cpu, invariants, letters
from loadtest.ledgerfile import open_dots
from loadtest.referee import Ruling, judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from mta.model.lane import Lane

KILLS = ("daemon", "worker", "nats", "sink")
_FILLER = 1000
_WARM_UP = 500
_FORWARD_S = 120.0
_RECOVERY_S = 30.0
SNAPSHOT_S = 0.1
"""What another node cannot know of: one interval between two snapshots, and one for the last to be on its way."""
_EARLIEST, _LATEST = 0.05, 0.9


class Round(Struct, frozen=True):
    """`recovery_s` is from the kill until every recipient had his end. `faults` are what the contract forbids."""

    lost: int
    duplicates: int
    open_dots: int
    recovery_s: float
    sent_before: int
    faults: tuple[str, ...]


class Crash(Struct, frozen=True):
    kill: str
    messages: int
    lost: int
    duplicates: int
    rounds: tuple[Round, ...]
    faults: tuple[str, ...]
    sync_interval: str


class Blow(Struct, frozen=True):
    """What is killed, and for how long it stays down."""

    kill: str
    down_s: float = 0.0
    seed: int = 0


async def crash(blow: Blow, rounds: int, messages: int, setting: Setting, progress: Progress) -> Crash:
    chance = random.Random(blow.seed or time.time_ns())
    async with open_rig(setting) as rig:
        await _mail(rig, "warm", _WARM_UP)
        await _until(rig, _WARM_UP, setting, lambda: progress("warming up", 0, _WARM_UP))
        done = [
            await _round(rig, blow, f"r{number}", messages, chance, progress, (number, rounds))
            for number in range(rounds)
        ]
        standing = await invariants.finish(rig)
        faults = tuple(sorted({fault for one in done for fault in one.faults}))
        return Crash(
            kill=blow.kill,
            messages=messages,
            lost=sum(one.lost for one in done),
            duplicates=sum(one.duplicates for one in done),
            rounds=tuple(done),
            faults=faults + standing,
            sync_interval=rig.sync_interval(),
        )


async def _round(
    rig: Rig,
    blow: Blow,
    tag: str,
    messages: int,
    chance: random.Random,
    progress: Progress,
    turn: tuple[int, int],
) -> Round:
    before = rig.ended[Lane.BULK]
    since_ns, published_at = time.time_ns(), time.monotonic()
    asked = await _mail(rig, tag, messages)
    part = int(messages * chance.uniform(_EARLIEST, _LATEST))
    await _until(rig, before + part, rig.setting, lambda: progress(f"round {turn[0] + 1}", *turn))
    sent_before = rig.ended[Lane.BULK] - before
    await asyncio.sleep(chance.uniform(0.0, 0.05))
    killed_at = time.monotonic()
    dots = await strike(rig, blow, chance, since_ns)
    await _until(rig, before + messages, rig.setting, lambda: progress(f"round {turn[0] + 1}, after", *turn))
    recovery_s = time.monotonic() - killed_at
    await rig.until_empty()
    ruling = _ruling(rig, asked, tag)
    if blow.kill == "sink":
        dots = sum(event.ambiguous for event in rig.events() if event.recipient.startswith(f"{tag}-"))
    elif blow.kill == "daemon" and rig.setting.daemons > 1:
        dots += sent_within(rig, killed_at - SNAPSHOT_S, killed_at)
        await rig.daemons[-1].start()
        rig.watch(rig.daemons[-1])
    return Round(
        lost=ruling.lost,
        duplicates=ruling.duplicates,
        open_dots=dots,
        recovery_s=round(recovery_s, 2),
        sent_before=sent_before,
        faults=_faults(ruling, dots)
        + lateness(
            blow, rig.setting, recovery_s, messages - sent_before, sent_before / (killed_at - published_at)
        ),
    )


def _faults(ruling: Ruling, dots: int) -> tuple[str, ...]:
    """Duplicates are a fault beyond what was open; a copy that went out twice and was told once is none."""
    found = tuple(fault for fault in ruling.faults if fault != "duplicates")
    return (*found, "duplicates") if ruling.duplicates > dots else found


def lateness(
    blow: Blow, setting: Setting, recovery_s: float, left: int, before_per_s: float
) -> tuple[str, ...]:
    """I7: from the end of the fault on, half a minute and what the rest takes at the rate of before. For a dead daemon
    that end is when its messages are given out again."""
    fault_s = max(blow.down_s, setting.ack_wait_s if blow.kill == "daemon" else 0.0)
    return ("late",) if recovery_s > fault_s + _RECOVERY_S + left / before_per_s else ()


def _ruling(rig: Rig, asked: Iterable[str], tag: str) -> Ruling:
    mine = f"{tag}-"
    log = (one for one in rig.entries() if one.recipient.startswith(mine))
    return judge(list(asked), log, [one for one in rig.events() if one.recipient.startswith(mine)])


def sent_within(rig: Rig, begin: float, end: float) -> int:
    return sum(begin * 1e9 <= one.at_ns <= end * 1e9 for one in rig.acceptances())


async def strike(rig: Rig, blow: Blow, chance: random.Random, since_ns: int = 0) -> int:
    """Kills, and starts again; the dots that were open of what was published since then."""
    match blow.kill:
        case "daemon":
            daemon = rig.daemons[-1]
            rig.unwatch(daemon)
            await daemon.kill()
            dots = open_dots(daemon.state_dir / "ledger", since_ns)
            if rig.setting.daemons == 1:
                await asyncio.sleep(blow.down_s)
                await daemon.start()
                rig.watch(daemon)
            return dots
        case "worker":
            os.kill(chance.choice(cpu.workers(rig.daemon.pid, cpu.processes())), signal.SIGKILL)
        case "nats":
            assert rig.nats is not None
            await rig.nats.kill()
            await asyncio.sleep(blow.down_s)
            await rig.nats.start()
            await rig.until_connected()
        case "sink":
            rig.unwatch(rig.sink)
            await rig.sink.kill()
            await asyncio.sleep(blow.down_s)
            await rig.sink.start()
            rig.watch(rig.sink)
    return 0


async def _mail(rig: Rig, tag: str, messages: int) -> list[str]:
    """Publishes to all; returns when the stream has it."""
    to = letters.addresses(tag, messages)
    mail = letters.content(_FILLER)
    starts = range(0, messages, letters.PER_PAYLOAD)
    bodies = [
        (name, letters.payload(name, Lane.BULK, mail, to[start : start + letters.PER_PAYLOAD]))
        for start, name in ((start, f"{tag}-{start}") for start in starts)
    ]
    await rig.publish_all(Lane.BULK, bodies)
    return to


async def _until(rig: Rig, ended: int, setting: Setting, tick: Callable[[], None]) -> None:
    limit_s = _FORWARD_S + 2 * setting.ack_wait_s
    await rig.until(Lane.BULK, ended, limit_s, tick)
