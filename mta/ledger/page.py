"""The books of one source message: states and notes of its recipients, in memory and in the arena alike. Pure.

Whoever changes something here has changed the arena when he returns; the next snapshot has it some time later.
"""

from collections.abc import Callable
from typing import Protocol

from mta.ledger.note import Note
from mta.ledger.snapshot import Entry
from mta.ledger.state import KEPT, RecipientState, Record, Source


class Slot(Protocol):
    """The part of `mta.ledger.arena.Slot` that is needed here."""

    def write(self, position: int, state: int, note: Note | None) -> None: ...

    def mark(self, position: int, state: int) -> None: ...

    def release(self) -> None: ...


class NoSlot:
    """Of a message without recipients, and of a page that was released: nothing is written anywhere."""

    def write(self, position: int, state: int, note: Note | None) -> None: ...

    def mark(self, position: int, state: int) -> None: ...

    def release(self) -> None: ...


class Page:
    """`past` is what earlier owners left; `note_change` is called when the next snapshot will differ."""

    __slots__ = ("_note_change", "_slot", "is_blank", "notes", "record", "source")

    def __init__(
        self, source: Source, past: Entry | None, count: int, slot: Slot, note_change: Callable[[], None]
    ) -> None:
        self.source = source
        self.record = Record(count) if past is None else Record.restored(past.states)
        self.notes: dict[int, Note] = {} if past is None else dict(past.notes)
        """Of those who have one and are not kept."""
        self.is_blank = past is None
        """Nothing has become of anybody: whoever knew nothing of it would do the same."""
        self._slot = slot
        self._note_change = note_change
        if past is not None:
            self._copy()

    def _copy(self) -> None:
        """The past into our own slot."""
        for position, byte in enumerate(self.record.saved()):
            note = self.notes.get(position)
            if byte or note is not None:
                if note is None and byte != RecipientState.DOT:
                    note = Note(
                        None, 0, 0.0
                    )  # kept long ago, or parked: the record needs a check all the same
                self._slot.write(position, byte, note)
            if byte >= KEPT:
                self.notes.pop(position, None)

    def dot(self, position: int) -> None:
        """Its end of data is about to be written."""
        if self.record.byte(position) == RecipientState.OPEN:
            self._put(position, self.record.move(position, RecipientState.DOT))

    def settle(self, position: int, state: RecipientState, note: Note) -> None:
        """DELIVERED, ENDED, or OPEN again: deferred."""
        record = self.record
        before = record.byte(position)
        if state is RecipientState.DELIVERED and before == RecipientState.OPEN:
            record.move(position, RecipientState.DOT)
        if before != state:
            record.move(position, state)
        self.notes[position] = note
        self._slot.write(position, state, note)
        self.is_blank = False
        self._note_change()

    def store(self, position: int, parked: Note) -> None:
        """It is in MTA_RETRY. `parked` is its note if it has none, that is, if no attempt was made."""
        self.notes.setdefault(position, parked)
        self._put(position, self.record.move(position, RecipientState.STORED))

    def keep(self, position: int) -> None:
        """Every event of its final state is in the stream."""
        self._slot.mark(position, self.record.keep(position))
        self.notes.pop(position, None)
        self._note_change()

    def _put(self, position: int, byte: int) -> None:
        note = self.notes.get(position)
        if note is None:
            self._slot.mark(position, byte)
        else:
            self._slot.write(position, byte, note)
        self.is_blank = False
        self._note_change()

    def entry(self) -> Entry:
        """For a snapshot."""
        return Entry(self.source, self.record.saved(), self.notes)

    def release(self) -> None:
        """The source message is gone from the stream, or has a page elsewhere. Its slot may be another's by the time a
        late outcome comes."""
        self._slot.release()
        self._slot = NoSlot()
