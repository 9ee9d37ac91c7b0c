import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.suppression import SuppressReason
from mta.suppression.table import SHARDS, Table, pack, reason_of

KEYS = st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.integers(2**64 - 4, 2**64 - 1)
VALUES = st.integers(1, 2**32 - 1)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES | st.none())), st.lists(KEYS))
def test_it_is_a_dict(changes: list[tuple[int, int | None]], others: list[int]) -> None:
    """Whatever is put and removed, in whatever order; and so is what it is written as."""
    table, model = Table(), dict[int, int]()
    for key, value in changes:
        if value is None:
            table.remove(key)
            model.pop(key, None)
        else:
            table.put(key, value)
            model[key] = value
    assert len(table) == len(model)
    content = b"".join(table.shard_bytes(shard) for shard in range(SHARDS))
    for one in (table, Table.from_bytes(memoryview(content))):
        assert dict(one.items()) == model
        assert [one.get(key) for key in others] == [model.get(key, 0) for key in others]


@pytest.mark.parametrize("reason", SuppressReason)
def test_a_mark_without_an_end_holds_for_good(reason: SuppressReason) -> None:
    """Each reason is what it was."""
    assert reason_of(pack(reason), 1e12) is reason


def test_a_mark_counts_until_its_end() -> None:
    """To the minute, rounded up."""
    value = pack(SuppressReason.MAILBOX_FULL, 1_000_000_001.0)
    assert reason_of(value, 1_000_000_001.0) is SuppressReason.MAILBOX_FULL
    assert reason_of(value, 1_000_000_060.0) is None
    assert reason_of(pack(SuppressReason.MANUAL, 0.5), 100.0) is None


def test_what_nobody_packed_is_no_reason() -> None:
    """As read from a file of a later version."""
    for value in (0, 9, 15, 16):
        assert reason_of(value, 0.0) is None


def test_what_expired_is_let_go_of() -> None:
    """And nothing else."""
    table = Table()
    table.put(1, pack(SuppressReason.MANUAL))
    table.put(2, pack(SuppressReason.MANUAL, 60.0))
    table.put(3, pack(SuppressReason.MANUAL, 600.0))
    assert table.sweep(0, 60.0) == 1
    assert [table.get(key) > 0 for key in (1, 2, 3)] == [True, False, True]
    assert len(table) == 2
    assert table.sweep(1, 1e9) == 0


@pytest.mark.parametrize(
    "change", [lambda c: c[:-1], lambda c: c + b"x", lambda c: c[:10], lambda c: b"\xff" * 40]
)
def test_bytes_of_another_shape_are_refused(change) -> None:  # type: ignore[no-untyped-def]
    """Cut off, with something behind, and anything at all."""
    table = Table()
    table.put(5, 1)
    content = b"".join(table.shard_bytes(shard) for shard in range(SHARDS))
    with pytest.raises(ValueError):
        Table.from_bytes(memoryview(change(content)))
