"""Under which key a mark lies: in MTA_SUPPRESSION as text, in memory as a number. Pure.

    <tenant>.<hash>             all mail of the tenant to an address, or with the hash of `@domain` to a whole domain
    <tenant>.<hash>.<stream>    the mail of one stream only; `_` is bulk mail without a stream

The hash is the base32 of 16 bytes of BLAKE2b over the canonical address (`mta.model.address`) in lower case: to the
peer a local part may differ by case (RFC 5321 section 2.4), but nobody who wants no mail means only one spelling. It
is not keyed, so that other clients can compute it; whoever may read the bucket can try addresses against it.

The number of a key is 64 bits, the first of the hash with a salt of tenant and stream mixed in: a look-up hashes the
address once for all the scopes it is looked up in. Among ten million marks an address that has none is taken for one
that has with a chance of 1 in 2 * 10^12.
"""

from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct

from mta.jetstream.subjects import EMPTY, escape, kv_key, unescape
from mta.model.address import BadAddress, parse
from mta.model.ids import base32
from mta.model.lane import Lane

NO_STREAM = "_"
"""The scope of bulk mail without a stream."""
_DIGEST_BYTES = 16
_DIGEST_CHARACTERS = 26
_NUMBER_CHARACTERS = 13
"""65 bits of base32: the number and one more."""
_DIGITS = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")
_BASE32 = frozenset("abcdefghijklmnopqrstuvwxyz234567")


class MarkKey(Struct, frozen=True, gc=False):
    """A key of the bucket, read: tokens unescaped, `digest` as text; `stream` empty: all mail."""

    tenant: str
    digest: str
    stream: str = ""


def canonical(address: str) -> str:
    """An address, or `@domain`, as it is hashed. What no mail can be sent to is taken as it is."""
    local, at, domain = address.rpartition("@")
    try:
        if at and not local:
            return "@" + parse(f"postmaster@{domain}").domain
        return parse(address, utf8=True).text.lower()
    except BadAddress:
        return address.lower()


def digest(canonical_address: str) -> bytes:
    """Of an address whose domain is canonical, or of `@domain`."""
    return blake2b(
        canonical_address.lower().encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES
    ).digest()


def mark_key(tenant: str, address: str, stream: str = "") -> str:
    """In the bucket, for an address or `@domain` in any spelling."""
    return key_of(tenant, base32(digest(canonical(address))), stream)


def key_of(tenant: str, hashed: str, stream: str = "") -> str:
    """In the bucket, for the text of a digest."""
    key = kv_key(tenant, hashed)
    return f"{key}.{_stream_token(stream)}" if stream else key


def parse_key(key: str) -> MarkKey | None:
    """None for a key that is none of ours. A token that was cut stays as it is."""
    tokens = key.split(".")
    if len(tokens) not in (2, 3) or not all(tokens) or not is_digest(tokens[1]):
        return None
    tenant = unescape(tokens[0])
    stream = tokens[2] if len(tokens) == 3 else ""
    if stream and stream != NO_STREAM:
        stream = unescape(stream) or stream
    return MarkKey(tokens[0] if tenant is None else tenant, tokens[1], stream)


def unsubscribe_scope(stream: str) -> str:
    """What who leaves by a token of this stream gets no more of."""
    return stream or NO_STREAM


def payload_scope(stream: str, lane: Lane) -> str:
    """The scope a payload belongs to beside that of all mail; empty: no other."""
    return stream or (NO_STREAM if lane is Lane.BULK else "")


def number_of_key(key: str) -> int | None:
    """Of a key of the bucket; None if that is none of ours."""
    tokens = key.split(".")
    if len(tokens) not in (2, 3) or not is_digest(tokens[1]):
        return None
    first = int(tokens[1][:_NUMBER_CHARACTERS].translate(_DIGITS), 32) >> 1
    return first ^ _salt(tokens[0], tokens[2] if len(tokens) == 3 else "")


def number(digest_bytes: bytes) -> int:
    """Of a digest, without any scope: what `salt` is mixed into by XOR."""
    return int.from_bytes(digest_bytes[:8], "big")


@lru_cache(maxsize=65_536)
def domain_number(domain: str) -> int:
    """Of `@domain`; cached, since most mail goes to few domains."""
    return number(digest(f"@{domain}"))


def salt(tenant: str, stream: str = "") -> int:
    return _salt(escape(tenant), _stream_token(stream) if stream else "")


@lru_cache(maxsize=4_096)
def _salt(tenant_token: str, stream_token: str) -> int:
    raw = blake2b(f"{tenant_token}.{stream_token}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big")


def _stream_token(stream: str) -> str:
    return EMPTY if stream == NO_STREAM else escape(stream)


def is_digest(token: str) -> bool:
    """Whether it has the form of a hash."""
    return len(token) == _DIGEST_CHARACTERS and _BASE32.issuperset(token)
