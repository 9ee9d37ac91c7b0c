"""How fast a mailing goes out, and what it costs: one campaign, payloads of 500, all recipients distinct.

First the letter is fitted: a few messages go out, the sink tells their size on the wire, filler makes up the
difference. Then a warm-up of the same letter, so that workers run, templates are compiled and connections
open: it is the sustained rate that counts. The clock starts with the first publish of the load itself
(nothing is published before it) and stops with the last terminal event, as a subscriber of the event stream
receives it. CPU is read from `/proc` at these two moments; the client that publishes and counts is not in
it. The signature is timed beside the load, a few at a time, in the same seconds and under the same pressure on
cores and caches as those of the workers; `rsa_sign_idle_us` is what it takes just before, when nothing runs.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct, structs

from loadtest import cpu, invariants, letters
from loadtest.referee import judge
from loadtest.rig import Rig, RunFailed, open_rig
from loadtest.setting import Setting
from mta.demo.configuration import SELECTOR, dkim_record
from mta.demo.report import verifies
from mta.model.lane import Lane

_FITTING = 20
_TOLERANCE = 0.05
_START_S = 60.0
_SAMPLES = 20
_LOOK_EVERY_S = 0.25


class CpuPerMessage(Struct, frozen=True):
    daemon: float
    workers: float
    nats: float
    sink: float


class ResidentMb(Struct, frozen=True):
    """Of the daemon, without its workers: a quarter into the load, at half of it, and at its end."""

    quarter: float
    half: float
    end: float


class Signing(NamedTuple):
    beside_us: float
    idle_us: float
    key_bits: int


class Throughput(Struct, frozen=True):
    """`lost` counts recipients without a terminal event or with a false one, `duplicates` acceptances beyond
    the first; `overhead_us` is the CPU of daemon and workers per message without the signature."""

    messages: int
    delivered: int
    lost: int
    duplicates: int
    faults: tuple[str, ...]
    wall_s: float
    msgs_per_s: float
    size_bytes: int
    cpu_us_per_message: CpuPerMessage
    rsa_sign_us: float
    rsa_sign_idle_us: float
    overhead_us: float
    rss_mb: ResidentMb
    key_bits: int
    sync_interval: str
    dkim_verified: int
    dkim_sampled: int
    connections: int
    pattern: str
    rtt_ms: float
    tls: bool


Progress = Callable[[str, int, int], None]
"""(what is being done, how far, of how much)"""


async def throughput(messages: int, size_bytes: int, setting: Setting, progress: Progress) -> Throughput:
    every = max(1, messages // _SAMPLES)
    async with open_rig(structs.replace(setting, sample_every=every)) as rig:
        pem = (rig.directory / f"{letters.DOMAIN}.pem").read_bytes()
        signature = cpu.Signature(pem)
        idle_us = signature.idle_us()
        mail = await _fitted(rig, size_bytes, progress)
        warm = letters.addresses("warm", _warm_up(messages, setting))
        await _send(rig, mail, warm, "warming up", progress, setting)
        before = rig.usage()
        load = letters.addresses("load", messages)
        beside: list[float] = []
        resident: list[float] = []
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(signature.sample(beside), name="time signatures")
            looking = group.create_task(_look_at_memory(rig, resident), name="look at memory")
            started = await _send(rig, mail, load, "load", progress, setting)
            sampling.cancel()
            looking.cancel()
        used = rig.usage().since(before)
        wall_s = rig.last_event_at - started
        faults = await invariants.finish(rig)
        sign_us = statistics.median(beside) if beside else idle_us
        signing = Signing(sign_us, idle_us, signature.bits)
        result = _result(rig, load, used, wall_s, signing, resident_mb(resident))
        return structs.replace(result, faults=result.faults + faults)


async def _look_at_memory(rig: Rig, into: list[float]) -> None:
    while True:
        into.append(cpu.resident_mb(rig.daemon.pid))
        await asyncio.sleep(_LOOK_EVERY_S)


def resident_mb(samples: list[float]) -> ResidentMb:
    """From samples at equal intervals, at least one."""
    last = len(samples) - 1
    return ResidentMb(*(round(samples[last * part // 4], 1) for part in (1, 2, 4)))


async def _fitted(rig: Rig, size_bytes: int, progress: Progress) -> dict[str, str]:
    """The letter whose wire size is what was asked for."""
    guess = max(0, size_bytes - 3000)
    size = await _size_with(rig, "fit", guess, progress)
    wanted = guess + size_bytes - size
    if wanted < 0:
        raise RunFailed(
            f"a message of this letter has at least {size - guess} octets: ask for a larger --size"
        )
    size = await _size_with(rig, "check", wanted, progress)
    if abs(size - size_bytes) > size_bytes * _TOLERANCE:
        raise RunFailed(f"messages are {size} octets on the wire instead of {size_bytes}")
    return letters.content(wanted)


async def _size_with(rig: Rig, tag: str, filler_octets: int, progress: Progress) -> int:
    to = letters.addresses(tag, _FITTING)
    wanted = rig.ended[Lane.BULK] + len(to)
    await rig.publish(tag, Lane.BULK, letters.payload(tag, Lane.BULK, letters.content(filler_octets), to))
    await rig.until(
        Lane.BULK, wanted, _START_S, lambda: progress("fitting the size", rig.ended[Lane.BULK], wanted)
    )
    sizes = [one.size_bytes for one in rig.acceptances() if one.recipient.startswith(f"{tag}-")]
    if not sizes:
        raise rig.failed("the sink accepted none of the first messages")
    return round(statistics.mean(sizes))


async def _send(
    rig: Rig, mail: dict[str, str], to: list[str], what: str, progress: Progress, setting: Setting
) -> float:
    """Publishes to all and waits until all have ended; returns when it began, on the monotonic clock."""
    first = rig.ended[Lane.BULK]
    bodies = [
        (
            f"{what}-{start}",
            letters.payload(f"{what}-{start}", Lane.BULK, mail, to[start : start + letters.PER_PAYLOAD]),
        )
        for start in range(0, len(to), letters.PER_PAYLOAD)
    ]
    started = time.monotonic()
    await rig.publish_all(Lane.BULK, bodies)
    limit_s = _START_S + len(to) / slowest_rate(setting)
    await rig.until(
        Lane.BULK, first + len(to), limit_s, lambda: progress(what, rig.ended[Lane.BULK] - first, len(to))
    )
    return started


def slowest_rate(setting: Setting) -> float:
    """Messages a second below which a run is given up: lock step over the distance, else 50."""
    if not setting.rtt_ms:
        return 50.0
    return min(50.0, setting.connections * 1000 / (6 * setting.rtt_ms))


def _warm_up(messages: int, setting: Setting) -> int:
    """Enough to open the connections and heat the workers; over a long wire a minute's worth would be too
    much."""
    return min(20 if setting.rtt_ms else 1000, messages)


def _result(
    rig: Rig, load: list[str], used: cpu.Usage, wall_s: float, signing: Signing, rss_mb: ResidentMb
) -> Throughput:
    acceptances = [one for one in rig.acceptances() if one.recipient.startswith("load-")]
    events = [event for event in rig.events() if event.recipient.startswith("load-")]
    ruling = judge(load, acceptances, events)
    verified = _verified(rig)
    delivered = max(1, ruling.delivered)
    per_message = CpuPerMessage(
        *(
            round(seconds * 1e6 / delivered, 1)
            for seconds in (used.daemon, used.workers, used.nats, used.sink)
        )
    )
    faults = ruling.faults
    if not verified or not all(verified):
        faults += ("signatures",)
    return Throughput(
        messages=len(load),
        delivered=ruling.delivered,
        lost=ruling.lost,
        duplicates=ruling.duplicates,
        faults=faults,
        wall_s=round(wall_s, 3),
        msgs_per_s=round(ruling.delivered / wall_s, 1),
        size_bytes=round(statistics.mean(one.size_bytes for one in acceptances)) if acceptances else 0,
        cpu_us_per_message=per_message,
        rsa_sign_us=round(signing.beside_us, 1),
        rsa_sign_idle_us=round(signing.idle_us, 1),
        overhead_us=round(per_message.daemon + per_message.workers - signing.beside_us, 1),
        rss_mb=rss_mb,
        key_bits=signing.key_bits,
        sync_interval=rig.sync_interval(),
        dkim_verified=sum(verified),
        dkim_sampled=len(verified),
        connections=rig.setting.connections,
        pattern=rig.setting.pattern,
        rtt_ms=rig.setting.rtt_ms,
        tls=rig.setting.is_tls,
    )


def _verified(rig: Rig) -> list[bool]:
    """dkimpy's word on the messages the sink kept whole."""
    record = dkim_record(rig.directory, letters.DOMAIN)
    name = f"{SELECTOR}._domainkey.{letters.DOMAIN}".encode()
    return [verifies(sample.read_bytes(), name, record) for sample in rig.samples[-_SAMPLES:]]
