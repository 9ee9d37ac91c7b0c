"""The event contract, version 1: one line of NDJSON in MTA_EVENTS.

Fields are only ever added. What is not known is absent, never null: text is left out when empty, flags when false,
numbers whose zero means something are `UNSET` until they are known. Times are RFC 3339 UTC with microseconds,
durations whole milliseconds.

The docstrings of types and fields are what `conf/asyncapi.yaml` tells consumers: write them for people who never see
this code.
"""

from enum import StrEnum

from msgspec import UNSET, Raw, Struct, UnsetType, field

VERSION = 1
WHOLE_PAYLOAD = "_"
"""The provider token of events about a payload as a whole: the empty token of a subject."""


class EventType(StrEnum):
    """What an event tells. Every recipient of an accepted payload gets exactly one of the terminal types: rejected,
    suppressed, failed, delivered, bounced, expired or cancelled."""

    ACCEPTED = "accepted"
    """The payload is in order and will be worked on. One event a payload; `counts` says how many recipients it has."""
    QUEUED = "queued"
    """The message to one recipient waits for its first attempt."""
    REJECTED = "rejected"
    """A payload, or one recipient of it, is refused before any attempt; `error` says why. Terminal."""
    SUPPRESSED = "suppressed"
    """The address is on the tenant's suppression list: no attempt was made. Terminal."""
    FAILED = "failed"
    """The message could not be made, or may not be sent; `error` says why. Terminal."""
    DEFERRED = "deferred"
    """An attempt failed. The next one is at `next_attempt_at`; without that there is none, and `expired` follows."""
    DELIVERED = "delivered"
    """The receiving server answered 2xx to the end of the message: it has taken over. Terminal."""
    BOUNCED = "bounced"
    """The receiving server refused for good: `smtp` is its reply, `bounce` what we make of it. Terminal."""
    EXPIRED = "expired"
    """The time for attempts is over; `bounce.last_class` says what stood in the way. Terminal."""
    CANCELLED = "cancelled"
    """Withdrawn by its sender or an operator, or only rehearsed (`dry_run`). Terminal."""
    OOB_BOUNCED = "oob_bounced"
    """After `delivered`, a report came back by mail: the message did not reach its recipient after all."""
    COMPLAINED = "complained"
    """The recipient called the message spam, and the provider told us."""
    UNSUBSCRIBED = "unsubscribed"
    """The recipient wants no more of this kind of mail; `detail` says by which way we heard of it. By
    `one_click` all we know is what the link says, and `payload_id` is absent."""
    AUTO_REPLIED = "auto_replied"
    """A machine answered the message, as for a vacation; `detail` says of what kind the answer is."""

    @property
    def is_terminal(self) -> bool:
        """Every recipient of an accepted payload gets exactly one of these."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        EventType.REJECTED,
        EventType.SUPPRESSED,
        EventType.FAILED,
        EventType.DELIVERED,
        EventType.BOUNCED,
        EventType.EXPIRED,
        EventType.CANCELLED,
    }
)


class TlsPart(Struct, frozen=True, omit_defaults=True, gc=False):
    """How the connection was protected."""

    version: str
    """As `TLSv1.3`."""
    cipher: str = ""
    verified: str = field(default_factory=lambda: "none")
    """What was checked of the server: `none`, `pkix` (its certificate), `dane` or `sts`."""
    policy: str = ""
    """Which policy asked for it."""


class SmtpPart(Struct, frozen=True, omit_defaults=True, gc=False):
    """What the server said, and to what. `enhanced` without `code` is our own status: no server said anything."""

    stage: str = ""
    """How far it came."""
    command: str = ""
    """The command that was answered."""
    code: int = 0
    """The basic reply code, as 550."""
    enhanced: str = ""
    """The enhanced status code (RFC 3463), as `5.1.1`."""
    text: str = ""
    """The server's own words, at most 1 kB: a stranger's text, to be treated as such."""


class BouncePart(Struct, frozen=True, omit_defaults=True, gc=False):
    """What we make of a refusal."""

    bounce_class: str = field(name="class")
    """The kind of refusal."""
    category: str
    """The group its class belongs to."""
    type: str
    """How lasting, and whose matter it is."""
    scope: str = ""
    """What the receiving side objects to."""
    detail: str = ""
    """More than the class says, as `spf` or `dkim`."""
    provider_code: str = ""
    """The provider's own code in the reply, as `TSS04`: the best column to group by."""
    rule: str = ""
    """Which rule understood the reply."""
    confidence: str = ""
    """How sure that rule is: `high` or `low`."""
    actions: tuple[str, ...] = ()
    """What follows from it."""
    last_class: str = ""
    """On `expired`: the class of the last deferral."""


class FeedbackPart(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a report that came by mail says of itself. On `complained`, `oob_bounced` and `auto_replied`; everything in
    it is its author's word."""

    feedback_type: str = ""
    """On `complained`: as `abuse` (RFC 5965 section 3.1)."""
    arrival_date: str = ""
    """When the message reached the reporter, in the reporter's words."""
    reporting_mta: str = ""
    """Who reports."""
    source_ip: str = ""
    """From which address the reporter got the message."""
    original_message_id: str = ""
    """The `Message-ID` of the message it is about."""


class ErrorPart(Struct, frozen=True, omit_defaults=True, gc=False):
    """Why something was `rejected` or `failed`."""

    code: str
    """On `rejected` one of a fixed set of words; on `failed` one of these, or what could not be made."""
    text: str = ""
    """For people: names field, template, line and variable where they are known."""


class CountsPart(Struct, frozen=True, gc=False):
    """What an `accepted` event counts."""

    recipients: int
    """Recipients in the payload."""
    rejected: int
    """How many of them are refused; each has a `rejected` event of its own."""


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One event: one line. What is not known is absent, never null. Ignore fields you do not know: more may come."""

    v: int
    """Version of this contract. Within a version fields are only added."""
    id: str
    """The same whenever an event is repeated, however often: deduplicate by it."""
    type: EventType
    """What happened."""
    time: str
    """When."""
    node: str
    """The daemon that tells it."""
    tenant: str
    """Whose mail."""
    campaign: str = ""
    """As in the payload."""
    stream: str = ""
    """The kind of mail, as in the payload (`marketing`, `receipts`)."""
    lane: str = ""
    """As in the payload."""
    payload_id: str = ""
    """The payload's `id`, or one made for it."""
    message_id: str = ""
    """The same in all events about one recipient of one payload; a UUIDv7. Absent where it is about the payload."""
    recovered: bool = False
    """Told after a crash, perhaps again."""
    rfc_message_id: str = ""
    """The `Message-ID` header of the message."""
    recipient: str = ""
    """The address as it was submitted; its keyed hash or absent where the operator has it so (`events.recipient`)."""
    recipient_domain: str = ""
    """In ASCII (A-labels) and lower case."""
    recipient_id: str = ""
    """The sender's own id of the recipient, echoed."""
    sealed_recipient: str = ""
    """Of a refused, expired or late one whose address is not told: for our own daemons, which suppress it."""
    provider: str = ""
    """Who runs the recipient's mail servers; `_` where the event is about a payload."""
    sender: str = ""
    """The envelope sender (return path)."""
    from_domain: str = ""
    """The domain in the `From` header."""
    dkim_domains: tuple[str, ...] = ()
    """The domains that signed (`d=`)."""
    subject_line: str = ""
    """The message's subject; off by default."""
    size_bytes: int | UnsetType = UNSET
    """Of the message on the wire."""
    queued_at: str = ""
    """Since when it was to be sent."""
    attempt: int = 0
    """Attempts made so far, this one included."""
    next_attempt_at: str = ""
    """On `deferred`: when it is tried again."""
    queue_ms: int | UnsetType = UNSET
    """From `queued_at` to this event."""
    session_ms: int | UnsetType = UNSET
    """Age of the connection."""
    smtp_ms: int | UnsetType = UNSET
    """From MAIL to the final reply."""
    pool: str = ""
    """The pool of sending addresses."""
    source: str = ""
    """The name of the sending address used."""
    source_ip: str = ""
    """That address."""
    ehlo: str = ""
    """The name we greeted with."""
    mx_host: str = ""
    """The receiving server."""
    mx_ip: str = ""
    """Its address."""
    site: str = ""
    """Stands for all domains that share the same servers."""
    session_id: str = ""
    """The connection it went over."""
    session_seq: int = 0
    """Which message it was on that connection, from 1."""
    tls: TlsPart | UnsetType = UNSET
    smtp: SmtpPart | UnsetType = UNSET
    bounce: BouncePart | UnsetType = UNSET
    feedback: FeedbackPart | UnsetType = UNSET
    error: ErrorPart | UnsetType = UNSET
    counts: CountsPart | UnsetType = UNSET
    ambiguous: bool = False
    """The connection broke where nobody can know whether the message was taken: the recipient may get it twice."""
    dry_run: bool = False
    """Only rehearsed: nothing was connected to."""
    detail: str = ""
    """On `unsubscribed` the way it came (`one_click`, `mailto`), on `auto_replied` the kind of answer
    (`challenge`, `generated`, `moved`, `read_receipt`; absent for any other, as of a vacation)."""
    tags: tuple[str, ...] = ()
    """As in the payload: its own, then the recipient's."""
    metadata: Raw | UnsetType = UNSET
    """As in the payload, the recipient's members over the common ones."""
