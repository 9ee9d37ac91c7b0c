"""What nodes tell each other, and the union of two copies."""

import zlib

import pytest

from mta.ledger.note import Note
from mta.ledger.snapshot import Entry, Unreadable, decode, encode, unkept
from mta.ledger.state import KEPT, RecipientState, Source
from mta.model.event import EventType

S = RecipientState
SOURCE = Source("MTA_PAYLOADS", 7, 123)
DELIVERED = Note(EventType.DELIVERED, 1, 5.0, "other", code=250)
DEFERRED = Note(EventType.DEFERRED, 2, 5.0, "yahoo", "greylisted", "rcpt", 451, "4.7.1", "later", "a1")


def entry(*states: int, **notes: Note) -> Entry:
    return Entry(SOURCE, bytes(states), {int(name[1:]): note for name, note in notes.items()})


def test_round_trip() -> None:
    """Node, time and all entries."""
    entries = [
        entry(S.DELIVERED, S.OPEN, _0=DELIVERED, _1=DEFERRED),
        Entry(Source("MTA_RETRY", 1, 2), b"\x00", {}),
    ]
    snapshot = decode(encode("n1", 12.5, entries))
    assert (snapshot.node, snapshot.at, snapshot.entries) == ("n1", 12.5, entries)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        encode("n1", 1.0, [entry(S.OPEN)])[:-3],
        zlib.compress(b"\x93"),
        zlib.compress(b"\x94\x02\xa1n\x01\x90"),
    ],
)
def test_garbage_is_told_as_such(body: bytes) -> None:
    """Cut, foreign, of another version: one error for all."""
    with pytest.raises(Unreadable):
        decode(body)


@pytest.mark.parametrize("states", [b"\x05", b"\x80", b"\x00\xff"])
def test_states_that_are_none_are_not_believed(states: bytes) -> None:
    """Nor notes of recipients that are not there."""
    for entries in ([Entry(SOURCE, states, {})], [Entry(SOURCE, b"\x00", {1: DELIVERED})]):
        with pytest.raises(Unreadable):
            decode(encode("n1", 1.0, entries))


def test_a_hundred_thousand_recipients_are_small() -> None:
    """Most of them alike, as they are in a mailing."""
    states = bytes([S.DELIVERED | KEPT] * 300 + [S.DOT] * 20 + [S.OPEN] * 180)
    body = encode("n1", 1.0, [Entry(Source("MTA_PAYLOADS", n, n), states, {}) for n in range(200)])
    assert len(body) < 10_000


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (S.OPEN, S.DELIVERED, S.DELIVERED),
        (S.DOT, S.STORED, S.STORED),
        (S.DELIVERED, S.DELIVERED | KEPT, S.DELIVERED | KEPT),
        (S.ENDED | KEPT, S.DELIVERED, S.ENDED | KEPT),
        (S.STORED, S.ENDED, S.ENDED),
        (S.OPEN, S.OPEN, S.OPEN),
    ],
)
def test_the_better_word_holds(one: int, other: int, expected: int) -> None:
    """Whichever copy has it."""
    assert entry(one).united(entry(other)).states == bytes([expected])
    assert entry(other).united(entry(one)).states == bytes([expected])


def test_a_note_goes_with_its_word() -> None:
    """Also where both say OPEN and one of them knows of an attempt."""
    for united in (
        entry(S.OPEN, S.OPEN).united(entry(S.DELIVERED, S.OPEN, _0=DELIVERED, _1=DEFERRED)),
        entry(S.DELIVERED, S.OPEN, _0=DELIVERED, _1=DEFERRED).united(entry(S.DOT, S.OPEN)),
    ):
        assert united == entry(S.DELIVERED, S.OPEN, _0=DELIVERED, _1=DEFERRED)


def test_copies_of_different_messages_do_not_unite() -> None:
    """Two numbers of recipients: one of them is wrong."""
    with pytest.raises(Unreadable):
        entry(S.OPEN).united(entry(S.OPEN, S.OPEN))


def test_what_is_kept_needs_no_note() -> None:
    """The rest does."""
    assert unkept(bytes([S.DELIVERED | KEPT, S.DELIVERED]), {0: DELIVERED, 1: DELIVERED}) == {1: DELIVERED}
