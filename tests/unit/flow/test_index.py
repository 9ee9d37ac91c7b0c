from typing import Any, cast

import msgspec
import pytest

from mta.flow.index import Index
from mta.jetstream.connection import Link, Stored
from mta.jetstream.errors import Conflict
from mta.jetstream.pump import Pump
from mta.model.index import IndexEntry
from tests.unit.flow.works import admitted, settings


class Stream:
    """One message a subject, created only."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.forgets = False

    async def publish_acked(self, subject: str, body: bytes, *, msg_id: str, headers: dict[str, str]) -> None:
        assert headers == {"Nats-Expected-Last-Subject-Sequence": "0"}
        if subject in self.kept:
            raise Conflict("wrong last sequence", 1)
        self.kept[subject] = body

    async def last_message(self, stream: str, subject: str, *, leader: bool) -> Stored | None:
        assert leader
        if self.forgets:
            self.kept.clear()
            return None
        body = self.kept.get(subject)
        return None if body is None else Stored(subject, 1, body, {}, "")


def index(stream: Stream, **changes: Any) -> Index:
    return Index(cast(Link, stream), cast(Pump, stream), settings(**changes))


def entry(stream: Stream) -> IndexEntry:
    (body,) = stream.kept.values()
    return msgspec.json.decode(body, type=IndexEntry)


async def test_the_first_claim_wins_and_its_redelivery_too() -> None:
    """The same source message is known again; another one is shown who came before."""
    stream = Stream()
    one = admitted()
    assert await index(stream).claim(one) is None
    again = await index(stream).claim(one)
    assert again is not None
    assert again.is_of("MTA_PAYLOADS", 7)
    other = msgspec.structs.replace(one, source_sequence=8)
    before = await index(stream).claim(other)
    assert before is not None
    assert not before.is_of("MTA_PAYLOADS", 8)
    assert not before.is_of("MTA_RETRY", 7)
    assert (before.source_stream, before.source_sequence) == ("MTA_PAYLOADS", 7)


async def test_what_was_accepted_is_found_by_tenant_and_id() -> None:
    """Of another tenant the same id is another payload."""
    stream = Stream()
    await index(stream).claim(admitted())
    assert await index(stream).find("acme", "order-1") == entry(stream)
    assert await index(stream).find("other", "order-1") is None


async def test_an_entry_that_aged_out_in_between_is_written_anew() -> None:
    """The conflict is gone by the time it is looked at."""
    stream = Stream()
    one = admitted()
    await index(stream).claim(one)
    stream.forgets = True
    assert await index(stream).claim(msgspec.structs.replace(one, source_sequence=8)) is None
    assert entry(stream).source_sequence == 8


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("full", ("a@x.test", "", "b@x.test")),
        ("none", ()),
    ],
)
async def test_addresses_stand_at_their_place_in_the_payload(form: str, expected: tuple[str, ...]) -> None:
    """A token names a recipient by its index, so a refused one leaves a gap."""
    stream = Stream()
    recipients = [{"email": "a@x.test"}, {"email": "nobody"}, {"email": "b@x.test"}]
    await index(stream, index_recipients=form).claim(admitted(recipients=recipients))
    assert entry(stream).recipients == expected


async def test_hashed_addresses_need_the_key() -> None:
    """Neither the address nor a plain hash of it; another key, another hash."""
    found = []
    for key in (b"k" * 32, b"l" * 32):
        stream = Stream()
        await index(stream, index_recipients="hash", hash_keys={"acme": key}).claim(admitted(1))
        found += entry(stream).recipients
    assert len(set(found)) == 2
    assert not any("@" in one for one in found)
