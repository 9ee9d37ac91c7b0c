"""The message that a report is about, as far as the report returns it: attached, its headers only, or in the text.

Its headers are copied through strangers' hands. They are worth what a token in them is worth.
"""

import re

from msgspec import Struct

from mta.classify.mail import Part, clean, headers_in, own_parts, text_of, transferred
from mta.classify.spot import addresses

MAX_ADDRESSES = 20
_HEADER_KINDS = ("text/rfc822-headers", "message/rfc822-headers", "text/rfc822", "message/global-headers")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,60}:\s")
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,500})>")
_INTRODUCTION = 30
"""Lines that may stand in front of a message's headers."""
# Our tokens first: the return path and its echoes, the address for complaints, that of unsubscribing by mail.
_SENT_FROM = (
    *("return-path", "x-envelope-from", "x-original-return-path", "x-sender", "errors-to", "envelope-sender"),
    *(
        "cfbl-address",
        "list-unsubscribe",
        "received-spf",
        "authentication-results",
        "arc-authentication-results",
    ),
    *("x-mailfrom", "x-rocket-mail-from", "sender", "from"),
)
SENT_TO = (
    "x-original-to",
    "delivered-to",
    "envelope-to",
    "x-envelope-to",
    "x-rcpt-to",
    "x-hmxmroriginalrecipient",
)


class Original(Struct, frozen=True):
    """`message_id` is without angle brackets. `recipients` are those its trace headers name, `to` those of To;
    `senders` are its From, Sender and return path."""

    message_id: str = ""
    addresses: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    feedback_id: str = ""


def attached(root: Part) -> tuple[tuple[str, str], ...]:
    """The headers of the message that comes as a part of its own, or nothing."""
    for part in own_parts(root):
        if part is root:
            continue
        if part.is_message and part.parts:
            headers = part.parts[0].headers
        elif part.kind in _HEADER_KINDS:
            headers = headers_in(
                transferred(part.body, part.header("content-transfer-encoding")).lstrip(b"\r\n")
            )
        elif part.kind == "application/octet-stream" and part.body.lstrip()[:9].lower() == b"received:":
            headers = headers_in(part.body.lstrip())
        else:
            continue
        if headers:
            return headers
    return ()


def in_text(text: str) -> tuple[tuple[str, str], ...]:
    """The headers at the front of what follows the failure in a text; quoted ones too."""
    lines = [line.lstrip(">| ") if line[:1] in (">", "|") else line for line in text[:65536].split("\n")]
    first = next((at for at, line in enumerate(lines[:_INTRODUCTION]) if _HEADER.match(line)), 0)
    return headers_in("\n".join(lines[first:]).encode("utf-8", "replace"))


def original_of(headers: tuple[tuple[str, str], ...]) -> Original:
    if not headers:
        return Original()
    values: dict[str, str] = {}
    for name, value in headers:
        if name not in values:
            values[name] = value[:4000]
    told = [values[name] for name in _SENT_FROM if name in values]
    for_whom = [values[name] for name in SENT_TO if name in values]
    to = addresses(values.get("to", ""), MAX_ADDRESSES)
    return Original(
        message_id=message_id(values.get("message-id", "")),
        addresses=tuple(_each(told, MAX_ADDRESSES - 5) + _each([*for_whom, values.get("to", "")], 5)),
        recipients=tuple(_each(for_whom, MAX_ADDRESSES)),
        to=tuple(to),
        senders=tuple(
            _each(
                [values.get(name, "") for name in ("from", "sender", "return-path", "errors-to")],
                MAX_ADDRESSES,
            )
        ),
        feedback_id=clean(values.get("cfbl-feedback-id", ""), 500),
    )


def message_id(value: str) -> str:
    """The first one of a field, without the angle brackets."""
    match = _MESSAGE_ID.search(value[:2000])
    return clean(match[1] if match else value[:2000], 500).strip("<> ")


def answered(root: Part) -> str:
    """The Message-ID of what a mail answers (RFC 5322 section 3.6.4), or ""."""
    return message_id(root.header("in-reply-to") or root.header("references"))


def _each(values: list[str], most: int) -> list[str]:
    return list(dict.fromkeys(one for value in values for one in addresses(value, most)))[:most]


def texts_before_original(root: Part) -> list[tuple[str, str]]:
    """(kind, text) of the parts a person is meant to read, up to the returned message; text/plain only where there is
    some."""
    found: list[tuple[str, str]] = []
    for part in own_parts(root):
        if part is not root and (part.is_message or part.kind in _HEADER_KINDS):
            break
        if part.kind in ("text/plain", "text/html", "text/enriched") and not _is_file(part):
            text = text_of(part)
            if text.strip():
                found.append((part.kind, text))
    plain = [one for one in found if one[0] != "text/html"]
    return plain or found


def _is_file(part: Part) -> bool:
    return part.header("content-disposition")[:20].lower().startswith("attachment")
