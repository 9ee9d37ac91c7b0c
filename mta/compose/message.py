"""One message from a spec and an addressee: header fields in order, body, nothing signed yet.

`Prepared` is what all messages of a spec share, made once: compiled templates, encoded attachments,
constant fields. The order of fields and their presence per lane is here and nowhere else.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct

from mta.compose import header
from mta.compose.dkim import body_hash
from mta.compose.header import Field, HeaderRefused
from mta.compose.mime import Body, assemble, attachment_body, text_body
from mta.compose.rfc822 import Given, parse_rfc822, without_unfit
from mta.compose.spec import Addressee, MessageSpec
from mta.compose.template import Compiled, Constant, Engine, TemplateFailed
from mta.model.address import are_related
from mta.model.ids import base32
from mta.model.lane import Lane
from mta.model.token import Purpose

RESERVED_FIELDS = frozenset(
    {
        "from", "date", "message-id", "subject", "to", "reply-to", "sender", "cc", "bcc", "in-reply-to",
        "references", "received", "return-path", "mime-version", "list-id", "feedback-id", "auto-submitted",
    }
)  # fmt: skip
_RESERVED_PREFIXES = ("dkim-", "arc-", "content-", "list-unsubscribe", "cfbl-", "resent-")
_LIST_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\Z")
_MIME_VERSION = ("MIME-Version", "1.0")
_FOR_EXCHANGE = ("X-Auto-Response-Suppress", "OOF, AutoReply")
"""It heeds neither Auto-Submitted nor List- fields. A sender's own wins."""
_ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
_READABLE = re.compile(r"[A-Za-z0-9]{1,15}\Z")
_ALTERNATIVES = (("text", "plain"), ("amp", "x-amp-html"), ("html", "html"))
"""F-08: in this order."""


class DataRefused(ValueError):
    """Data that is no JSON object."""


class Links(Struct, frozen=True, gc=False):
    """What leads back to us from one message, each empty where there is none: the URL of one-click, a `mailto:` of
    ours, the token of complaints."""

    one_click: str = ""
    unsubscribe: str = ""
    feedback: str = ""


class Unsigned(Struct, frozen=True, gc=False):
    fields: tuple[Field, ...]
    body: bytes
    body_hash: str
    rfc_message_id: str
    is_eight_bit: bool = False


class Prepared:
    """Raises what `build` raises: then it holds for every message of the spec."""

    def __init__(self, spec: MessageSpec, engine: Engine, max_bytes: int) -> None:
        self.spec = spec
        self.max_bytes = max_bytes
        self.variables = {**engine.globals(spec.undefined), **parse_data(spec.data)}
        self.variables.pop("unsubscribe_url", None)
        self.payload = {"id": spec.payload_id, "tenant": spec.tenant, "campaign": spec.campaign}
        self._engine = engine
        self.subject = self._compiled("subject", spec.subject)
        self.from_name = self._compiled("from.name", spec.from_name)
        self.from_email = header.checked_address("From", spec.from_email)
        self.sender = self._constant_from()
        self.reply_to = [
            (self._compiled(f"reply_to.{n}", person.name), header.checked_address("Reply-To", person.email))
            for n, person in enumerate(spec.reply_to)
        ]
        header.checked_address("return path", f"b@{spec.return_path or 'empty'}")
        self.headers = [
            (_own_name(name), self._compiled(f"headers.{name}", value))
            for name, value in spec.headers.items()
        ]
        self.alternatives = self._content()
        parts = [
            (a.inline, attachment_body(a.name, a.type, a.data, inline=a.inline, cid=a.cid))
            for a in spec.attachments
        ]
        self.inline = [body for is_inline, body in parts if is_inline]
        self.attached = [body for is_inline, body in parts if not is_inline]
        self.given = None if spec.rfc822 is None else given_message(spec, spec.rfc822)
        self.date = ("Date", header.date(spec.date_at))
        self.unsubscribe = _mail_unsubscribe(spec)
        self.takes_feedback = _takes_feedback(spec)
        self.common = _common_fields(spec)
        self.template_digest = self._digest()

    def _compiled(self, field: str, source: str) -> Compiled:
        """White space around the template of a field is the author's line end, not content."""
        spec = self.spec
        return self._engine.compile(spec.tenant, field, source.strip(), spec.engine, spec.undefined)

    def _constant_from(self) -> Field | None:
        """From, where its name is the same for all."""
        if isinstance(self.from_name, Constant):
            return ("From", header.mailbox("From", self.from_name.text, self.from_email))
        return None

    def _content(self) -> list[tuple[str, Compiled]]:
        spec = self.spec
        content = []
        for field, subtype in _ALTERNATIVES:
            source = getattr(spec, field)
            if source is not None:
                compiled = self._engine.compile(spec.tenant, field, source, spec.engine, spec.undefined)
                content.append((subtype, compiled))
        return content or [("plain", self._engine.compile(spec.tenant, "text", "", "static"))]

    def _digest(self) -> bytes:
        """Which template this is, for the canary. Content without templating is one kind, whatever it
        says."""
        spec = self.spec
        if self.given is not None or spec.engine == "static":
            return b"rfc822" if self.given is not None else b"static"
        sources = (spec.subject, spec.text, spec.html, spec.amp, tuple(spec.headers.items()))
        return blake2b(repr(sources).encode("utf-8", "replace"), digest_size=16).digest()


def parse_data(raw: bytes) -> dict[str, Any]:
    """orjson refuses what JSON does not know: NaN, lone surrogates, nesting without end."""
    if raw == b"{}":
        return {}
    try:
        data = orjson.loads(raw)
    except ValueError as error:
        raise DataRefused("data is no valid JSON") from error
    if not isinstance(data, dict):
        raise DataRefused("data is no JSON object")
    return data


def build(prepared: Prepared, addressee: Addressee, message_id: str, links: Links) -> Unsigned:
    """`addressee.email` has been checked; `message_id` is a UUID."""
    variables = _variables(prepared, addressee, links)
    shown = addressee.email
    if addressee.header_email and addressee.header_email != shown:
        shown = header.checked_address("To", addressee.header_email, utf8=True)
    to = ("To", header.mailbox("To", addressee.name, shown))
    if prepared.given is not None:
        return _amended(prepared, prepared.given, to, variables, message_id, links)
    spec = prepared.spec
    limit = prepared.max_bytes
    rfc_message_id = f"<{message_id}@{spec.from_domain}>"
    body = _body(prepared, variables, message_id)
    fields = [
        prepared.sender or _from_field(prepared, variables),
        to,
        ("Subject", header.unstructured("Subject", prepared.subject.render(variables, limit))),
        prepared.date,
        ("Message-ID", rfc_message_id),
    ]
    if prepared.reply_to:
        people = [(name.render(variables, limit), email) for name, email in prepared.reply_to]
        fields.append(("Reply-To", header.mailboxes("Reply-To", people)))
    fields += (_MIME_VERSION, ("Content-Type", body.content_type))
    if body.encoding:
        fields.append(("Content-Transfer-Encoding", body.encoding))
    fields += _unsubscribe_fields(prepared, links)
    fields += _feedback_fields(prepared, links)
    fields += prepared.common
    fields += _own_fields(prepared, variables)
    bh = body_hash(body.content, is_tidy=body.is_tidy)
    return Unsigned(tuple(fields), body.content, bh, rfc_message_id)


def _from_field(prepared: Prepared, variables: Mapping[str, Any]) -> Field:
    name = prepared.from_name.render(variables, prepared.max_bytes)
    return ("From", header.mailbox("From", name, prepared.from_email))


def _variables(prepared: Prepared, addressee: Addressee, links: Links) -> Mapping[str, Any]:
    """A shallow overlay; reserved names last, so that data cannot pose as them."""
    variables = {**prepared.variables, **parse_data(addressee.data)}
    variables["recipient"] = {
        "email": addressee.header_email or addressee.email,
        "name": addressee.name,
        "id": addressee.recipient_id,
    }
    variables["payload"] = prepared.payload
    if links.one_click:
        variables["unsubscribe_url"] = links.one_click
    elif links.unsubscribe:
        variables["unsubscribe_url"] = links.unsubscribe
    elif prepared.spec.unsubscribe_mailto:
        variables["unsubscribe_url"] = header.mailto(prepared.spec.unsubscribe_mailto)
    else:
        # Undefined rather than empty: a link that leads nowhere is an error of the template.
        variables.pop("unsubscribe_url", None)
    return variables


def _body(prepared: Prepared, variables: Mapping[str, Any], message_id: str) -> Body:
    limit = prepared.max_bytes
    alternatives = []
    for subtype, compiled in prepared.alternatives:
        text, is_tidy = compiled.write(variables, limit)
        alternatives.append(text_body(subtype, text, is_tidy=is_tidy))
    body = assemble(alternatives, prepared.inline, prepared.attached, message_id.replace("-", ""))
    if body.content and not body.content.endswith(b"\r\n"):
        # Without a final CRLF the end of data would not be one (design of DATA, RFC 5321 section 4.1.1.4).
        body = Body(body.content_type, body.encoding, body.content + b"\r\n", "", body.is_tidy)
    if len(body.content) > limit:
        raise TemplateFailed(f"the body has more than {limit} bytes", "too_large")
    return body


def _amended(
    prepared: Prepared,
    given: Given,
    to: Field,
    variables: Mapping[str, Any],
    message_id: str,
    links: Links,
) -> Unsigned:
    """The sender's own fields stay as they are; ours come on top of them, where they are missing."""
    spec = prepared.spec
    rfc_message_id = given.value("message-id") or f"<{message_id}@{spec.from_domain}>"
    present = {name.lower() for name, _ in given.fields}
    ours = [to, ("Subject", ""), prepared.date, ("Message-ID", rfc_message_id), _MIME_VERSION]
    ours += _unsubscribe_fields(prepared, links)
    ours += _feedback_fields(prepared, links)
    ours += prepared.common
    ours += _own_fields(prepared, variables)
    added = [field for field in ours if field[0].lower() not in present]
    return Unsigned((*added, *given.fields), given.body, given.body_hash, rfc_message_id, given.is_eight_bit)


def given_message(spec: MessageSpec, raw: bytes) -> Given:
    """What a sender has built, as it goes out. HeaderRefused also for what is asked for twice, in the message and
    beside it: only one of the two could hold."""
    given = without_unfit(parse_rfc822(raw, spec.from_domain), spec.date_at)
    present = {name.lower() for name, _ in given.fields}
    asked = list(spec.headers)
    if spec.one_click or spec.unsubscribe_mailto:
        asked += ("List-Unsubscribe", "List-Unsubscribe-Post")
    if spec.list_id:
        asked.append("List-Id")
    for name in asked:
        if name.lower() in present:
            raise HeaderRefused(f"rfc822: has a {name} and the payload asks for another")
    return given


def _own_name(name: str) -> str:
    lower = name.lower()
    if lower in RESERVED_FIELDS or lower.startswith(_RESERVED_PREFIXES):
        raise HeaderRefused(f"{ascii(name)[:80]} is not for senders to set")
    return header.checked_name(name)


def _own_fields(prepared: Prepared, variables: Mapping[str, Any]) -> list[Field]:
    return [
        (name, header.unstructured(name, value.render(variables, prepared.max_bytes)))
        for name, value in prepared.headers
    ]


def _unsubscribe_fields(prepared: Prepared, links: Links) -> tuple[Field, ...]:
    """RFC 2369 and RFC 8058 (L-01, L-02)."""
    ours = [uri for uri in (links.one_click, links.unsubscribe) if uri]
    if not ours:
        return prepared.unsubscribe
    line = header.uris("List-Unsubscribe", ours)
    if prepared.unsubscribe:
        line = f"{line},\r\n {prepared.unsubscribe[0][1]}"
    return (("List-Unsubscribe", line), _ONE_CLICK) if links.one_click else (("List-Unsubscribe", line),)


def _feedback_fields(prepared: Prepared, links: Links) -> tuple[Field, ...]:
    """RFC 9477 section 3 (L-06). The token comes back by the address or by the id, whichever a reporter keeps."""
    token = links.feedback
    if not token:
        return ()
    address = f"{Purpose.FEEDBACK}+{token}@{prepared.spec.return_path};\r\n report=arf"
    return (("CFBL-Address", address), ("CFBL-Feedback-ID", token))


def _takes_feedback(spec: MessageSpec) -> bool:
    """RFC 9477 section 3.1: an address of a domain that has nothing to do with From would need a signature of that
    domain as well, and without one it is ignored."""
    return spec.advertise and bool(spec.return_path) and are_related(spec.return_path, spec.from_domain)


def _mail_unsubscribe(spec: MessageSpec) -> tuple[Field, ...]:
    """The same for all recipients, unlike what one-click needs."""
    if not spec.unsubscribe_mailto:
        return ()
    return (("List-Unsubscribe", header.uris("List-Unsubscribe", (header.mailto(spec.unsubscribe_mailto),))),)


def _common_fields(spec: MessageSpec) -> tuple[Field, ...]:
    fields = []
    if spec.list_id:
        if not _LIST_ID.match(spec.list_id):
            raise HeaderRefused("List-Id: not made of letters, digits, dots and hyphens")
        fields.append(("List-Id", f"<{spec.list_id}>"))
    fields.append(("Feedback-ID", feedback_id(spec)))
    is_list_mail = bool(spec.list_id or spec.unsubscribe_mailto or spec.one_click or spec.own_unsubscribe)
    if spec.lane is Lane.TRANSACTIONAL or not is_list_mail:
        # F-10, RFC 3834 section 5. Responders already leave list mail alone, by its List- fields (section
        # 2), and a newsletter somebody wrote is not "auto-generated".
        fields.append(("Auto-Submitted", "auto-generated"))
    if not any(name.lower() == _FOR_EXCHANGE[0].lower() for name in spec.headers):
        fields.append(_FOR_EXCHANGE)
    return tuple(fields)


def feedback_id(spec: MessageSpec) -> str:
    """`campaign:tenant:lane:platform` (L-05): letters and digits only, at most 15 each, no identifier twice. What is
    further to the right is settled first: the last one is the same whatever the others are called."""
    identifiers: list[str] = []
    for value in (spec.platform, spec.lane.value, spec.tenant, spec.campaign or "none"):
        identifier = value
        while not _READABLE.match(identifier) or identifier in identifiers:
            identifier = base32(blake2b(f"{len(identifiers)}{identifier}".encode(), digest_size=8).digest())
        identifiers.append(identifier)
    return ":".join(reversed(identifiers))
