"""Bytes to a payload. Any bytes give a `Decoded` or a `Rejected` with a stable code, never an exception.

Shape, sizes, depth, repeated keys and the raw objects (`data`, `metadata`) are judged here, what the
values mean in `mta.intake.admission`. A malformed recipient becomes a `Malformed` in its place and the
others go on.

The usual payload is taken in a few passes at C speed over all recipients at once; only where a pass finds
something odd is each recipient looked at by itself, to find the guilty one. `data` is parsed although
only a worker reads it, and by the same parser: what passes here (UTF-8, numbers in range, a bounded
depth) is what the workers can load.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Literal, get_args, get_origin

import msgspec
import orjson
from msgspec import Raw, Struct

from mta.intake.objects import claimed_id, has_repeated_key, is_too_deep, joined, repeated_key
from mta.model.payload import Payload, Recipient, RetryPart, RetryRecipient

VERSION = 1
MAX_PAYLOAD_BYTES = 1_000_000
MAX_RECIPIENTS = 1_000
MAX_DATA_BYTES = 100_000
MAX_RECIPIENT_DATA_BYTES = 16_000
MAX_METADATA_BYTES = 2_000
MAX_HEADERS = 30
MAX_REPLY_TO = 10
MAX_ATTACHMENTS = 20
MAX_TAGS = 10
# Deeper than any real data and far below what breaks a parser that recurses (CVE-2024-27454, CVE-2025-67221).
MAX_DEPTH = 32
MAX_DETAIL = 300
MAX_ID = 128
MAX_CLAIMED_EMAIL = 320
RESERVED_KEYS = ("recipient", "payload", "unsubscribe_url")

_SPACE = b" \t\r\n"
_BAD_INPUT = (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError)


class RejectCode(StrEnum):
    """Why a payload or a recipient was refused: stable words of the event contract."""

    SCHEMA = "schema"
    """Not of the shape of this contract."""
    TENANT_MISMATCH = "tenant_mismatch"
    """Not the tenant of the subject."""
    FROM_NOT_ALLOWED = "from_not_allowed"
    """The domain of `from` is none of the tenant's."""
    POOL_NOT_ALLOWED = "pool_not_allowed"
    """The pool is none of the tenant's."""
    TOO_LARGE = "too_large"
    """The payload, or a part of it."""
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    """More than a payload may have."""
    BAD_ADDRESS = "bad_address"
    """No mail can be sent to it."""
    BAD_HEADER = "bad_header"
    """A header that may not be set, or holds what may not stand there."""
    TEMPLATE_MISSING = "template_missing"
    """No template of this name and version is stored."""
    TEMPLATE_ERROR = "template_error"
    """The template cannot be read."""
    ATTACHMENT_MISSING = "attachment_missing"
    """The file it refers to is not stored."""
    ATTACHMENT_TYPE = "attachment_type"
    """A type of file that is not sent."""
    EXPIRED = "expired"
    """`expires_at` had passed when it came."""
    DUPLICATE = "duplicate"
    """A payload with this id was accepted before, or the recipient stands twice in this one."""
    QUOTA = "quota"
    """More than the tenant may send."""
    UNSUBSCRIBE_REQUIRED = "unsubscribe_required"
    """Marketing mail needs `unsubscribe`."""
    UNSUPPORTED = "unsupported"
    """A field whose feature is not there."""


class Rejected(Struct, frozen=True, gc=False):
    """The whole payload is refused. `payload_id` is the id its sender gave, empty where it is none or unreadable."""

    code: RejectCode
    detail: str
    payload_id: str = ""


class Malformed(Struct, frozen=True, gc=False):
    """A recipient that cannot be read, with what of it can."""

    code: RejectCode
    detail: str
    email: str = ""
    recipient_id: str = ""


class Decoded(Struct, frozen=True):
    """`recipients` are in the order of the payload; its own `recipients` are their undecoded bytes."""

    payload: Payload
    recipients: Sequence[Recipient | Malformed]


class DecodedDue(Struct, frozen=True):
    """A payload of ours that comes back from MTA_RETRY, with its `retry` part."""

    payload: Payload
    retry: RetryPart
    recipients: Sequence[RetryRecipient]


class Refusal(Exception):
    """A rule of the payload is broken; becomes a `Rejected` or `Malformed` before it leaves this stage."""

    def __init__(self, code: RejectCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail[:MAX_DETAIL]


# msgspec takes `Raw | None` for `None`: these say `Raw` for the decoder and keep None for what is absent.
class _WirePayload(Payload, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    metadata: Raw = None  # type: ignore[assignment]


class _WireRecipient(Recipient, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    metadata: Raw = None  # type: ignore[assignment]


class _WireRetryRecipient(
    RetryRecipient, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    metadata: Raw = None  # type: ignore[assignment]


class _Claim(Struct, gc=False):
    """What can be read of something that has not the right shape."""

    v: Any = None
    id: Any = ""
    email: Any = ""


_PAYLOAD = msgspec.json.Decoder(_WirePayload)
_RECIPIENT = msgspec.json.Decoder(_WireRecipient)
_RECIPIENTS = msgspec.json.Decoder(list[_WireRecipient])
_RETRY_RECIPIENTS = msgspec.json.Decoder(list[_WireRetryRecipient])
_CLAIM = msgspec.json.Decoder(_Claim)
_NO_DATA = bytes(Recipient("").data)
_ENCODER = msgspec.json.Encoder()
# The sender's own objects, and what is judged one by one.
_NOT_OURS = ("data", "metadata", "recipients")


def decode(body: bytes) -> Decoded | Rejected:
    """A payload as a sender wrote it."""
    if len(body) > MAX_PAYLOAD_BYTES:
        detail = f"the payload has {len(body)} bytes, {MAX_PAYLOAD_BYTES} are allowed"
        return Rejected(RejectCode.TOO_LARGE, detail, _claim(body).id)
    try:
        payload = _payload(body)
        if payload.retry is not None or payload.content.sha256 is not None:
            raise Refusal(RejectCode.SCHEMA, "`retry` and `content.sha256` are not for senders")
        _check_objects(payload)
        recipients: Sequence[Recipient | Malformed] | None = _all_at_once(payload.recipients)
        if recipients is None:
            recipients = [_one(raw) for raw in payload.recipients]
    except Refusal as refusal:
        return Rejected(refusal.code, refusal.detail, _claim(body).id)
    return Decoded(payload, recipients)


def decode_due(body: bytes) -> DecodedDue | Rejected:
    """A payload as a daemon wrote it: judged before, so only its shape is looked at."""
    try:
        payload = _payload(body)
        if payload.retry is None:
            raise Refusal(RejectCode.SCHEMA, "a due payload needs a `retry` part")
        recipients = _RETRY_RECIPIENTS.decode(joined(payload.recipients))
    except _BAD_INPUT as error:
        return Rejected(RejectCode.SCHEMA, _reason(error), _claim(body).id)
    except Refusal as refusal:
        return Rejected(refusal.code, refusal.detail, _claim(body).id)
    return DecodedDue(payload, payload.retry, recipients)


def check_count(count: int) -> None:
    if count == 0:
        raise Refusal(RejectCode.SCHEMA, "a payload needs at least one recipient")
    if count > MAX_RECIPIENTS:
        detail = f"a payload may have {MAX_RECIPIENTS} recipients, this one has {count}"
        raise Refusal(RejectCode.TOO_MANY_RECIPIENTS, detail)


def _check_counts(payload: Payload) -> None:
    """Before anything is looked at one by one."""
    check_count(len(payload.recipients))
    for code, name, given, limit in (
        (RejectCode.BAD_HEADER, "headers", payload.headers, MAX_HEADERS),
        (RejectCode.SCHEMA, "reply_to", payload.reply_to, MAX_REPLY_TO),
        (RejectCode.TOO_LARGE, "attachments", payload.attachments, MAX_ATTACHMENTS),
        (RejectCode.SCHEMA, "tags", payload.tags, MAX_TAGS),
    ):
        if len(given) > limit:
            raise Refusal(code, f"`{name}` has more than {limit} members")


def _payload(body: bytes) -> Payload:
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into what it leaves raw
        payload = _PAYLOAD.decode(body)
    except _BAD_INPUT as error:
        _check_version(_claim(body).v)
        raise Refusal(RejectCode.SCHEMA, _reason(error)) from error
    _check_version(payload.v)
    _check_counts(payload)
    if _has_spare_bytes(body, payload):
        _refuse_repeated(body)
    return payload


def _check_version(version: object) -> None:
    if type(version) is int and version != VERSION:
        raise Refusal(RejectCode.UNSUPPORTED, f"payload version {str(version)[:20]} is not known")


def _all_at_once(raws: Sequence[Raw]) -> Sequence[Recipient] | None:
    """All recipients, if nothing is odd about any of them."""
    text = joined(raws)
    try:
        recipients = _RECIPIENTS.decode(text)
        if _has_spare_bytes(text, recipients):
            _refuse_repeated(text)
        _check_raw([r.data for r in recipients], "data", MAX_RECIPIENT_DATA_BYTES, RESERVED_KEYS)
        _check_raw([r.metadata for r in recipients if r.metadata is not None], "metadata", MAX_METADATA_BYTES)
    except (*_BAD_INPUT, Refusal):
        return None
    return recipients


def _one(raw: Raw) -> Recipient | Malformed:
    try:
        recipient = _RECIPIENT.decode(raw)
        if _has_spare_bytes(raw, recipient):
            _refuse_repeated(raw)
        _check_raw([recipient.data], "data", MAX_RECIPIENT_DATA_BYTES, RESERVED_KEYS)
        if recipient.metadata is not None:
            _check_raw([recipient.metadata], "metadata", MAX_METADATA_BYTES)
    except _BAD_INPUT as error:
        claim = _claim(raw)
        return Malformed(RejectCode.SCHEMA, _reason(error), claim.email, claim.id)
    except Refusal as refusal:
        return Malformed(refusal.code, refusal.detail, recipient.email, recipient.id)
    return recipient


def _check_objects(payload: Payload) -> None:
    _check_raw([payload.data], "data", MAX_DATA_BYTES, RESERVED_KEYS)
    if payload.metadata is not None:
        _check_raw([payload.metadata], "metadata", MAX_METADATA_BYTES)


def _check_raw(raws: Sequence[Raw], name: str, limit: int, reserved: Sequence[str] = ()) -> None:
    """Each of `raws` is a JSON object within the limits."""
    given = [raw for raw in raws if raw != _NO_DATA]
    if not given:
        return
    if max(map(len, given)) > limit:
        raise Refusal(RejectCode.TOO_LARGE, f"`{name}` is larger than {limit} bytes")
    text = joined(given)
    try:
        objects = orjson.loads(text)
    except _BAD_INPUT as error:
        raise Refusal(RejectCode.SCHEMA, f"`{name}`: {_reason(error)}") from error
    if not all(type(value) is dict for value in objects):
        raise Refusal(RejectCode.SCHEMA, f"`{name}` is not an object")
    for key in reserved:
        if any(key in value for value in objects):
            raise Refusal(RejectCode.SCHEMA, f"`{key}` is a reserved key of `{name}`")
    is_nested = text.count(b"{") > len(given) or text.count(b"[") > 1
    if is_nested and is_too_deep(text, MAX_DEPTH + 1):  # one level is the list of all
        raise Refusal(RejectCode.SCHEMA, f"`{name}` is nested deeper than {MAX_DEPTH} levels")
    if has_repeated_key(text, objects):
        repeated = repeated_key(text) or ""
        raise Refusal(RejectCode.SCHEMA, f"`{name}` names `{repeated[:64]}` twice")


def _has_spare_bytes(text: bytes, decoded: Struct | Sequence[Struct]) -> bool:
    """Whether `text` says more than `decoded` does: a decoder drops a repeated key in silence, but its
    bytes remain.

    Only a suspicion: other ways to write the same (an escape, a default spelled out) differ in length too."""
    encoded = _ENCODER.encode(decoded)
    return len(bytes(text).translate(None, _SPACE)) != len(encoded.translate(None, _SPACE))


def _refuse_repeated(text: bytes) -> None:
    """Refusal if an object that is ours to read names a key twice."""
    try:
        repeated = repeated_key(text, _NOT_OURS)
    except RecursionError as error:
        raise Refusal(RejectCode.SCHEMA, _reason(error)) from error
    if repeated is not None:
        raise Refusal(RejectCode.SCHEMA, f"`{repeated[:64]}` stands there twice")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    text = str(error)
    if text.startswith("Invalid enum value"):
        choices = _CHOICES.get(text.rpartition("`$.")[2].removesuffix("`"), ())
        text += f": expected {' or '.join(choices)}" if choices else ""
    return text[:MAX_DETAIL]


def _choices(shape: type[Struct], path: str = "") -> dict[str, tuple[str, ...]]:
    """By path, the words that a field of a few words may hold: msgspec does not name them."""
    found: dict[str, tuple[str, ...]] = {}
    for field in msgspec.structs.fields(shape):
        name = path + field.encode_name
        for kind in (field.type, *get_args(field.type)):
            if isinstance(kind, type) and issubclass(kind, Struct):
                found |= _choices(kind, f"{name}.")
            elif isinstance(kind, type) and issubclass(kind, StrEnum):
                found[name] = tuple(kind)
            elif get_origin(kind) is Literal:
                found[name] = get_args(kind)
    return found


_CHOICES = _choices(Payload)


def _claim(raw: bytes) -> _Claim:
    """Best effort: what is no text of a sane length is taken as not given."""
    try:
        claim = _CLAIM.decode(raw)
    except _BAD_INPUT:
        claim = _Claim(id=claimed_id(raw))
    for name, limit in (("id", MAX_ID), ("email", MAX_CLAIMED_EMAIL)):
        value = getattr(claim, name)
        setattr(claim, name, value if isinstance(value, str) and len(value) <= limit else "")
    return claim
