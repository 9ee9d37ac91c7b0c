"""Which deadline is the next."""

import pytest

from mta.smtp.deadline import Deadlines
from mta.smtp.life import Life
from mta.smtp.pipeline import Pipeline
from mta.smtp.plan import Plan
from mta.smtp.probe import Probe
from mta.smtp.settings import Pattern, Timeouts
from mta.smtp.transaction import Position
from mta.smtp.verdict import Verdicts

Next = tuple[str, float] | None


def following(
    life: Life = Life.OPEN, *, rtt_s: float = 0.0, position: Position | None = None, held: float | None = None
) -> Next:
    """Nothing written or heard since 100.0."""
    plan = Plan(pattern=Pattern.B, rtt_s=rtt_s)
    pipeline, verdicts = Pipeline(plan, 100.0), Verdicts()
    verdicts.since = held
    if position is not None:
        pipeline.due.append((position, None))
    return Deadlines(plan).next(life, pipeline, verdicts, Probe(plan))


def test_nothing() -> None:
    """An idle session and a dead one wait for nothing."""
    assert following() is None
    assert following(Life.DEAD, position=Position.MAIL, held=100.0) is None


@pytest.mark.parametrize(("rtt_s", "quiet_s"), [(0.0, 0.05), (0.02, 0.05), (0.1, 0.2), (9.0, 1.0)])
def test_quiet(rtt_s: float, quiet_s: float) -> None:
    """Two round trips, within bounds, from what was heard last."""
    assert following(rtt_s=rtt_s, held=99.0) == ("quiet", 100.0 + quiet_s)


def test_hold() -> None:
    """While replies are due a verdict is held for a second, unless the limit of the reply is nearer."""
    assert following(position=Position.MAIL, held=99.5) == ("hold", 100.5)
    assert following(position=Position.QUIT) == ("QUIT", 105.0)
    assert following(position=Position.END) == ("END", 700.0)


def test_parting() -> None:
    """After 421 five seconds and two round trips, whatever is due."""
    assert following(Life.PARTING, rtt_s=0.5, position=Position.MAIL, held=99.0) == ("parting", 106.0)


def test_least() -> None:
    """No reply's deadline is nearer than the shortest limit."""
    assert Deadlines(Plan()).least_s == 1.0
    assert Deadlines(Plan(timeouts=Timeouts(data_s=0.5))).least_s == 0.5
