"""What a suppression list costs: `python -m loadtest.suppression [--entries N] [--stored M] [--json]`.

First N marks in this process: memory, a look-up in its three scopes, the file written and read. Then M marks through a
nats-server as it is shipped: `mta suppress import`, a daemon's first start, and the next one with its file.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from loadtest.processes import NatsProcess
from mta.jetstream.connection import open_link
from mta.jetstream.kv import Bucket, Place
from mta.jetstream.layout import SUPPRESSION, Capacity
from mta.jetstream.settings import NatsSettings
from mta.jetstream.setup import setup
from mta.model.lane import Lane
from mta.model.suppression import SuppressReason
from mta.suppression.image import load, save
from mta.suppression.settings import SuppressionSettings
from mta.suppression.suppressions import Scope, Suppressions
from mta.suppression.table import Table, pack

LOOK_UPS = 200_000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CONFIG = """\
[node]
state_dir = "{directory}/state"
[nats]
embedded = false
servers = ["{server}"]
[tenants.acme]
return_path = "b.acme.test"
"""


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6


def in_memory(entries: int, directory: Path) -> dict[str, float]:
    before, value, number = rss_mb(), pack(SuppressReason.INVALID_RECIPIENT), random.Random(1).getrandbits
    table = Table()
    began = time.perf_counter()
    for _ in range(entries):
        table.put(number(64), value)
    put_us = (time.perf_counter() - began) / entries * 1e6
    found = {"entries": len(table), "memory_mb": rss_mb() - before, "put_us": put_us}
    addresses = [(f"user{n}@d{n % 500}.test", f"d{n % 500}.test") for n in range(LOOK_UPS)]
    scope = Scope(table, "acme", "news", Lane.BULK, skips=False)
    began = time.perf_counter()
    for address, domain in addresses:
        scope.reason(address, domain, 1e9)
    found["recipient_us"] = (time.perf_counter() - began) / LOOK_UPS * 1e6
    keys = [number(64) for _ in range(LOOK_UPS)]
    began = time.perf_counter()
    for key in keys:
        table.get(key)
    found["look_up_us"] = (time.perf_counter() - began) / LOOK_UPS * 1e6
    began = time.perf_counter()
    asyncio.run(save(directory / "marks", table, Place(1, "now")))
    found["save_s"] = time.perf_counter() - began
    found["file_mb"] = (directory / "marks").stat().st_size / 1e6
    del table
    began = time.perf_counter()
    load(directory / "marks")
    return found | {"load_s": time.perf_counter() - began}


async def stored(entries: int, directory: Path) -> dict[str, float]:
    server = NatsProcess(directory)
    await server.start()
    try:
        link = await open_link(NatsSettings(servers=(server.url,)), name="loadtest", report=lambda _: None)
        await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
        config, source = directory / "mta.toml", directory / "list.txt"
        config.write_text(_CONFIG.format(directory=directory, server=server.url))
        with source.open("w") as lines:
            lines.writelines(f"user{n}@d{n % 500}.test\n" for n in range(entries))
        found: dict[str, float] = {"stored": entries}
        for name in ("import_s", "import_again_s"):
            began = time.perf_counter()
            command = (*(sys.executable, "-m", "mta.cli", "suppress", "import", str(source)), "--json")
            process = await asyncio.create_subprocess_exec(
                *command, "--config", str(config), stdout=asyncio.subprocess.DEVNULL
            )
            if await process.wait():
                raise RuntimeError("mta suppress import failed")
            found[name] = time.perf_counter() - began
        for name in ("first_start_s", "next_start_s"):
            one = Suppressions(
                Bucket(link, SUPPRESSION), SuppressionSettings(), directory / "suppression.bin"
            )
            began = time.perf_counter()
            task = asyncio.create_task(one.run())
            await one.until_known()
            found[name] = time.perf_counter() - began
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await one.close()
        await link.close()
    finally:
        await server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--stored", type=int, default=100_000, help="through a server; 0: none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mta-loadtest-") as name:
        found = in_memory(options.entries, Path(name))
        if options.stored:
            found |= asyncio.run(stored(options.stored, Path(name)))
    if options.json:
        print(json.dumps({name: round(value, 3) for name, value in found.items()}))
        return
    for name, value in found.items():
        print(f"{name:20} {value:14,.2f}")


if __name__ == "__main__":
    main()
