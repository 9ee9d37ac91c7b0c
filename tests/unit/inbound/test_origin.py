from msgspec.structs import replace

from mta.inbound.origin import origin_of
from mta.model import ids, times
from mta.model.index import IndexEntry

AT = 1_795_000_000.123457
ENTRY = IndexEntry(
    v=1,
    tenant="acme",
    payload_id="p1",
    source_stream="MTA_PAYLOADS",
    source_sequence=1,
    accepted_at=times.render(AT),
    recipients=("ada@x.test", "bob@x.test"),
    ids=("", "c9"),
)


def test_the_message_is_the_one_that_was_sent() -> None:
    """Its id is made again from what the index keeps: by the sender's id of the recipient, or by his place."""
    for place, key in ((0, "n0"), (1, "ic9")):
        found = origin_of(ENTRY, place)
        assert found is not None
        assert found.message_id == str(ids.message_id(AT, "acme", "p1", key))
        assert found.recipient == ENTRY.recipients[place]


def test_a_place_beyond_the_payload_is_nobodys() -> None:
    """As far as the entry says how many there are."""
    assert origin_of(ENTRY, 2) is None
    assert origin_of(replace(ENTRY, recipients=(), form="none"), 2) is None
    assert origin_of(replace(ENTRY, recipients=(), ids=(), form="none"), 2) is not None


def test_a_hash_is_no_address() -> None:
    found = origin_of(replace(ENTRY, form="hash", recipients=("abc", "def")), 1)
    assert found is not None
    assert found.recipient == ""
