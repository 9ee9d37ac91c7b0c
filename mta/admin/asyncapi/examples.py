"""One event of each type, and the other things that go over NATS, as the daemon itself would write them."""

from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Raw

from mta.classify.classifier import classify_local, verdict_of
from mta.events.encode import CommonFields, Person, encode, late_event, payload_event, recipient_event
from mta.model import ids, times
from mta.model.event import CountsPart, ErrorPart, Event, EventType, FeedbackPart, SmtpPart
from mta.model.index import IndexEntry
from mta.model.message import Message
from mta.model.outcome import Attempt, BounceClass, Stage, Verdict
from mta.model.reply import Reply
from mta.model.suppression import Mark, SuppressReason

_AT = 1_795_333_864.107202
_TENANT, _PAYLOAD = "acme", "order-4711"
_ID = str(ids.message_id(_AT, _TENANT, _PAYLOAD, "icust-9"))
_RFC_ID = f"<{UUID(_ID)}@acme.example>"
_COMMON = CommonFields(
    node="mta1",
    tenant=_TENANT,
    campaign="spring",
    stream="receipts",
    lane="transactional",
    payload_id=_PAYLOAD,
    payload_key=ids.payload_key(_TENANT, _PAYLOAD),
    from_domain="acme.example",
    pool="default",
    tags=("spring",),
    metadata=Raw(b'{"batch":"2026-11-22a"}'),
)
_BOB = Person(_ID, "bob@example.net", "bob@example.net", "example.net", "cust-9", queued_at=_AT)
_MESSAGE = Message(bytes(4096), _ID, _RFC_ID, ("acme.example",))


def payload() -> dict[str, Any]:
    return {
        "v": 1,
        "id": _PAYLOAD,
        "tenant": _TENANT,
        "campaign": "spring",
        "stream": "receipts",
        "from": {"email": "shop@acme.example", "name": "Acme"},
        "content": {
            "subject": "Your order {{ order }}",
            "text": "Hello {{ first_name }}, it is on its way.\n",
        },
        "data": {"shop": "Berlin"},
        "recipients": [
            {
                "email": "bob@example.net",
                "name": "Bob",
                "id": "cust-9",
                "data": {"first_name": "Bob", "order": 4711},
                "metadata": {"segment": "vip"},
                "tags": ["vip"],
            }
        ],
        "metadata": {"batch": "2026-11-22a"},
        "tags": ["spring"],
    }


def events() -> dict[EventType, dict[str, Any]]:
    """By type, in their order."""
    made = {
        event.type: event for event in (*_of_payloads(), *_of_attempts(), *_without_attempt(), *_afterwards())
    }
    return {kind: msgspec.json.decode(encode(made[kind])) for kind in EventType}


def operation() -> dict[str, Any]:
    return {
        **{"v": 1, "type": "campaign_paused", "time": times.render(_AT), "node": "mta1", "tenant": _TENANT},
        **{
            "campaign": "spring",
            "reason": "wrong prices",
            "by": "ada@mta1",
            "until": times.render(_AT + 7200),
        },
    }


def index_entry() -> dict[str, Any]:
    entry = IndexEntry(
        v=1,
        tenant=_TENANT,
        payload_id=_PAYLOAD,
        source_stream="MTA_PAYLOADS",
        source_sequence=81_234,
        accepted_at=times.render(_AT),
        campaign="spring",
        stream="receipts",
        lane="transactional",
        from_domain="acme.example",
        recipients=("bob@example.net",),
        ids=("cust-9",),
    )
    return _plain(entry)


def mark() -> dict[str, Any]:
    source = ids.event_id(_ID, EventType.BOUNCED, 1)
    return _plain(
        Mark(SuppressReason.INVALID_RECIPIENT, times.render(_AT + 1), source, address="bob@example.net")
    )


def _of_payloads() -> list[Event]:
    counts = CountsPart(recipients=1, rejected=0)
    error = ErrorPart("from_not_allowed", "`acme.test` is no domain of this tenant")
    return [
        payload_event(EventType.ACCEPTED, _COMMON, at=_AT, counts=counts),
        payload_event(EventType.REJECTED, _COMMON, at=_AT, error=error),
    ]


def _of_attempts() -> list[Event]:
    greylisted = verdict_of(BounceClass.GREYLISTED, rule="generic:greylisted", is_final=False)
    unknown = verdict_of(BounceClass.INVALID_RECIPIENT, rule="generic:mailbox-unknown", is_final=True)
    return [
        _attempted(
            *(EventType.DEFERRED, Stage.RCPT, Reply(451, ("4.7.1 Greylisted, try again later",), "4.7.1")),
            verdict=greylisted,
            next_attempt_at=_AT + 601.5,
        ),
        _attempted(
            EventType.DELIVERED, Stage.END_OF_DATA, Reply(250, ("2.0.0 Ok: queued as 4xKz",), "2.0.0")
        ),
        _attempted(
            *(EventType.BOUNCED, Stage.RCPT, Reply(550, ("5.1.1 No such user here",), "5.1.1")),
            verdict=unknown,
        ),
    ]


def _attempted(
    kind: EventType, stage: Stage, reply: Reply, verdict: Verdict | None = None, next_attempt_at: float = 0.0
) -> Event:
    attempt = Attempt(
        number=1,
        at=_AT + 1.2,
        stage=stage,
        reply=reply,
        command="RCPT TO" if stage is Stage.RCPT else "DATA",
        source="a1",
        source_ip="192.0.2.10",
        ehlo="mta1.acme.example",
        site="mx.example.net",
        mx_host="mx1.example.net",
        mx_ip="198.51.100.25",
        session_id="k3v9x2",
        session_seq=1,
        session_s=0.412,
        smtp_s=0.118,
        tls_version="TLSv1.3",
        tls_cipher="TLS_AES_256_GCM_SHA384",
    )
    return recipient_event(
        kind,
        _COMMON,
        _BOB,
        at=_AT + 1.5,
        provider="other",
        attempt=attempt,
        verdict=verdict,
        message=_MESSAGE,
        sender="b+k1x@b.acme.example",
        next_attempt_at=next_attempt_at,
    )


def _without_attempt() -> list[Event]:
    error = ErrorPart("template", "text, line 1: 'order' is undefined")
    return [
        recipient_event(EventType.QUEUED, _COMMON, _BOB, at=_AT + 0.1, provider="other"),
        recipient_event(
            *(EventType.SUPPRESSED, _COMMON, _BOB),
            at=_AT + 0.1,
            verdict=classify_local("suppressed", "complained"),
        ),
        recipient_event(
            *(EventType.FAILED, _COMMON, _BOB),
            at=_AT + 0.2,
            verdict=classify_local("failed", error.code),
            error=error,
        ),
        recipient_event(
            *(EventType.EXPIRED, _COMMON, _BOB),
            at=_AT + 432_000,
            provider="other",
            number=31,
            verdict=classify_local("expired"),
            last_class=BounceClass.MAILBOX_FULL,
        ),
        recipient_event(
            *(EventType.CANCELLED, _COMMON, _BOB),
            at=_AT + 60,
            verdict=classify_local("cancelled", "wrong prices"),
        ),
    ]


def _afterwards() -> list[Event]:
    """What comes hours or days after `delivered`."""
    at = _AT + 5_400
    reported = SmtpPart(Stage.OUT_OF_BAND, code=550, enhanced="5.1.1", text="5.1.1 User unknown")
    moved = verdict_of(BounceClass.INVALID_RECIPIENT, rule="generic:mailbox-unknown", is_final=True)
    bounced = FeedbackPart(
        arrival_date="Sun, 22 Nov 2026 10:31:05 +0000",
        reporting_mta="dns; mx1.example.net",
        original_message_id=_RFC_ID,
    )
    complaint = FeedbackPart(
        feedback_type="abuse",
        arrival_date="Sun, 22 Nov 2026 10:31:05 +0000",
        reporting_mta="dns; mx1.example.net",
        source_ip="192.0.2.10",
        original_message_id=_RFC_ID,
    )
    late = partial(late_event, common=_COMMON, person=_BOB, at=at, provider="other")
    return [
        late(EventType.OOB_BOUNCED, verdict=moved, smtp=reported, feedback=bounced),
        late(EventType.COMPLAINED, feedback=complaint),
        late(EventType.UNSUBSCRIBED, detail="one_click"),
        late(EventType.AUTO_REPLIED, detail="challenge"),
    ]


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(value))
    return plain
