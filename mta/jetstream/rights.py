"""Whether our user may publish wherever a daemon has to, asked before it begins.

A right that is missing would show only when the subject is first needed, and then as mail that cannot be told of,
stored or acknowledged. Each question is one that the server can only refuse: a message for a stream that does not
exist, or a request that asks for nothing. So nothing is stored, created or delivered by asking. What a user may not
subscribe to ends the connection at once, and needs no question.
"""

import asyncio
from collections.abc import Iterable

from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, PermissionMissing
from mta.jetstream.layout import (
    CONTENT,
    CONTROL,
    DUE_CONSUMERS,
    EVENTS,
    INDEX,
    OBJECTS,
    PAYLOADS,
    RETRY,
    STRIKES,
    SUPPRESSION,
    SUPPRESSOR_CONSUMER,
    TEMPLATES,
    TRANSACTIONAL_CONSUMER,
)
from mta.jetstream.service import ANY
from mta.jetstream.subjects import (
    campaign_consumer,
    control_subject,
    dead_subject,
    due_subject,
    event_subject,
    index_subject,
    ops_subject,
    payload_subject,
    progress_subject,
    retry_subject,
    seen_subject,
)
from mta.model.ids import base32
from mta.model.lane import Lane

_ELSEWHERE = {"Nats-Expected-Stream": "MTA_NONE"}
_NO_PULL = b'{"batch":1,"idle_heartbeat":1}'
"""A heartbeat without a time limit. Almost anything else that the server can make nothing of pulls a message."""
_KEY = bytes(16)


def stored(node: str, tenant: str) -> list[str]:
    """What a daemon writes into streams, by example."""
    return [
        event_subject(tenant, "delivered", "other", ""),
        retry_subject(tenant, "", _KEY, "p0-0"),
        *(due_subject(lane, tenant, "", _KEY) for lane in Lane),
        progress_subject(node),
        index_subject(_KEY),
        seen_subject(base32(_KEY), "unsubscribed"),
        dead_subject("schema"),
        ops_subject(node, "tls_downgrade"),
        *(f"$KV.{bucket}.rights" for bucket in (CONTENT, SUPPRESSION, STRIKES, CONTROL)),
    ]


def asked() -> dict[str, bytes]:
    """The requests of a daemon, by example, and what to ask there."""
    bulk, name = _no_campaign()
    pulled = (
        (PAYLOADS, TRANSACTIONAL_CONSUMER),
        *((RETRY, each) for each in DUE_CONSUMERS.values()),
        (EVENTS, SUPPRESSOR_CONSUMER),
    )
    questions = {
        f"CONSUMER.CREATE.{PAYLOADS}.{name}.{bulk}": b'{"stream_name":"MTA_NONE"}',
        f"CONSUMER.PAUSE.{PAYLOADS}.{name}": b"{}",
        f"CONSUMER.DELETE.{PAYLOADS}.{name}": b"",
        **{f"CONSUMER.MSG.NEXT.{stream}.{each}": _NO_PULL for stream, each in pulled},
        **{
            f"STREAM.MSG.GET.{stream}": b"{}"
            for stream in (PAYLOADS, RETRY, INDEX, f"KV_{SUPPRESSION}", f"KV_{STRIKES}")
        },
        **{
            f"DIRECT.GET.{stream}": b"{}" for stream in (f"KV_{TEMPLATES}", f"KV_{CONTENT}", f"OBJ_{OBJECTS}")
        },
    }
    return {f"$JS.API.{each}": body for each, body in questions.items()}


def _no_campaign() -> tuple[str, str]:
    """A subject of bulk, and the name of a consumer that no campaign can have: it is too short."""
    subject = payload_subject(Lane.BULK, "rights", "")
    return subject, campaign_consumer(subject)[:-1]


def unanswered() -> list[str]:
    """Where nobody answers: a consumer that is not there, acks of what was not delivered, and a question to the broker
    of the fleet that means nothing to it."""
    _, name = _no_campaign()
    acks = [f"$JS.ACK.{stream}.rights.1.1.1.1.1" for stream in (PAYLOADS, RETRY, EVENTS)]
    return [f"$JS.API.CONSUMER.MSG.NEXT.{PAYLOADS}.{name}", *acks, control_subject(ANY, "budget")]


async def missing_rights(link: Link, *, node: str, tenant: str, also: Iterable[str] = ()) -> list[str]:
    """The subjects our user may not publish to. `also` are those of streams which not every daemon writes into."""
    questions = [
        *((subject, b"", _ELSEWHERE) for subject in (*stored(node, tenant), *also)),
        *((subject, body, None) for subject, body in asked().items()),
    ]
    async with asyncio.TaskGroup() as group:
        silent = [
            (subject, group.create_task(_is_forbidden(link, subject, _NO_PULL, None)))
            for subject in unanswered()
        ]
        answered = [(one[0], group.create_task(_is_forbidden(link, *one))) for one in questions]
        await asyncio.wait([task for _, task in answered])
        # A refusal would have come before the answers to the others.
        for _, task in silent:
            task.cancel()
    return [subject for subject, task in (*answered, *silent) if not task.cancelled() and task.result()]


async def _is_forbidden(link: Link, subject: str, body: bytes, headers: dict[str, str] | None) -> bool:
    try:
        await link.request(subject, body, headers=headers)
    except PermissionMissing:
        return True
    except JetStreamError:
        return False
    return False
