import tomllib

import pytest

from loadtest.rig import Setting
from mta.config.problems import Findings
from mta.config.shaping import shaping
from mta.smtp.settings import Pattern


@pytest.mark.parametrize(
    ("pattern", "expected", "window"),
    [
        ("auto", Pattern.AUTO, 4),
        ("A", Pattern.A, 4),
        ("CB", Pattern.CB, 4),
        ("E8", Pattern.E, 8),
        ("E16", Pattern.E, 16),
    ],
)
def test_shaping_says_what_was_asked(pattern: str, expected: Pattern, window: int) -> None:
    """Connections, pattern and window of the command line arrive in the daemon's settings."""
    found = Findings("shaping.toml")
    settings, _ = shaping(tomllib.loads(Setting(connections=7, pattern=pattern).shaping), found)
    found.raise_if_wrong()
    assert (settings.connections, settings.pattern, settings.window) == (7, expected, window)
