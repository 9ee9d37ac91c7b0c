"""A DKIM key as DNS holds it (RFC 6376 section 3.6.1, RFC 8301, RFC 8463), and whether it is the one we sign with."""

import base64
import binascii
import re
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct

from mta.admin.preflight.tags import read_tags
from mta.compose.dkim import SigningKey

KeyType = Literal["rsa", "ed25519"]
_LONGEST = 16_000  # of a record; an RSA key of 16,384 bits has 2,800 characters
_ED25519_BYTES = 32
_SPACE = re.compile(r"[ \t\r\n]+")


class DkimRecord(Struct, frozen=True, gc=False):
    """`public` are the bytes of p=, none of a revoked key; `bits` of an RSA key, else 0. `flags` are those of t=,
    `services` of s=, `hashes` of h= (empty: all)."""

    key_type: KeyType
    public: bytes
    bits: int = 0
    flags: tuple[str, ...] = ()
    services: tuple[str, ...] = ("*",)
    hashes: tuple[str, ...] = ()

    @property
    def is_revoked(self) -> bool:
        return not self.public

    @property
    def is_testing(self) -> bool:
        return "y" in self.flags


def record_name(key: SigningKey) -> str:
    return f"{key.selector}._domainkey.{key.domain}"


def read_record(text: str) -> DkimRecord | str:
    """The TXT record of a selector. A str says what is wrong with it."""
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST:,} characters"
    tags = read_tags(text)
    if isinstance(tags, str):
        return tags
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        return "v= is not DKIM1, or does not come first"
    key_type = tags.get("k", "rsa").lower()
    if key_type not in ("rsa", "ed25519"):
        return f"k={ascii(key_type)[1:-1][:40]} is neither rsa nor ed25519"
    if "p" not in tags:
        return "has no p=, the key itself"
    try:
        public = base64.b64decode(_SPACE.sub("", tags["p"]), validate=True)
    except (binascii.Error, ValueError):
        return "p= is not base64"
    bits = _bits(public) if key_type == "rsa" and public else 0
    if public and (len(public) != _ED25519_BYTES if key_type == "ed25519" else not bits):
        return f"p= holds no {'RSA' if key_type == 'rsa' else 'Ed25519'} key"
    return DkimRecord(
        key_type="rsa" if key_type == "rsa" else "ed25519",
        public=public,
        bits=bits,
        flags=_list(tags.get("t", "")),
        services=_list(tags.get("s", "*")),
        hashes=_list(tags.get("h", "")),
    )


def mismatch(record: DkimRecord, key: SigningKey) -> str:
    """How the published key, which is not revoked, differs from the configured one; "" if it is the same."""
    wanted = "rsa" if key.bits else "ed25519"
    if record.key_type != wanted:
        return f"DNS holds a key of k={record.key_type}, the configured one is {wanted}"
    public = key.private.public_key()
    if isinstance(public, RSAPublicKey):
        published = _rsa(record.public)
        is_same = published is not None and published.public_numbers() == public.public_numbers()
    else:
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        is_same = record.public == raw
    if is_same:
        return ""
    sizes = f" ({record.bits} bits there, {key.bits} here)" if record.bits != key.bits else ""
    return f"DNS holds another key than the configured one{sizes}"


def usage_fault(record: DkimRecord) -> str:
    """Why the key may not be used for our signatures; "" if it may."""
    if not {"*", "email"} & set(record.services):
        return f"s={':'.join(record.services)} does not allow email"
    if record.hashes and "sha256" not in record.hashes:
        return f"h={':'.join(record.hashes)} does not allow sha256"
    return ""


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip().lower() for part in value.split(":") if part.strip())


def _bits(public: bytes) -> int:
    key = _rsa(public)
    return key.key_size if key is not None else 0


def _rsa(public: bytes) -> RSAPublicKey | None:
    """SubjectPublicKeyInfo, which everybody publishes, or the bare RSAPublicKey that RFC 6376 names."""
    try:
        key = serialization.load_der_public_key(public)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPublicKey) else None
