"""The payload, version 1: what a sender asks for. Shapes only; the rules are in `mta.intake.admission`.

Recipients' `data` and `metadata` stay raw JSON: the loop never needs their content, the workers and the event
encoder take the bytes as they are.

The docstrings of types and fields are what `conf/asyncapi.yaml` tells senders: write them for people who never see
this code.
"""

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct, field

from mta.model.lane import Lane
from mta.model.tls import TlsOption


class Address(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """An address, and the name shown with it."""

    email: str
    """The domain may be in any script."""
    name: str = ""
    """What mail programs show."""


class TemplateRef(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A stored template (`mta template put`)."""

    name: str
    version: str = "latest"


class Content(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of `template`, (`subject` with `text`, `html` or both) or `rfc822`."""

    template: TemplateRef | None = None
    subject: str | None = None
    """May hold template language."""
    text: str | None = None
    """The plain part; may hold template language."""
    html: str | None = None
    """The HTML part; may hold template language."""
    amp: str | None = None
    """The AMP part; may hold template language."""
    rfc822: str | None = None
    """A whole message of your own, base64: kept as it is, and signed."""
    sha256: str | None = None
    """Stands for stored content, in a retry only."""
    engine: Literal["jinja", "static"] = "jinja"
    """`static`: no template language in it."""
    undefined: Literal["error", "empty"] = "error"
    """What a variable that is missing does: fail that recipient, or render as nothing."""


class Attachment(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file, with `data` or `ref`."""

    name: str
    """The file's name."""
    type: str
    """Its MIME type."""
    data: str | None = None
    """Base64."""
    ref: str | None = None
    """`obj://<name in the bucket MTA_OBJECTS>`."""
    inline: bool = False
    """Shown in the message, under its `cid`."""
    cid: str | None = None
    """What the HTML part calls it, as `cid:logo`; with `inline`."""


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How a recipient can leave: becomes signed headers. The stream `marketing` needs it."""

    mailto: str | None = None
    """An address that takes mails to unsubscribe."""
    one_click: bool = False
    """A link that mail programs call (RFC 8058)."""
    list_id: str | None = None
    """Value of the header `List-Id`."""


class Recipient(Struct, frozen=True, forbid_unknown_fields=True):
    """Who gets a message of their own."""

    email: str
    """The domain may be in any script; a local part beyond ASCII needs a server with SMTPUTF8."""
    name: str = ""
    """Display name."""
    id: str = ""
    """Your own key for this person: in every event as `recipient_id`, and only once in a payload."""
    data: Raw = Raw(b"{}")
    """What templates see, over the payload's; the names `recipient`, `payload` and `unsubscribe_url` are taken."""
    metadata: Raw | None = None
    """Comes back in every event, over the payload's."""
    tags: tuple[str, ...] = ()
    """Come back in every event, after the payload's."""


class LastTry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What the last attempt of a deferred recipient met; `bounce_class` is `class` on the wire."""

    bounce_class: str = field(name="class", default="")
    stage: str = ""
    code: int = 0
    enhanced: str = ""
    text: str = ""
    mx_host: str = ""


class RetryRecipient(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A recipient on its way back: `index` is its place in the original payload, `attempt` the number of attempts
    made, `queued_at` when it was first queued, `source` set where the next attempt must use the same one or, by
    the class of the last, another."""

    email: str
    name: str = ""
    id: str = ""
    data: Raw = Raw(b"{}")
    metadata: Raw | None = None
    tags: tuple[str, ...] = ()
    index: int
    attempt: int = 0
    queued_at: datetime
    source: str = ""
    last: LastTry | None = None


class RetryPart(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    payload_id: str
    accepted_at: datetime
    first_at: datetime
    expires_at: datetime
    recipients_total: int


class Payload(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What to send, to whom, as whom. An unknown field or a key that stands twice is an error; leave out what you do
    not set."""

    v: int
    """Version of this contract."""
    tenant: str
    """Must be the tenant of the subject."""
    sender: Address = field(name="from")
    """Its domain must be one of the tenant's."""
    content: Content
    # Raw, so that one malformed recipient rejects itself and not the payload.
    recipients: list[Raw]
    """Each gets a message of their own. The same address twice: the second is rejected."""
    id: str = ""
    """Your key for this payload: sent once, however often it is published."""
    channel: str = "email"
    """`email`, until there is another."""
    campaign: str = ""
    """Groups events and takes turns with others; must be that of the subject."""
    stream: str = ""
    """The kind of mail, as `receipts`; `marketing` needs `unsubscribe`."""
    lane: Lane | None = None
    """Must be that of the subject, which is enough."""
    pool: str = ""
    """The pool of sending addresses, one of the tenant's."""
    reply_to: tuple[Address, ...] = ()
    return_path: str = ""
    """The tenant's own domain for bounces."""
    headers: dict[str, str] = {}
    """More headers, which may hold template language; not those that the MTA writes itself."""
    data: Raw = Raw(b"{}")
    """What templates see, for all recipients."""
    attachments: tuple[Attachment, ...] = ()
    unsubscribe: Unsubscribe | None = None
    tags: tuple[str, ...] = ()
    """Come back in every event."""
    metadata: Raw | None = None
    """Comes back in every event."""
    send_at: datetime | None = None
    """No attempt starts earlier; at most 30 days ahead. With a time zone."""
    expires_at: datetime | None = None
    """No attempt starts later; at most 5 days ahead, or after `send_at`. With a time zone."""
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    """How much protection to insist on, beside what the recipient's domain asks for."""
    dry_run: bool = False
    """Everything but the connection; ends in `cancelled` events that say `dry_run`."""
    skip_suppression: bool = False
    """Send although the address is on the suppression list; only for tenants with that right."""
    retry: RetryPart | None = None
    """Of payloads in MTA_RETRY only."""


class StoredContent(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What MTA_CONTENT keeps for retries, under the SHA-256 of its bytes: the content with its template resolved, so
    that a later attempt renders what the first one did; `label` is what render errors call the template."""

    content: Content
    attachments: tuple[Attachment, ...] = ()
    label: str = ""
