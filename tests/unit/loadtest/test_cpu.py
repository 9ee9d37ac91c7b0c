import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loadtest.cpu import Process, Signature, Usage, descendants, parse_stat, resident_mb, usage

TICKS = os.sysconf("SC_CLK_TCK")


def test_parse_stat() -> None:
    """The name may hold anything; user and system time are added, children's apart."""
    line = (
        f"42 (odd (name) x) S 7 42 42 0 -1 4194560 1 2 3 4 {TICKS} {2 * TICKS} {3 * TICKS} {TICKS} 20 0 1 0"
    )
    assert parse_stat(line) == Process(42, 7, "odd (name) x", 3.0, 4.0)


def test_resident_memory(tmp_path: Path) -> None:
    """kB of 1,024 octets are told in MB; a process that is gone has none."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("VmPeak:\t 9 kB\nVmRSS:\t    1000 kB\nRssAnon:\t 5 kB\n")
    assert resident_mb(7, tmp_path) == 1.024
    assert resident_mb(8, tmp_path) == 0.0


def alive() -> dict[int, Process]:
    rows = [
        Process(1, 0, "init", 9.0, 9.0),
        Process(10, 1, "python", 2.0, 0.5),
        Process(11, 10, "nats-server", 1.0, 0.0),
        Process(12, 10, "python", 0.1, 0.2),
        Process(13, 12, "python", 4.0, 0.0),
        Process(20, 1, "python", 0.7, 9.0),
    ]
    return {process.pid: process for process in rows}


def test_descendants() -> None:
    """Children and theirs, nobody else's."""
    assert sorted(process.pid for process in descendants(10, alive())) == [11, 12, 13]


def test_usage() -> None:
    """Server, workers (with those already gone), daemon and sink each in their own column."""
    used = usage(10, 20, alive())
    assert (used.daemon, used.nats, used.sink) == (2.0, 1.0, 0.7)
    assert used.workers == pytest.approx(0.1 + 0.2 + 4.0 + 0.5)
    assert used.since(Usage(1.0, 1.0, 1.0, 0.5)).daemon == 1.0


def test_signature_time() -> None:
    """A signature takes some CPU, and the key's size is told."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signature = Signature(pem)
    micros, bits = signature.idle_us(), signature.bits
    assert micros > 0
    assert bits == 2048
