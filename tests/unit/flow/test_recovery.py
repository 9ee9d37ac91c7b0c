"""What is known of a message that somebody has had before, put together from books and retry messages."""

import time
from typing import Any, cast

import msgspec
import pytest

from mta.flow.books import Books
from mta.flow.recovery import may_be_known, past_of, source_of
from mta.intake.retry import encode_retry, waiting_recipient
from mta.jetstream.connection import Link, Stored
from mta.jetstream.layout import RETRY
from mta.jetstream.pull import Pulled
from mta.jetstream.subjects import due_subject, retry_subject
from mta.ledger.note import Note
from mta.ledger.snapshot import Entry
from mta.ledger.state import KEPT, RecipientState
from mta.model.event import EventType
from mta.model.payload import LastTry
from tests.unit.flow.works import admitted

S = RecipientState
DELIVERED = Note(EventType.DELIVERED, 1, 5.0, "other")
DEFERRED = Note(EventType.DEFERRED, 1, 5.0, "yahoo", "greylisted")


def pulled(stream: str = "MTA_PAYLOADS", sequence: int = 7, delivered: int = 2, age_s: float = 0.0) -> Pulled:
    at_ns = int((time.time() - age_s) * 1e9)
    return Pulled("s", b"", {}, "reply", stream, "c", sequence, delivered, at_ns, 0, 0.0)


class Known:
    """Books with one entry, or none."""

    def __init__(self, entry: Entry | None) -> None:
        self.entry = entry

    async def past(self, source: object, count: int) -> Entry | None:
        return self.entry


class Retries:
    """MTA_RETRY with some messages, by sequence."""

    def __init__(self, **bodies: tuple[str, bytes]) -> None:
        self.stored = {
            int(name[1:]): Stored(subject, int(name[1:]), body, {}, "2026-11-22T07:22:45Z")
            for name, (subject, body) in bodies.items()
        }

    async def api(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        assert name == f"STREAM.INFO.{RETRY}"
        prefix = query["subjects_filter"].removesuffix("*")
        subjects = {one.subject: 1 for one in self.stored.values() if one.subject.startswith(prefix)}
        return {"state": {"subjects": subjects}, "total": len(subjects)}

    async def last_message(self, stream: str, subject: str, *, leader: bool = True) -> Stored | None:
        found = [one for one in self.stored.values() if one.subject == subject]
        return found[-1] if found else None

    async def next_message(self, stream: str, subject: str, sequence: int) -> Stored | None:
        found = [at for at, one in self.stored.items() if one.subject == subject and at >= sequence]
        return self.stored[min(found)] if found else None


def retry_body(*attempts: int) -> bytes:
    """Of the first recipients, each after so many attempts."""
    one = admitted()
    last = LastTry(bounce_class="greylisted", stage="rcpt", code=451, text="later")
    return encode_retry(
        one,
        "ab" * 32,
        [
            waiting_recipient(recipient, attempt=attempt, source="a1", last=last if attempt else None)
            for recipient, attempt in zip(one.recipients, attempts, strict=False)
        ],
    )


def waiting_subject(number: str = "p7-00") -> str:
    one = admitted()
    return retry_subject(one.tenant, one.campaign, one.payload_key, number)


def firing_subject() -> str:
    one = admitted()
    return due_subject(one.lane, one.tenant, one.campaign, one.payload_key)


async def past(entry: Entry | None, retries: Retries, of: Pulled) -> Entry | None:
    return await past_of(cast(Books, Known(entry)), cast(Link, retries), of, admitted())


@pytest.mark.parametrize(
    ("stream", "delivered", "age_s", "is_claimed", "expected"),
    [
        ("MTA_PAYLOADS", 1, 0, False, False),
        ("MTA_PAYLOADS", 1, 0, True, True),
        ("MTA_PAYLOADS", 2, 0, False, True),
        ("MTA_PAYLOADS", 1, 60, False, False),
        (RETRY, 1, 0, False, False),
        (RETRY, 1, 60, False, True),
        (RETRY, 2, 0, False, True),
    ],
)
def test_what_may_be_known(
    stream: str, delivered: int, age_s: float, is_claimed: bool, expected: bool
) -> None:
    """A fresh payload by its index entry, one that is due by its age, both by their count."""
    assert may_be_known(pulled(stream, 7, delivered, age_s), is_claimed, time.time()) is expected


async def test_nobody_knows_anything() -> None:
    """Then it begins as any other."""
    assert await past(None, Retries(), pulled()) is None


async def test_a_dot_is_sent_again_and_so_is_an_end_without_a_word() -> None:
    """Kept and noted ends stay; whatever cannot be told of again has to happen again."""
    of = pulled()
    states = bytes([S.DOT, S.DELIVERED | KEPT, S.DELIVERED])
    known = await past(Entry(source_of(of), states, {}), Retries(), of)
    assert known is not None
    assert known.states == bytes([S.OPEN, S.DELIVERED | KEPT, S.OPEN])
    known = await past(Entry(source_of(of), states, {2: DELIVERED}), Retries(), of)
    assert known is not None
    assert known.states == bytes([S.OPEN, S.DELIVERED | KEPT, S.DELIVERED])


async def test_who_lies_in_a_retry_message_is_stored() -> None:
    """His attempt may not have been told, so its note is made of what the retry message carries."""
    known = await past(None, Retries(_3=(waiting_subject(), retry_body(1, 0))), pulled())
    assert known is not None
    assert known.states == bytes([S.STORED, S.STORED | KEPT, S.OPEN])
    note = known.notes[0]
    assert (note.kind, note.attempt, note.bounce_class, note.code) == (
        EventType.DEFERRED,
        1,
        "greylisted",
        451,
    )
    assert 1 not in known.notes


async def test_his_own_note_is_the_better_one() -> None:
    """It says when."""
    of = pulled()
    entry = Entry(source_of(of), bytes(3), {0: DEFERRED})
    known = await past(entry, Retries(_3=(waiting_subject(), retry_body(1))), of)
    assert known is not None
    assert (known.states[0], known.notes[0]) == (S.STORED, DEFERRED)


async def test_of_due_messages_only_later_ones_count() -> None:
    """The one in hand is not its own successor, and what lay there before it was its predecessor's."""
    retries = Retries(_4=(firing_subject(), retry_body(1, 1)), _9=(firing_subject(), retry_body(2)))
    known = await past(None, retries, pulled(RETRY, 4))
    assert known is not None
    assert known.states == bytes([S.STORED, S.OPEN, S.OPEN])
    assert known.notes[0].attempt == 2
    fresh = await past(None, retries, pulled())
    assert fresh is not None
    assert fresh.states == bytes([S.STORED, S.STORED, S.OPEN])


async def test_garbage_in_the_retry_stream_is_passed_over() -> None:
    """Nobody else may write there; if somebody did, the recipients are sent again."""
    assert await past(None, Retries(_3=(waiting_subject(), b"{}")), pulled()) is None
    assert msgspec.json.decode(retry_body(1))["retry"]["recipients_total"] == 3
