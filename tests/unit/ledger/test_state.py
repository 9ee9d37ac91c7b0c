import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.ledger.state import FINAL, KEPT, TRANSITIONS, IllegalTransition, RecipientState, Record

S = RecipientState
WAYS = {
    S.OPEN: [],
    S.DOT: [S.DOT],
    S.DELIVERED: [S.DOT, S.DELIVERED],
    S.ENDED: [S.ENDED],
    S.STORED: [S.STORED],
}


def reached(state: RecipientState) -> Record:
    record = Record(1)
    for step in WAYS[state]:
        record.move(0, step)
    return record


@pytest.mark.parametrize("before", S)
@pytest.mark.parametrize("after", S)
def test_every_pair_of_states_has_a_row_or_raises(before: RecipientState, after: RecipientState) -> None:
    """The table is the whole truth, kept or not."""
    record = reached(before)
    if after in TRANSITIONS[before]:
        assert record.move(0, after) == after
        assert record.state(0) is after
    else:
        with pytest.raises(IllegalTransition):
            record.move(0, after)
        assert record.state(0) is before


@pytest.mark.parametrize("state", S)
def test_only_final_states_are_kept(state: RecipientState) -> None:
    """A kept open recipient would be skipped by a redelivery, and lost."""
    record = reached(state)
    if state in FINAL:
        assert record.keep(0) == state | KEPT
        assert record.keep(0) == state | KEPT
        assert record.is_finished
        with pytest.raises(IllegalTransition):
            record.move(0, S.OPEN)
    else:
        with pytest.raises(IllegalTransition):
            record.keep(0)
        assert not record.is_finished


def test_finished_when_all_are_kept() -> None:
    """A stored recipient still owes its `deferred` event."""
    record = Record(3)
    record.move(0, S.ENDED)
    record.move(1, S.STORED)
    record.move(2, S.STORED)
    record.keep(2)
    record.keep(0)
    assert not record.is_finished
    assert record.unkept == 1
    record.keep(1)
    assert record.is_finished
    assert record.count(S.STORED) == 2


def test_a_message_of_no_recipients_is_finished() -> None:
    """All of them were rejected."""
    assert Record(0).is_finished


def test_foreign_bytes_are_refused() -> None:
    """What no record can hold is not believed."""
    for foreign in (b"\x05", b"\x80", b"\x81", b"\x00\xff"):
        with pytest.raises(ValueError, match="no recipient states"):
            Record.restored(foreign)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([*S, "keep"])), max_size=60))
def test_counts_are_those_of_the_bytes(steps: list[tuple[int, RecipientState | str]]) -> None:
    """Whatever happens, legal or refused, the counters agree with the states, and a restored record is equal."""
    record = Record(5)
    for position, step in steps:
        try:
            if step == "keep":
                record.keep(position)
            else:
                record.move(position, RecipientState(step))
        except IllegalTransition:
            pass
    states = [record.state(position) for position in range(5)]
    for each in (record, Record.restored(record.saved())):
        assert [each.count(state) for state in S] == [states.count(state) for state in S]
        assert each.unkept == 5 - sum(each.is_kept(position) for position in range(5))
        assert each.saved() == record.saved()
        assert len(each) == 5
