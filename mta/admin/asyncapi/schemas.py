"""JSON Schemas of what goes over NATS, made from the Structs that the daemon itself decodes and encodes with.

A Struct is mirrored where its types say less than the contract: raw JSON becomes an object, a text one of the words it
can be, a length gets its limit. Only what a daemon alone may write is left out.
"""

from collections.abc import Mapping
from enum import StrEnum
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mta.admin.asyncapi import docstrings
from mta.classify.rules import CLASSES, ClassFacts
from mta.intake import decode
from mta.intake.decode import RejectCode
from mta.model import event, payload
from mta.model.event import EventType
from mta.model.index import IndexEntry
from mta.model.lane import Lane
from mta.model.outcome import BounceClass, BounceType, Stage
from mta.model.suppression import Mark, SuppressReason
from mta.model.tls import TlsOption

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
TOKEN = "^[a-z0-9_-]{1,64}$"

_Object = dict[str, Any]
_Token = Annotated[str, Meta(pattern=TOKEN)]
_Uuid = Annotated[str, Meta(pattern=UUID, extra_json_schema={"format": "uuid"})]
_Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_Count = Annotated[int, Meta(ge=0)]
_FromOne = Annotated[int, Meta(ge=1)]
_Version = Literal[1]
_Tags = Annotated[tuple[str, ...], Meta(max_length=decode.MAX_TAGS)]
_Short = Annotated[str, Meta(max_length=decode.MAX_ID)]
_ENUMS = (EventType, BounceClass, BounceType, Stage, Lane, TlsOption, RejectCode, SuppressReason)

_REQUIRED: dict[EventType, tuple[str, ...]] = {
    EventType.ACCEPTED: ("payload_id", "lane", "counts"),
    EventType.QUEUED: ("payload_id", "message_id"),
    EventType.REJECTED: ("payload_id", "error"),
    EventType.SUPPRESSED: ("payload_id", "message_id"),
    EventType.FAILED: ("payload_id", "message_id", "error", "bounce"),
    EventType.DEFERRED: ("payload_id", "message_id", "attempt", "smtp", "bounce"),
    EventType.DELIVERED: ("payload_id", "message_id", "attempt", "smtp"),
    EventType.BOUNCED: ("payload_id", "message_id", "attempt", "smtp", "bounce"),
    EventType.EXPIRED: ("payload_id", "message_id", "bounce"),
    EventType.CANCELLED: ("payload_id", "message_id", "bounce"),
    EventType.OOB_BOUNCED: ("payload_id", "message_id", "bounce"),
    EventType.COMPLAINED: ("payload_id", "message_id"),
    EventType.UNSUBSCRIBED: ("message_id",),
    EventType.AUTO_REPLIED: ("payload_id", "message_id"),
}
"""Beside what every event has."""


def schema_of(kind: EventType) -> str:
    """The name of the schema that all events of a type satisfy, as `DeliveredEvent`."""
    return "".join(part.capitalize() for part in kind.split("_")) + "Event"


def schemas() -> dict[str, Schema]:
    """By name, as `components.schemas` of the document; references point there."""
    structs = {**_events(), **_payloads(), "IndexEntry": _index(), "Mark": _mark()}
    _, found = msgspec.json.schema_components([one for _, one in structs.values()], ref_template=REFERENCE)
    found |= {name: _described(found[name], original) for name, (original, _) in structs.items()}
    found |= {enum.__name__: _members_described(enum) for enum in _ENUMS}
    found["Content"]["anyOf"] = [{"required": [each]} for each in ("template", "rfc822", "text", "html")]
    found["Attachment"]["oneOf"] = [{"required": [each]} for each in ("data", "ref")]
    return {**{schema_of(kind): _event_of(kind) for kind in EventType}, **found}


_Mirrored = tuple[type[Struct], type[Struct]]
"""The Struct as the daemon has it, and as the contract does."""


def _events() -> dict[str, _Mirrored]:
    facts = CLASSES.values()
    words = {
        "category": sorted({one.category for one in facts}),
        "scope": [
            *dict.fromkeys(one.accused for one in facts),
            "netblock",
            "spf_domain",
            "url_domain",
            "tenant",
        ],
        "actions": sorted({*chain.from_iterable((*one.again, *one.final) for one in facts)}),
    }
    bounce = _mirrored(
        event.BouncePart,
        {
            "class": BounceClass,
            "type": BounceType,
            "category": _one_of(words["category"]),
            "scope": _one_of(words["scope"]),
            "confidence": Literal["high", "low"],
            "actions": _some(_one_of(words["actions"])),
            "last_class": BounceClass,
        },
    )
    smtp = _mirrored(event.SmtpPart, {"stage": Stage, "code": Annotated[int, Meta(ge=200, le=599)]})
    tls = _mirrored(event.TlsPart, {"verified": Literal["none", "pkix", "dane", "sts"]})
    feedback, error = _mirrored(event.FeedbackPart, {}), _mirrored(event.ErrorPart, {})
    counts = _mirrored(event.CountsPart, {"recipients": _Count, "rejected": _Count})
    whole = _mirrored(
        event.Event,
        {
            **{"v": _Version, "time": _Time, "queued_at": _Time, "next_attempt_at": _Time},
            **{
                "tenant": str,
                "lane": Lane,
                "message_id": _Uuid,
                "attempt": _FromOne,
                "session_seq": _FromOne,
            },
            **dict.fromkeys(("size_bytes", "queue_ms", "session_ms", "smtp_ms"), _Count),
            **{"tls": tls[1], "smtp": smtp[1], "bounce": bounce[1], "feedback": feedback[1]},
            **{"error": error[1], "counts": counts[1], "metadata": _Object},
        },
    )
    parts = (whole, tls, smtp, bounce, feedback, error, counts)
    return {original.__name__: (original, mirror) for original, mirror in parts}


def _payloads() -> dict[str, _Mirrored]:
    plain = [_mirrored(one, {}) for one in (payload.Address, payload.TemplateRef)]
    address, template = plain
    content = _mirrored(payload.Content, {"template": template[1]}, without=("sha256",))
    attachment, unsubscribe = _mirrored(payload.Attachment, {}), _mirrored(payload.Unsubscribe, {})
    recipient = _mirrored(
        payload.Recipient,
        {"name": _Short, "id": _Short, "data": _Object, "metadata": _Object, "tags": _Tags},
    )
    whole = _mirrored(
        payload.Payload,
        {
            **{"v": _Version, "id": _Short, "channel": Literal["email"], "from": address[1]},
            **dict.fromkeys(("tenant", "campaign", "stream", "pool"), _Token),
            **{
                "content": content[1],
                "recipients": _some(recipient[1], decode.MAX_RECIPIENTS, least=1),
                "unsubscribe": unsubscribe[1],
            },
            "reply_to": _some(address[1], decode.MAX_REPLY_TO),
            "headers": Annotated[dict[str, str], Meta(max_length=decode.MAX_HEADERS)],
            "attachments": _some(attachment[1], decode.MAX_ATTACHMENTS),
            **{"data": _Object, "metadata": _Object, "tags": _Tags},
        },
        without=("retry",),
    )
    parts = (whole, *plain, content, attachment, unsubscribe, recipient)
    return {original.__name__: (original, mirror) for original, mirror in parts}


def _index() -> _Mirrored:
    forms = Literal["full", "hash", "none"]
    return _mirrored(IndexEntry, {"v": _Version, "accepted_at": _Time, "lane": Lane, "form": forms})


def _mark() -> _Mirrored:
    return _mirrored(Mark, {"at": _Time, "expires_at": _Time})


def _mirrored(original: type[Struct], types: Mapping[str, Any], without: tuple[str, ...] = ()) -> _Mirrored:
    """With other `types`, by name on the wire. What may be left out has the default it means, if that says anything;
    null is nothing to write."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for one in msgspec.structs.fields(original):
        if one.encode_name in without:
            continue
        kind = types.get(one.encode_name, one.type)
        if one.required:
            fields.append((one.name, kind))
        elif isinstance(one.default, bool) or (isinstance(one.default, str) and one.default):
            fields.append((one.name, kind, one.default))
        else:
            fields.append((one.name, Union[_not_null(kind), UnsetType], UNSET))  # noqa: UP007 - made at run time
    renamed = {one.name: one.encode_name for one in msgspec.structs.fields(original)}
    mirror = msgspec.defstruct(
        original.__name__,
        fields,
        rename=renamed,
        kw_only=True,
        forbid_unknown_fields=original.__struct_config__.forbid_unknown_fields,
    )
    return original, mirror


def _not_null(kind: Any) -> Any:
    if get_origin(kind) not in (Union, UnionType):
        return kind
    return Union[tuple(one for one in get_args(kind) if one not in (type(None), UnsetType))]  # noqa: UP007


def _some(kind: Any, most: int | None = None, *, least: int | None = None) -> Any:
    return Annotated[list[kind], Meta(min_length=least, max_length=most)]


def _one_of(words: list[str]) -> Any:
    return Literal[tuple(words)]


def _described(schema: Schema, original: type[Struct]) -> Schema:
    """Texts from the docstrings. A reference takes no text beside it in JSON Schema draft 7: it is wrapped."""
    said = docstrings.of_fields(original)
    properties = dict(schema["properties"])
    for field in msgspec.structs.fields(original):
        found = properties.get(field.encode_name)
        if found is not None and field.name in said:
            wrapped = {"allOf": [found]} if "$ref" in found else found
            properties[field.encode_name] = {"description": said[field.name], **wrapped}
    whole = {"description": docstrings.of_type(original), "type": "object"}
    if schema["required"]:
        whole["required"] = schema["required"]
    return {**whole, "properties": properties, **_open(schema)}


def _open(schema: Schema) -> Schema:
    """Senders may add nothing of their own; events may grow."""
    return {} if schema.get("additionalProperties", True) else {"additionalProperties": False}


def _members_described(enum: type[StrEnum]) -> Schema:
    """The words in the order of the code, each with its meaning; classes with all that is known of them."""
    said = docstrings.of_fields(enum)
    lines = [f"* `{one}`: {said[one.name]}" for one in enum if one.name in said]
    text = docstrings.of_type(enum)
    schema: Schema = {
        "description": "\n".join([text, "", *lines] if lines else [text]),
        "type": "string",
        "enum": [str(one) for one in enum],
    }
    if enum is BounceClass:
        schema["x-classes"] = {str(one): _facts(facts) for one, facts in CLASSES.items()}
    return schema


def _facts(facts: ClassFacts) -> Schema:
    """`again` and `final`: the actions after a refusal that is tried again, and after one that is not."""
    return {
        **{"category": facts.category, "type": str(facts.type), "scope": facts.accused},
        **{"again": list(facts.again), "final": list(facts.final)},
    }


def _event_of(kind: EventType) -> Schema:
    return {
        "description": docstrings.of_fields(EventType)[kind.name],
        "allOf": [
            {"$ref": REFERENCE.format(name="Event")},
            {
                "type": "object",
                "required": list(_REQUIRED[kind]),
                "properties": {"type": {"const": kind.value}},
            },
        ],
    }
