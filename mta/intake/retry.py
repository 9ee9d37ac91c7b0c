"""What is stored in MTA_RETRY for recipients that wait: a payload with a `retry` part, the mirror of `decode`. Pure.

One message holds the recipients of one source message that are due together. The shared part of the payload goes in
once more as it came, its content as a reference to MTA_CONTENT; a payload that waits for its `send_at`, longer than
contents are kept there, carries it.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Raw

from mta.intake.admission import Admitted, AdmittedRecipient
from mta.model.payload import (
    Content,
    LastTry,
    Payload,
    RetryPart,
    RetryRecipient,
    StoredContent,
    TemplateRef,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INLINE = "inline"
_encoder = msgspec.json.Encoder()


def encode_content(stored: StoredContent) -> tuple[str, bytes]:
    """(SHA-256 in hex, bytes to keep in MTA_CONTENT)."""
    body = _encoder.encode(stored)
    return hashlib.sha256(body).hexdigest(), body


def carried_content(payload: Payload) -> StoredContent:
    """What a due payload carries itself."""
    content = payload.content
    template = content.template
    label = _INLINE if template is None else f"{template.name}/{template.version}"
    return StoredContent(msgspec.structs.replace(content, template=None), payload.attachments, label)


def encode_retry(
    admitted: Admitted,
    content: StoredContent | str,
    recipients: Sequence[RetryRecipient],
) -> bytes:
    """The payload to store, with its content or the SHA-256 under which that is kept. `recipients` carry their place
    in the original payload and what they went through."""
    stored = StoredContent(Content(sha256=content)) if isinstance(content, str) else content
    template = TemplateRef(*stored.label.rsplit("/", 1)) if "/" in stored.label else None
    payload = msgspec.structs.replace(
        admitted.payload,
        lane=admitted.lane,
        content=msgspec.structs.replace(stored.content, template=template),
        attachments=stored.attachments,
        recipients=[Raw(_encoder.encode(recipient)) for recipient in recipients],
        expires_at=None,
        retry=RetryPart(
            payload_id=admitted.payload_id,
            accepted_at=_moment(admitted.accepted_at),
            first_at=_moment(admitted.first_at),
            expires_at=_moment(admitted.expires_at),
            recipients_total=admitted.recipients_total,
        ),
    )
    return _encoder.encode(payload)


def waiting_recipient(
    recipient: AdmittedRecipient,
    *,
    attempt: int,
    source: str,
    last: LastTry | None,
) -> RetryRecipient:
    """`attempt` is the number of attempts made so far."""
    return RetryRecipient(
        email=recipient.recipient.email,
        name=recipient.recipient.name,
        id=recipient.recipient.id,
        data=recipient.recipient.data,
        metadata=recipient.recipient.metadata,
        tags=recipient.recipient.tags,
        index=recipient.index,
        attempt=attempt,
        queued_at=_moment(recipient.queued_at),
        source=source,
        last=last,
    )


def _moment(at: float) -> datetime:
    return _EPOCH + timedelta(microseconds=round(at * 1e6))
