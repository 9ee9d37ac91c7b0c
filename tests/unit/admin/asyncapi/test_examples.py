import msgspec

from mta.admin.asyncapi import examples
from mta.intake.decode import Decoded, decode
from mta.model.event import Event, EventType
from mta.model.index import IndexEntry
from mta.model.suppression import Mark


def test_there_is_an_event_of_each_type() -> None:
    """As the daemon encodes it."""
    told = examples.events()
    assert list(told) == list(EventType)
    for kind, event in told.items():
        assert msgspec.json.decode(msgspec.json.encode(event), type=Event).type is kind


def test_all_of_one_recipient_are_one_message() -> None:
    """They can be joined by `message_id`."""
    ids = {event["message_id"] for event in examples.events().values() if "message_id" in event}
    assert len(ids) == 1


def test_the_others_are_what_they_say() -> None:
    """The daemon would take them."""
    assert isinstance(decode(msgspec.json.encode(examples.payload())), Decoded)
    msgspec.convert(examples.index_entry(), IndexEntry)
    msgspec.convert(examples.mark(), Mark)
    assert {"v", "type", "time", "node"} <= examples.operation().keys()
