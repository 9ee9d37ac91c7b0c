"""What pacing costs: `python -m loadtest.pacing [--messages N] [--sites M] [--json]`, or `python -m loadtest pacing`.

First nanoseconds a message for a path that lies in limits of one, two and three scopes, taking and noting that it was
accepted; then the memory of M idle sites: their paths with all that belongs to them.
"""

import argparse
import asyncio
import gc
import json
import os
import time
from pathlib import Path
from random import Random

from mta.classify.classifier import Classifier
from mta.classify.rules import RuleBook
from mta.delivery.around import Around
from mta.delivery.hosts import HostMemory
from mta.delivery.pool import PathPool
from mta.model.path import EgressPath, EgressSource, MxHost, Site
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.settings import Limits, PathSettings
from mta.queue.settings import HoldSettings, RateLimit

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FAST = RateLimit(1e7, 1.0)
_LIMITS = Limits(message_rate=_FAST)
_ROUNDS = 5


class _Nobody:
    def wake(self) -> None:
        """Nothing waits here."""


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def per_message(messages: int) -> dict[str, float]:
    """The best of a few rounds: the machine is shared."""
    own = PathSettings(message_rate=_FAST)
    of_provider = PathSettings(message_rate=_FAST, provider=_LIMITS)
    of_all = PathSettings(message_rate=_FAST, provider=_LIMITS, whole_source=_LIMITS)
    return {
        "site_ns": _take_ns(own, "other", messages),
        "site_provider_ns": _take_ns(of_provider, "google", messages),
        "site_provider_source_ns": _take_ns(of_all, "google", messages),
    }


def _take_ns(settings: PathSettings, provider: str, messages: int) -> float:
    passage = Governors(Actions(), time.time).passage("a1", "mx.test", provider, settings, _Nobody())
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for number in range(messages):
            now = 1000.0 + number * 1e-3
            passage.take_message(now)
            passage.note_accepted(now)
        best = min(best, time.perf_counter() - began)
    return best / messages * 1e9


async def idle_sites(sites: int) -> dict[str, float]:
    governors = Governors(Actions(), time.time)
    around = Around(
        hosts=HostMemory(),
        classifier=Classifier(RuleBook()),
        rng=Random(1),
        spawn=_never,
        may_send=lambda: True,
        on_settled=_never,
        on_hungry=_never,
        is_moved=lambda path, provider, references: False,
        on_policy_failed=_never,
        tell_operators=_never,
        governors=governors,
    )
    source, settings, hold = EgressSource("a1", "a1.test"), PathSettings(), HoldSettings()
    ways = [
        Site(f"mx.d{number:07d}.test", "other", (MxHost(f"mx.d{number:07d}.test"),))
        for number in range(sites)
    ]
    gc.collect()
    before = rss_mb()
    pools = [PathPool(EgressPath("a1", site.name), site, source, settings, hold, around) for site in ways]
    now = asyncio.get_running_loop().time()
    for pool in pools:
        pool._passage.take_message(now)  # what sent once keeps its rate
    gc.collect()
    found = {"sites": float(sites), "memory_mb": rss_mb() - before, "governors": float(len(governors))}
    for pool in pools:
        pool.forget()
    for _ in range(sites // 500 + 2):
        governors.forget_idle(now + 60.0)
    return found | {"governors_after": float(len(governors))}


def _never(*_: object, **__: object) -> None:
    raise AssertionError("nothing is sent here")


def measure(messages: int, sites: int) -> dict[str, float]:
    return per_message(messages) | asyncio.run(idle_sites(sites))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest pacing", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--sites", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = measure(options.messages, options.sites)
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in found.items()}))
        return 0
    for name, value in found.items():
        print(f"{name:26} {value:14,.1f}")
    return 0


if __name__ == "__main__":
    main()
