"""The schemas refuse what the daemon refuses by its shape, and take what it takes."""

from typing import Any

import msgspec
import pytest

from mta.admin.asyncapi import examples
from mta.classify.rules import CLASSES
from mta.intake.decode import VERSION, Decoded, Malformed, decode
from mta.model import event, payload
from mta.model.event import Event, EventType
from mta.model.outcome import BounceClass
from tests.fakes.contract import contract, of_message, schema, wrong
from tests.unit.test_readme import block

SCHEMAS = contract()["components"]["schemas"]


def changed(**changes: Any) -> dict[str, Any]:
    """The example of a payload; None takes a field out."""
    whole = examples.payload() | changes
    return {key: value for key, value in whole.items() if value is not None}


def test_readmes_payload_and_event_keep_the_contract() -> None:
    """What a newcomer copies."""
    for name in ("payload", "event"):
        value = msgspec.json.decode(block(f"example: {name}"))
        assert not wrong(of_message("payload" if name == "payload" else value["type"]), value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": None, "campaign": None, "tags": None, "metadata": None, "data": None},
        {"content": {"template": {"name": "spring"}}},
        {"content": {"rfc822": "U3ViamVjdDogeA0KDQp4"}},
        {"send_at": "2026-11-23T08:00:00Z", "expires_at": "2026-11-24T08:00:00+01:00"},
        {"attachments": [{"name": "a.txt", "type": "text/plain", "data": "YQ=="}]},
        {"unsubscribe": {"mailto": "u@acme.example", "one_click": True, "list_id": "a.acme.example"}},
        {"data": {"deep": [{"a": 1.5, "b": None}]}, "headers": {"X-Ref": "{{ ref }}"}, "dry_run": True},
        {"tls": "requiretls", "lane": "bulk", "pool": "warm-a", "reply_to": [{"email": "a@acme.example"}]},
    ],
)
def test_what_is_taken(changes: dict[str, Any]) -> None:
    """By schema and daemon alike."""
    value = changed(**changes)
    decoded = decode(msgspec.json.encode(value))
    assert isinstance(decoded, Decoded)
    assert not any(isinstance(one, Malformed) for one in decoded.recipients)
    assert not wrong(of_message("payload"), value)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"tenant": None},
        {"tenant": 5},
        {"nope": 1},
        {"from": {"name": "Acme"}},
        {"from": "a@acme.example"},
        {"content": None},
        {"content": {"sha256": "x"}},
        {"recipients": []},
        {"recipients": [{"email": "a@b.example", "nope": 1}]},
        {"recipients": [{"email": "a@b.example", "data": []}]},
        {"recipients": [{"email": "a@b.example", "tags": ["t"] * 11}]},
        {"recipients": [{"email": "a@b.example"}] * 1001},
        {"data": [1]},
        {"metadata": "x"},
        {"lane": "fast"},
        {"tls": "maybe"},
        {"tags": ["t"] * 11},
        {"id": "x" * 129},
        {"campaign": "Spring Sale"},
        {"headers": {f"X-{n}": "x" for n in range(31)}},
        {"retry": {}},
    ],
)
def test_what_is_refused(changes: dict[str, Any]) -> None:
    """A sender who checks by the schema hears it before the daemon says so."""
    assert wrong(of_message("payload"), changed(**changes))


@pytest.mark.parametrize("kind", EventType)
def test_an_event_needs_what_its_type_promises(kind: EventType) -> None:
    """Without one of these fields it is not what it says; another type's example is none of this."""
    name = SCHEMAS[contract()["components"]["messages"][kind]["payload"]["$ref"].rpartition("/")[2]]
    told = examples.events()[kind]
    for field in (*SCHEMAS["Event"]["required"], *name["allOf"][1]["required"]):
        assert wrong(of_message(kind), {key: value for key, value in told.items() if key != field}), field
    other = EventType.QUEUED if kind is not EventType.QUEUED else EventType.ACCEPTED
    assert wrong(of_message(kind), told | {"type": str(other)})


def test_events_may_grow() -> None:
    """A field that this version does not know is no mistake."""
    assert not wrong(of_message("delivered"), examples.events()[EventType.DELIVERED] | {"new": 1})


def test_no_field_is_forgotten() -> None:
    """Each of the daemon's Structs, by its names on the wire, but for what only a daemon writes."""
    left_out = {"Payload": {"retry"}, "Content": {"sha256"}}
    for struct in (
        Event,
        event.BouncePart,
        event.SmtpPart,
        event.FeedbackPart,
        payload.Payload,
        payload.Content,
    ):
        name = struct.__name__
        fields = set(struct.__struct_encode_fields__) - left_out.get(name, set())
        assert set(SCHEMAS[name]["properties"]) == fields


def test_every_field_of_events_and_payloads_is_described() -> None:
    """In plain words; a part says itself what it is."""
    for name in ("Event", "BouncePart", "SmtpPart", "FeedbackPart", "Payload", "Recipient", "Attachment"):
        bare = {key for key, value in SCHEMAS[name]["properties"].items() if "description" not in value}
        assert {key for key in bare if "$ref" not in SCHEMAS[name]["properties"][key]} <= {
            "reply_to",
            "attachments",
        }


def test_the_classes_are_in_it() -> None:
    """All 34, each with its meaning, and what follows from it."""
    found = SCHEMAS["BounceClass"]
    assert found["enum"] == list(BounceClass)
    assert found["description"].count("\n* ") == len(CLASSES) == 34
    assert found["x-classes"]["mailbox_full"] == {
        **{"category": "recipient", "type": "soft", "scope": "recipient"},
        **{"again": ["retry_long"], "final": ["fail"]},
    }


def test_the_version_is_the_daemons() -> None:
    """Of payloads and of events."""
    assert [SCHEMAS[name]["properties"]["v"]["enum"] for name in ("Payload", "Event")] == [[VERSION]] * 2
    assert event.VERSION == VERSION


@pytest.mark.parametrize("field", ["time", "message_id", "attempt", "lane", "smtp", "bounce"])
def test_a_field_of_a_wrong_type_is_found(field: str) -> None:
    """The base schema is no mere list of names."""
    told = examples.events()[EventType.BOUNCED]
    assert wrong(schema("Event"), told | {field: {"time": 5, "attempt": 0}.get(field, "nope")})
