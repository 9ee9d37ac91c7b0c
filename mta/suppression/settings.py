"""What is kept of suppressed addresses, for how long, and from when on an address counts as dead."""

from enum import StrEnum

from msgspec import Struct

from mta.model.suppression import SuppressReason

DAY_S = 86_400.0


class AddressForm(StrEnum):
    """What the bucket keeps of an address beside its hash."""

    FULL = "full"
    HASH = "hash"


class SuppressionSettings(Struct, frozen=True):
    """How long a mark of each reason holds, 0.0: for good. Those made by hand say for themselves."""

    addresses: AddressForm = AddressForm.FULL
    mailbox_full_s: float = 90 * DAY_S
    invalid_domain_s: float = 30 * DAY_S
    inactive_recipient_s: float = 0.0
    invalid_recipient_s: float = 0.0
    recipient_refused_s: float = 0.0
    unsubscribed_s: float = 0.0
    complained_s: float = 0.0

    def lasts_s(self, reason: SuppressReason) -> float:
        match reason:
            case SuppressReason.MAILBOX_FULL:
                return self.mailbox_full_s
            case SuppressReason.INVALID_DOMAIN:
                return self.invalid_domain_s
            case SuppressReason.INACTIVE_RECIPIENT:
                return self.inactive_recipient_s
            case SuppressReason.INVALID_RECIPIENT:
                return self.invalid_recipient_s
            case SuppressReason.RECIPIENT_REFUSED:
                return self.recipient_refused_s
            case SuppressReason.UNSUBSCRIBED:
                return self.unsubscribed_s
            case SuppressReason.COMPLAINED:
                return self.complained_s
            case SuppressReason.MANUAL:
                return 0.0
