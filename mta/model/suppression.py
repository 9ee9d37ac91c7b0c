"""Why an address gets no more mail of a tenant."""

from enum import StrEnum

from msgspec import Struct


class SuppressReason(StrEnum):
    """In rising weight: a mark of more weight is never replaced by one of less."""

    MAILBOX_FULL = "mailbox_full"
    INVALID_DOMAIN = "invalid_domain"
    INACTIVE_RECIPIENT = "inactive_recipient"
    INVALID_RECIPIENT = "invalid_recipient"
    RECIPIENT_REFUSED = "recipient_refused"
    MANUAL = "manual"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


class Mark(Struct, frozen=True, omit_defaults=True, gc=False):
    """One entry of MTA_SUPPRESSION."""

    reason: SuppressReason
    at: str
    """Since when (RFC 3339)."""
    source: str = ""
    """The id of the event it came from, or who made it by hand."""
    expires_at: str = ""
    """RFC 3339; without it the mark holds for good."""
    address: str = ""
    """Empty where only hashes are kept."""
    detail: str = ""
    """More than the reason says."""
