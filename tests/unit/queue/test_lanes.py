"""Transactional first, and what is left to bulk whatever comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.lane import Lane
from mta.queue.lanes import LaneShare


def served(share: LaneShare, rounds: int, piece: int = 1) -> int:
    """Of so many messages while both wait, those of bulk, which is given in pieces."""
    bulk = done = 0
    while done < rounds:
        is_bulk = share.is_bulk_due
        count = piece if is_bulk else 1
        share.note(Lane.BULK if is_bulk else Lane.TRANSACTIONAL, count)
        bulk += count * is_bulk
        done += count
    return bulk


def test_transactional_is_first() -> None:
    """Seven of it, then one of bulk, at the share we ship."""
    share = LaneShare(0.125)
    turns = []
    for _ in range(16):
        turns.append(share.is_bulk_due)
        share.note(Lane.BULK if share.is_bulk_due else Lane.TRANSACTIONAL)
    assert turns == [False] * 7 + [True] + [False] * 7 + [True]


@given(st.floats(0.01, 0.9), st.integers(1, 50))
def test_the_share_is_kept_whatever_the_pieces(portion: float, piece: int) -> None:
    """Neither lane falls behind by more than a piece."""
    assert abs(served(LaneShare(portion), 2000, piece) - 2000 * portion) <= piece + 2


@pytest.mark.parametrize(("lane", "is_due"), [(Lane.TRANSACTIONAL, True), (Lane.BULK, False)])
def test_nothing_is_saved(lane: Lane, is_due: bool) -> None:
    """What one lane took is forgotten once the other has nothing."""
    share = LaneShare(0.125)
    share.note(lane, 100)
    assert share.is_bulk_due is is_due
    share.forgive()
    assert not share.is_bulk_due
    assert served(share, 8) == 1


def test_what_bulk_took_alone_is_nobody_s_loss() -> None:
    """It owes its last piece at most, however long nobody else waited."""
    share = LaneShare(0.125)
    for _ in range(1000):
        share.note(Lane.BULK, 8)
    assert served(share, 80, 8) >= 8
