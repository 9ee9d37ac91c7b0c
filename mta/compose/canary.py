"""The canary: the first message of a kind is verified by dkimpy, an independent implementation, before it
is sent.

A kind is (tenant, domain, selector, template). The public key is the loaded private key's own: what is
proved is that our canonical form, hashing and folding are what a verifier computes, not that DNS is right
(that is `mta.admin.dkim_record`'s). dkimpy reads the clock itself, for `t=` and `x=`. It takes milliseconds, so it runs
once per kind; the memory of what was verified is bounded, and what fell out is verified again.
"""

from collections.abc import Sequence
from typing import Any

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mta.compose.cache import LruCache
from mta.compose.dkim import SigningKey

Kind = tuple[str, str, str, bytes]


class Canary:
    def __init__(self, kinds: int = 4096) -> None:
        self._verified: LruCache[Kind, bool] = LruCache(kinds, kinds)

    def failed(
        self, tenant: str, template: bytes, wire: bytes, keys: Sequence[SigningKey]
    ) -> SigningKey | None:
        """The key whose signature on this message does not verify, if there is one. `wire` bears one
        signature per key, in that order, on top."""
        for place, key in enumerate(keys):
            kind = (tenant, key.domain, key.selector, template)
            if self._verified.get(kind):
                continue
            if not verifies(wire, place, key):
                return key
            self._verified.put(kind, True, 1)
        return None


def verifies(wire: bytes, place: int, key: SigningKey, record: str = "") -> bool:
    """Whether dkimpy accepts signature number `place` (0 is the topmost) with this key. `record` is what DNS holds,
    where a receiver is to be played to the end; it counts for RSA only."""
    try:
        verifier = dkim.DKIM(wire)
        if isinstance(key.private, Ed25519PrivateKey):
            return _verifies_ed25519(verifier, place, key.private)
        answer = (record or key.dns_record()).encode("ascii")
        return bool(verifier.verify(place, dnsfunc=lambda name, timeout=5: answer))
    except dkim.DKIMException:
        return False


class _Ed25519:
    """What dkimpy asks of PyNaCl's key, on `cryptography`. It only remembers: dkimpy would catch PyNaCl's
    error."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._public = private.public_key()
        self.is_valid = False

    def verify(self, digest: bytes, signature: bytes) -> None:
        try:
            self._public.verify(signature, digest)
            self.is_valid = True
        except InvalidSignature:
            self.is_valid = False


def _verifies_ed25519(verifier: Any, place: int, private: Ed25519PrivateKey) -> bool:
    """dkimpy parses, canonicalises and hashes; only the last step is not PyNaCl's, which need not be
    installed."""
    prepared = verifier.verify_headerprep(place)
    if not prepared:
        return False
    tags, names, signature_fields = prepared
    checker = _Ed25519(private)
    verifier.pk, verifier.keysize, verifier.ktag, verifier.seqtlsrpt = checker, 256, b"ed25519", False
    verifier.verify_sig_process(tags, names, signature_fields[place], None)
    return checker.is_valid
