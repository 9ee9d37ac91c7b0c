import pytest

from mta.model.suppression import Mark, SuppressReason
from mta.model.times import render
from mta.suppression.store import FOREVER, covers, decode, encode, ends_at, outweighs, packed, succeeding

R = SuppressReason


def mark(reason: SuppressReason, end: float = 0.0) -> Mark:
    return Mark(reason, render(1e9), expires_at=render(end) if end else "")


@pytest.mark.parametrize(
    ("new", "old", "wins"),
    [
        (mark(R.MAILBOX_FULL), None, True),
        (mark(R.INVALID_RECIPIENT), mark(R.COMPLAINED), False),
        (mark(R.COMPLAINED), mark(R.INVALID_RECIPIENT), True),
        (mark(R.MANUAL), mark(R.MANUAL), False),
        (mark(R.MANUAL), mark(R.MANUAL, 2e9), True),
        (mark(R.MANUAL, 2e9), mark(R.MANUAL), False),
        (mark(R.MANUAL, 2e9), mark(R.MANUAL, 3e9), False),
        (mark(R.MAILBOX_FULL), mark(R.COMPLAINED, 1.2e9), True),
    ],
)
def test_only_more_weight_replaces(new: Mark, old: Mark | None, wins: bool) -> None:
    """Or the same weight for longer; what has expired weighs nothing."""
    assert outweighs(new, old, 1.5e9) is wins
    known = packed(old) if old is not None else 0
    assert covers(known, packed(new), 1.5e9) is not wins


@pytest.mark.parametrize(
    ("new", "old", "end"),
    [
        (mark(R.MANUAL, 2e9), mark(R.INVALID_RECIPIENT), FOREVER),
        (mark(R.COMPLAINED, 2e9), mark(R.MANUAL, 3e9), 3e9),
        (mark(R.COMPLAINED, 3e9), mark(R.MANUAL, 2e9), 3e9),
        (mark(R.COMPLAINED), mark(R.MANUAL, 2e9), FOREVER),
        (mark(R.MANUAL, 2e9), mark(R.INVALID_RECIPIENT, 1.2e9), 2e9),
        (mark(R.MANUAL, 2e9), None, 2e9),
    ],
)
def test_a_heavier_mark_ends_no_sooner(new: Mark, old: Mark | None, end: float) -> None:
    """Than the one it takes the place of: whoever adds one means to mail less, not more."""
    won = succeeding(new, old, 1.5e9)
    assert won is not None
    assert (won.reason, ends_at(won)) == (new.reason, end)


def test_a_mark_is_read_back() -> None:
    """With all it says."""
    one = Mark(R.MANUAL, render(1e9), "anna", render(2e9), "bob@example.test", "asked for it")
    assert decode(encode(one)) == one
    assert ends_at(one) == 2e9
    assert ends_at(mark(R.MANUAL)) == FOREVER


@pytest.mark.parametrize("value", [b"", b"{}", b"[1]", b'{"reason":"whim","at":""}', b"\xff"])
def test_what_cannot_be_read_suppresses(value: bytes) -> None:
    """Somebody meant to stop something."""
    assert decode(value).reason is R.MANUAL


def test_an_end_that_cannot_be_read_is_none() -> None:
    """It holds rather too long than too short."""
    assert ends_at(Mark(R.MANUAL, "", expires_at="soon")) == FOREVER
