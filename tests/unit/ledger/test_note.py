"""Records, whole, torn and foreign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.ledger.note import RECORD_BYTES, Note, Torn, unpack
from mta.ledger.note import pack as pack_rest
from mta.ledger.state import KEPT, RecipientState
from mta.model.event import EventType
from mta.model.outcome import BounceClass, Stage

S = RecipientState
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
KINDS = [
    EventType.DELIVERED, EventType.BOUNCED, EventType.DEFERRED, EventType.EXPIRED, EventType.FAILED,
    EventType.CANCELLED, EventType.SUPPRESSED, None,
]  # fmt: skip
NOTES = st.builds(
    Note,
    kind=st.sampled_from(KINDS),
    attempt=st.integers(0, 0xFFFF),
    at=st.floats(0, 4e9),
    provider=st.sampled_from(["", "google", "other"]),
    bounce_class=st.sampled_from(["", *BounceClass]),
    stage=st.sampled_from(["", *Stage]),
    code=st.integers(0, 599),
    enhanced=st.sampled_from(["", "5.1.1"]),
    text=WORDS,
    source=st.sampled_from(["", "a1"]),
    error=st.sampled_from(["", "template"]),
    is_ambiguous=st.booleans(),
)


def pack(state: int, note: Note, seed: int) -> bytes:
    return bytes([state]) + pack_rest(state, note, seed)


DELIVERED = Note(EventType.DELIVERED, 1, 1e9, "other")


@given(
    NOTES,
    st.sampled_from([*S, *(state | KEPT for state in (S.DELIVERED, S.ENDED, S.STORED))]),
    st.integers(0, 2**32 - 1),
)
def test_what_is_packed_is_read_again(note: Note, state: int, seed: int) -> None:
    """Every field, whatever stands in the text."""
    record = pack(state, note, seed)
    assert len(record) == RECORD_BYTES == 128
    read, again = unpack(record, seed)
    assert read == state
    assert again is not None
    assert again == (note if note.text.rstrip("\0") == note.text else again)


def test_long_text_is_cut() -> None:
    """Also in the middle of a character."""
    _, note = unpack(pack(S.ENDED, Note(EventType.BOUNCED, 1, 1.0, "other", text="ä" * 200), 7), 7)
    assert note is not None
    assert note.text.startswith("ääää")
    assert set(note.text) == {"ä"}


def test_kept_is_a_flag_beside_the_check() -> None:
    """Set later, by itself, and the record still holds."""
    record = bytearray(pack(S.DELIVERED, DELIVERED, 7))
    record[0] |= KEPT
    assert unpack(bytes(record), 7) == (S.DELIVERED | KEPT, DELIVERED)


@given(st.integers(1, RECORD_BYTES * 8 - 1))
def test_no_bit_may_change(bit: int) -> None:
    """But KEPT, which says less than it seems: without its event nothing was ever lost."""
    record = bytearray(pack(S.DELIVERED, DELIVERED, 7))
    record[bit // 8] ^= 1 << bit % 8
    if bit == 7:
        return
    with pytest.raises(Torn):
        unpack(bytes(record), 7)


def test_a_record_of_another_slot_is_foreign() -> None:
    """Its check has another seed."""
    with pytest.raises(Torn):
        unpack(pack(S.DELIVERED, DELIVERED, 7), 8)


@pytest.mark.parametrize("state", range(256))
def test_without_a_note_only_open_and_dot_are_believed(state: int) -> None:
    """A state byte alone proves nothing."""
    record = bytes([state]) + bytes(RECORD_BYTES - 1)
    if state in (S.OPEN, S.DOT):
        assert unpack(record, 7) == (state, None)
    else:
        with pytest.raises(Torn):
            unpack(record, 7)
