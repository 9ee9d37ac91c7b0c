"""The event contract, version 1: one line of NDJSON in MTA_EVENTS.

Fields are only ever added. What is not known is absent, never null: text is left out when empty, flags when false,
numbers whose zero means something are `UNSET` until they are known. Times are RFC 3339 UTC with microseconds,
durations whole milliseconds.
"""

from enum import StrEnum

from msgspec import UNSET, Raw, Struct, UnsetType, field

VERSION = 1
WHOLE_PAYLOAD = "_"
"""The provider token of events about a payload as a whole: the empty token of a subject."""


class EventType(StrEnum):
    ACCEPTED = "accepted"
    QUEUED = "queued"
    REJECTED = "rejected"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    OOB_BOUNCED = "oob_bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    AUTO_REPLIED = "auto_replied"

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
    """`verified` is none, pkix, dane or sts."""

    version: str
    cipher: str = ""
    verified: str = field(default_factory=lambda: "none")
    policy: str = ""


class SmtpPart(Struct, frozen=True, omit_defaults=True, gc=False):
    """`text` is the peer's, at most 1 kB: remote text, to be treated as such. `enhanced` without `code` is our own: no
    peer said anything."""

    stage: str = ""
    command: str = ""
    code: int = 0
    enhanced: str = ""
    text: str = ""


class BouncePart(Struct, frozen=True, omit_defaults=True, gc=False):
    bounce_class: str = field(name="class")
    category: str
    type: str
    scope: str = ""
    detail: str = ""
    provider_code: str = ""
    rule: str = ""
    confidence: str = ""
    actions: tuple[str, ...] = ()
    last_class: str = ""


class FeedbackPart(Struct, frozen=True, omit_defaults=True, gc=False):
    feedback_type: str = ""
    arrival_date: str = ""
    reporting_mta: str = ""
    source_ip: str = ""
    original_message_id: str = ""


class ErrorPart(Struct, frozen=True, omit_defaults=True, gc=False):
    """Why something was `rejected` (`code` is an error code of the payload contract) or `failed`."""

    code: str
    text: str = ""


class CountsPart(Struct, frozen=True, gc=False):
    """What an `accepted` event counts: recipients in the payload, and how many of them are refused."""

    recipients: int
    rejected: int


class Event(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    v: int
    id: str
    type: EventType
    time: str
    node: str
    tenant: str
    campaign: str = ""
    stream: str = ""
    lane: str = ""
    payload_id: str = ""
    message_id: str = ""
    recovered: bool = False
    rfc_message_id: str = ""
    recipient: str = ""
    recipient_domain: str = ""
    recipient_id: str = ""
    provider: str = ""
    sender: str = ""
    from_domain: str = ""
    dkim_domains: tuple[str, ...] = ()
    subject_line: str = ""
    size_bytes: int | UnsetType = UNSET
    queued_at: str = ""
    attempt: int = 0
    next_attempt_at: str = ""
    queue_ms: int | UnsetType = UNSET
    session_ms: int | UnsetType = UNSET
    smtp_ms: int | UnsetType = UNSET
    pool: str = ""
    source: str = ""
    source_ip: str = ""
    ehlo: str = ""
    mx_host: str = ""
    mx_ip: str = ""
    site: str = ""
    session_id: str = ""
    session_seq: int = 0
    tls: TlsPart | UnsetType = UNSET
    smtp: SmtpPart | UnsetType = UNSET
    bounce: BouncePart | UnsetType = UNSET
    feedback: FeedbackPart | UnsetType = UNSET
    error: ErrorPart | UnsetType = UNSET
    counts: CountsPart | UnsetType = UNSET
    detail: str = ""
    ambiguous: bool = False
    dry_run: bool = False
    tags: tuple[str, ...] = ()
    metadata: Raw | UnsetType = UNSET
