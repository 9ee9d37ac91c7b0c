import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.life import MOST_EVENTS, Life, Lives, Question, question
from mta.model import ids

AT = 1_795_333_864.107
ID = str(ids.uuid7(AT, b"0123456789"))
EVENT_ID = ids.event_id(ID, "deferred", 3)


def event(**changes: Any) -> dict[str, Any]:
    """One of Bob's."""
    return {
        "id": ids.event_id(ID, "delivered", 1),
        "type": "delivered",
        "tenant": "acme",
        "time": "2026-11-22T07:51:04.107000Z",
        "payload_id": "order-4711",
        "message_id": ID,
        "rfc_message_id": f"<{ID}@acme.test>",
        "recipient": "Bob@Example.test",
        "recipient_id": "cust-9",
        **changes,
    }


def body(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in events)


def found(asked: Question, *events: dict[str, Any]) -> list[str]:
    return [one["type"] for one in asked.answers(body(*events))]


OTHER = event(
    type="bounced",
    message_id=str(ids.uuid7(AT, b"abcdefghij")),
    id="x.bounced.1",
    rfc_message_id="<other@acme.test>",
    recipient="rob@example.test",
    recipient_id="cust-99",
    payload_id="order-47110",
)


@pytest.mark.parametrize(
    "text",
    [
        *(ID, ID.upper(), f" {ID} ", f"{ID}@acme.test", f"<{ID}@acme.test>", EVENT_ID),
        *("bob@example.test", "BOB@EXAMPLE.TEST", "order-4711", "cust-9"),
    ],
)
def test_every_name_of_a_message_finds_it(text: str) -> None:
    """And nobody else's, also where that only begins like it."""
    assert found(question(text, {}), event(), OTHER) == ["delivered"]


def test_a_message_id_tells_when_to_begin() -> None:
    """To the millisecond; an address does not."""
    for text in (ID, f"<{ID}@acme.test>", EVENT_ID):
        assert question(text, {}).since == pytest.approx(AT, abs=0.001)
    assert question("bob@example.test", {}).since == 0.0
    assert question("550e8400-e29b-41d4-a716-446655440000", {}).since == 0.0


def test_what_may_be_a_payload_is_looked_up_as_one() -> None:
    """Also a UUIDv7: a payload without an id of its own gets one."""
    assert [question(text, {}).payload_id for text in ("order-4711", ID, EVENT_ID, "bob@example.test")] == [
        *("order-4711", ID, "", "")
    ]
    assert found(question(ID, {}), event(payload_id=ID, message_id="", type="accepted")) == ["accepted"]


def test_a_message_id_of_the_senders_own_is_found() -> None:
    """In brackets: without, it is taken for an address."""
    own = event(rfc_message_id="<order.4711@shop.test>")
    assert found(question("<order.4711@shop.test>", {}), own) == ["delivered"]
    assert found(question("order.4711@shop.test", {}), own) == []


def test_an_event_id_of_a_payload_finds_its_events() -> None:
    """Those that have the same key."""
    key = ids.base32(bytes(16))
    told = event(id=f"{key}.accepted.0", type="accepted", message_id="")
    assert found(question(f"{key}.rejected.0", {}), told, event()) == ["accepted"]


def test_a_hashed_address_is_found_with_the_key() -> None:
    """In the form events have it; without the key nobody can."""
    key = b"k" * 32
    hashed = ids.base32(hmac.digest(key, b"Bob@example.test", "sha256")[:16])
    told = event(recipient=hashed)
    assert found(question("Bob@Example.test", {"acme": key}), told) == ["delivered"]
    assert found(question("Bob@Example.test", {}), told) == []


def test_international_addresses_are_found_in_either_form() -> None:
    """As submitted or in A-labels; and quoted ones."""
    assert found(question("bob@xn--strae-oqa.test", {}), event(recipient="bob@straße.test")) == ["delivered"]
    assert found(question("bob@straße.test", {}), event(recipient="bob@xn--strae-oqa.test")) == ["delivered"]
    assert found(question('"b b"@x.test', {}), event(recipient='"b b"@x.test')) == ["delivered"]


@given(st.text(min_size=1), st.binary(max_size=200))
def test_any_question_and_any_batch_do_no_harm(text: str, batch: bytes) -> None:
    """Streams hold what strangers said, and operators paste anything."""
    asked = question(text, {"acme": b"k"})
    list(asked.answers(batch))
    needle = asked.needles[0]
    for odd in (b"5", b"[]", b"{}", b'{"recipient":5,"id":[],"message_id":null}', b"\xff"):
        list(asked.answers(needle + b"\n" + odd + needle + b"\n"))


def test_events_are_in_order_and_once() -> None:
    """Repeated after a crash they have the same id."""
    life = Life("acme", "", "p", ID)
    life.add(event(id="2", time="2026-11-22T08:00:00Z", type="complained"))
    life.add(event(id="1", time="2026-11-22T07:00:00Z"))
    life.add(event(id="1", time="2026-11-22T07:00:00Z", recovered=True))
    assert [one["id"] for one in life.events] == ["1", "2"]
    assert life.end == "delivered"


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (["delivered"], "delivered"),
        (["delivered", "auto_replied"], "delivered"),
        (["delivered", "unsubscribed"], "unsubscribed"),
        (["delivered", "unsubscribed", "complained"], "complained"),
        (["delivered", "complained", "oob_bounced"], "oob_bounced"),
        (["bounced", "unsubscribed"], "bounced"),
        (["deferred"], ""),
    ],
)
def test_the_state_is_what_is_true_now(told: list[str], state: str) -> None:
    """A delivery may turn out to be none; an end that was none already stays."""
    life = Life("acme", "", "p", ID)
    for number, kind in enumerate(told):
        life.add(event(id=str(number), time=f"2026-11-22T0{number}:00:00Z", type=kind))
    assert life.state == state


def test_a_life_is_bounded() -> None:
    """By far more events than a message has."""
    life = Life("acme", "", "p", ID)
    for number in range(MOST_EVENTS + 10):
        life.add(event(id=str(number)))
    assert len(life.events) == MOST_EVENTS


def test_the_latest_messages_are_kept_whole() -> None:
    """What is dropped never comes back with half of its events; the payload itself takes no room."""
    lives = Lives(2)
    names = [str(ids.uuid7(AT + n, bytes(10))) for n in range(5)]
    lives.add(event(message_id="", id="p.accepted.0", type="accepted"))
    for attempt in range(3):
        for name in names:
            lives.add(event(message_id=name, id=f"{name}.deferred.{attempt}", type="deferred"))
    whole, *messages = lives.all()
    assert (whole.message_id, whole.end) == ("", "")
    assert [one.message_id for one in messages] == names[-2:]
    assert [len(one.events) for one in messages] == [3, 3]
    assert lives.total == 5


def test_what_has_no_id_is_no_event() -> None:
    """It cannot be told from its own repetition."""
    lives = Lives(2)
    lives.add({"type": "delivered", "message_id": ID})
    assert lives.all() == []
