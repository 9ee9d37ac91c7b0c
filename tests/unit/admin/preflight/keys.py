"""DKIM keys, made once."""

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mta.compose.dkim import SigningKey, load_key
from mta.compose.settings import DkimKey


@cache
def pem(bits: int, serial: int) -> bytes:
    """0 bits: Ed25519. Each `serial` is another key."""
    key = (
        rsa.generate_private_key(public_exponent=65537, key_size=bits)
        if bits
        else ed25519.Ed25519PrivateKey.generate()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_key(
    selector: str = "s1", domain: str = "acme.test", *, bits: int = 2048, serial: int = 0
) -> SigningKey:
    return load_key(DkimKey(domain, selector, pem(bits, serial)))[0]
