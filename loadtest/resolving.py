"""`python -m loadtest.resolving`: the daemon's resolver alone, under the daemon's loop, in a process of its own.

Asks for the hosts of so many domains at a constant rate and prints one JSON object: what came, when, and what the
process and its loop had of it.
"""

import argparse
import asyncio
import os
import sys
import time

import msgspec
import uvloop
from msgspec import Struct

from loadtest.vitals import vitals
from loadtest.zone import domain_of
from mta.dns.mx import MxFound
from mta.dns.nameservers import StubNameservers
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.lag import Lag, watch

_TICK_S = 0.01


class Resolving(Struct, frozen=True):
    """`failed` had no hosts. Memory and CPU are those of the process, `grown_mb` what it grew by."""

    domains: int
    resolved: int
    failed: int
    wall_s: float
    cpu_us_per_domain: float
    rss_mb: float
    grown_mb: float
    loop_lag_p99_ms: float
    loop_lag_max_ms: float


async def resolve_all(server: str, domains: int, seconds: float) -> Resolving:
    settings = DnsSettings(servers=(server,), allow=("127.0.0.0/8",))
    nameservers = StubNameservers(settings)
    resolver = Resolver(nameservers, settings)
    nameservers.start()
    resolver.start()
    lag = Lag()
    before, started, cpu = _memory_mb(), time.monotonic(), time.process_time()
    found = 0

    async def resolve(name: str) -> None:
        nonlocal found
        answer = await resolver.resolve(name)
        found += isinstance(answer, MxFound)

    watching = asyncio.create_task(watch(lag, lambda _: None, 1.0), name="watch the loop")
    async with asyncio.TaskGroup() as group:
        begun = 0
        while begun < domains:
            due = min(domains, int((time.monotonic() - started + _TICK_S) * domains / seconds))
            for number in range(begun, due):
                group.create_task(resolve(domain_of(number)), name="resolve")
            begun = max(begun, due)
            await asyncio.sleep(_TICK_S)
    wall_s, cpu_s, memory = time.monotonic() - started, time.process_time() - cpu, _memory_mb()
    watching.cancel()
    await nameservers.close()
    await resolver.close()
    return Resolving(
        domains=domains,
        resolved=found,
        failed=domains - found,
        wall_s=round(wall_s, 2),
        cpu_us_per_domain=round(cpu_s * 1e6 / domains, 1),
        rss_mb=memory,
        grown_mb=round(memory - before, 1),
        loop_lag_p99_ms=round(lag.quantile_ms(0.99), 1),
        loop_lag_max_ms=round(lag.max_ms, 1),
    )


def _memory_mb() -> float:
    found = vitals(os.getpid())
    return found.peak_mb if found is not None else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="loadtest.resolving", description=__doc__)
    parser.add_argument("--server", required=True, help="host:port")
    parser.add_argument("--domains", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    arguments = parser.parse_args()
    result = uvloop.run(resolve_all(arguments.server, arguments.domains, arguments.seconds))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
