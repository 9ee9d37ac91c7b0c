"""What is to be composed, and what became of it: the shapes that cross between the loop and the workers.

`MessageSpec` holds all that a payload's messages share; it travels as a `SpecBlob`, encoded once by whoever
owns the payload. Nothing here is checked: admission has done so, and the worker does so again where the
wire is at stake.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal

from msgspec import Struct, msgpack

from mta.model.lane import Lane
from mta.model.message import Envelope
from mta.model.payload import Address


class AttachmentPart(Struct, frozen=True, array_like=True, gc=False):
    name: str
    type: str
    data: bytes
    inline: bool = False
    cid: str = ""


class MessageSpec(Struct, frozen=True, array_like=True, kw_only=True):
    """Times are seconds since the epoch. Domains are A-labels. Templates: subject, text, html, amp,
    `from_name`, the names in `reply_to`, the values of `headers`. `data` is a raw JSON object.
    `return_path` is a domain; empty means the sender's own address. `public_url` is the base of one-click
    links, needed for `one_click` alone. With `own_unsubscribe` an address of ours is the way out by mail, with
    `advertise` another takes complaints. `template_label` is what failures call the template. `platform` is the
    constant part of Feedback-ID (L-05)."""

    tenant: str
    payload_id: str
    payload_key: bytes
    accepted_at: float
    date_at: float
    lane: Lane
    from_email: str
    from_domain: str
    campaign: str = ""
    stream: str = ""
    from_name: str = ""
    reply_to: tuple[Address, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    rfc822: bytes | None = None
    headers: dict[str, str] = {}
    data: bytes = b"{}"
    engine: Literal["jinja", "static"] = "jinja"
    undefined: Literal["error", "empty"] = "error"
    attachments: tuple[AttachmentPart, ...] = ()
    unsubscribe_mailto: str = ""
    one_click: bool = False
    own_unsubscribe: bool = False
    advertise: bool = False
    list_id: str = ""
    public_url: str = ""
    return_path: str = ""
    require_dkim: bool = True
    template_label: str = "inline"
    platform: str = "mtamail"


class SpecBlob(Struct, frozen=True, array_like=True, gc=False):
    """An encoded `MessageSpec`. `waives_tls`: its messages say `TLS-Required: No` (RFC 8689 section 3)."""

    key: bytes
    blob: bytes
    waives_tls: bool = False


class Addressee(Struct, frozen=True, array_like=True, gc=False):
    """`index` is the place in the original payload, `key` is `mta.model.ids.recipient_key`; `email` goes
    between the angle brackets on the wire; `header_email` is empty where To shows the same. `data` is a raw
    JSON object."""

    index: int
    key: str
    email: str
    header_email: str = ""
    name: str = ""
    recipient_id: str = ""
    data: bytes = b"{}"


class Group(Struct, frozen=True, array_like=True):
    spec: SpecBlob
    addressees: tuple[Addressee, ...]


class Chunk(Struct, frozen=True, array_like=True):
    """`now` is the time of signing."""

    now: float
    groups: tuple[Group, ...]


class Composed(Struct, frozen=True, array_like=True, gc=False, tag=1):
    index: int
    envelope: Envelope


class ComposeFailed(Struct, frozen=True, array_like=True, gc=False, tag=2):
    """`code`: template, data, header, content, attachment, too_large, memory, timeout, crash; and with
    `is_local_fault`, where the message is not to blame and should be tried again: dkim, token, pool,
    internal. `detail` is fit for an event: it holds no other recipient's data."""

    index: int
    message_id: str
    code: str
    detail: str
    is_local_fault: bool = False


Result = Composed | ComposeFailed


class Sources(Struct, frozen=True, array_like=True):
    """Templates by field name, to be looked at before they are used."""

    fields: dict[str, str]
    engine: Literal["jinja", "static"] = "jinja"
    undefined: Literal["error", "empty"] = "error"


class Inspection(Struct, frozen=True, array_like=True):
    problems: list[str]
    undeclared: list[str]


CHUNK_BYTES = 600_000
"""What one chunk may hold of its recipients' specs: large content goes in small chunks, so that neither a pipe nor a
worker's memory holds many copies of it."""

_WAIVER = re.compile(rb"^tls-required:[ \t]*no[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_RESULTS = msgpack.Decoder(list[Result])
_CHUNK = msgpack.Decoder(Chunk)
_SPEC = msgpack.Decoder(MessageSpec)


def encode_spec(spec: MessageSpec) -> SpecBlob:
    """The key is a hash of the content, which holds the tenant (E12)."""
    blob = msgpack.encode(spec)
    return SpecBlob(blake2b(blob, digest_size=16).digest(), blob, _waives_tls(spec))


def decode_spec(blob: bytes) -> MessageSpec:
    return _SPEC.decode(blob)


def _waives_tls(spec: MessageSpec) -> bool:
    if spec.rfc822 is not None and _WAIVER.search(_HEAD_END.split(spec.rfc822, 1)[0]):
        return True
    return any(
        name.lower() == "tls-required" and value.strip().lower() == "no"
        for name, value in spec.headers.items()
    )


def encode_chunk(groups: Sequence[Group], now: float) -> bytes:
    return msgpack.encode(Chunk(now, tuple(groups)))


def decode_chunk(blob: bytes) -> Chunk:
    return _CHUNK.decode(blob)


def decode_results(blob: bytes) -> list[Result]:
    return _RESULTS.decode(blob)
