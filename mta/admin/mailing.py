"""A template plus recipients, cut into payloads.

Pure. A payload's id is a hash of its content: sending the same file again asks for the same payloads,
which the stream recognises for ten minutes and the daemons' index for weeks, so nobody gets the mail
twice.
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct

from mta.admin.rows import Row
from mta.jetstream.subjects import payload_subject
from mta.model.lane import Lane

MOST_RECIPIENTS = 500
MOST_BYTES = 900_000  # a payload may have 1 MB; room for headers and for what a relay adds
_FROM = re.compile(r"\s*(?:\"?([^\"<>]*?)\"?\s*<([^<>\s]+)>|([^<>\s\"]+))\s*")


class Outgoing(Struct, frozen=True, gc=False):
    """One payload on its way to the stream."""

    subject: str
    msg_id: str
    body: bytes
    recipients: int


class Mailing(Struct, frozen=True, kw_only=True):
    """What all payloads of it share. `unsubscribe` is an address; the marketing stream needs one, or `one_click`.
    `list_id` has the form of a domain. `send_at` is a time (RFC 3339); without one it goes out at once."""

    tenant: str
    sender: str
    subject: str
    html: str = ""
    text: str = ""
    campaign: str = ""
    stream: str = ""
    lane: Lane = Lane.BULK
    unsubscribe: str = ""
    one_click: bool = False
    list_id: str = ""
    send_at: str = ""

    def shared(self) -> dict[str, Any]:
        """The payload but for its id and recipients; ValueError if `sender` is no address."""
        content = {"subject": self.subject, "html": self.html, "text": self.text}
        unsubscribe = {"mailto": self.unsubscribe, "one_click": self.one_click, "list_id": self.list_id}
        made: dict[str, Any] = {
            "v": 1,
            "tenant": self.tenant,
            "campaign": self.campaign,
            "stream": self.stream,
            "lane": str(self.lane),
            "from": address(self.sender),
            "content": {key: value for key, value in content.items() if value},
            "send_at": self.send_at,
            "unsubscribe": {key: value for key, value in unsubscribe.items() if value},
        }
        return {key: value for key, value in made.items() if value}


def address(text: str) -> dict[str, str]:
    """`Acme <news@acme.example>` or `news@acme.example`."""
    match = _FROM.fullmatch(text)
    if match is None or "@" not in (match[2] or match[3]):
        raise ValueError(f"{text[:80]!r} is no sender: write news@acme.example or Acme <news@acme.example>")
    name, email = (match[1] or "").strip(), match[2] or match[3]
    return {"email": email, "name": name} if name else {"email": email}


def payloads(mailing: Mailing, rows: Iterable[Row]) -> Iterator[Outgoing]:
    """As few as the limits allow. ValueError if template and sender alone are too large for one."""
    shared = orjson.dumps(mailing.shared())
    if len(shared) > MOST_BYTES - 20_000:
        raise ValueError(f"the templates are too large: {len(shared)} bytes of {MOST_BYTES}")
    batch: list[bytes] = []
    size = len(shared)
    for row in rows:
        part = orjson.dumps(row.recipient)
        if batch and (len(batch) == MOST_RECIPIENTS or size + len(part) > MOST_BYTES):
            yield _outgoing(mailing, shared, batch)
            batch, size = [], len(shared)
        batch.append(part)
        size += len(part) + 1
    if batch:
        yield _outgoing(mailing, shared, batch)


def _outgoing(mailing: Mailing, shared: bytes, batch: list[bytes]) -> Outgoing:
    recipients = b",".join(batch)
    digest = blake2b(shared + b"\0" + recipients, digest_size=12).hexdigest()
    body = shared[:-1] + b',"id":"send-' + digest.encode() + b'","recipients":[' + recipients + b"]}"
    subject = payload_subject(mailing.lane, mailing.tenant, mailing.campaign)
    return Outgoing(subject, f"{mailing.tenant}/send-{digest}", body, len(batch))
