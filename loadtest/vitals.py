"""What a daemon holds, as the kernel tells it: memory, descriptors, threads, children. Of its asyncio tasks nothing can
be seen from outside; what they hold can."""

import os
import re
from pathlib import Path

from msgspec import Struct

from loadtest import cpu

_PROC = Path("/proc")


class Vitals(Struct, frozen=True):
    """MB of 10^6 octets; `peak_mb` is the largest resident size there has been. Without its children."""

    resident_mb: float
    peak_mb: float
    descriptors: int
    threads: int
    children: int


def vitals(pid: int, proc: Path = _PROC) -> Vitals | None:
    """None when it is gone."""
    try:
        status = (proc / str(pid) / "status").read_text()
        descriptors = len(os.listdir(proc / str(pid) / "fd"))
    except OSError:
        return None
    return Vitals(
        resident_mb=round(_field(status, "VmRSS") * 1024 / 1e6, 1),
        peak_mb=round(_field(status, "VmHWM") * 1024 / 1e6, 1),
        descriptors=descriptors,
        threads=_field(status, "Threads"),
        children=len(cpu.descendants(pid, cpu.processes(proc))),
    )


def above(now: Vitals, idle: Vitals) -> tuple[str, ...]:
    """What is more than when it idled before the load. A few more are no leak: connections to NATS come anew, a pool
    starts its last thread with the first work; what leaks, leaks with each message or each connection."""
    slack = {"descriptors": 8, "threads": 8, "children": 1}
    return tuple(name for name, few in slack.items() if getattr(now, name) > getattr(idle, name) + few)


def slope_mb_per_h(samples: list[tuple[float, float]]) -> float:
    """Least squares over (seconds, MB); 0 for less than two."""
    number = len(samples)
    if number < 2:
        return 0.0
    mean_t = sum(at for at, _ in samples) / number
    mean_mb = sum(mb for _, mb in samples) / number
    spread = sum((at - mean_t) ** 2 for at, _ in samples)
    return sum((at - mean_t) * (mb - mean_mb) for at, mb in samples) / spread * 3600 if spread else 0.0


def _field(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
    return int(found[1]) if found else 0
