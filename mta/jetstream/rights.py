"""Whether our user may publish wherever a daemon has to, asked before it begins.

A right that is missing would show only when the subject is first needed, and then as mail that cannot be told of,
stored or acknowledged. Each question is one that the server can only refuse: a message for a stream that does not
exist, or a request it cannot read. So nothing is stored, created or delivered by asking. What a user may not subscribe
to ends the connection at once, and needs no question.
"""

import asyncio

from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, PermissionMissing
from mta.jetstream.layout import (
    CONTENT,
    DUE_CONSUMERS,
    OBJECTS,
    PAYLOADS,
    RETRY,
    TEMPLATES,
    TRANSACTIONAL_CONSUMER,
)
from mta.jetstream.subjects import (
    campaign_consumer,
    dead_subject,
    due_subject,
    event_subject,
    index_subject,
    payload_subject,
    progress_subject,
    retry_subject,
)
from mta.model.lane import Lane

_ELSEWHERE = {"Nats-Expected-Stream": "MTA_NONE"}
_UNREADABLE = b"{"
"""No JSON, and not to be taken for a number: what begins otherwise pulls a message."""
_KEY = bytes(16)


def stored(node: str, tenant: str) -> list[str]:
    """What a daemon writes into streams, by example."""
    return [
        event_subject(tenant, "delivered", "other", ""),
        retry_subject(tenant, "", _KEY, "p0-0"),
        *(due_subject(lane, tenant, "", _KEY) for lane in Lane),
        progress_subject(node),
        index_subject(_KEY),
        dead_subject("schema"),
        f"$KV.{CONTENT}.rights",
    ]


def asked() -> list[str]:
    """The requests of a daemon, by example."""
    bulk = payload_subject(Lane.BULK, "rights", "")
    name = campaign_consumer(bulk)
    api = [
        f"CONSUMER.CREATE.{PAYLOADS}.{name}.{bulk}",
        f"CONSUMER.PAUSE.{PAYLOADS}.{name}",
        f"CONSUMER.DELETE.{PAYLOADS}.{name}.rights",
        *(f"CONSUMER.MSG.NEXT.{PAYLOADS}.{each}" for each in (TRANSACTIONAL_CONSUMER, name)),
        *(f"CONSUMER.MSG.NEXT.{RETRY}.{each}" for each in DUE_CONSUMERS.values()),
        *(f"STREAM.MSG.GET.{stream}" for stream in (PAYLOADS, RETRY)),
        *(f"DIRECT.GET.{stream}" for stream in (f"KV_{TEMPLATES}", f"KV_{CONTENT}", f"OBJ_{OBJECTS}")),
    ]
    return [f"$JS.API.{each}" for each in api]


def acked() -> list[str]:
    """Where a daemon acknowledges, by example."""
    return [f"$JS.ACK.{stream}.rights.1.1.1.1.1" for stream in (PAYLOADS, RETRY)]


async def missing_rights(link: Link, *, node: str, tenant: str) -> list[str]:
    """The subjects our user may not publish to."""
    questions = [
        *((subject, b"", _ELSEWHERE) for subject in stored(node, tenant)),
        *((subject, _UNREADABLE, None) for subject in asked()),
    ]
    async with asyncio.TaskGroup() as group:
        silent = [
            (subject, group.create_task(_is_forbidden(link, subject, b"", None))) for subject in acked()
        ]
        answered = [(one[0], group.create_task(_is_forbidden(link, *one))) for one in questions]
        await asyncio.wait([task for _, task in answered])
        # Nobody answers what looks like an ack, but a refusal would have come before the answers to the others.
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
