"""Who waits for what several share."""

from hypothesis import given
from hypothesis import strategies as st

from mta.queue.turnstile import Turnstile


class Waiting:
    def __init__(self) -> None:
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1


def test_nobody_passes_who_came_later() -> None:
    """The first may pass, the others may not, and whoever is not in line stands behind all."""
    line, (a, b, c) = Turnstile(), (Waiting(), Waiting(), Waiting())
    assert line.may_pass(a)
    line.join(a, 1)
    line.join(b, 2)
    assert line.may_pass(a)
    assert not line.may_pass(b)
    assert not line.may_pass(c)


def test_each_stands_once() -> None:
    """Who joins again keeps his place."""
    line, (a, b) = Turnstile(), (Waiting(), Waiting())
    line.join(a, 1)
    line.join(b, 2)
    line.join(a, 3)
    assert len(line) == 2
    assert line.may_pass(a)


def test_a_number_drawn_earlier_stands_in_front() -> None:
    """Sent on from another line, one does not start again at the end."""
    line, (a, b) = Turnstile(), (Waiting(), Waiting())
    line.join(b, 7)
    line.join(a, 3)
    assert line.may_pass(a)


def test_the_next_is_woken_when_the_first_leaves() -> None:
    """And nobody is when somebody else does."""
    line, (a, b, c) = Turnstile(), (Waiting(), Waiting(), Waiting())
    for number, who in enumerate((a, b, c)):
        line.join(who, number)
    line.leave(c)
    assert (a.woken, b.woken) == (0, 0)
    line.leave(a)
    assert b.woken == 1
    line.leave(a)
    assert b.woken == 1


@given(st.lists(st.integers(0, 5), max_size=60))
def test_all_are_served_in_order(asks: list[int]) -> None:
    """However they come, nobody is passed over."""
    line, waiting = Turnstile(), [Waiting() for _ in range(6)]
    for number, who in enumerate(asks):
        line.join(waiting[who], number)
    first_asked = list(dict.fromkeys(asks))
    for who in first_asked:
        assert line.may_pass(waiting[who])
        line.leave(waiting[who])
    assert not len(line)
