from mta.ledger.note import Note
from mta.ledger.page import Page
from mta.ledger.snapshot import Entry
from mta.ledger.state import KEPT, RecipientState, Source
from mta.model.event import EventType

S = RecipientState
SOURCE = Source("MTA_PAYLOADS", 7, 1)
DELIVERED = Note(EventType.DELIVERED, 1, 5.0)
DEFERRED = Note(EventType.DEFERRED, 1, 5.0)
PARKED = Note(None, 0, 6.0)


class Slot:
    """What was written last to each place, and whether it may still be written to."""

    def __init__(self) -> None:
        self.written: dict[int, tuple[int, Note | None]] = {}
        self.is_free = False

    def write(self, position: int, state: int, note: Note | None) -> None:
        assert not self.is_free
        self.written[position] = (state, note)

    def mark(self, position: int, state: int) -> None:
        assert not self.is_free
        self.written[position] = (state, self.written.get(position, (0, None))[1])

    def release(self) -> None:
        self.is_free = True


class Desk:
    def __init__(self, count: int = 3, past: Entry | None = None) -> None:
        self.slot = Slot()
        self.changes = 0
        self.page = Page(SOURCE, past, count, self.slot, self.note_change)

    def note_change(self) -> None:
        self.changes += 1


def test_each_step_is_in_the_slot_when_it_returns() -> None:
    """Dot, outcome, kept: and each is something new for the next snapshot."""
    desk = Desk()
    page, written = desk.page, desk.slot.written
    page.dot(0)
    assert written[0] == (S.DOT, None)
    page.settle(0, S.DELIVERED, DELIVERED)
    assert written[0] == (S.DELIVERED, DELIVERED)
    assert page.entry() == Entry(SOURCE, bytes([S.DELIVERED, 0, 0]), {0: DELIVERED})
    page.keep(0)
    assert written[0] == (S.DELIVERED | KEPT, DELIVERED)
    assert page.entry() == Entry(SOURCE, bytes([S.DELIVERED | KEPT, 0, 0]), {})
    assert desk.changes == 3


def test_deferred_it_is_open_with_a_note_until_it_is_stored() -> None:
    """The note is what a crash in between goes on from."""
    desk = Desk()
    for position, has_dot in enumerate((True, False)):
        if has_dot:
            desk.page.dot(position)
        desk.page.settle(position, S.OPEN, DEFERRED)
        assert desk.slot.written[position] == (S.OPEN, DEFERRED)
        desk.page.store(position, PARKED)
        assert desk.slot.written[position] == (S.STORED, DEFERRED)
    desk.page.store(2, PARKED)
    assert desk.slot.written[2] == (S.STORED, PARKED)


def test_a_delivery_without_a_dot_on_record_stands() -> None:
    """Nothing that a peer said may be lost to the order of our books."""
    desk = Desk()
    desk.page.settle(0, S.DELIVERED, DELIVERED)
    assert desk.page.record.state(0) is S.DELIVERED


def test_the_past_is_copied() -> None:
    """What was kept has a note in the slot all the same: a state alone is not believed there."""
    past = Entry(SOURCE, bytes([S.DELIVERED | KEPT, S.OPEN, S.DELIVERED]), {1: DEFERRED, 2: DELIVERED})
    desk = Desk(past=past)
    state, note = desk.slot.written[0]
    assert (state, note is not None) == (S.DELIVERED | KEPT, True)
    assert desk.slot.written[1] == (S.OPEN, DEFERRED)
    assert desk.slot.written[2] == (S.DELIVERED, DELIVERED)
    assert desk.page.notes == {1: DEFERRED, 2: DELIVERED}
    assert not desk.page.is_blank


def test_blank_until_something_has_become_of_somebody() -> None:
    """Then there is nothing to tell anybody."""
    desk = Desk()
    assert desk.page.is_blank
    desk.page.dot(1)
    assert not desk.page.is_blank


def test_a_late_outcome_touches_no_slot_that_is_anothers() -> None:
    """Released, the page goes on in memory only."""
    desk = Desk()
    desk.page.dot(0)
    desk.page.release()
    desk.page.settle(0, S.DELIVERED, DELIVERED)
    assert desk.slot.written[0] == (S.DOT, None)
