from pathlib import Path

import pytest

from mta.file import write_whole


def test_a_file_is_replaced_and_private(tmp_path: Path) -> None:
    """Whatever was there, also what a crash left behind, readable by all."""
    path, left = tmp_path / "kept.json", tmp_path / "kept.json.new"
    for place in (path, left):
        place.write_text("old, and longer than the new one")
        place.chmod(0o644)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not left.exists()


def test_a_link_in_the_way_is_not_written_through(tmp_path: Path) -> None:
    """What it leads to stays as it is."""
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "kept.json.new").symlink_to(target)
    write_whole(tmp_path / "kept.json", b"new")
    assert target.read_text() == "mine"
    assert not (tmp_path / "kept.json").is_symlink()


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """And says so."""
    path = tmp_path / "kept.json"
    path.write_text("old")
    (tmp_path / "kept.json.new").mkdir()
    with pytest.raises(OSError, match=r"kept\.json\.new"):
        write_whole(path, b"new")
    assert path.read_text() == "old"
