"""What the ledger costs a message: `python -m loadtest.ledger [--json]`, in microseconds of CPU.

What a message that is delivered at once goes through: its dot before it is written, its outcome, that its event is
kept; the slot of its payload, by the recipient; and the snapshots, at the rate and with the payloads in work of a
daemon under full load. No disk is waited for: arenas are memory that the kernel writes when it likes.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from mta.ledger.arena import Ledger
from mta.ledger.note import Note
from mta.ledger.page import Page
from mta.ledger.snapshot import encode
from mta.ledger.state import RecipientState, Source
from mta.model.event import EventType

_RECIPIENTS = 500
_IN_WORK = 24
"""Payloads in work when a daemon sends as fast as it can here."""
_REPLY = "2.0.0 Ok: queued as 4F5A81C0B2"


def measure(payloads: int, per_s: float, snapshot_s: float) -> dict[str, float]:
    """`record_us` and `snapshot_us` of a message, and both together."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger(Path(directory), print)
        ledger.open()
        record_s = 0.0
        for number in range(payloads):
            begun = time.process_time()
            page = _page(ledger, number)
            for position in range(_RECIPIENTS):
                page.dot(position)
                page.settle(position, RecipientState.DELIVERED, _note())
                page.keep(position)
            page.release()
            record_s += time.process_time() - begun
        snapshot_s_each = _snapshot(ledger)
        ledger.close()
    record_us = record_s / (payloads * _RECIPIENTS) * 1e6
    snapshot_us = snapshot_s_each / (per_s * snapshot_s) * 1e6
    return {"record_us": record_us, "snapshot_us": snapshot_us, "total_us": record_us + snapshot_us}


def _snapshot(ledger: Ledger) -> float:
    """Seconds of CPU for one. Half of each payload is delivered, of a twentieth the event is not kept yet."""
    pages = [_page(ledger, number) for number in range(_IN_WORK)]
    for page in pages:
        for position in range(_RECIPIENTS // 2):
            page.dot(position)
            page.settle(position, RecipientState.DELIVERED, _note())
            if position % 20:
                page.keep(position)
    rounds = 200
    begun = time.process_time()
    for _ in range(rounds):
        encode("n1", time.time(), [page.entry() for page in pages])
    return (time.process_time() - begun) / rounds


def _page(ledger: Ledger, number: int) -> Page:
    source = Source("MTA_PAYLOADS", number + 1, time.time_ns())
    return Page(source, None, _RECIPIENTS, ledger.take(source, bytes(16), _RECIPIENTS), _nothing)


def _note() -> Note:
    return Note(EventType.DELIVERED, 1, time.time(), "other", "", "end_of_data", 250, "2.0.0", _REPLY)


def _nothing() -> None:
    """No snapshot is due here."""


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m loadtest.ledger", description=__doc__)
    options.add_argument("--payloads", type=int, default=200, help="of 500 recipients")
    options.add_argument(
        "--per-s", type=float, default=3700.0, help="messages that share the snapshots of a second"
    )
    options.add_argument("--snapshot-s", type=float, default=0.05)
    options.add_argument("--json", action="store_true", help="one JSON object")
    given = options.parse_args()
    found = measure(given.payloads, given.per_s, given.snapshot_s)
    if given.json:
        print(json.dumps({name: round(value, 2) for name, value in found.items()}))
        return
    for name, value in found.items():
        print(f"{name:12} {value:6.2f}")


if __name__ == "__main__":
    main()
