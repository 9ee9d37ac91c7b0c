from pathlib import Path

from mta.classify.rules import RuleBook
from mta.config.settings import Config, NodeSettings
from mta.jetstream.settings import NatsSettings


def test_a_configuration_shows_where_it_came_from_and_nothing_else() -> None:
    """Keys and the file's text stay out of logs and tracebacks."""
    config = Config(
        node=NodeSettings("n1", Path("/s")),
        nats=NatsSettings(),
        hash_keys={"acme": b"secret"},
        origin=Path("/etc/mta/mta.toml"),
        shaping_origin=Path("/etc/mta/shaping.toml"),
        bounces=RuleBook(),
        bounces_origin=Path("/etc/mta/bounces.toml"),
        text="# secret",
    )
    assert repr(config) == "Config(origin='/etc/mta/mta.toml', node='n1')"
