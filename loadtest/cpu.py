"""CPU time and memory of the processes under load, from `/proc`, and the CPU time of one RSA signature.

The daemon's descendants are its embedded nats-server, known by its name, and all others, which count as
workers (forkserver and resource tracker among them). What ended and was waited for is in its parent's
account and stays counted. The kernel counts in ticks of 10 ms: too coarse for less than a second of load.
"""

import asyncio
import os
import re
import statistics
import time
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from msgspec import Struct

_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDS, _SIGNATURES = 11, 40
_SAMPLE_EVERY_S, _SAMPLED = 0.25, 10


class Process(Struct, frozen=True, gc=False):
    """One line of `/proc/<pid>/stat`: own CPU time, and that of children already waited for."""

    pid: int
    parent: int
    name: str
    own_s: float
    reaped_s: float


class Usage(Struct, frozen=True, gc=False):
    """Seconds of CPU since each process began."""

    daemon: float
    workers: float
    nats: float
    sink: float

    def since(self, before: "Usage") -> "Usage":
        return Usage(
            self.daemon - before.daemon,
            self.workers - before.workers,
            self.nats - before.nats,
            self.sink - before.sink,
        )


def parse_stat(line: str) -> Process:
    """The name stands in parentheses and may itself hold spaces and parentheses (proc(5))."""
    head, _, tail = line.rpartition(")")
    pid, _, name = head.partition(" (")
    fields = tail.split()
    utime, stime, cutime, cstime = (int(field) / _TICKS for field in fields[11:15])
    return Process(int(pid), int(fields[1]), name, utime + stime, cutime + cstime)


def resident_mb(pid: int, proc: Path = Path("/proc")) -> float:
    """Resident memory of one process, in MB of 10^6 octets; 0.0 when it is gone."""
    try:
        status = (proc / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def processes(proc: Path = Path("/proc")) -> dict[int, Process]:
    found = {}
    for directory in proc.iterdir():
        if directory.name.isdecimal():
            try:
                process = parse_stat((directory / "stat").read_text())
            except OSError:  # it ended while we looked
                continue
            found[process.pid] = process
    return found


def descendants(of: int, alive: dict[int, Process]) -> list[Process]:
    found: list[Process] = []
    parents = {of}
    while parents:
        children = [process for process in alive.values() if process.parent in parents]
        found += children
        parents = {process.pid for process in children}
    return found


def workers(daemon: int, alive: dict[int, Process]) -> list[int]:
    """Those that render and sign: the children of the daemon's children, which start them."""
    children = {process.pid for process in alive.values() if process.parent == daemon}
    return sorted(process.pid for process in alive.values() if process.parent in children)


def usage(daemon: int, sink: int, alive: dict[int, Process]) -> Usage:
    children = descendants(daemon, alive)
    nats = sum(child.own_s for child in children if child.name == "nats-server")
    workers = sum(child.own_s + child.reaped_s for child in children if child.name != "nats-server")
    return Usage(alive[daemon].own_s, workers + alive[daemon].reaped_s, nats, alive[sink].own_s)


class Signature:
    """Times RSA-SHA256 signatures with one key, in CPU of the thread that asks."""

    def __init__(self, pem: bytes) -> None:
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, RSAPrivateKey)
        self._key = key
        self.bits = key.key_size

    def round_us(self, signatures: int) -> float:
        """Microseconds of one, on the average over a few."""
        scheme, digest = padding.PKCS1v15(), hashes.SHA256()
        start = time.thread_time_ns()
        for _ in range(signatures):
            self._key.sign(b"x" * 1024, scheme, digest)
        return (time.thread_time_ns() - start) / signatures / 1000

    def idle_us(self) -> float:
        return statistics.median(self.round_us(_SIGNATURES) for _ in range(_ROUNDS))

    async def sample(self, rounds: list[float]) -> None:
        """A few now and then, beside the load, until cancelled: about 1.5 % of one core."""
        while True:
            await asyncio.sleep(_SAMPLE_EVERY_S)
            rounds.append(await asyncio.to_thread(self.round_us, _SAMPLED))
