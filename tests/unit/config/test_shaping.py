import tomllib
from pathlib import Path

import pytest

from mta.config.problems import Findings
from mta.config.shaping import provider_of, shaping
from mta.pacing.settings import PathSettings, Provider
from mta.queue.settings import RateLimit
from mta.smtp.settings import Dsn, Pattern, Timeouts

SHIPPED = Path(__file__).parents[3] / "conf" / "shaping.toml"


def resolve(text: str) -> tuple[PathSettings, dict[str, Provider]]:
    found = Findings("s")
    default, providers = shaping(tomllib.loads(text), found)
    assert [str(problem) for problem in found.problems] == []
    return default, {provider.name: provider for provider in providers}


def problems(text: str) -> list[str]:
    found = Findings("s")
    shaping(tomllib.loads(text), found)
    return [str(problem) for problem in found.problems]


def test_an_empty_file_leaves_the_defaults() -> None:
    """The defaults of the code hold where nothing is said."""
    assert resolve("") == (PathSettings(), {})


def test_a_provider_overlays_the_default_knob_by_knob() -> None:
    """What a provider leaves out comes from [default], timeouts one by one."""
    default, providers = resolve("""
        [default]
        connections = 3
        connection_rate = "10/min"
        message_rate = "7/s"
        messages_per_connection = 9
        idle_timeout = "2s"
        pattern = "B"
        window = 8
        dsn = "never"
        timeouts = { dot = "11m", quit = "1s", auth = "3s" }
        [providers.p]
        mx = [".p.test"]
        connections = 1
        pattern = "auto"
        dsn = "failure"
        timeouts = { dot = "12m" }
    """)
    rates = {"connection_rate": RateLimit(10, 60), "message_rate": RateLimit(7, 1)}
    more = {"messages_per_connection": 9, "idle_timeout_s": 2.0, "window": 8, **rates}
    assert default == PathSettings(
        connections=3,
        pattern=Pattern.B,
        dsn=Dsn.NEVER,
        timeouts=Timeouts(dot_s=660, quit_s=1, auth_s=3),
        **more,  # type: ignore[arg-type]
    )
    assert providers["p"].mx_suffixes == (".p.test",)
    assert providers["p"].settings == PathSettings(
        connections=1,
        pattern=Pattern.AUTO,
        dsn=Dsn.FAILURE,
        timeouts=Timeouts(dot_s=720, quit_s=1, auth_s=3),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'mx = ["p.test"]',
            'providers.p.mx[0]: can never match: a suffix starts with a dot, as in ".p.test"',
        ),
        (
            'mx = [".p.test."]',
            "providers.p.mx[0]: can never match: MX names are compared without their final dot",
        ),
        (
            'mx = [".P.test"]',
            "providers.p.mx[0]: can never match: MX names are compared in lower-case A-labels",
        ),
        (
            'mx = [".b\u00fc.test"]',
            "providers.p.mx[0]: can never match: MX names are compared in lower-case A-labels",
        ),
        ('mx = ["."]', "providers.p.mx[0]: can never match: MX names are compared without their final dot"),
        ('mx = [".a b"]', 'providers.p.mx[0]: can never match: "a b" is no domain name'),
        ('mx = [".p.test", ".p.test"]', 'providers.p.mx[1]: can never match: provider "p" has it already'),
        ("mx = []", "providers.p.mx: needs at least one suffix, or the provider can never match"),
        ("connections = 1", "providers.p.mx: is missing"),
        (
            'mx = [".p.test"]\nexamples = ["mx.q.test"]',
            'providers.p.examples[0]: "mx.q.test" matches "other"',
        ),
        ('mx = [".p.test"]\nconnections = 0', "providers.p.connections: expected 1 to 10000, found 0"),
        ('mx = [".p.test"]\nwindow = 65', "providers.p.window: expected 1 to 64, found 65"),
        ('mx = [".p.test"]\ntimeouts = { dot = "0s" }', "providers.p.timeouts.dot: must be above 0"),
        (
            'mx = [".p.test"]\nconections = 1',
            'providers.p.conections: unknown key; did you mean "connections"?',
        ),
        (
            'mx = [".p.test"]\ntimeouts = { rset = "1s" }',
            "providers.p.timeouts.rset: unknown key; known here: auth, block, ",
        ),
        (
            'mx = [".p.test"]\npattern = "D"',
            'providers.p.pattern: expected one of "auto", "A", "B", "C", "CB", "E"',
        ),
        ('mx = [".p.test"]\ndsn = "on"', 'providers.p.dsn: expected one of "off", "failure", "never"'),
        ('mx = [".p.test"]\nmessage_rate = 5', "providers.p.message_rate: expected a rate such as"),
    ],
)
def test_a_rule_that_cannot_hold_is_named(text: str, said: str) -> None:
    """Each with its path and its reason."""
    (problem,) = problems(f"[providers.p]\n{text}")
    assert problem.startswith(f"s: {said}")


def test_two_providers_cannot_claim_one_suffix() -> None:
    """The second would never match."""
    text = '[providers.a]\nmx = [".x.test"]\n[providers.b]\nmx = [".x.test"]'
    assert problems(text) == ['s: providers.b.mx[0]: can never match: provider "a" has it already']


@pytest.mark.parametrize("name", ["other", "A", "a.b"])
def test_a_provider_has_a_name_for_subjects(name: str) -> None:
    """`other` is what is left when no provider matches."""
    (problem,) = problems(f'[providers."{name}"]\nmx = [".x.test"]')
    assert "a provider is named by" in problem


def test_the_longest_suffix_wins() -> None:
    """As in the router: a narrower suffix of another provider keeps its hosts."""
    owners = {".x.test": "wide", ".y.x.test": "narrow"}
    assert provider_of("mx.y.x.test", owners) == "narrow"
    assert provider_of("MX.z.x.test", owners) == "wide"
    assert provider_of("x.test", owners) == "wide"
    assert provider_of("xx.test", owners) == "other"


def test_the_shipped_file_holds() -> None:
    """No rule of ours is unreachable, each suffix has an example, and its defaults are those of the code."""
    default, providers = resolve(SHIPPED.read_text())
    assert default == PathSettings()
    table = tomllib.loads(SHIPPED.read_text())["providers"]
    for name, provider in providers.items():
        for suffix in provider.mx_suffixes:
            assert any(example.endswith(suffix) for example in table[name]["examples"]), suffix
    assert {"google", "microsoft", "microsoft365", "yahoo", "apple", "gmx", "tonline", "orange"} <= set(
        providers
    )


def test_each_shipped_provider_names_its_source() -> None:
    """A limit without a source is a rumour."""
    for line in SHIPPED.read_text().splitlines():
        if line.startswith("[providers."):
            assert "[mx]" in line, line


@pytest.mark.parametrize(
    "phase", [name.removesuffix("_s") for name in Timeouts.__struct_fields__ if name != "quiet_s"]
)
def test_s04_each_limit_is_set_by_provider(phase: str) -> None:
    """S-04: every phase has its key, here and in the shipped file."""
    default, providers = resolve(f'[providers.p]\nmx = [".p.test"]\ntimeouts = {{ {phase} = "7s" }}')
    assert getattr(providers["p"].settings.timeouts, f"{phase}_s") == 7
    assert default.timeouts == Timeouts()
    assert phase in tomllib.loads(SHIPPED.read_text())["default"]["timeouts"]
