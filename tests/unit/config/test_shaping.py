import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.config.problems import Findings
from mta.config.shaping import shaping
from mta.pacing.rules import BreakerSettings, WarmupPlan
from mta.pacing.settings import Limits, PathSettings
from mta.pacing.shaping import Shaping, Suffixes
from mta.queue.settings import RateLimit
from mta.smtp.settings import Dsn, Pattern, Timeouts

WORDS = (
    *(
        "default",
        "providers",
        "sites",
        "sources",
        "overrides",
        "automation",
        "breaker",
        "warmup",
        "p",
        "none",
    ),
    *("mx", "examples", "connections", "retry", "timeouts", "tls", "steps", "reason", "provider", "site"),
    *("name", "class", "text", "actions", "example", "counter", "source", "kind", "at", "for", "window"),
)
SHIPPED = Path(__file__).parents[3] / "conf" / "shaping.toml"


def read(text: str) -> Shaping:
    found = Findings("s")
    shaped = shaping(tomllib.loads(text), found)
    assert [str(problem) for problem in found.problems] == []
    return shaped


def resolve(text: str) -> tuple[PathSettings, dict[str, PathSettings]]:
    shaped = read(text)
    return shaped.settings("", "other", ()), {
        one.name: shaped.settings("", one.name, ()) for one in shaped.providers
    }


def problems(text: str) -> list[str]:
    found = Findings("s")
    shaping(tomllib.loads(text), found)
    return [str(problem) for problem in found.problems]


def warnings(text: str) -> list[str]:
    found = Findings("s")
    shaping(tomllib.loads(text), found)
    return [str(warning) for warning in found.warnings]


def test_an_empty_file_leaves_the_defaults() -> None:
    """The defaults of the code hold where nothing is said."""
    shaped = read("")
    assert (shaped, shaped.settings("a1", "google", ("mx.test",))) == (Shaping(), PathSettings())


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
    assert providers["p"] == PathSettings(
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
        ("mx = []", "providers.p.mx: needs at least one name, or the provider can never match"),
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
    suffixes = Suffixes({".x.test": "wide", ".y.x.test": "narrow"})
    assert suffixes.owner("mx.y.x.test") == "narrow"
    assert suffixes.owner("mx.z.x.test") == "wide"
    assert suffixes.owner("x.test") == "wide"
    assert suffixes.owner("xx.test") == ""


@pytest.mark.parametrize(
    "phase", [name.removesuffix("_s") for name in Timeouts.__struct_fields__ if name != "quiet_s"]
)
def test_s04_each_limit_is_set_by_provider(phase: str) -> None:
    """S-04: every phase has its key, here and in the shipped file."""
    default, providers = resolve(f'[providers.p]\nmx = [".p.test"]\ntimeouts = {{ {phase} = "7s" }}')
    assert getattr(providers["p"].timeouts, f"{phase}_s") == 7
    assert default.timeouts == Timeouts()
    assert phase in tomllib.loads(SHIPPED.read_text())["default"]["timeouts"]


LAYERS = """
    [default]
    connections = 3
    host_connections = 2
    source_message_rate = "9/s"
    max_age = "1d"
    retry = ["1m"]
    [providers.p]
    mx = [".p.test"]
    connections = 4
    provider_connections = 6
    provider_message_rate = "1000/h"
    retry = ["5m", "1h"]
    [sites.small]
    mx = ["mx1.small.test", ".tiny.test", "192.0.2.7"]
    examples = ["a.tiny.test"]
    connections = 1
    provider_connections = "none"
    max_age = "6h"
    [sources.a1]
    source_connections = 50
    source_message_rate = "none"
    host_connections = "none"
    window = 8
    [[overrides]]
    source = "a1"
    provider = "p"
    reason = "a complaint on 2026-11-02"
    connections = 2
    retry = "none"
    [[overrides]]
    site = "small"
    reason = "they asked for it"
    message_rate = "1/min"
"""


def test_layers_overlay_each_other_in_their_order() -> None:
    """default < provider < site < source < override, knob by knob; none takes away what a lower layer has set."""
    shaped = read(LAYERS)
    a1, a2 = (shaped.settings(source, "p", ("mx.p.test", "mx1.small.test")) for source in ("a1", "a2"))
    assert a1 == PathSettings(
        connections=2,
        message_rate=RateLimit(1, 60),
        host_connections=None,
        provider=Limits(None, None, RateLimit(1000, 3600)),
        whole_source=Limits(50, None, None),
        window=8,
        retry_s=(),
        max_age_s=6 * 3600.0,
    )
    assert a2 == PathSettings(
        connections=1,
        message_rate=RateLimit(1, 60),
        host_connections=2,
        provider=Limits(None, None, RateLimit(1000, 3600)),
        whole_source=Limits(None, None, RateLimit(9, 1)),
        retry_s=(300.0, 3600.0),
        max_age_s=6 * 3600.0,
    )
    assert [layer.name for layer in shaped.layers("a1", "p", ("a.tiny.test",))] == [
        *("default", "providers.p", "sites.small", "sources.a1", "overrides[0]", "overrides[1]"),
    ]
    assert [layer.name for layer in shaped.layers("a2", "other", ("mx.test",))] == ["default"]


@pytest.mark.parametrize(
    ("hosts", "site"),
    [
        (("mx1.small.test",), "small"),
        (("mx2.small.test", "MX1.SMALL.test"), "small"),
        (("x.tiny.test",), "small"),
        (("tiny.test",), "small"),
        (("notiny.test",), None),
        (("mx2.small.test",), None),
        (("192.0.2.7",), "small"),
        ((), None),
        (("x.tiny.test", "exact.tiny.test"), "exact"),
        (("x.tiny.test", "x.more.tiny.test"), "narrow"),
    ],
)
def test_a_site_is_known_by_any_of_its_hosts(hosts: tuple[str, ...], site: str | None) -> None:
    """A whole name before a suffix, a longer suffix before a shorter, whatever the order of the hosts."""
    narrow = '[sites.exact]\nmx = ["exact.tiny.test"]\n[sites.narrow]\nmx = [".more.tiny.test"]'
    rule = read(f"{LAYERS}\n{narrow}").site_rule(hosts)
    assert (rule.name if rule is not None else None) == site
    backwards = read(f"{LAYERS}\n{narrow}").site_rule(hosts[::-1])
    assert backwards == rule


PLACES = '[providers.p]\nmx = [".p.test"]\n[sites.s]\nmx = ["mx.s.test"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sites.s]\nmx = ["mx.s.test."]', "sites.s.mx[0]: can never match: MX names are compared without"),
        ('[sites.s]\nmx = ["Mx.s.test"]', "sites.s.mx[0]: can never match: MX names are compared in lower"),
        ('[sites.s]\nmx = ["2001:DB8::1"]', "sites.s.mx[0]: can never match: "),
        ("[sites.s]\nmx = []", "sites.s.mx: needs at least one name, or the site can never match"),
        (
            '[sites.s]\nmx = ["a.test"]\nexamples = ["b.test"]',
            'sites.s.examples[0]: "b.test" matches no site',
        ),
        ('[sites.s]\nmx = ["a.test", "a.test"]', 'sites.s.mx[1]: can never match: site "s" has it already'),
        ('[sites."S"]\nmx = ["a.test"]', "sites.S: a site is named by"),
        ('[sites.s]\nmx = "a.test"', 'sites.s.mx: expected a list in [ ], found "a.test"'),
        ("[sites]\ns = 1", "sites.s: expected a table, found 1"),
        ("default = 1", "default: expected a table, found 1"),
        ("[[default]]", "default: expected a table, found a list"),
        ("[overrides]", "overrides: expected a list in [ ], found a table"),
        ("overrides = [1]", "overrides[0]: expected a table, found 1"),
        ('[default]\nconnections = "none"', "default.connections: cannot be without a value"),
        ('[default]\nidle_timeout = "none"', "default.idle_timeout: cannot be without a value"),
        ("[default]\nhost_connections = 0", "default.host_connections: expected 1 to 10000, found 0"),
        ("[default]\nprovider_connections = -1", "default.provider_connections: expected 1 to 100000"),
        ("[default]\nretry = []", "default.retry: expected 1 to 30 times, each above 0"),
        ('[default]\nretry = ["0s"]', "default.retry: expected 1 to 30 times, each above 0"),
        ('[default]\nretry = ["5m", 7]', "default.retry[1]: expected a time such as"),
        ('[default]\nretry = "5m"', 'default.retry: expected a list in [ ], found "5m"'),
        ('[default]\nmax_age = "6d"', 'default.max_age: expected more than 0 and at most "5d"'),
        ("[default]\nmax_age = 0", 'default.max_age: expected more than 0 and at most "5d"'),
        (
            PLACES + '[providers.q]\nmx = [".q.test"]\nsource_connections = 1',
            "providers.q.source_connections:",
        ),
        ('[sources.a]\ntls = "none"', "sources.a.tls: does not depend on the source"),
        ("[sources.a]\nconnection = 1", "sources.a.connection: unknown key; did you mean"),
        (PLACES + '[[overrides]]\nprovider = "p"\nwindow = 2', "overrides[0].reason: is missing"),
        (
            PLACES + '[[overrides]]\nprovider = "p"\nwindow = 2\nreason = " "',
            "overrides[0].reason: says nothing",
        ),
        (
            PLACES + '[[overrides]]\nwindow = 2\nreason = "x"',
            "overrides[0]: names no source, provider or site",
        ),
        (PLACES + '[[overrides]]\nprovider = "p"\nreason = "x"', "overrides[0]: sets nothing"),
        (
            PLACES + '[[overrides]]\nprovider = "q"\nreason = "x"\nwindow = 2',
            "overrides[0].provider: unknown provider; known here: p",
        ),
        (
            PLACES + '[[overrides]]\nsite = "t"\nreason = "x"\nwindow = 2',
            "overrides[0].site: unknown site; known here: s",
        ),
        (
            PLACES + '[[overrides]]\nsource = "a"\nreason = "x"\ntls = "none"',
            "overrides[0].tls: does not depend on the source",
        ),
        (
            PLACES + '[[overrides]]\nsource = "a"\nreason = "x"\nsource_connections = 1',
            "overrides[0].source_connections: holds for a source everywhere",
        ),
        ("[warmup.w]\nsteps = []", "warmup.w.steps: expected 1 to 365 days, found 0"),
        ("[warmup.w]\nsteps = [5, 5]", "warmup.w.steps[1]: expected more than the day before (5)"),
        ("[warmup.w]\nsteps = [0]", "warmup.w.steps[0]: expected more than the day before (0)"),
        ("[warmup.w]\nsteps = [7, 1.5]", "warmup.w.steps[1]: expected a whole number, found 1.5"),
        ('[warmup."W w"]\nsteps = [5]', 'warmup."W w": a plan is named by'),
        ("[breaker]\ncomplaint_share = 0.3", 'breaker.complaint_share: expected a share such as "0.3%"'),
        ('[breaker]\nspam_share = "101%"', "breaker.spam_share: expected a share such as"),
        ("[breaker]\nleast_delivered = 0", "breaker.least_delivered: expected 1 to"),
        ('[breaker]\nwindow = "8d"', 'breaker.window: expected "1m" to "7d"'),
        ("[breaker]\nenable = true", 'breaker.enable: unknown key; did you mean "enabled"?'),
        ("[throttles]", "throttles: unknown key; known here: automation, breaker, default, "),
    ],
)
def test_what_cannot_be_is_said_with_its_path(text: str, said: str) -> None:
    """One problem, of one place, with what to do."""
    (problem,) = problems(text)
    assert problem.startswith(f"s: {said}")


@pytest.mark.parametrize(
    ("later", "is_shadowed"),
    [
        ('provider = "p"\nconnections = 1', True),
        ('provider = "p"\nconnections = 1\nwindow = 2', True),
        ('provider = "p"\nwindow = 2', False),
        ('source = "a"\nprovider = "p"\nconnections = 1', False),
        ('provider = "q"\nconnections = 1', False),
        ('site = "s"\nconnections = 1', False),
    ],
)
def test_an_override_that_a_later_one_covers_is_an_error(later: str, is_shadowed: bool) -> None:
    """It has no effect: the later one holds wherever it does and sets the same."""
    text = f"""{PLACES}[providers.q]\nmx = [".q.test"]
        [[overrides]]
        provider = "p"
        reason = "x"
        connections = 2
        [[overrides]]
        reason = "y"
        {later}"""
    found = [problem for problem in problems(text) if "has no effect" in problem]
    assert bool(found) is is_shadowed
    assert all(problem.startswith("s: overrides[0]: has no effect: overrides[1] holds") for problem in found)


def test_a_narrow_override_in_front_of_a_wide_one_is_named_even_with_a_source() -> None:
    """The wide one wins, because it is the later: the narrow one must stand behind it."""
    text = (
        """[[overrides]]\nsource = "a"\nreason = "x"\nsite = "s"\nwindow = 2
        [[overrides]]\nsource = "a"\nreason = "y"\nwindow = 3\ndsn = "off"\n"""
        + PLACES
    )
    assert [problem.partition(":")[2].strip() for problem in problems(text)] == [
        "overrides[0]: has no effect: overrides[1] holds wherever this does, and sets the same; "
        "the later one wins: put this behind it"
    ]


def test_a_limit_that_is_never_reached_is_a_warning_of_the_layer_that_made_it_so() -> None:
    """The sum of a provider below the number of one of its sites; once, not for each source."""
    text = """
        [default]
        connections = 10
        [providers.p]
        mx = [".p.test"]
        provider_connections = 5
        [providers.q]
        mx = [".q.test"]
        host_connections = 11
        [sources.a]
        window = 2
        [sources.b]
        provider_connections = 7
    """
    assert warnings(text) == [
        "s: providers.p.provider_connections: connections = 10 can never be reached: provider_connections is 5",
        "s: providers.q.host_connections: host_connections = 11 can never be reached: connections is 10",
        "s: sources.b.provider_connections: connections = 10 can never be reached: provider_connections is 7",
    ]


def test_a_limit_that_is_never_reached_is_told_with_the_one_that_binds() -> None:
    """Of several the smallest: to raise another would change nothing."""
    text = """
        [default]
        provider_connections = 5
        connections = 2
        [sources.a1]
        connections = 30
        source_connections = 2
        [sources.a2]
        connections = 30
        source_connections = 20
    """
    assert warnings(text) == [
        "s: sources.a1.connections: connections = 30 can never be reached: source_connections is 2",
        "s: sources.a2.connections: connections = 30 can never be reached: provider_connections is 5",
    ]


def test_a_throttle_that_throttles_nothing_is_a_warning() -> None:
    """It lets through what goes anyway."""
    text = """
        [providers.p]
        mx = [".p.test"]
        connections = 4
        message_rate = "1/s"
        [[automation]]
        name = "r"
        provider = "p"
        class = "rate_limited"
        source = "s"
        actions = [
            { kind = "throttle", at = "path", connections = 4, message_rate = "60/min", for = "1h" },
            { kind = "throttle", at = "path", connections = 3, message_rate = "59/min", for = "1h" },
            { kind = "throttle", at = "source", connections = 9, for = "1h" },
        ]
        example = "421 too many messages"
        counter = "550 spam"
    """
    assert warnings(text) == [
        "s: automation.r.actions[0].connections: changes nothing: connections = 4 holds there anyway",
        's: automation.r.actions[0].message_rate: changes nothing: message_rate = "1/s" holds there anyway',
    ]


def test_breaker_and_plans_are_read() -> None:
    """Shares as people write them."""
    shaped = read("""
        [breaker]
        enabled = false
        complaint_share = "0.25%"
        unknown_share = 0
        least_outcomes = 7
        window = "1h"
        [warmup.slow]
        steps = [10, 20, 40]
    """)
    assert shaped.breaker == BreakerSettings(
        is_on=False, complaint_share=0.0025, unknown_share=0.0, least_outcomes=7, window_s=3600.0
    )
    assert shaped.plans == {"slow": WarmupPlan("slow", (10, 20, 40))}


JSONLIKE = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(WORDS), JSONLIKE, max_size=4))
def test_whatever_stands_there_is_a_finding_and_no_crash(table: dict[str, object]) -> None:
    """Any shape under any key."""
    found = Findings("s")
    shaping(table, found)
    assert all(problem.text for problem in found.problems)
