"""The contract with senders and consumers as an AsyncAPI 3.0 document: `conf/asyncapi.yaml`.

One channel a subject pattern. What is said of types and fields comes from the model's docstrings, schemas from its
Structs, examples from the daemon's own encoders, settings of streams from the layout; so it cannot say anything else
than the program does. The words about the whole stand here.
"""

import tomllib
from collections.abc import Mapping
from typing import Any

from mta.admin.asyncapi import docstrings, examples
from mta.admin.asyncapi.schemas import REFERENCE, Schema, schema_of, schemas
from mta.config.load import shipped
from mta.intake.decode import RejectCode
from mta.jetstream import layout
from mta.model.event import WHOLE_PAYLOAD, EventType
from mta.model.lane import Lane

_JSON, _NDJSON = "application/json", "application/x-ndjson"
_OTHER = "other"
_SETTINGS = ("retention", "discard", "max_age", "max_msgs_per_subject", "duplicate_window", "allow_msg_ttl")
_DURATIONS = ("max_age", "duplicate_window")
_FIXED = {
    "asyncapi": "3.0.0",
    "info": {
        "title": "MTA",
        "version": "1.0.0",
        "description": (
            "What a sender publishes and what a consumer receives, over NATS JetStream.\n"
            "\n"
            "Operations are named from the side of the MTA, as AsyncAPI asks for: what it receives, you publish; what\n"
            "it sends, you subscribe to. Within a major version fields are only added: ignore those you do not know.\n"
            "\n"
            "Parts of subjects are made of `a-z 0-9 _ -`, at most 64 characters. Anything else is escaped as `=XX`\n"
            "a byte, nothing is `_`, and what is too long is cut and ends in `==` and a hash."
        ),
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    },
    "defaultContentType": _JSON,
    "servers": {
        "nats": {
            "host": "127.0.0.1:4222",
            "protocol": "nats",
            "description": (
                "Your NATS server, 2.12 or later, or the embedded one, whose address and password are in "
                "`state_dir/nats.json`."
            ),
        }
    },
}


def document() -> dict[str, Any]:
    return {
        **_FIXED,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(), "schemas": {**schemas(), **_own_schemas()}},
    }


def _channels() -> dict[str, Any]:
    tenant = {"description": "Whose mail. A NATS permission on this part keeps tenants apart."}
    campaign = {"description": "As in the payload; `_` without one.", "examples": ["spring", "_"]}
    return {
        "payloads": _channel(
            "mta.payload.{lane}.{tenant}.{campaign}",
            "What to send: one payload a message. The stream's acknowledgement means: stored, will be worked on.",
            layout.PAYLOADS,
            ["payload"],
            lane={"description": docstrings.of_type(Lane), "enum": list(map(str, Lane))},
            tenant=tenant,
            campaign=campaign,
        ),
        "events": _channel(
            "mta.event.{tenant}.{type}.{provider}.{campaign}",
            "What became of it. One message holds one or more events of the same subject, each a JSON object on a line "
            "of its own (NDJSON): the schemas are those of a line. To get all bounces subscribe to "
            "`mta.event.*.bounced.>`, of one campaign everything to `mta.event.acme.*.*.spring`.",
            layout.EVENTS,
            list(map(str, EventType)),
            tenant=tenant,
            type={"description": docstrings.of_type(EventType), "enum": list(map(str, EventType))},
            provider={
                "description": "Who runs the recipient's mail servers. These are the shipped ones; an operator may "
                f"add more in shaping.toml. `{WHOLE_PAYLOAD}`: the event is about a payload.",
                "enum": [*_providers(), _OTHER, WHOLE_PAYLOAD],
            },
            campaign=campaign,
        ),
        "operations": _channel(
            "mta.ops.{node}.{type}",
            "What operators are told: orders about campaigns, and what a daemon finds wrong around it.",
            layout.OPS,
            ["operation"],
            node={"description": "The daemon, or the host on which an operator gave an order."},
            type={"description": "What happened.", "examples": ["campaign_paused", "tls_downgrade"]},
        ),
        "deadLetters": _channel(
            "mta.dead.{reason}",
            "Payloads that cannot be processed, whole, with the reason in the headers; a `rejected` event has it too.",
            layout.DEAD,
            ["deadLetter"],
            reason={"description": "The error code.", "enum": list(map(str, RejectCode))},
        ),
        "index": _channel(
            "mta.index.{payload_key}",
            "What is kept of each accepted payload, for reading only.",
            layout.INDEX,
            ["indexEntry"],
            payload_key={
                "description": "Base32 of 16 bytes BLAKE2b over tenant, a zero byte and the payload's id."
            },
        ),
        **_suppression(tenant),
    }


def _suppression(tenant: Schema) -> dict[str, Any]:
    """A mark holds for all mail of a tenant or for one kind of it: two lengths of key."""
    said = "Addresses that get no more {}: the key-value bucket `MTA_SUPPRESSION`. To be written by `mta suppress`."
    bucket, stream = f"$KV.{layout.SUPPRESSION}", f"KV_{layout.SUPPRESSION}"
    address = {
        "description": "Base32 of 16 bytes BLAKE2b over the address in lower case with its domain in A-labels, or over "
        "`@` and a whole domain."
    }
    kind = {"description": "As in the payload; `_`: bulk mail without one.", "examples": ["marketing", "_"]}
    return {
        "suppression": _channel(
            *(f"{bucket}.{{tenant}}.{{address}}", said.format("mail of a tenant"), stream, ["mark"]),
            tenant=tenant,
            address=address,
        ),
        "suppressionOfStream": _channel(
            *(
                f"{bucket}.{{tenant}}.{{address}}.{{stream}}",
                said.format("mail of one kind"),
                stream,
                ["mark"],
            ),
            tenant=tenant,
            address=address,
            stream=kind,
        ),
    }


def _operations() -> dict[str, Any]:
    published = (
        "A sender publishes a payload, under the header `Nats-Msg-Id`, and waits for the acknowledgement."
    )
    return {
        "receivePayload": _operation("receive", "payloads", published, "payload"),
        "tellEvents": _operation(
            *("send", "events", "A consumer subscribes to the types, tenants and campaigns it wants."),
            *map(str, EventType),
        ),
        "tellOperation": _operation("send", "operations", "Operators are told what happened.", "operation"),
        "buryPayload": _operation(
            "send", "deadLetters", "A payload that cannot be processed is kept for people.", "deadLetter"
        ),
        "indexPayload": _operation(
            "send", "index", "A payload that was accepted is remembered.", "indexEntry"
        ),
        "markAddress": _operation("send", "suppression", "An address gets no more mail.", "mark"),
        "markAddressForStream": _operation(
            "send",
            "suppressionOfStream",
            "An address gets no more mail of one kind, as after an unsubscribe.",
            "mark",
        ),
    }


def _messages() -> dict[str, Any]:
    said, told = docstrings.of_fields(EventType), examples.events()
    events = {
        str(kind): _message(
            *(str(kind), said[kind.name], schema_of(kind)),
            contentType=_NDJSON,
            headers=_ref("EventHeaders"),
            examples=[{"name": str(kind), "payload": told[kind]}],
        )
        for kind in EventType
    }
    sent = {
        "name": "smallest",
        "headers": {"Nats-Msg-Id": "acme/order-4711"},
        "payload": examples.payload(),
    }
    return {
        "payload": _message(
            "payload", "What to send.", "Payload", headers=_ref("PayloadHeaders"), examples=[sent]
        ),
        **events,
        "operation": _message(
            *("operation", "What operators are told.", "Operation"),
            examples=[{"payload": examples.operation()}],
        ),
        "deadLetter": _message(
            "deadLetter",
            "The payload as it came: perhaps no JSON at all.",
            "Anything",
            headers=_ref("DeadHeaders"),
        ),
        "indexEntry": _message(
            *("indexEntry", "What is kept of a payload.", "IndexEntry"),
            examples=[{"payload": examples.index_entry()}],
        ),
        "mark": _message(
            *("mark", "Why an address gets no more mail.", "Mark"), examples=[{"payload": examples.mark()}]
        ),
    }


def _own_schemas() -> dict[str, Schema]:
    """What has no Struct: headers, and events for operators, whose fields are as many as their types."""
    moment, text = {"type": "string", "format": "date-time"}, {"type": "string"}
    return {
        "PayloadHeaders": _headers(
            {
                "Nats-Msg-Id": "`<tenant>/<id>` where the payload has an `id`: published again within 10 minutes, it "
                "is stored once."
            }
        ),
        "EventHeaders": _headers(
            {
                "Nats-Msg-Id": "Stands for this batch of lines; deduplicate by the `id` of each event.",
                "Mta-Events": "How many lines the message has.",
            },
            {"Mta-Events": "^[1-9][0-9]*$"},
        ),
        "DeadHeaders": _headers(
            {
                "Mta-Reason": "The error code.",
                "Mta-Detail": "For people.",
                "Mta-Source": "Stream and sequence it had.",
                "Mta-Subject": "The subject it came on.",
            }
        ),
        "Operation": {
            "description": "One event for operators. Fields beside these depend on its type; all are texts.",
            "type": "object",
            "required": ["v", "type", "time", "node"],
            "properties": {
                "v": {"description": "Version of this contract.", "enum": [1]},
                "type": {"description": "What happened.", **text},
                "time": {"description": "When.", **moment},
                "node": {"description": "As in the subject.", **text},
                "tenant": text,
                "campaign": text,
                "lane": _ref("Lane"),
                "reason": {"description": "Why, as the operator said.", **text},
                "by": {"description": "Who.", **text},
                "until": {"description": "For how long.", **moment},
            },
        },
        "Anything": {"description": "Bytes."},
    }


def _channel(
    address: str, description: str, stream: str, messages: list[str], /, **parameters: Any
) -> Schema:
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "parameters": parameters,
        "x-jetstream": _stream(stream),
    }


def _operation(action: str, channel: str, summary: str, *messages: str) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{message}"} for message in messages],
    }


def _message(name: str, summary: str, schema: str, **more: Any) -> Schema:
    return {"name": name, "summary": summary, "payload": _ref(schema), **more}


def _headers(texts: Mapping[str, str], patterns: Mapping[str, str] | None = None) -> Schema:
    patterns = patterns or {}
    return {
        "type": "object",
        "properties": {
            name: {"description": text, "type": "string"}
            | ({"pattern": patterns[name]} if name in patterns else {})
            for name, text in texts.items()
        },
    }


def _stream(name: str) -> Schema:
    """What a reader or a sender should know of a stream, durations as in the configuration."""
    (config,) = (one for one in layout.streams(layout.Capacity()) if one["name"] == name)
    found = {key: config[key] for key in _SETTINGS if key in config}
    return {
        "stream": name,
        "subjects": config["subjects"],
        **{key: _duration(value) if key in _DURATIONS else value for key, value in found.items()},
    }


def _duration(ns: int) -> str:
    return f"{ns // layout.DAY_NS}d" if ns % layout.DAY_NS == 0 else f"{ns // (60 * layout.NS)}m"


def _providers() -> list[str]:
    return list(tomllib.loads(shipped("shaping.toml").read_text())["providers"])


def _ref(name: str) -> Schema:
    return {"$ref": REFERENCE.format(name=name)}
