import tomllib

import pytest

from loadtest.setting import Setting
from loadtest.zone import Zone
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
    read = shaping(tomllib.loads(Setting(connections=7, pattern=pattern).shaping), found)
    settings = read.settings("", "other", ())
    found.raise_if_wrong()
    assert (settings.connections, settings.pattern, settings.window) == (7, expected, window)


def test_routes() -> None:
    """Every host and every bad port has a domain of its own; all else is one site."""
    setting = Setting(addresses=2, bad=("connect:stall", "ehlo:late:2"))
    routes = {route.pattern: (route.host, route.port) for route in setting.routes([25, 26, 27])}
    assert routes == {
        "*.test": ("127.0.0.1", 25),
        "h0.test": ("127.0.1.1", 25),
        "h1.test": ("127.0.1.2", 25),
        "connect-stall.test": ("127.0.0.1", 26),
        "ehlo-late.test": ("127.0.0.1", 27),
    }
    assert "dead.test" not in routes
    assert setting.routes([25, 26, 27], 99)[3].port == 99
    assert setting.sink_options[4:] == ["--addresses", "2", "--bad", "connect:stall", "--bad", "ehlo:late:2"]


def test_with_a_zone_dns_decides() -> None:
    """No routes, and a sink at every address the zone gives."""
    setting = Setting(zone=Zone(addresses=7))
    assert setting.routes([25]) == ()
    assert setting.sink_options[4:] == ["--addresses", "7"]
    assert Zone(5, 6, 7, 8).options == [
        "--own-percent",
        "5",
        "--hosts",
        "6",
        "--addresses",
        "7",
        "--ttl-s",
        "8",
    ]
