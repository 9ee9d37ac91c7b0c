import random
from pathlib import Path

import pytest

from loadtest import fuzz


def test_a_short_run_finds_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """B-02: it counts, times, and ends well."""
    assert fuzz.main(["reports", "--seconds", "0.3", "--seed", "7"]) == 0
    out = capsys.readouterr().out
    assert "seed 7" in out
    assert "0 raised" in out


def test_a_seed_repeats_a_run() -> None:
    """So that what was found can be found again."""
    corpus = [b"Subject: a\n\nbody", b"other"]
    first, second = (fuzz.broken(corpus[0], corpus, random.Random(3)) for _ in range(2))
    assert first == second != corpus[0]


def test_what_raises_is_kept_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the mail that does it."""

    def fails(raw: bytes) -> None:
        raise ValueError("no")

    monkeypatch.setattr(fuzz, "read_report", fails)
    assert fuzz.main(["reports", "--seconds", "0.1", "--keep", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "1 raised" in out
    assert "ValueError: no" in out
    assert (tmp_path / "raised-0.eml").exists()
