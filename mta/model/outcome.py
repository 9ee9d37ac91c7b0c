"""What was tried, what the peer said about it, and what we decided.

A reply is the peer's word (`mta.model.reply`); an `Outcome` is ours. They differ: a 5yz can be deferred and a
4yz can expire.
"""

from enum import StrEnum

from msgspec import Struct

from mta.model.reply import Reply


class Stage(StrEnum):
    """Where in the way to the peer something happened."""

    LOCAL = "local"
    DNS = "dns"
    CONNECT = "connect"
    """The TCP connection and the greeting."""
    HELO = "helo"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """The DATA command and the transfer of the octets, up to and without the end of data."""
    END_OF_DATA = "end_of_data"
    """The final dot or the last octet of BDAT LAST has been written."""
    OUT_OF_BAND = "out_of_band"
    """Long after: a report came back by mail."""


class Scope(StrEnum):
    """Who backs off."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    CONNECTION = "connection"
    HOST = "host"
    SITE = "site"
    SOURCE = "source"
    STREAM = "stream"


class BounceType(StrEnum):
    HARD = "hard"
    SOFT = "soft"
    BLOCK = "block"
    ADMIN = "admin"
    UNDETERMINED = "undetermined"


class BounceClass(StrEnum):
    """The 34 kinds of refusal, named as deliverability staff name them."""

    INVALID_RECIPIENT = "invalid_recipient"
    INACTIVE_RECIPIENT = "inactive_recipient"
    MAILBOX_FULL = "mailbox_full"
    RECIPIENT_RATE_LIMITED = "recipient_rate_limited"
    RECIPIENT_REFUSED = "recipient_refused"
    INVALID_DOMAIN = "invalid_domain"
    RELAY_DENIED = "relay_denied"
    DNS_FAILURE = "dns_failure"
    IP_BLOCKED = "ip_blocked"
    DOMAIN_BLOCKED = "domain_blocked"
    LOW_REPUTATION = "low_reputation"
    SPAM_CONTENT = "spam_content"
    VIRUS = "virus"
    ATTACHMENT_BLOCKED = "attachment_blocked"
    MESSAGE_TOO_LARGE = "message_too_large"
    MALFORMED_MESSAGE = "malformed_message"
    AUTH_FAILED = "auth_failed"
    SENDER_REJECTED = "sender_rejected"
    INFRASTRUCTURE_DNS = "infrastructure_dns"
    TLS_REQUIRED = "tls_required"
    POLICY = "policy"
    RATE_LIMITED = "rate_limited"
    CONNECTION_LIMITED = "connection_limited"
    GREYLISTED = "greylisted"
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    REMOTE_TEMPORARY = "remote_temporary"
    CONNECT_FAILED = "connect_failed"
    CONNECTION_LOST = "connection_lost"
    ROUTING_LOOP = "routing_loop"
    PROTOCOL_ERROR = "protocol_error"
    UNSUPPORTED_FEATURE = "unsupported_feature"
    EXPIRED = "expired"
    LOCAL = "local"
    UNDETERMINED = "undetermined"


class Verdict(Struct, frozen=True, gc=False):
    """What a classifier makes of one refusal: the peer's accusation (`accused`, a word of the event contract such
    as `recipient` or `source_ip`), and who backs off (`scope`). `status` is our own, in the code of RFC 3463, where the
    peer gave none."""

    bounce_class: BounceClass
    category: str
    type: BounceType
    accused: str
    scope: Scope
    rule: str
    detail: str = ""
    provider_code: str = ""
    confidence: str = "high"
    actions: tuple[str, ...] = ()
    status: str = ""


class Attempt(Struct, frozen=True, gc=False):
    """One try for one recipient, as a fact. Times are seconds since the epoch, durations seconds; empty means
    unknown or not reached. `reply` is None where no well-formed reply came; `detail` then says what happened."""

    number: int
    at: float
    stage: Stage
    reply: Reply | None = None
    command: str = ""
    detail: str = ""
    ambiguous: bool = False
    source: str = ""
    source_ip: str = ""
    ehlo: str = ""
    site: str = ""
    mx_host: str = ""
    mx_ip: str = ""
    session_id: str = ""
    session_seq: int = 0
    session_s: float = 0.0
    smtp_s: float = 0.0
    tls_version: str = ""
    tls_cipher: str = ""
    tls_policy: str = ""
    tls_verified: str = "none"


class Delivered(Struct, frozen=True, gc=False):
    """A 2xx to the end of this very message's data."""

    attempt: Attempt


class Deferred(Struct, frozen=True, gc=False):
    """To be tried again. `verdict.scope` says who else should wait."""

    attempt: Attempt
    verdict: Verdict


class Bounced(Struct, frozen=True, gc=False):
    """Refused for good."""

    attempt: Attempt
    verdict: Verdict


class Expired(Struct, frozen=True, gc=False):
    """Our lifetime for it has passed. `last_class` is the class of the last deferral, if there was one."""

    at: float
    last_class: BounceClass | None = None


class Failed(Struct, frozen=True, gc=False):
    """Could not be generated; nothing was sent. `detail` names template, line and variable where they are known."""

    at: float
    code: str
    detail: str


class Cancelled(Struct, frozen=True, gc=False):
    """Withdrawn by its sender or an operator, or only rehearsed (`dry_run`)."""

    at: float
    detail: str
    is_dry_run: bool = False


Outcome = Delivered | Deferred | Bounced | Expired | Failed | Cancelled
