"""Timers on a fake clock."""

import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.queue.deferred import DeferredQueue, Due, Empty, Sleep


def test_due_comes_in_order_of_time() -> None:
    """What is due comes at once, the earliest first, equal times in order of putting."""
    queue: DeferredQueue[str] = DeferredQueue()
    for due_at, item in [(3.0, "c"), (1.0, "a"), (2.0, "b1"), (2.0, "b2"), (9.0, "z")]:
        queue.put(due_at, item)
    assert queue.pop(3.0) == Due(["a", "b1", "b2", "c"])
    assert len(queue) == 1


def test_nothing_due_tells_how_long_to_sleep() -> None:
    """The time to the next one; nothing at all is told apart."""
    queue: DeferredQueue[str] = DeferredQueue()
    assert queue.pop(0.0) == Empty()
    queue.put(10.0, "a")
    assert queue.pop(4.0) == Sleep(6.0)
    assert queue.pop(10.0) == Due(["a"])
    assert queue.pop(10.0) == Empty()


def test_cancelled_timers_do_not_come() -> None:
    """A cancelled one neither comes due nor wakes anyone."""
    queue: DeferredQueue[str] = DeferredQueue()
    first = queue.put(1.0, "a")
    queue.put(5.0, "b")
    assert queue.cancel(first)
    assert not queue.cancel(first)
    assert queue.pop(0.0) == Sleep(5.0)
    assert len(queue) == 1


def test_what_came_due_cannot_be_cancelled() -> None:
    """Cancelling too late says so and changes no count."""
    queue: DeferredQueue[str] = DeferredQueue()
    entry = queue.put(1.0, "a")
    queue.pop(1.0)
    assert not queue.cancel(entry)
    assert len(queue) == 0


class _Large:
    """Something that is worth freeing."""


def test_a_timer_that_is_over_holds_nothing() -> None:
    """Whether it was cancelled or came due: its item lives on only where somebody else holds it."""
    queue: DeferredQueue[_Large] = DeferredQueue()
    cancelled, came = _Large(), _Large()
    handles = [queue.put(5.0, cancelled), queue.put(1.0, came)]
    gone = [weakref.ref(cancelled), weakref.ref(came)]
    queue.cancel(handles[0])
    queue.pop(1.0)
    del cancelled, came
    assert [ref() for ref in gone] == [None, None]


def test_items_need_no_order() -> None:
    """Equal times never compare items."""
    queue: DeferredQueue[object] = DeferredQueue()
    queue.put(1.0, object())
    queue.put(1.0, object())
    due = queue.pop(1.0)
    assert isinstance(due, Due)
    assert len(due.items) == 2


def test_cancelled_timers_are_swept() -> None:
    """Memory follows what is alive: of 100,000 timers cancelled but 1,000, few entries remain, in order."""
    queue: DeferredQueue[int] = DeferredQueue()
    due_at = {number: float(number * 7919 % 100_003) for number in range(100_000)}
    entries = [queue.put(due_at[number], number) for number in range(100_000)]
    for number, entry in enumerate(entries):
        if number % 100:
            queue.cancel(entry)
    assert len(queue) == 1000
    assert len(queue._heap) <= 2048
    alive = sorted((number for number in range(0, 100_000, 100)), key=due_at.__getitem__)
    assert queue.pop(1e6) == Due(alive)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.booleans())), st.lists(st.integers(0, 60)))
def test_each_comes_once_when_due(timers: list[tuple[int, bool]], visits: list[int]) -> None:
    """Against a plain list: at every visit exactly what is due, alive and not yet given."""
    queue: DeferredQueue[int] = DeferredQueue()
    alive = {}
    for number, (due_at, is_cancelled) in enumerate(timers):
        entry = queue.put(float(due_at), number)
        if is_cancelled:
            queue.cancel(entry)
        else:
            alive[number] = due_at
    for now in sorted(visits):
        expected = sorted((number for number, at in alive.items() if at <= now), key=lambda n: (alive[n], n))
        for number in expected:
            del alive[number]
        match queue.pop(float(now)):
            case Due(items):
                assert items == expected
                assert items
            case Sleep(seconds):
                assert not expected
                assert seconds == pytest.approx(min(alive.values()) - now)
            case Empty():
                assert not expected
                assert not alive
    assert len(queue) == len(alive)
