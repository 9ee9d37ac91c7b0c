"""DKIM keys, each made once in a process: RSA takes its time."""

import functools
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mta.compose.dkim import SigningKey, load_key
from mta.compose.settings import DkimKey


def pem(private: Any) -> bytes:
    """Of whatever kind."""
    form = serialization.PrivateFormat.PKCS8
    return bytes(private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))


def rsa_pem(bits: int = 2048, which: int = 0) -> bytes:
    """Each `which` is another key."""
    return _made(bits, which)


def ed25519_pem(which: int = 0) -> bytes:
    return _made(0, which)


def rsa_key(selector: str = "s1", bits: int = 2048, domain: str = "acme.test") -> DkimKey:
    return DkimKey(domain, selector, rsa_pem(bits))


def signing_key(
    selector: str = "s1", domain: str = "acme.test", *, bits: int = 2048, which: int = 0
) -> SigningKey:
    """Ready to sign; 0 bits: Ed25519."""
    return load_key(DkimKey(domain, selector, _made(bits, which)))[0]


@functools.cache
def _made(bits: int, which: int) -> bytes:
    return pem(rsa.generate_private_key(65537, bits) if bits else ed25519.Ed25519PrivateKey.generate())
