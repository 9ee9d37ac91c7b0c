"""A great many recipients that wait for their second attempt: what they cost in memory, and that each comes back.

Everybody is refused once, at RCPT. They are published in four parts; each part is deferred, all of it, before the next.
What waits lies in MTA_RETRY and nowhere else, so the daemon's memory is to be the same with all of them waiting as with
a quarter. Then they become due, and each is to be delivered at the second attempt, once.
"""

import asyncio
import time

from msgspec import Struct, structs

from loadtest import invariants, letters
from loadtest.referee import judge
from loadtest.rig import Rig, open_rig
from loadtest.setting import Setting
from loadtest.throughput import Progress
from loadtest.vitals import vitals
from mta.jetstream.layout import PAYLOADS, RETRY
from mta.model.lane import Lane

_PARTS = 4
_WORD = "452-rcpt-once"
_FILLER = 1000
_LEAST_PER_S = 500.0
_DEFERRED_PER_S = 1000.0
_LOOK_S = 0.2
_FORWARD_S = 120.0
_MOST_GROWTH_MB = 10.0
"""From a quarter to all of them waiting: noise of the allocator, and far less than one octet in a hundred of theirs."""


class Retries(Struct, frozen=True):
    """`rss_mb` is the daemon's with one, two, three and four quarters waiting; `fired_s` from the first that is
    delivered to the last. `retry_messages` were written into MTA_RETRY."""

    recipients: int
    delivered: int
    lost: int
    duplicates: int
    retry_messages: int
    deferred_per_s: float
    fired_s: float
    rss_mb: tuple[float, ...]
    rss_end_mb: float
    faults: tuple[str, ...]
    sync_interval: str


async def retries(recipients: int, setting: Setting, progress: Progress) -> Retries:
    wait_s = int(30 + 2 * recipients / _DEFERRED_PER_S)
    setting = structs.replace(setting, own_nats=True, schedule=(f"{wait_s}s",), max_age="2h")
    async with open_rig(setting) as rig:
        begun = time.monotonic()
        asked: list[str] = []
        resident: list[float] = []
        for part in range(_PARTS):
            asked += await _publish(rig, part, recipients // _PARTS)
            await _until_waiting(rig, len(asked), progress)
            resident.append(_resident(rig))
        deferred_per_s = len(asked) / (time.monotonic() - begun)
        early = rig.ended[Lane.BULK]
        limit_s = wait_s + _FORWARD_S + recipients / _LEAST_PER_S
        await rig.until(Lane.BULK, 1, limit_s, lambda: progress("waiting", 0, len(asked)))
        first_at = time.monotonic()
        await rig.until(
            Lane.BULK, len(asked), limit_s, lambda: progress("due", rig.ended[Lane.BULK], len(asked))
        )
        fired_s = time.monotonic() - first_at
        await rig.until_empty()
        written = await rig.written(RETRY)
        faults = await invariants.idle_again(rig)
        end_mb = _resident(rig)
        await rig.stop()
        faults += invariants.of_logs(rig.logs, is_busy=setting.is_busy)
        ruling = judge(asked, rig.entries(), rig.events())
        faults += ruling.faults
        if resident[-1] > resident[0] + _MOST_GROWTH_MB:
            faults += ("grows",)
        if early:
            faults += ("due_before_all_waited",)
        return Retries(
            recipients=len(asked),
            delivered=ruling.ended.get("delivered", 0),
            lost=ruling.lost,
            duplicates=ruling.duplicates,
            retry_messages=written,
            deferred_per_s=round(deferred_per_s, 1),
            fired_s=round(fired_s, 1),
            rss_mb=tuple(resident),
            rss_end_mb=end_mb,
            faults=faults,
            sync_interval=rig.sync_interval(),
        )


async def _publish(rig: Rig, part: int, number: int) -> list[str]:
    mail = letters.content(_FILLER)
    to = [f"{_WORD}.p{part}-{at:07d}@d{at % 20}.test" for at in range(number)]
    starts = range(0, number, letters.PER_PAYLOAD)
    named = ((f"p{part}-{start}", to[start : start + letters.PER_PAYLOAD]) for start in starts)
    await rig.publish_each(
        letters.subject(Lane.BULK),
        ((name, letters.payload(name, Lane.BULK, mail, part)) for name, part in named),
    )
    return to


async def _until_waiting(rig: Rig, number: int, progress: Progress) -> None:
    """Nothing of it is left in MTA_PAYLOADS."""
    give_up_at = time.monotonic() + _FORWARD_S + number / _LEAST_PER_S
    while await rig.messages(PAYLOADS):
        if time.monotonic() > give_up_at:
            raise rig.failed(f"not all of {number} were stored in time")
        progress("deferred", 0, number)
        await asyncio.sleep(_LOOK_S)


def _resident(rig: Rig) -> float:
    found = vitals(rig.daemon.pid)
    return found.resident_mb if found else 0.0
