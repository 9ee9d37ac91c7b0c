"""Tokens that come back to us: in the return path of every message, and in its one-click unsubscribe link.

Address tokens, 57 characters of [a-z0-9] behind a letter and a plus: key id (2) + base32( payload key 16 B, index
2 B, MAC 12 B, address MAC 4 B ). `b+` is the return path (VERP), `u+` the address of an unsubscribe by mail, `f+`
that of complaints (CFBL-Address). The MAC is HMAC-SHA-256 over the key id and the bytes before it; for other than
the return path the letter follows, so that one kind cannot be made from another. The address MAC is HMAC-SHA-256 over
the recipient's address in lower case, so that a report's claim about the recipient can be checked without any store.

One-click: key id (2) + base64url of a deterministic AEAD (AES-SIV, RFC 5297) over a MessagePack array of
tenant, campaign, stream, recipient and the 16 bytes of the message id; the key id is its associated data.
Deterministic, because every attempt must make the same message, and safe to be: equal tokens only for equal
content.

Both are a function of their arguments. Every configured key reads, the last one mints.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable
from enum import StrEnum

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import Struct

PAYLOAD_KEY_BYTES = 16
MESSAGE_ID_BYTES = 16
MAC_BYTES = 12
ADDRESS_MAC_BYTES = 4
MIN_SECRET_BYTES = 16
_KEY_ID = re.compile(r"[a-z0-9]{2}\Z")
_BLOCK_BYTES = 64
_DIGITS = 64
"""Of a token, in the next power of two; 55 are in use."""
_LOCAL_PART = re.compile(r"([buf])\+([a-z0-9]{2})([a-z2-7]{55})\Z")
_URL_SAFE = re.compile(r"[a-z0-9]{2}[A-Za-z0-9_-]{1,2000}\Z")
_BASE32 = bytes.maketrans(bytes(range(32)), b"abcdefghijklmnopqrstuvwxyz234567")


class Purpose(StrEnum):
    """What an address token is for: the letter in front of it."""

    BOUNCE = "b"
    UNSUBSCRIBE = "u"
    FEEDBACK = "f"


class TokenKey(Struct, frozen=True):
    """`key_id` is two characters of [a-z0-9]; `secret` at least 16 bytes, never logged."""

    key_id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"TokenKey(key_id={self.key_id!r})"


_SUFFIX = {Purpose.BOUNCE: b"", Purpose.UNSUBSCRIBE: b"u", Purpose.FEEDBACK: b"f"}


class AddressToken(Struct, frozen=True, gc=False):
    """One of ours, read. `index` is the place in the original payload; `claim` can be held against an address."""

    purpose: Purpose
    key_id: str
    payload_key: bytes
    index: int
    claim: bytes


class OneClick(Struct, frozen=True, array_like=True, gc=False):
    """What a one-click link says; `message_id` is the 16 bytes of the UUID."""

    tenant: str
    campaign: str
    stream: str
    recipient: str
    message_id: bytes


_ONE_CLICK = msgspec.msgpack.Decoder(OneClick)


class TokenMint:
    """Makes tokens with one key."""

    def __init__(self, key_id: str, secret: bytes) -> None:
        if not _KEY_ID.match(key_id):
            raise ValueError("a token key's id is two characters of a-z and 0-9")
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"a token key has at least {MIN_SECRET_BYTES} bytes")
        self._key_id = key_id
        self._id_bytes = key_id.encode("ascii")
        self._inner, self._outer = _hmac_states(secret)
        self._seal = AESSIV(one_click_key(secret))

    def return_path(self, payload_key: bytes, index: int, recipient: str) -> str:
        """The 57 characters after `b+`. `index` is the place in the original payload, `recipient` the
        address as it goes to the peer."""
        return self.address(Purpose.BOUNCE, payload_key, index, recipient)

    def address(self, purpose: Purpose, payload_key: bytes, index: int, recipient: str) -> str:
        """The 57 characters after the letter of `purpose` and the plus."""
        head = payload_key + index.to_bytes(2, "big")
        mac = self._hmac(self._id_bytes + head + _SUFFIX[purpose])[:MAC_BYTES]
        claim = self._hmac(recipient.lower().encode())[:ADDRESS_MAC_BYTES]
        return self._key_id + _base32(head + mac + claim)

    def _hmac(self, content: bytes) -> bytes:
        """RFC 2104 from prepared states: half of what the stdlib's object costs, and a third of its function."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return outer.digest()

    def one_click(self, tenant: str, campaign: str, stream: str, recipient: str, message_id: bytes) -> str:
        """What follows `/o/` in the link; letters, digits, `-` and `_` only."""
        content = msgspec.msgpack.encode((tenant, campaign, stream, recipient, message_id))
        sealed = self._seal.encrypt(content, [self._id_bytes])
        return self._key_id + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


class TokenReader:
    """Reads what any of the keys has minted. A token that is not ours is None, whatever is wrong with it: who sends
    forged ones learns nothing."""

    def __init__(self, keys: Iterable[TokenKey]) -> None:
        self._secrets = {key.key_id: key.secret for key in keys}
        self._seals = {key_id: AESSIV(one_click_key(secret)) for key_id, secret in self._secrets.items()}

    def address(self, local_part: str) -> AddressToken | None:
        """Of the local part of an address, in any case (L-08: some servers fold it)."""
        match = _LOCAL_PART.match(local_part.lower())
        if match is None:
            return None
        purpose, key_id, text = Purpose(match[1]), match[2], match[3]
        secret = self._secrets.get(key_id)
        raw = base64.b32decode(text.upper() + "=")
        # The last character has three bits to spare: only one of its eight spellings is ours.
        if secret is None or _base32(raw) != text:
            return None
        head, mac, claim = raw[:-16], raw[-16:-ADDRESS_MAC_BYTES], raw[-ADDRESS_MAC_BYTES:]
        expected = hmac.digest(secret, key_id.encode("ascii") + head + _SUFFIX[purpose], "sha256")
        if not hmac.compare_digest(expected[:MAC_BYTES], mac):
            return None
        key, index = head[:PAYLOAD_KEY_BYTES], int.from_bytes(head[PAYLOAD_KEY_BYTES:], "big")
        return AddressToken(purpose, key_id, key, index, claim)

    def is_of(self, token: AddressToken, recipient: str) -> bool:
        """Whether the token was made for a message to this address."""
        secret = self._secrets.get(token.key_id)
        if secret is None:
            return False
        expected = hmac.digest(secret, recipient.lower().encode("utf-8", "surrogatepass"), "sha256")
        return hmac.compare_digest(expected[:ADDRESS_MAC_BYTES], token.claim)

    def one_click(self, token: str) -> OneClick | None:
        seal = self._seals.get(token[:2])
        if seal is None or not _URL_SAFE.match(token):
            return None
        try:
            sealed = base64.urlsafe_b64decode(token[2:] + "=" * (-len(token[2:]) % 4))
            clicked = _ONE_CLICK.decode(seal.decrypt(sealed, [token[:2].encode("ascii")]))
        except (binascii.Error, InvalidTag, ValueError, msgspec.MsgspecError):
            return None
        # The last character may have bits to spare: of its spellings only one is ours.
        is_ours = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii") == token[2:]
        return clicked if is_ours and len(clicked.message_id) == MESSAGE_ID_BYTES else None


def _hmac_states(secret: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    if len(secret) > _BLOCK_BYTES:
        secret = hashlib.sha256(secret).digest()
    key = secret.ljust(_BLOCK_BYTES, b"\0")
    return (
        hashlib.sha256(bytes(byte ^ 0x36 for byte in key)),
        hashlib.sha256(bytes(byte ^ 0x5C for byte in key)),
    )


def _spreading() -> tuple[tuple[int, int, int], ...]:
    """The steps that part a number of 64 digits of 5 bits into 64 bytes: of each half of what is together, the mask
    of the lower and of the upper, and how far the upper is moved."""
    steps = []
    together = _DIGITS
    while together > 1:
        half = together // 2
        lower = sum(((1 << 5 * half) - 1) << 8 * at for at in range(0, _DIGITS, together))
        steps.append((lower, lower << 5 * half, 3 * half))
        together = half
    return tuple(steps)


_SPREADING = _spreading()


def _base32(raw: bytes) -> str:
    """34 bytes in lower case, without padding; all digits at once, in a third of the time of one by one."""
    number = int.from_bytes(raw, "big") << 3
    for lower, upper, shift in _SPREADING:
        number = number & lower | (number & upper) << shift
    return number.to_bytes(55, "big").translate(_BASE32).decode("ascii")


def one_click_key(secret: bytes) -> bytes:
    """The AES-SIV key (two of 256 bits), so that both kinds of token can share one configured secret."""
    return hmac.digest(secret, b"mta one-click token", "sha512")
