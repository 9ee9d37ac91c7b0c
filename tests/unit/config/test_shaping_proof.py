from collections.abc import Callable
from pathlib import Path

import pytest

from mta.config.settings import Config
from mta.pacing.rules import BreakerSettings, SourceWarmup, WarmupPlan
from tests.unit.config.conftest import write

Loaded = Callable[..., Config]
Refused = Callable[..., list[str]]

CONFIG = """
    [sources]
    a1 = { ehlo = "a1.acme.test", warmup = "slow", warmup_providers = ["p", "other"] }
    a2 = { ehlo = "a2.acme.test", warmup = "slow" }
    a3 = { ehlo = "a3.acme.test" }
    [routes]
    "*.relay.test" = { host = "smart.test:25", provider = "q" }
    [tenants.acme]
    return_path = "b.acme.test"
    breaker = { complaint_share = "0.1%", enabled = false }
    [tenants.other]
    return_path = "b.other.test"
"""
SHAPING = """
    [providers.p]
    mx = [".p.test"]
    [providers.q]
    mx = [".q.test", ".in.p.test"]
    [sites.s]
    mx = ["mx.s.test"]
    [sites.of-p]
    mx = [".p.test"]
    [sites.smart]
    mx = ["smart.test"]
    [breaker]
    spam_share = "1%"
    [warmup.slow]
    steps = [10, 20]
"""


@pytest.fixture
def beside(tmp_path: Path) -> Callable[[str], None]:
    """A shaping.toml beside the configuration, with this added."""

    def add(text: str) -> None:
        write(tmp_path / "shaping.toml", f"{SHAPING}\n{text}")

    return add


def test_warmups_and_breakers_are_resolved(loaded: Loaded, beside: Callable[[str], None]) -> None:
    """A tenant's bounds overlay those of shaping.toml; no providers: all of them."""
    beside("")
    shaping = loaded(CONFIG).shaping
    plan = WarmupPlan("slow", (10, 20))
    assert shaping.warmups == {"a1": SourceWarmup(plan, ("p", "other")), "a2": SourceWarmup(plan)}
    assert (shaping.warmups["a1"].holds_at("q"), shaping.warmups["a2"].holds_at("q")) == (False, True)
    assert shaping.breaker_of("acme") == BreakerSettings(is_on=False, complaint_share=0.001, spam_share=0.01)
    assert shaping.breaker_of("other") == shaping.breaker == BreakerSettings(spam_share=0.01)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('warmup = "slow" }', 'warmup = "slwo" }', 'sources.a2.warmup: unknown plan; did you mean "slow"?'),
        (
            '["p", "other"]',
            '["gmail"]',
            "sources.a1.warmup_providers[0]: unknown provider; known here: other, p, q",
        ),
        (
            'ehlo = "a3.acme.test"',
            'ehlo = "a3.acme.test", warmup_providers = ["p"]',
            "sources.a3.warmup_providers: has no effect without a plan",
        ),
        ('"0.1%"', "0.1", "tenants.acme.breaker.complaint_share: expected a share such as"),
        ("enabled", "enable", 'tenants.acme.breaker.enable: unknown key; did you mean "enabled"?'),
        ('"0.1%"', '"0.1%", window = "1s"', 'tenants.acme.breaker.window: expected "1m" to "7d"'),
    ],
)
def test_what_a_source_or_tenant_cannot_have(
    old: str, new: str, said: str, refused: Refused, beside: Callable[[str], None]
) -> None:
    """In mta.toml, and said of that file."""
    beside("")
    (problem,) = refused(CONFIG.replace(old, new))
    assert problem.startswith(f"mta.toml: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[sources.a11]\nwindow = 1",
            "sources.a11: can never match: no source of mta.toml is named so; did you mean",
        ),
        (
            '[[overrides]]\nsource = "b1"\nreason = "x"\nwindow = 1',
            "overrides[0].source: can never match: no source of mta.toml is named so",
        ),
        (
            '[[overrides]]\nprovider = "p"\nsite = "s"\nreason = "x"\nwindow = 1',
            'overrides[0].provider: can never match: site s is of other, not of "p"',
        ),
        (
            '[[overrides]]\nprovider = "other"\nsite = "of-p"\nreason = "x"\nwindow = 1',
            'overrides[0].provider: can never match: site of-p is of p or q, not of "other"',
        ),
        (
            '[[overrides]]\nprovider = "p"\nsite = "smart"\nreason = "x"\nwindow = 1',
            'overrides[0].provider: can never match: site smart is of other or q, not of "p"',
        ),
    ],
)
def test_what_nothing_can_match_is_an_error(
    text: str, said: str, refused: Refused, beside: Callable[[str], None]
) -> None:
    """In shaping.toml, by the sources and routes of mta.toml."""
    beside(text)
    (problem,) = refused(CONFIG)
    assert problem.startswith(f"shaping.toml: {said}")


@pytest.mark.parametrize(
    ("provider", "site"), [("other", "s"), ("p", "of-p"), ("q", "of-p"), ("q", "smart"), ("other", "smart")]
)
def test_what_something_can_match_is_none(
    provider: str, site: str, loaded: Loaded, beside: Callable[[str], None]
) -> None:
    """By its own names, by a narrower suffix of a provider, or by the word of a route."""
    beside(f'[[overrides]]\nprovider = "{provider}"\nsite = "{site}"\nreason = "x"\nwindow = 1')
    assert len(loaded(CONFIG).shaping.overrides) == 1
