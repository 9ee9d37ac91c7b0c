"""The address of a refused recipient for our own eyes, in events that are not to tell it. Pure.

Where events name recipients by hash or not at all (`events.recipient`), whoever reads them still has to suppress the
address. So it travels in `sealed_recipient`, under a key that only daemons have: one derived from the token keys, by
deterministic AEAD (AES-SIV, RFC 5297) with the tenant as associated data. A hash without a key would give the address
away to anybody with a list of addresses to try. Every configured key opens, the last one seals.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mta.model.token import TokenKey

_MOST_CHARACTERS = 2_000


class Seal:
    """Without keys nothing is sealed, and nothing opened."""

    def __init__(self, keys: Sequence[TokenKey]) -> None:
        self._ciphers = [AESSIV(_key(key.secret)) for key in keys]

    def seal(self, tenant: str, address: str) -> str:
        """Empty without a key."""
        if not self._ciphers or not address:
            return ""
        sealed = self._ciphers[-1].encrypt(address.encode("utf-8", "surrogatepass"), [tenant.encode()])
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def open(self, tenant: str, sealed: str) -> str:
        """The address; empty for what none of the keys has sealed for this tenant."""
        if not sealed or len(sealed) > _MOST_CHARACTERS:
            return ""
        try:
            raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        except (binascii.Error, ValueError):
            return ""
        for cipher in reversed(self._ciphers):
            try:
                return cipher.decrypt(raw, [tenant.encode()]).decode("utf-8", "surrogatepass")
            except (InvalidTag, ValueError):
                continue
        return ""


def _key(secret: bytes) -> bytes:
    """Two keys of 256 bits; of its own, so that what is sealed is no token of any kind."""
    return hmac.digest(secret, b"mta sealed recipient", "sha512")
