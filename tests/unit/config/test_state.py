from pathlib import Path

import pytest

from mta.config.problems import ConfigError
from mta.config.state import prepare, trouble


def test_a_directory_that_can_be_made_is_no_trouble(tmp_path: Path) -> None:
    """Looking leaves nothing behind, preparing makes it for its owner alone."""
    place = tmp_path / "a" / "b"
    assert trouble(place) is None
    assert list(tmp_path.iterdir()) == []
    prepare(place, tmp_path / "mta.toml")
    assert place.stat().st_mode & 0o777 == 0o700
    assert trouble(place) is None


@pytest.mark.parametrize("name", ["file", "file/below", "gone"])
def test_what_can_be_no_directory_is_a_problem(tmp_path: Path, name: str) -> None:
    """A file, what lies below one, and a link to nowhere."""
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=f"mta.toml: node.state_dir: {tmp_path / name} cannot be used"):
        prepare(tmp_path / name, tmp_path / "mta.toml")
