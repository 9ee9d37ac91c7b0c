"""Tokens that come back to us: in the return path of every message, and in its one-click unsubscribe link.

Return path (VERP), 57 characters of [a-z0-9]: key id (2) + base32( payload key 16 B, index 2 B, MAC 12 B,
address MAC 4 B ). The MAC is HMAC-SHA-256 over the key id and the bytes before it; the address MAC is
HMAC-SHA-256 over the recipient's address in lower case, so that a report's claim about the recipient can be
checked without any store.

One-click: key id (2) + base64url of a deterministic AEAD (AES-SIV, RFC 5297) over a MessagePack array of
tenant, campaign, stream, recipient and the 16 bytes of the message id; the key id is its associated data.
Deterministic, because every attempt must make the same message, and safe to be: equal tokens only for equal
content.

Both are a function of their arguments. Reading them belongs to the inbound side.
"""

import base64
import hmac
import re

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

PAYLOAD_KEY_BYTES = 16
MAC_BYTES = 12
ADDRESS_MAC_BYTES = 4
MIN_SECRET_BYTES = 16
_KEY_ID = re.compile(r"[a-z0-9]{2}\Z")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_SHIFTS = tuple(range(130, -1, -10))
_LOW = (1 << 140) - 1


class TokenMint:
    """Makes tokens with one key."""

    def __init__(self, key_id: str, secret: bytes) -> None:
        if not _KEY_ID.match(key_id):
            raise ValueError("a token key's id is two characters of a-z and 0-9")
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a token key has at least {MIN_SECRET_BYTES} bytes")
        self._key_id = key_id
        self._id_bytes = key_id.encode("ascii")
        self._mac = hmac.new(secret, digestmod="sha256")
        self._seal = AESSIV(one_click_key(secret))

    def return_path(self, payload_key: bytes, index: int, recipient: str) -> str:
        """The 57 characters after `b+`. `index` is the place in the original payload, `recipient` the
        address as it goes to the peer."""
        head = payload_key + index.to_bytes(2, "big")
        # A copied HMAC costs two thirds of a new one.
        mac, claim = self._mac.copy(), self._mac.copy()
        mac.update(self._id_bytes + head)
        claim.update(recipient.lower().encode())
        return self._key_id + _base32(head + mac.digest()[:MAC_BYTES] + claim.digest()[:ADDRESS_MAC_BYTES])

    def one_click(self, tenant: str, campaign: str, stream: str, recipient: str, message_id: bytes) -> str:
        """What follows `/o/` in the link; letters, digits, `-` and `_` only."""
        content = msgspec.msgpack.encode((tenant, campaign, stream, recipient, message_id))
        sealed = self._seal.encrypt(content, [self._id_bytes])
        return self._key_id + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _base32(raw: bytes) -> str:
    """Lower case, without padding; ten bits at a time, which is twice as fast as the stdlib's five bytes."""
    number = int.from_bytes(raw, "big") << 8
    high, low = number >> 140, number & _LOW
    return "".join([_PAIRS[high >> s & 1023] for s in _SHIFTS] + [_PAIRS[low >> s & 1023] for s in _SHIFTS])[
        :55
    ]


def one_click_key(secret: bytes) -> bytes:
    """The AES-SIV key (two of 256 bits), so that both kinds of token can share one configured secret."""
    return hmac.digest(secret, b"mta one-click token", "sha512")
