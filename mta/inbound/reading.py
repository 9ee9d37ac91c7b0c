"""What runs in a worker process of reports: it holds one reader, and may use little.

The answers go back as MessagePack, read there by their type: nothing a broken worker writes becomes an object of its
choice.
"""

import ctypes
import gc
import os
import resource
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from msgspec import msgpack

from mta.inbound.settings import WorkerSettings
from mta.inbound.signature import Signature, holds
from mta.model.report import Report

_PR_SET_PDEATHSIG = 1

_reader: Callable[[bytes], Report] | None = None
"""Of this worker process, which exists for nothing else; None in every other process."""


def start_worker(reader: str, settings: WorkerSettings) -> None:
    """`reader` is `module:function`. The memory limit counts from here, when all is imported."""
    global _reader
    # The parent is the fork server, which dies with the daemon.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os._exit(1)
    os.nice(settings.niceness)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold what people wrote
    module, _, name = reader.partition(":")
    _reader = getattr(import_module(module), name)
    limit = _address_space_bytes() + settings.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    gc.collect()
    gc.freeze()


def read(raw: bytes, cpu_s: float) -> bytes:
    """The report, encoded."""
    assert _reader is not None
    with _Allowance(cpu_s):
        return msgpack.encode(_reader(raw))


def verify(raw: bytes, signatures: tuple[Signature, ...], records: dict[str, str], cpu_s: float) -> bytes:
    """Whether one of the signatures holds, encoded."""
    with _Allowance(cpu_s):
        return msgpack.encode(holds(raw, signatures, records))


def ready() -> int:
    return os.getpid()


class _Allowance:
    """Processor time, after which the kernel ends the process: no code of ours has to agree."""

    def __init__(self, cpu_s: float) -> None:
        self._cpu_s = cpu_s

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, self._cpu_s)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
