"""The payload, version 1: what a sender asks for. Shapes only; the rules are in `mta.intake.admission`.

Recipients' `data` and `metadata` stay raw JSON: the loop never needs their content, the workers and the event
encoder take the bytes as they are.
"""

from datetime import datetime
from typing import Literal

from msgspec import Raw, Struct, field

from mta.model.lane import Lane
from mta.model.tls import TlsOption


class Address(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    email: str
    name: str = ""


class TemplateRef(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    name: str
    version: str = "latest"


class Content(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of `template`, (`text`, `html`) or `rfc822`; `sha256` stands for stored content in a retry only."""

    template: TemplateRef | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    rfc822: str | None = None
    sha256: str | None = None
    engine: Literal["jinja", "static"] = "jinja"
    undefined: Literal["error", "empty"] = "error"


class Attachment(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`data` is base64; `ref` is `obj://<name in the object store>`. `cid` makes sense with `inline`."""

    name: str
    type: str
    data: str | None = None
    ref: str | None = None
    inline: bool = False
    cid: str | None = None


class Unsubscribe(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    mailto: str | None = None
    one_click: bool = False
    list_id: str | None = None


class Recipient(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    name: str = ""
    id: str = ""
    data: Raw = Raw(b"{}")
    metadata: Raw | None = None
    tags: tuple[str, ...] = ()


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
    made, `queued_at` when it was first queued, `source` set where the next attempt must use the same one."""

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
    """`recipients` stay raw so that one malformed recipient rejects itself and not the payload."""

    v: int
    tenant: str
    sender: Address = field(name="from")
    content: Content
    recipients: list[Raw]
    id: str = ""
    channel: str = "email"
    campaign: str = ""
    stream: str = ""
    lane: Lane | None = None
    pool: str = ""
    reply_to: tuple[Address, ...] = ()
    return_path: str = ""
    headers: dict[str, str] = {}
    data: Raw = Raw(b"{}")
    attachments: tuple[Attachment, ...] = ()
    unsubscribe: Unsubscribe | None = None
    tags: tuple[str, ...] = ()
    metadata: Raw | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    dry_run: bool = False
    skip_suppression: bool = False
    retry: RetryPart | None = None


class StoredContent(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What MTA_CONTENT keeps for retries, under the SHA-256 of its bytes: the content with its template resolved, so
    that a later attempt renders what the first one did; `label` is what render errors call the template."""

    content: Content
    attachments: tuple[Attachment, ...] = ()
    label: str = ""
