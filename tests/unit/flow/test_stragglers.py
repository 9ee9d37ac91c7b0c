"""Who keeps a place among the payloads in work only for those whose site takes its time."""

import pytest
from msgspec.structs import replace

from mta.flow.stragglers import Stragglers, set_aside
from mta.flow.work import Work
from mta.jetstream.layout import RETRY
from mta.model.lane import Lane
from tests.unit.flow.works import reference, work


def begun(**changes: object) -> Work:
    """One of three is settled."""
    one = work(3, lane="bulk", **changes)
    one.open -= 1
    return one


def test_what_does_not_move_is_found() -> None:
    """After two seconds in which nothing of it was settled; what was, counts from then."""
    stragglers, slow, quick = Stragglers(), begun(), begun()
    quick.key = ("MTA_PAYLOADS", 8)
    assert stragglers.look([slow, quick], 0.0) == []
    quick.open -= 1
    assert stragglers.look([slow, quick], 1.0) == []
    assert stragglers.look([slow, quick], 2.0) == [slow]
    assert stragglers.look([slow, quick], 3.0) == [slow, quick]


def looked_at_for(seconds: int, works: list[Work]) -> list[Work]:
    """What is found at the last look."""
    stragglers = Stragglers()
    return [stragglers.look(works, float(second)) for second in range(seconds)][-1]


def transactional() -> Work:
    one = work(3)
    one.admitted = replace(one.admitted, lane=Lane.TRANSACTIONAL)
    return one


@pytest.mark.parametrize(
    ("one", "stream", "is_found"),
    [
        (work(3, lane="bulk"), "MTA_PAYLOADS", False),
        (work(3, lane="bulk"), RETRY, True),
        (transactional(), RETRY, False),
    ],
    ids=["not begun", "due again", "transactional"],
)
def test_whose_turn_has_not_come_is_left_alone(one: Work, stream: str, is_found: bool) -> None:
    """A fresh payload of which nothing was sent; one that waits for a slow site again is none. Transactional mail has
    places of its own."""
    one.key = (stream, 7)
    assert bool(looked_at_for(9, [one])) is is_found


def test_what_has_no_recipients_left_is_nobody_s() -> None:
    """Its events are on their way, or its retries."""
    one = begun()
    one.open = 0
    assert looked_at_for(9, [one]) == []


def test_who_was_not_looked_at_is_not_blamed() -> None:
    """The machine stood still, or places were not short for a while: nothing could have moved, or nobody saw it."""
    stragglers, one = Stragglers(), begun()
    stragglers.look([one], 0.0)
    assert stragglers.look([one], 9.0) == []
    assert stragglers.look([one], 10.0) == []
    assert stragglers.look([one], 11.0) == [one]


def test_they_come_back_in_minutes() -> None:
    """Spread, and never after their end."""
    one = begun()
    ref = reference(one, 0)
    expires_at = one.admitted.expires_at
    assert set_aside(one, 1000.0, 0.5)(ref).due_at == min(1330.0, expires_at)
    assert set_aside(one, expires_at - 1, 0.5)(ref).due_at == expires_at
