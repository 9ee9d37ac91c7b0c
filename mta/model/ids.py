"""Identifiers that a redelivery, a retry or another node computes again and finds equal. Nothing here is random."""

import base64
from hashlib import blake2b
from uuid import UUID


def base32(raw: bytes) -> str:
    """Lower-case base32 without padding: legal in subjects, local parts and file names."""
    return base64.b32encode(raw).decode("ascii").rstrip("=").lower()


def uuid7(at: float, entropy: bytes) -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7) of the millisecond of `at` and the first 74 bits taken from `entropy`."""
    bits = int.from_bytes(entropy[:10], "big")
    value = (int(at * 1000) & ((1 << 48) - 1)) << 80
    value |= 0x7 << 76 | (bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | bits & ((1 << 62) - 1)
    return UUID(int=value)


def derived_payload_id(accepted_at: float, stream: str, sequence: int) -> str:
    """The id of a payload whose sender gave none."""
    digest = blake2b(f"{stream}\0{sequence}".encode(), digest_size=16).digest()
    return str(uuid7(accepted_at, digest))


def payload_key(tenant: str, payload_id: str) -> bytes:
    """16 bytes that stand for (tenant, payload id) in subjects, tokens and the ledger."""
    return blake2b(f"{tenant}\0{payload_id}".encode(), digest_size=16).digest()


def recipient_key(recipient_id: str, index: int) -> str:
    """`index` is the place in the original payload, whatever retry carries the recipient now."""
    return f"i{recipient_id}" if recipient_id else f"n{index}"


def message_id(accepted_at: float, tenant: str, payload_id: str, key: str) -> UUID:
    digest = blake2b(f"{tenant}\0{payload_id}\0{key}".encode(), digest_size=16).digest()
    return uuid7(accepted_at, digest)


def event_id(message: UUID | str, kind: str, attempt: int) -> str:
    raw = message.bytes if isinstance(message, UUID) else UUID(message).bytes
    return f"{base32(raw)}.{kind}.{attempt}"
