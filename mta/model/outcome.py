"""What was tried, what the peer said about it, and what we decided.

A reply is the peer's word (`mta.model.reply`); an `Outcome` is ours. They differ: a 5yz can be deferred and a
4yz can expire.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from mta.model.reply import Reply
from mta.model.suppression import SuppressReason


class Stage(StrEnum):
    """Where in the way to the peer something happened."""

    LOCAL = "local"
    """Before any server was asked."""
    DNS = "dns"
    """Looking for the server."""
    CONNECT = "connect"
    """The TCP connection and the greeting."""
    HELO = "helo"
    """EHLO or HELO."""
    TLS = "tls"
    """STARTTLS and the handshake."""
    AUTH = "auth"
    """Our login."""
    MAIL = "mail"
    """MAIL FROM."""
    RCPT = "rcpt"
    """RCPT TO."""
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
    """How lasting a refusal is, and whose matter."""

    HARD = "hard"
    """Will not heal: stop mailing this address or domain."""
    SOFT = "soft"
    """May heal by itself."""
    BLOCK = "block"
    """This sender, source or content is not wanted; the address may be good."""
    ADMIN = "admin"
    """A fault at our side or the sender's."""
    UNDETERMINED = "undetermined"
    """Not known."""


class BounceClass(StrEnum):
    """The 34 kinds of refusal, named as deliverability staff name them."""

    INVALID_RECIPIENT = "invalid_recipient"
    """The mailbox does not exist."""
    INACTIVE_RECIPIENT = "inactive_recipient"
    """It existed: disabled, closed, moved, or full and abandoned."""
    MAILBOX_FULL = "mailbox_full"
    """Over its quota."""
    RECIPIENT_RATE_LIMITED = "recipient_rate_limited"
    """This mailbox receives too fast."""
    RECIPIENT_REFUSED = "recipient_refused"
    """The person or their administrator refuses this sender: a block list, a closed group, a paused alias."""
    INVALID_DOMAIN = "invalid_domain"
    """The domain does not exist, or says that it takes no mail."""
    RELAY_DENIED = "relay_denied"
    """The server in the domain's MX does not serve the domain."""
    DNS_FAILURE = "dns_failure"
    """The domain's DNS gives no usable answer."""
    IP_BLOCKED = "ip_blocked"
    """Our address or network is on a list."""
    DOMAIN_BLOCKED = "domain_blocked"
    """The From, DKIM or link domain is on a list."""
    LOW_REPUTATION = "low_reputation"
    """Throttled or refused for complaints or a low reputation."""
    SPAM_CONTENT = "spam_content"
    """This content is taken for spam or phishing."""
    VIRUS = "virus"
    """Taken for malware."""
    ATTACHMENT_BLOCKED = "attachment_blocked"
    """A type of file or active content that is not taken."""
    MESSAGE_TOO_LARGE = "message_too_large"
    """The message or its headers are too large."""
    MALFORMED_MESSAGE = "malformed_message"
    """Against RFC 5322 or MIME: a fault of ours or of the sender."""
    AUTH_FAILED = "auth_failed"
    """SPF, DKIM, DMARC or their alignment; `detail` says which."""
    SENDER_REJECTED = "sender_rejected"
    """The sender's domain cannot be resolved, or its address was checked and refused."""
    INFRASTRUCTURE_DNS = "infrastructure_dns"
    """Reverse DNS, the name in HELO, or the rules for IPv6."""
    TLS_REQUIRED = "tls_required"
    """They want TLS, or what we were asked to insist on could not be had; `detail` says which."""
    POLICY = "policy"
    """Refused by policy, with nothing more said."""
    RATE_LIMITED = "rate_limited"
    """Too many messages from our address or domain."""
    CONNECTION_LIMITED = "connection_limited"
    """Too many connections, or messages on one connection."""
    GREYLISTED = "greylisted"
    """Come back later: a first contact."""
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    """Too many recipients at once."""
    REMOTE_TEMPORARY = "remote_temporary"
    """Trouble of their own: disk, overload, a backend."""
    CONNECT_FAILED = "connect_failed"
    """Refused, unreachable, or no answer in time."""
    CONNECTION_LOST = "connection_lost"
    """Dropped or silent in mid-session; `stage` says where."""
    ROUTING_LOOP = "routing_loop"
    """Too many hops, or a loop."""
    PROTOCOL_ERROR = "protocol_error"
    """A command was not understood or came out of turn: a fault of ours."""
    UNSUPPORTED_FEATURE = "unsupported_feature"
    """SMTPUTF8, 8BITMIME or REQUIRETLS is missing there, or a login is demanded."""
    EXPIRED = "expired"
    """The time for attempts is over; `last_class` says what stood in the way."""
    LOCAL = "local"
    """Decided here, before any server was asked; `detail` says why."""
    UNDETERMINED = "undetermined"
    """No rule understood the reply."""


SOURCE_BLOCKED = frozenset((BounceClass.IP_BLOCKED, BounceClass.INFRASTRUCTURE_DNS))
"""They refuse the address we send from, whatever the mail: from another one it may be taken."""
SUPPRESS = "suppress"
"""The action that ends all mail to an address."""
GREYLIST, RETRY_LONG = "greylist", "retry_long"
"""Actions that say when it is tried again: soon and from the same source, or hours later; without one of them as the
schedule has it."""


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

    def in_doubt(self, detail: str) -> "Verdict":
        """The same, but sure of nothing: it suppresses nobody at once."""
        actions = tuple(action for action in self.actions if action != SUPPRESS)
        return replace(self, actions=actions, confidence="low", detail=detail)


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


class Suppressed(Struct, frozen=True, gc=False):
    """Not tried: the tenant's suppression list holds the address."""

    at: float
    reason: SuppressReason


Outcome = Delivered | Deferred | Bounced | Expired | Failed | Cancelled | Suppressed
