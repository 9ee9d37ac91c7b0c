"""`python -m loadtest.nameserver`: the name server of the load test, a process of its own.

UDP alone, one question at a time, as fast as a loop without a framework is: its answers are small and made from the
question (`zone`). It writes down each question before it answers those that came with it, prints its port as its first
line, and ends at SIGTERM.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType

from loadtest.zone import Question, Zone

_BUFFER = 4 << 20  # a burst must not overflow it: what is lost is asked again seconds later
_MOST_AT_ONCE = 500


class _Stopped(BaseException):
    """SIGTERM; no handler of errors is to see it."""


def serve(server: socket.socket, zone: Zone, log: int) -> None:
    """Until stopped."""
    answers: list[tuple[bytes, tuple[str, int]]] = []
    lines: list[bytes] = []
    while True:
        select.select([server], [], [])
        with contextlib.suppress(BlockingIOError):
            while len(lines) < _MOST_AT_ONCE:
                query, peer = server.recvfrom(4096)
                found = zone.answer(query)
                if found is not None:
                    answer, name, kind = found
                    number = int.from_bytes(query[:2], "big")
                    lines.append(Question(time.monotonic_ns(), number, kind, name).render())
                    answers.append((answer, peer))
        os.write(log, b"".join(lines))
        for answer, peer in answers:
            with contextlib.suppress(
                OSError
            ):  # who asked is gone, or does not read: that is for him to notice
                server.sendto(answer, peer)
        answers.clear()
        lines.clear()


def main() -> None:
    parser = argparse.ArgumentParser(prog="loadtest.nameserver", description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--own-percent", type=int, default=20, help="of the domains have a host of their own")
    parser.add_argument("--hosts", type=int, default=300, help="that the others share")
    parser.add_argument("--addresses", type=int, default=250, help="of the sink, that all hosts have")
    parser.add_argument("--ttl-s", type=int, default=3600)
    arguments = parser.parse_args()
    # As the sink: it may use our cores, but not interrupt whom it answers.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    zone = Zone(arguments.own_percent, arguments.hosts, arguments.addresses, arguments.ttl_s)
    log = os.open(arguments.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    signal.signal(signal.SIGTERM, _stop)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, contextlib.suppress(_Stopped):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        serve(server, zone, log)


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    main()
