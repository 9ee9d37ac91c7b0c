"""What is written when."""

import pytest

from mta.smtp import body
from mta.smtp.extensions import Extensions
from mta.smtp.pipeline import WINDOW_OCTETS, WINDOW_OCTETS_MAX, Pipeline
from mta.smtp.plan import Plan
from mta.smtp.settings import Pattern
from mta.smtp.transaction import Position, State, Work, prepare
from tests.unit.smtp.dialogue import PATTERNS, Dialogue


def filled(pattern: Pattern, count: int, wire: bytes = b"x\r\n", window: int = 4) -> Pipeline:
    pipeline = Pipeline(Plan(pattern=pattern, window=window), 0.0)
    for transaction in Dialogue(Pattern.A, count + 1, wire=wire).waiting:
        work = prepare(transaction, Extensions())
        assert isinstance(work, Work)
        pipeline.queue.append(work)
    return pipeline


def positions(pipeline: Pipeline) -> list[Position]:
    return [position for position, _ in pipeline.due]


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        (Pattern.A, [Position.MAIL]),
        (Pattern.B, [Position.MAIL, Position.RCPT, Position.DATA]),
        (Pattern.C, [Position.MAIL, Position.RCPT, Position.DATA]),
        (Pattern.CB, [Position.MAIL, Position.RCPT]),
        (Pattern.E, [Position.RSET, Position.MAIL, Position.RCPT, Position.END] * 2),
    ],
)
def test_the_first_flight(pattern: Pattern, first: list[Position]) -> None:
    """What goes out at once, and the replies that are due for it; nothing more before they came."""
    pipeline = filled(pattern, 2)
    assert pipeline.write(1.0)
    assert positions(pipeline) == first
    assert pipeline.write(1.0) == []


def test_cautious_keeps_data_back() -> None:
    """DATA is not in the group of a careful connection."""
    pipeline = filled(Pattern.B, 1)
    pipeline.is_cautious = True
    pipeline.write(1.0)
    assert positions(pipeline) == [Position.MAIL, Position.RCPT]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_reset_goes_once(pattern: Pattern) -> None:
    """RSET that is owed goes in front of the next MAIL, with E it always does."""
    pipeline = filled(pattern, 1)
    pipeline.must_reset = True
    assert pipeline.write(1.0)[0] == b"RSET\r\n"
    assert pipeline.must_reset == (pattern is Pattern.E)


def test_the_window_grows_to_its_bound() -> None:
    """What is accepted widens the window of octets, at most to a megabyte."""
    pipeline = filled(Pattern.E, 0)
    work = pipeline.queue[0] if pipeline.queue else prepared_large()
    work.is_blind = True
    work.size = WINDOW_OCTETS
    for _ in range(40):
        pipeline.land(work, is_accepted=True)
    assert pipeline._octets_max == WINDOW_OCTETS_MAX


def prepared_large() -> Work:
    (transaction,) = Dialogue(Pattern.A, 2, wire=b"x" * body.BLOCK + b"\r\n").waiting
    work = prepare(transaction, Extensions())
    assert isinstance(work, Work)
    return work


def test_works_are_found_wherever_they_are() -> None:
    """Every unsettled work, once, in order."""
    pipeline = filled(Pattern.C, 3)
    first, second, third = pipeline.queue
    pipeline.write(1.0)
    first.state = State.BODY
    pipeline.due.clear()
    pipeline.write(1.0)
    assert (pipeline.current, pipeline.ahead, list(pipeline.queue)) == (first, second, [third])
    assert pipeline.works() == [first, second, third]
    first.state = State.GONE
    assert pipeline.works() == [second, third]
    pipeline.clear()
    assert pipeline.works() == []


def test_a_balked_one_starts_again() -> None:
    """It becomes the current one, new, with RSET in front."""
    pipeline = filled(Pattern.B, 1)
    (work,) = pipeline.queue
    pipeline.queue.clear()
    work.state, work.is_ahead = State.BALKED, True
    pipeline.ahead = work
    pipeline.advance()
    assert pipeline.current is work
    assert (work.state, work.is_ahead, pipeline.must_reset, pipeline.ahead) == (State.NEW, False, True, None)
