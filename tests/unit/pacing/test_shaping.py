import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.tls import TlsOption
from mta.pacing.rules import BreakerSettings
from mta.pacing.settings import Limits, PathSettings
from mta.pacing.shaping import (
    Knobs,
    Override,
    Provider,
    Shaping,
    SiteRule,
    Suffixes,
    resolved,
    setter,
)
from mta.queue.settings import RateLimit
from mta.smtp.settings import Timeouts

LAYERED = Shaping(
    default=Knobs(connections=9, host_connections=3, timeouts={"dot": 700.0, "mail": 60.0}),
    providers=(Provider("p", (".p.test",), Knobs(connections=5, timeouts={"dot": 800.0})),),
    sites=(SiteRule("s", ("mx.s.test",), Knobs(host_connections=None)),),
    sources={"a": Knobs(source_connections=40)},
    overrides=(
        Override(0, "one", provider="p", knobs=Knobs(connections=4, window=2)),
        Override(1, "two", source="a", site="s", knobs=Knobs(connections=1)),
    ),
)


def test_what_a_layer_leaves_out_comes_from_below() -> None:
    """Timeouts one by one; None takes away."""
    settings = LAYERED.settings("a", "p", ("mx.s.test",))
    assert settings == PathSettings(
        connections=1,
        window=2,
        whole_source=Limits(connections=40),
        timeouts=Timeouts(dot_s=800.0, mail_s=60.0),
    )
    assert LAYERED.settings("b", "other", ()).host_connections == 3


def test_setter_is_the_layer_with_the_last_word() -> None:
    """Also of one that takes away, and of a single timeout."""
    layers = LAYERED.layers("a", "p", ("mx.s.test",))
    names = {
        knob: layer.name if (layer := setter(layers, knob)) is not None else None
        for knob in ("connections", "window", "host_connections", "timeouts.dot", "timeouts.mail", "retry")
    }
    assert names == {
        "connections": "overrides[1]",
        "window": "overrides[0]",
        "host_connections": "sites.s",
        "timeouts.dot": "providers.p",
        "timeouts.mail": "default",
        "retry": None,
    }


def test_every_knob_reaches_the_path() -> None:
    """None is forgotten on its way from the file to what is obeyed."""
    rate = RateLimit(3, 7.0)
    knobs = Knobs(
        connections=2,
        connection_rate=rate,
        message_rate=rate,
        host_connections=3,
        provider_connections=4,
        provider_connection_rate=rate,
        provider_message_rate=rate,
        source_connections=5,
        source_connection_rate=rate,
        source_message_rate=rate,
        messages_per_connection=6,
        window=7,
        idle_timeout=8.0,
        pattern="B",  # type: ignore[arg-type]
        tls=TlsOption.REQUIRE,
        dsn="never",  # type: ignore[arg-type]
        retry=(9.0,),
        max_age=10.0,
        timeouts={"quit": 11.0},
    )
    assert set(knobs.items()) == {*Knobs.__struct_fields__, "timeouts.quit"} - {"timeouts"}
    settings = resolved([knobs])
    default = PathSettings()
    for field in PathSettings.__struct_fields__:
        assert getattr(settings, field) != getattr(default, field), field
    assert settings.provider == Limits(4, rate, rate)
    assert settings.whole_source == Limits(5, rate, rate)
    assert (settings.retry_s, settings.max_age_s, settings.timeouts.quit_s) == ((9.0,), 10.0, 11.0)


def test_what_may_be_missing_can_be_taken_away() -> None:
    """By any layer above."""
    optional = [name for name in Knobs.__struct_fields__ if name.startswith(("host", "provider", "source"))]
    below = Knobs(**dict.fromkeys(optional, RateLimit(1, 1.0)), retry=(1.0,), max_age=1.0)
    assert resolved([below, Knobs(**dict.fromkeys([*optional, "retry", "max_age"]))]) == PathSettings()


@given(st.lists(st.sampled_from(["a", "b", "mx", "com", "test"]), min_size=1, max_size=5))
def test_the_longest_suffix_at_a_dot_wins(labels: list[str]) -> None:
    """As if all of them were compared."""
    owners = {".test": "1", ".a.test": "2", ".com": "3", ".b.a.test": "4", ".mx": "5"}
    host = ".".join(labels)
    matching = [suffix for suffix in owners if f".{host}".endswith(suffix)]
    assert Suffixes(owners).owner(host) == (owners[max(matching, key=len)] if matching else "")


@pytest.mark.parametrize("hosts", [(), ("",), ("." * 300,), ("x" * 1000, "mx.s.test.")])
def test_odd_names_of_hosts_match_nothing(hosts: tuple[str, ...]) -> None:
    """They come from DNS."""
    assert LAYERED.site_rule(hosts) is None


def test_a_tenant_without_bounds_has_the_common_ones() -> None:
    """By its name."""
    own = BreakerSettings(is_on=False)
    shaping = Shaping(breaker=BreakerSettings(window_s=1.0), tenant_breakers={"acme": own})
    assert (shaping.breaker_of("acme"), shaping.breaker_of("x")) == (own, shaping.breaker)
