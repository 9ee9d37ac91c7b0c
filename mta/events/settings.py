"""How events leave, and how much they tell of an address."""

from enum import StrEnum

from msgspec import Struct


class RecipientForm(StrEnum):
    """How much of an address is told. HASH is keyed per tenant."""

    FULL = "full"
    HASH = "hash"
    DOMAIN = "domain"


class EventSettings(Struct, frozen=True):
    """A batch is published at `flush_s` or `flush_bytes`, whichever comes first. Once `max_unkept_bytes` wait for
    their ack no new final dot is written."""

    recipient: RecipientForm = RecipientForm.FULL
    flush_s: float = 0.05
    flush_bytes: int = 256_000
    max_in_flight: int = 16
    max_unkept_bytes: int = 16 << 20
