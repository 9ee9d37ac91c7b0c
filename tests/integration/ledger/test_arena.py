"""Arenas on a real file system: kept through a kill -9, never believed when torn."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mta.ledger.arena import ARENA_BYTES, Found, Ledger, LedgerFull, LedgerInUse, Slot
from mta.ledger.note import Note
from mta.ledger.state import KEPT, RecipientState, Source
from mta.model.event import EventType

S = RecipientState
NOTE = Note(EventType.DELIVERED, 1, 5.0, "other")
KEY = bytes(range(16))


def source(sequence: int = 7) -> Source:
    return Source("MTA_PAYLOADS", sequence, 1_700_000_000_000_000_001)


def opened(directory: Path) -> tuple[Ledger, list[Found], list[str]]:
    said: list[str] = []
    ledger = Ledger(directory / "ledger", said.append)
    return ledger, ledger.open(), said


def filled(directory: Path, count: int = 3) -> Slot:
    """A ledger with one message, the second of its recipients delivered; closed again."""
    ledger, _, _ = opened(directory)
    slot = ledger.take(source(), KEY, count)
    slot.mark(0, S.DOT)
    slot.write(1, S.DELIVERED, NOTE)
    ledger.close()
    return slot


def only_file(directory: Path) -> Path:
    (path,) = (directory / "ledger").glob("*.arena")
    return path


def test_an_earlier_life_is_found(tmp_path: Path) -> None:
    """Source, key, states and notes; a slot that was released is not."""
    ledger, found, _ = opened(tmp_path)
    assert found == []
    slot = ledger.take(source(), KEY, 3)
    slot.mark(0, S.DOT)
    slot.write(1, S.DELIVERED, NOTE)
    slot.write(2, S.STORED, NOTE)
    slot.mark(2, S.STORED | KEPT)
    ledger.take(source(8), KEY, 500).release()
    ledger.close()
    _, (one,), said = opened(tmp_path)
    assert (one.source, one.payload_key) == (source(), KEY)
    assert one.states == bytes([S.DOT, S.DELIVERED, S.STORED | KEPT])
    assert one.notes == {1: NOTE, 2: NOTE}
    assert not said


def test_kill_9_takes_nothing(tmp_path: Path) -> None:
    """What was written the moment before is there."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.integration.ledger.test_arena import KEY, NOTE, S, opened, source\n"
        "ledger, _, _ = opened(Path(sys.argv[1]))\n"
        "ledger.take(source(), KEY, 1).write(0, S.DELIVERED, NOTE)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[3], check=False
    )
    assert done.returncode == -signal.SIGKILL
    _, (one,), _ = opened(tmp_path)
    assert one.states == bytes([S.DELIVERED])


def test_a_slot_is_used_again_without_a_trace(tmp_path: Path) -> None:
    """The next message in it begins open."""
    ledger, _, _ = opened(tmp_path)
    first = ledger.take(source(), KEY, 2)
    first.write(1, S.DELIVERED, NOTE)
    first.release()
    ledger.take(source(8), KEY, 2)
    ledger.close()
    _, (one,), _ = opened(tmp_path)
    assert (one.source.sequence, one.states, one.notes) == (8, bytes(2), {})
    assert len(list((tmp_path / "ledger").glob("*.arena"))) == 1


def test_more_messages_take_another_arena(tmp_path: Path) -> None:
    """One file after the other, all of them found."""
    ledger, _, _ = opened(tmp_path)
    for sequence in range(1, 200):
        ledger.take(source(sequence), KEY, 400)
    ledger.close()
    _, found, _ = opened(tmp_path)
    assert sorted(one.source.sequence for one in found) == list(range(1, 200))
    assert len(list((tmp_path / "ledger").glob("500-*.arena"))) == 2


@pytest.mark.parametrize("at", [0, 3, 9, 13, 20, 40, 60])
def test_a_torn_header_counts_for_nothing(tmp_path: Path, at: int) -> None:
    """Any octet of it: reported, and all its recipients are open to whoever gets the message again."""
    filled(tmp_path)
    path = only_file(tmp_path)
    octets = bytearray(path.read_bytes())
    start = octets.index(b"MTALEDG1")
    octets[start + at] ^= 0x40
    path.write_bytes(octets)
    _, found, said = opened(tmp_path)
    assert found == []
    assert len(said) == 1


def test_a_torn_record_is_open_and_the_others_stay(tmp_path: Path) -> None:
    """Reported by its place."""
    filled(tmp_path)
    path = only_file(tmp_path)
    octets = bytearray(path.read_bytes())
    start = octets.index(b"MTALEDG1") + 64
    octets[start + 128 + 30] ^= 1
    octets[start + 256] = S.STORED | KEPT
    path.write_bytes(octets)
    _, (one,), said = opened(tmp_path)
    assert one.states == bytes([S.DOT, S.OPEN, S.OPEN])
    assert one.notes == {}
    assert ["recipient 1" in line or "recipient 2" in line for line in said] == [True, True]


def test_a_cut_file_is_mended_and_told(tmp_path: Path) -> None:
    """What is missing counts as open."""
    filled(tmp_path)
    path = only_file(tmp_path)
    os.truncate(path, 100)
    _, (one,), said = opened(tmp_path)
    assert one.states == bytes([S.DOT, S.OPEN, S.OPEN])
    assert any("100 bytes" in line for line in said)
    assert path.stat().st_size == ARENA_BYTES


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    """Told, and never written to."""
    (tmp_path / "ledger").mkdir()
    for name in ("notes.txt", "77-1.arena"):
        (tmp_path / "ledger" / name).write_bytes(b"mine")
    _, found, said = opened(tmp_path)
    assert found == []
    assert len(said) == 2
    assert (tmp_path / "ledger" / "77-1.arena").read_bytes() == b"mine"


def test_one_daemon_a_directory(tmp_path: Path) -> None:
    """The second is refused while the first goes on."""
    ledger, _, _ = opened(tmp_path)
    with pytest.raises(LedgerInUse):
        opened(tmp_path)
    ledger.close()
    opened(tmp_path)


def test_a_full_disk_is_an_error_and_no_signal(tmp_path: Path) -> None:
    """A14: RLIMIT_FSIZE stands for the disk. What is mapped already goes on working."""
    import resource

    ledger, _, _ = opened(tmp_path)
    slot = ledger.take(source(), KEY, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(LedgerFull):
            ledger.take(source(8), KEY, 900)
        slot.write(0, S.DELIVERED, NOTE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    ledger.take(source(8), KEY, 900)
    ledger.close()
    _, found, _ = opened(tmp_path)
    assert sorted(one.source.sequence for one in found) == [7, 8]
