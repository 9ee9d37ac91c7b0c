import gc
import weakref

from mta.flow.work import Waiting
from mta.ledger.note import Note
from mta.ledger.state import RecipientState
from mta.model.event import EventType
from tests.unit.flow.works import Always, reference, work

NOW = 10.0
NOTE = Note(EventType.BOUNCED, 1, 5.0)


def ended(one: object, position: int) -> None:
    """Settled with an event on its way."""
    one.open -= 1  # type: ignore[attr-defined]
    one.page.settle(position, RecipientState.ENDED, NOTE)  # type: ignore[attr-defined]
    one.note_told(position)  # type: ignore[attr-defined]


def test_ack_waits_for_every_event() -> None:
    """Settled is not enough: each event must be in the stream, that of the payload, too."""
    one = work(2)
    one.note_told(None)
    for position in (0, 1):
        ended(one, position)
    assert not one.may_ack
    one.note_kept(0)
    one.note_kept(1)
    assert not one.may_ack
    one.note_kept(None)
    assert one.may_ack


def test_an_open_recipient_holds_the_ack() -> None:
    """Nothing is owed, one is not settled."""
    one = work(2)
    ended(one, 0)
    one.note_kept(0)
    assert not one.may_ack
    assert not one.may_store(NOW)


def test_deferred_is_kept_when_told_and_stored_in_either_order() -> None:
    """The event of the attempt and the retry message are acknowledged independently."""
    for is_stored_first in (True, False):
        one = work(1)
        one.open = 0
        one.note_told(0)
        one.wait(50.0, Waiting(reference(one, 0), 1, "", None), NOW)
        assert one.may_store(NOW)
        assert not one.may_ack
        one.waiting.clear()
        steps = [lambda one=one: one.note_stored(0, 5.0), lambda one=one: one.note_kept(0)]
        for step in steps if is_stored_first else reversed(steps):
            assert not one.may_ack
            step()
        assert one.may_ack


def test_parked_needs_no_event() -> None:
    """Stored is enough."""
    one = work(1)
    one.open = 0
    one.note_stored(0, 5.0)
    assert one.may_ack


def test_storing_waits_for_the_end_of_the_pass() -> None:
    """One message for all that wait, so not before all are settled, and not twice at once."""
    one = work(2)
    one.wait(50.0, Waiting(reference(one, 0), 1, "", None), NOW)
    one.open = 1
    assert not one.may_store(NOW)
    one.open = 0
    assert one.may_store(NOW)
    one.is_storing = True
    assert not one.may_store(NOW)


def test_a_slow_recipient_holds_nobody_up() -> None:
    """Those who wait are stored when they have been gathered for a while, or are almost due."""
    one = work(2)
    one.open = 1
    one.wait(NOW + 60, Waiting(reference(one, 0), 1, "", None), NOW)
    assert not one.may_store(NOW + 4)
    assert one.may_store(NOW + 6)
    soon = work(2)
    soon.open = 1
    soon.wait(NOW + 2, Waiting(reference(soon, 0), 1, "", None), NOW)
    assert not soon.may_store(NOW)
    assert soon.may_store(NOW + 1)


def test_busy_or_done_is_not_acked_again() -> None:
    """One ack at a time, and none after it."""
    one = work(1)
    ended(one, 0)
    one.note_kept(0)
    assert one.may_ack
    one.is_acking = True
    assert not one.may_ack
    one.is_acking, one.is_done = False, True
    assert not one.may_ack


def test_those_of_one_pass_and_class_are_due_together() -> None:
    """The first due time holds for its attempt and class; others have their own."""
    one = work(3)
    assert one.due_together(10.0, 1, "greylisted", 0.0) == 10.0
    assert one.due_together(11.0, 1, "greylisted", 1.0) == 10.0
    assert one.due_together(12.0, 2, "greylisted", 1.0) == 12.0
    assert one.due_together(13.0, 1, "rate_limited", 1.0) == 13.0


def test_who_comes_late_is_not_due_too_early() -> None:
    """Half of his own time at least: else he waits with others."""
    one = work(3)
    assert one.due_together(300.0, 1, "greylisted", 0.0) == 300.0
    assert one.due_together(400.0, 1, "greylisted", 100.0) == 300.0
    assert one.due_together(550.0, 1, "greylisted", 250.0) == 550.0
    assert one.due_together(560.0, 1, "greylisted", 260.0) == 550.0


def test_a_dot_needs_the_lease_and_the_gate() -> None:
    """Permitted, it stands in the books; refused, it does not."""
    gate = Always()
    one = work(2, gate=gate)
    assert one.permit(0)
    assert one.page.record.state(0) is RecipientState.DOT
    gate.is_open = False
    assert not one.permit(1)
    gate.is_open, one.lease.until = True, 0.0
    assert not one.permit(1)
    assert one.page.record.state(1) is RecipientState.OPEN


def test_what_is_lost_ends_its_tasks() -> None:
    """And lets go of everything that would act for it."""
    one = work(2)
    ended_tasks: list[str] = []

    class Task:
        def cancel(self) -> None:
            ended_tasks.append("cancelled")

    one.tasks.add(Task())
    one.references.append(reference(one, 0))
    one.wait(50.0, Waiting(reference(one, 1), 1, "", None), NOW)
    one.lose()
    assert one.is_lost
    assert ended_tasks == ["cancelled"]
    assert not one.references
    assert not one.waiting


class _Watched(list[Waiting]):
    """A list that can be watched dying."""


def test_what_is_over_is_freed_at_once() -> None:
    """Without the collector of cycles, which runs seldom: references and their owner hold each other."""
    one = work(2)
    one.references += [reference(one, position) for position in range(2)]
    one.waiting[0.0] = _Watched()
    part = weakref.ref(one.waiting[0.0])
    gc.disable()
    try:
        one.end()
        del one
        assert part() is None
    finally:
        gc.enable()
