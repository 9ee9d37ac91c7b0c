import pytest

from loadtest.__main__ import parser


def test_scenarios_and_defaults() -> None:
    """Both scenarios take the same knobs."""
    options = parser().parse_args(["throughput", "--json"])
    assert (options.messages, options.size, options.connections, options.pattern) == (
        20_000,
        4096,
        20,
        "auto",
    )
    options = parser().parse_args(["lanes", "--rtt-ms", "50", "--pattern", "E8"])
    assert (options.probes, options.rtt_ms, options.pattern) == (250, 50.0, "E8")
    options = parser().parse_args(["backlog"])
    assert (options.dead_recipients, options.connections) == (1_000_000, 10)
    options = parser().parse_args(["limits", "--daemons", "2"])
    assert (options.limit, options.connections, options.daemons, options.restarts) == (10, 2, 2, 6)
    options = parser().parse_args(["tenants", "--limit", "50"])
    assert (options.bulk, options.small, options.limit, options.connections) == (1_000_000, 100, 50, 20)
    assert parser().parse_args(["deadslow"]).seconds == 20.0
    options = parser().parse_args(["domains", "--resolve-only"])
    assert (options.domains, options.seconds, options.resolve_only) == (100_000, 60.0, True)
    options = parser().parse_args(["soak", "--kill", "nats", "--kill", "worker"])
    assert (options.minutes, options.kill) == (30.0, ["nats", "worker"])


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["nothing"],
        ["throughput", "--messages", "0"],
        ["throughput", "--messages", "x"],
        ["throughput", "--pattern", "D"],
        ["throughput", "--pattern", "E0"],
        ["throughput", "--pattern", "E65"],
        ["throughput", "--pattern", "E"],
    ],
)
def test_wrong_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be run is refused before anything starts."""
    with pytest.raises(SystemExit) as raised:
        parser().parse_args(wrong)
    assert raised.value.code == 2
    assert "usage" in capsys.readouterr().err
