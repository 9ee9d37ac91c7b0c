"""Learning whether C works."""

import pytest

from mta.smtp.plan import Plan
from mta.smtp.probe import AHEAD_S, GROUPS, PROBE_S, Probe
from mta.smtp.settings import Pattern


def test_three_groups_make_a_verdict() -> None:
    """C is known to work after three groups, once, and only where that was the question."""
    probe = Probe(Plan(pattern=Pattern.C))
    assert [probe.succeed() for _ in range(GROUPS + 2)] == [False, False, True, False, False]
    known = Probe(Plan(pattern=Pattern.C, verdict=True))
    assert not any(known.succeed() for _ in range(GROUPS + 2))
    other = Probe(Plan(pattern=Pattern.CB))
    assert not any(other.succeed() for _ in range(GROUPS + 2))


@pytest.mark.parametrize(("rtt_s", "limit_s"), [(0.05, PROBE_S), (1.0, 20.0)])
def test_the_limit_is_short_at_first(rtt_s: float, limit_s: float) -> None:
    """max(10 s, 20 RTT) for the first groups, then a minute; a minute where the host is known."""
    probe = Probe(Plan(pattern=Pattern.C, rtt_s=rtt_s))
    assert probe.limit_s == limit_s
    for _ in range(GROUPS):
        probe.succeed()
    assert probe.limit_s == AHEAD_S
    assert Probe(Plan(pattern=Pattern.C, verdict=True, rtt_s=rtt_s)).limit_s == AHEAD_S


def test_unproven() -> None:
    """A host is unproven until its first group."""
    probe = Probe(Plan(pattern=Pattern.C))
    assert probe.is_unproven
    probe.succeed()
    assert not probe.is_unproven
    assert not Probe(Plan(pattern=Pattern.C, verdict=True)).is_unproven
