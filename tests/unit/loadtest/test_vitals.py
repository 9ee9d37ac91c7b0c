import os
from pathlib import Path

import pytest

from loadtest.vitals import Vitals, above, slope_mb_per_h, vitals

IDLE = Vitals(60.0, 61.0, 20, 9, 6)


def test_vitals(tmp_path: Path) -> None:
    """Memory in MB, the rest counted; a process that is gone has none."""
    status = "Name:\tmta\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\nThreads:\t7\n"
    for pid, parent in ((7, 1), (8, 7)):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "status").write_text(status)
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (mta) S {parent} " + "0 " * 20)
    (tmp_path / "7" / "fd" / "0").touch()
    assert vitals(7, tmp_path) == Vitals(1.0, 2.0, 1, 7, 1)
    assert vitals(9, tmp_path) is None


def test_vitals_of_this_process() -> None:
    """The kernel's files have the form we read."""
    found = vitals(os.getpid())
    assert found is not None
    assert 5 < found.resident_mb <= found.peak_mb
    assert min(found.descriptors, found.threads) > 0


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (IDLE, ()),
        (Vitals(290.0, 290.0, 28, 17, 7), ()),
        (Vitals(60.0, 61.0, 29, 9, 6), ("descriptors",)),
        (Vitals(60.0, 61.0, 20, 18, 8), ("threads", "children")),
        (Vitals(60.0, 61.0, 2, 2, 0), ()),
    ],
)
def test_above(now: Vitals, expected: tuple[str, ...]) -> None:
    """A few more are no leak, more than a few are; less is none."""
    assert above(now, IDLE) == expected


def test_slope() -> None:
    """MB an hour, whatever the level; nothing from one sample or one moment."""
    assert slope_mb_per_h([(0.0, 50.0), (1800.0, 51.0), (3600.0, 52.0)]) == pytest.approx(2.0)
    assert slope_mb_per_h([(0.0, 50.0), (10.0, 50.0)]) == 0.0
    assert (
        slope_mb_per_h([(5.0, 50.0)]) == slope_mb_per_h([]) == slope_mb_per_h([(5.0, 1.0), (5.0, 2.0)]) == 0.0
    )
