import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from mta.events.encode import (
    CommonFields,
    Person,
    bounce_part,
    encode,
    late_event,
    merged_metadata,
    moment,
    payload_event,
    peer_text,
    recipient_as,
    recipient_event,
    short_id,
)
from mta.events.settings import RecipientForm
from mta.model import ids
from mta.model.event import CountsPart, ErrorPart, Event, EventType, FeedbackPart, SmtpPart
from mta.model.message import Message
from mta.model.outcome import Attempt, BounceClass, BounceType, Scope, Stage, Verdict
from mta.model.reply import Reply
from mta.model.times import render

AT = 1_795_000_000.25
ID = ids.message_id(AT - 9, "acme", "order-1", "n3")
COMMON = CommonFields(
    node="n1",
    tenant="acme",
    campaign="spring",
    stream="marketing",
    lane="bulk",
    payload_id="order-1",
    payload_key=bytes(range(16)),
    from_domain="acme.test",
    pool="default",
    tags=("spring", "vip"),
    metadata=Raw(b'{"batch":"b1","a":1}'),
    hash_key=b"k" * 32,
)
BOB = Person(
    message_id=str(ID),
    email="Bob@Example.test",
    address="Bob@example.test",
    domain="example.test",
    recipient_id="c9",
    queued_at=AT - 2.5,
    tags=("vip", "north"),
    metadata=Raw(b'{"a":2,"segment":"x"}'),
)
MESSAGE = Message(b"x" * 4096, str(ID), f"<{ID}@acme.test>", ("acme.test",))
ATTEMPT = Attempt(
    number=2,
    at=AT - 0.1,
    stage=Stage.RCPT,
    reply=Reply(550, ("5.1.1 no such user", "5.1.1 really"), "5.1.1"),
    command="RCPT",
    source="a1",
    source_ip="192.0.2.10",
    ehlo="mta1.acme.test",
    site="mx.example.test",
    mx_host="mx1.example.test",
    mx_ip="192.0.2.25",
    session_id="s1",
    session_seq=3,
    session_s=1.5,
    smtp_s=0.0501,
    tls_version="TLSv1.3",
    tls_cipher="TLS_AES_128_GCM_SHA256",
    tls_policy="opportunistic",
)
VERDICT = Verdict(
    bounce_class=BounceClass.INVALID_RECIPIENT,
    category="recipient",
    type=BounceType.HARD,
    accused="recipient",
    scope=Scope.RECIPIENT,
    rule="generic:mailbox-unknown",
    actions=("suppress", "fail"),
)


def body(event: Event) -> dict[str, Any]:
    line = encode(event)
    assert b"\n" not in line
    value = json.loads(line)
    assert isinstance(value, dict)
    return value


def bounced(common: CommonFields = COMMON, person: Person = BOB, attempt: Attempt = ATTEMPT) -> Event:
    return recipient_event(
        EventType.BOUNCED,
        common,
        person,
        at=AT,
        provider="google",
        attempt=attempt,
        verdict=VERDICT,
        message=MESSAGE,
        sender="b+x@b.acme.test",
    )


def test_a_bounce_in_full() -> None:
    """Every field of the contract, each in its form."""
    assert body(bounced()) == {
        "v": 1,
        "id": f"{ids.base32(ID.bytes)}.bounced.2",
        "type": "bounced",
        "time": render(AT),
        "node": "n1",
        "tenant": "acme",
        "campaign": "spring",
        "stream": "marketing",
        "lane": "bulk",
        "payload_id": "order-1",
        "message_id": str(ID),
        "rfc_message_id": f"<{ID}@acme.test>",
        "recipient": "Bob@Example.test",
        "recipient_domain": "example.test",
        "recipient_id": "c9",
        "provider": "google",
        "sender": "b+x@b.acme.test",
        "from_domain": "acme.test",
        "dkim_domains": ["acme.test"],
        "size_bytes": 4096,
        "queued_at": render(AT - 2.5),
        "attempt": 2,
        "queue_ms": 2500,
        "session_ms": 1500,
        "smtp_ms": 50,
        "pool": "default",
        "source": "a1",
        "source_ip": "192.0.2.10",
        "ehlo": "mta1.acme.test",
        "mx_host": "mx1.example.test",
        "mx_ip": "192.0.2.25",
        "site": "mx.example.test",
        "session_id": "s1",
        "session_seq": 3,
        "tls": {
            "version": "TLSv1.3",
            "cipher": "TLS_AES_128_GCM_SHA256",
            "verified": "none",
            "policy": "opportunistic",
        },
        "smtp": {
            "stage": "rcpt",
            "command": "RCPT",
            "code": 550,
            "enhanced": "5.1.1",
            "text": "5.1.1 no such user\n5.1.1 really",
        },
        "bounce": {
            "class": "invalid_recipient",
            "category": "recipient",
            "type": "hard",
            "scope": "recipient",
            "rule": "generic:mailbox-unknown",
            "confidence": "high",
            "actions": ["suppress", "fail"],
        },
        "tags": ["spring", "vip", "north"],
        "metadata": {"batch": "b1", "a": 2, "segment": "x"},
    }


def test_what_is_not_known_is_absent() -> None:
    """No null, no empty text; a recipient that was never tried has no attempt's fields."""
    event = recipient_event(EventType.EXPIRED, COMMON, BOB, at=AT, number=4, last_class="greylisted")
    value = body(event)
    assert None not in value.values()
    assert "" not in value.values()
    assert not {"smtp", "tls", "source", "session_ms", "size_bytes", "next_attempt_at", "ambiguous"} & set(
        value
    )
    assert value["attempt"] == 4
    assert value["id"].endswith(".expired.4")


def test_a_deferral_says_when_and_that_it_is_ambiguous() -> None:
    """S-14: an unknown outcome is told as such, and has no reply."""
    lost = Attempt(1, AT, Stage.END_OF_DATA, ambiguous=True, detail="connection reset")
    event = recipient_event(
        EventType.DEFERRED, COMMON, BOB, at=AT, attempt=lost, verdict=VERDICT, next_attempt_at=AT + 600
    )
    value = body(event)
    assert value["ambiguous"] is True
    assert value["next_attempt_at"] == render(AT + 600)
    assert value["smtp"] == {"stage": "end_of_data"}


def test_a_zero_that_means_something_is_there() -> None:
    """Sent at once is not the same as not known."""
    now = msgspec.structs.replace(BOB, queued_at=AT)
    value = body(
        recipient_event(
            EventType.DELIVERED, COMMON, now, at=AT, attempt=Attempt(1, AT, Stage.RCPT, session_id="s")
        )
    )
    assert (value["queue_ms"], value["session_ms"], value["smtp_ms"]) == (0, 0, 0)


def test_events_of_a_whole_payload() -> None:
    """Keyed by the payload, with counts or an error; a `duplicate` by its source sequence."""
    key = ids.base32(COMMON.payload_key)
    accepted = body(payload_event(EventType.ACCEPTED, COMMON, at=AT, counts=CountsPart(500, 2)))
    assert accepted["id"] == f"{key}.accepted.0"
    assert accepted["provider"] == "_"
    assert accepted["counts"] == {"recipients": 500, "rejected": 2}
    assert "recipient" not in accepted
    error = ErrorPart("duplicate", "accepted before")
    rejected = body(payload_event(EventType.REJECTED, COMMON, at=AT, error=error, number=17))
    assert rejected["id"] == f"{key}.rejected.17"
    assert rejected["error"] == {"code": "duplicate", "text": "accepted before"}


def test_published_again_is_the_same_event() -> None:
    """Same id, and a flag that says so."""
    again = recipient_event(EventType.BOUNCED, COMMON, BOB, at=AT, attempt=ATTEMPT, is_recovered=True)
    assert body(again)["recovered"] is True
    assert again.id == bounced().id


@pytest.mark.parametrize("form", [RecipientForm.HASH, RecipientForm.DOMAIN])
def test_the_address_is_nowhere_when_it_is_not_to_be_told(form: RecipientForm) -> None:
    """Not even where the peer repeats it, in any case."""
    said = Reply(550, ("5.1.1 <BOB@example.TEST>: unknown", "bob@example.test!"), "5.1.1")
    attempt = msgspec.structs.replace(ATTEMPT, reply=said)
    line = encode(bounced(msgspec.structs.replace(COMMON, form=form), attempt=attempt))
    assert b"bob" not in line.lower()
    value = json.loads(line)
    assert value["smtp"]["text"] == "5.1.1 <<recipient>>: unknown\n<recipient>!"
    assert value["recipient_domain"] == "example.test"
    assert ("recipient" in value) == (form is RecipientForm.HASH)


HIDDEN = [
    ("bob.jones@example.test", "no bob.jones%40example.test", "no <recipient>"),
    (
        "bob.jones@example.test",
        "see https://x.test/?u=Bob.Jones%40Example.test",
        "see https://x.test/?u=<recipient>",
    ),
    ("bob+n@example.test", "u=bob%2Bn%40example.test", "u=<recipient>"),
    ("bob@example.test", "<x+bob=example.test@y.test>", "<x+<recipient>@y.test>"),
    ("bob@example.test", "5.1.1 Bob: unknown", "5.1.1 <recipient>: unknown"),
    ("bob@example.test", "no user=bob. Sorry, <bob>", "no user=<recipient>. Sorry, <<recipient>>"),
    ("bob@example.test", "bob@inside.test is gone", "<recipient>@inside.test is gone"),
    ("bob+news@example.test", "bob is gone, bob+news too", "<recipient> is gone, <recipient> too"),
    ('"b ob"@example.test', "no b ob here", "no <recipient> here"),
    (
        "bob@example.test",
        "bobby, kebob, bob.smith, al-bob, bob-al, bob_1",
        "bobby, kebob, bob.smith, al-bob, bob-al, bob_1",
    ),
    ("no@example.test", "no such user", "no such user"),
]


@pytest.mark.parametrize(("email", "said", "told"), HIDDEN)
def test_the_address_is_hidden_in_other_forms_and_in_part(email: str, said: str, told: str) -> None:
    """In replies of a session and of a report; a local part of two characters is left, and other words with it in."""
    common = msgspec.structs.replace(COMMON, form=RecipientForm.DOMAIN)
    person = Person(str(ID), email, email, email.rpartition("@")[2])
    attempt = msgspec.structs.replace(ATTEMPT, reply=Reply(550, (said,)))
    event = recipient_event(EventType.BOUNCED, common, person, at=AT, attempt=attempt)
    assert body(event)["smtp"]["text"] == told


def test_a_report_shows_no_address_in_a_link() -> None:
    """Whoever's; and its kind is no word of a reply."""
    common = msgspec.structs.replace(COMMON, form=RecipientForm.DOMAIN)
    person = Person(str(ID), "abuse@example.test", "abuse@example.test", "example.test")
    event = late_event(
        EventType.COMPLAINED,
        common,
        person,
        at=AT,
        provider="other",
        smtp=SmtpPart("out_of_band", text="abuse: see x.test/?u=eve%40else.test"),
        feedback=FeedbackPart("abuse", original_message_id="abuse%40example.test"),
    )
    value = body(event)
    assert value["smtp"]["text"] == "<recipient>: see <recipient>"
    assert value["feedback"] == {"feedback_type": "abuse", "original_message_id": "<recipient>"}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>"), max_size=20), st.text())
def test_hiding_an_address_stumbles_over_nothing(local: str, said: str) -> None:
    """Whatever was submitted as one, and whatever the peer says around it."""
    common = msgspec.structs.replace(COMMON, form=RecipientForm.DOMAIN)
    email = f"{local}@example.test"
    text = f"{said}{email} {email.upper()}{said}"
    smtp = SmtpPart("out_of_band", text=text)
    event = late_event(
        EventType.OOB_BOUNCED, common, Person(str(ID), email), at=AT, provider="other", smtp=smtp
    )
    assert email.encode() not in encode(event)


def test_the_hash_is_of_the_canonical_address_and_keyed() -> None:
    """26 characters of base32; the same for every way to write the address, another for another tenant."""
    form = RecipientForm.HASH
    one = recipient_as(form, b"k1", BOB)
    assert len(one) == 26
    assert one == recipient_as(form, b"k1", msgspec.structs.replace(BOB, email="Bob@EXAMPLE.test"))
    assert one != recipient_as(form, b"k2", BOB)
    assert recipient_as(form, b"k1", Person(str(ID), "\ud800")) != one


@pytest.mark.parametrize("form", [RecipientForm.HASH, RecipientForm.DOMAIN])
@pytest.mark.parametrize("kind", [EventType.FAILED, EventType.REJECTED])
def test_no_error_shows_a_hidden_address(form: RecipientForm, kind: EventType) -> None:
    """Nor does the error of a template that stumbles over it, in whatever form it writes it."""
    common = msgspec.structs.replace(COMMON, form=form, hash_key=b"key")
    person = Person(BOB.message_id, "Bob@Stra\xdfe.test", "Bob@xn--strae-oqa.test", "xn--strae-oqa.test")
    text = "no Bob@Stra\xdfe.test, 'bob@stra\\xdfe.test', <BOB@xn--strae-oqa.test>"
    told = body(recipient_event(kind, common, person, at=AT, error=ErrorPart("template", text)))
    assert told["error"] == {"code": "template", "text": "no <recipient>, '<recipient>', <<recipient>>"}
    full = msgspec.structs.replace(COMMON, form=RecipientForm.FULL)
    assert (
        body(recipient_event(kind, full, person, at=AT, error=ErrorPart("template", text)))["error"]["text"]
        == text
    )


HOSTILE_REPLIES = [
    ("a\x1b[2Jb\x00\r\nc", "a\x1b[2Jb\x00\r\nc"),
    ("a\x9b2Jb\x85c", "a\\u009b2Jb\\u0085c"),
    ("Postfach für ungültig".encode().decode("latin-1"), "Postfach für ungültig"),
    ("a\u2028\u202eb".encode().decode("latin-1"), "a\\u2028\\u202eb"),
    ("gr\xfc\xdfe", "grüße"),
    ("a\x7fb", "a\\u007fb"),
    ("x" * 2000, "x" * 1000),
    (("é" * 2000).encode().decode("latin-1"), "é" * 500),
]


@pytest.mark.parametrize(("said", "told"), HOSTILE_REPLIES)
def test_B16_peers_text(said: str, told: str) -> None:
    """Kept as said, bounded, and nothing in it acts on whoever shows it."""
    assert peer_text(Reply(550, (said,))) == told


@given(st.lists(st.text(st.characters(max_codepoint=0xFF), max_size=1500), max_size=3))
def test_any_reply_makes_one_clean_line(lines: list[str]) -> None:
    """One line of valid UTF-8 JSON without control characters, of bounded size."""
    attempt = msgspec.structs.replace(ATTEMPT, reply=Reply(550, tuple(lines)))
    line = encode(bounced(attempt=attempt))
    text = line.decode()
    assert len(text.splitlines()) == 1
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)
    assert len(line) < 16_000
    assert json.loads(line)["smtp"]["code"] == 550


def test_an_event_survives_the_round_trip() -> None:
    """What a reader with our structs decodes is what was encoded."""
    event = bounced()
    again = msgspec.json.decode(encode(event), type=Event)
    assert encode(again) == encode(event)
    assert again.bounce == bounce_part(VERDICT)


@pytest.mark.parametrize(
    ("payload", "recipient", "expected"),
    [
        (None, None, None),
        (b'{"a":1}', None, b'{"a":1}'),
        (None, b'{"a":\r\n 1.50}', b'{"a":1.50}'),
        (b'{"a":1,"b":2}', b'{"b":\n3}', b'{"a":1,"b":3}'),
        (b'{"a":"x\\ny"}', b"{}", b'{"a":"x\\ny"}'),
    ],
)
def test_metadata_is_merged_into_one_line(
    payload: bytes | None, recipient: bytes | None, expected: bytes | None
) -> None:
    """The recipient's over the payload's, and pretty-printed JSON does not break a line."""
    merged = merged_metadata(
        None if payload is None else Raw(payload), None if recipient is None else Raw(recipient)
    )
    assert (None if merged is UNSET else bytes(merged)) == expected


def test_pretty_metadata_of_a_payload_does_not_break_a_line() -> None:
    """It is compacted once, where the common fields are made."""
    pretty = CommonFields("n", "t", "", "", "bulk", "p", b"k" * 16, metadata=Raw(b'{\n  "a": 1\n}'))
    assert body(payload_event(EventType.ACCEPTED, pretty, at=AT))["metadata"] == {"a": 1}


@given(st.uuids())
def test_short_ids(message_id: uuid.UUID) -> None:
    """The same as the slow way."""
    assert short_id(str(message_id)) == ids.base32(message_id.bytes)


@given(st.floats(0, 4e9))
def test_moments(at: float) -> None:
    """The same as the slow way."""
    assert moment(at) == render(at)


def test_late_events_have_one_id_for_each_message_and_kind() -> None:
    """H12: whatever a second report says, readers know it by its id."""
    first = late_event(EventType.COMPLAINED, COMMON, BOB, at=AT, provider="yahoo")
    again = late_event(EventType.COMPLAINED, COMMON, BOB, at=AT + 9, provider="other", detail="x")
    other = late_event(EventType.UNSUBSCRIBED, COMMON, BOB, at=AT, provider="yahoo")
    assert first.id == again.id == ids.event_id(ID, "complained", 0)
    assert other.id != first.id


@pytest.mark.parametrize("form", [RecipientForm.HASH, RecipientForm.DOMAIN])
def test_late_events_hide_whom_a_report_names(form: RecipientForm) -> None:
    """Not the recipient alone: a report tells whom it was forwarded to."""
    common = msgspec.structs.replace(COMMON, form=form)
    said = "550 5.1.1 <bob@EXAMPLE.test> forwarded to robert.private@else.test: no such user"
    feedback = FeedbackPart("abuse", original_message_id="<bob@example.test>")
    event = late_event(
        EventType.OOB_BOUNCED,
        common,
        BOB,
        at=AT,
        provider="other",
        smtp=SmtpPart("out_of_band", code=550, text=said),
        feedback=feedback,
        detail="for robert.private@else.test",
    )
    line = encode(event).decode().lower()
    assert "bob@example.test" not in line
    assert "robert" not in line
    assert "no such user" in line
    full = late_event(EventType.OOB_BOUNCED, COMMON, BOB, at=AT, provider="other", smtp=SmtpPart(text=said))
    assert json.loads(encode(full))["smtp"]["text"] == said


def test_late_events_of_nobody_known_tell_no_hash() -> None:
    """The hash of nothing would be the same for all."""
    common = msgspec.structs.replace(COMMON, form=RecipientForm.HASH)
    event = late_event(EventType.OOB_BOUNCED, common, Person(str(ID), ""), at=AT, provider="other")
    assert event.recipient == ""
