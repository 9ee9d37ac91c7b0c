"""What holds in every scenario, whatever it measures: I5 and I8 of the fault campaign. I1 to I4 are the referee's; I6
and I7 belong to the scenarios that have healthy traffic beside a fault, or an end of one.

Loop lag is what a daemon says of itself when it stops: one that was killed says nothing.
"""

import asyncio
import re
import time

import msgspec

from loadtest.letters import DOMAIN
from loadtest.rig import Rig
from loadtest.vitals import Vitals, above, vitals

RSS_MB = 300.0
LAG_P99_MS, LAG_MAX_MS = 50.0, 500.0
_IDLE_AGAIN_S = 60.0
_LOOK_S = 0.25
_UNEXPECTED = {"traceback": "Traceback", "never_retrieved": "never retrieved"}
_ADDRESS = re.compile(r"[^\s\"'<>*]@(?:[a-z0-9-]+\.)+test\b")


async def finish(rig: Rig) -> tuple[str, ...]:
    """Waits until the daemons are idle again, stops everything, and says what is not as it has to be."""
    faults = await idle_again(rig)
    await rig.stop()
    return faults + of_logs(rig.logs, is_busy=rig.setting.is_busy)


async def idle_again(rig: Rig) -> tuple[str, ...]:
    """I5."""
    give_up_at = time.monotonic() + _IDLE_AGAIN_S
    while True:
        found = [(now, idle) for daemon, idle in rig.idle.items() if (now := vitals(daemon.pid)) is not None]
        faults = {name for now, idle in found for name in above(now, idle)}
        if not faults or time.monotonic() > give_up_at:
            break
        await asyncio.sleep(_LOOK_S)
    return (*sorted(faults), *_too_large([now for now, _ in found]))


def _too_large(found: list[Vitals]) -> tuple[str, ...]:
    return ("memory",) if any(one.peak_mb > RSS_MB for one in found) else ()


def lags(text: str) -> tuple[float, float]:
    """(p99, max) in ms, of the daemon that was the latest."""
    stopped = [msgspec.json.decode(line) for line in text.splitlines() if '"event":"node_stopped"' in line]
    p99_ms, max_ms = (
        max((one[name] for one in stopped), default=0.0) for name in ("loop_lag_p99_ms", "loop_lag_max_ms")
    )
    return p99_ms, max_ms


def too_late(p99_ms: float, max_ms: float) -> tuple[str, ...]:
    return (
        *(("loop_lag_p99",) if p99_ms >= LAG_P99_MS else ()),
        *(("loop_lag_max",) if max_ms >= LAG_MAX_MS else ()),
    )


def of_logs(text: str, *, is_busy: bool = False) -> tuple[str, ...]:
    """I8: no loop that was late, nothing that nobody expected, and no recipient in clear. Our own domain holds none."""
    faults = [name for name, word in _UNEXPECTED.items() if word in text]
    if not is_busy:
        faults += too_late(*lags(text))
    if any(not found[0].endswith(f"@{DOMAIN}") for found in _ADDRESS.finditer(text)):
        faults.append("address_in_log")
    return tuple(faults)
