from collections.abc import Callable
from pathlib import Path

import pytest

from mta.config.load import load
from mta.config.problems import ConfigError
from mta.config.settings import Config


def write(path: Path, content: bytes | str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[..., Config]:
    """Loads a configuration with this text on a host named box."""

    def load_text(text: str, **environ: str) -> Config:
        return load(write(tmp_path / "mta.toml", text, 0o644), environ, host_name="box")

    return load_text


@pytest.fixture
def refused(loaded: Callable[..., Config], tmp_path: Path) -> Callable[..., list[str]]:
    """What is wrong with a configuration, a line each, without the name of the file."""

    def problems(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as error:
            loaded(text, **environ)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in error.value.problems]

    return problems
