"""What a key must be before it is used: private DKIM keys, token keys and tenants' hash keys.

Works on bytes; where they lie and who may read them is `mta.config.load`'s business. A finding never shows
a key.
"""

import re
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mta.config.problems import Findings

_KEY_ID = re.compile(r"[a-z0-9]{2}", re.ASCII)
_LEAST_RSA_BITS = 1024  # RFC 8301 section 3.2: verifiers must not accept less
_GOOD_RSA_BITS = 2048  # the same section: signers should use at least this
_LEAST_SECRET_BYTES = 16


def check_dkim_key(pem: bytes, path: str, found: Findings) -> Literal["rsa", "ed25519"] | None:
    """The kind of the private key in `pem`; None after a finding, for what DKIM cannot sign with."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        found.wrong(path, "is encrypted with a passphrase: store it decrypted, readable by this service only")
        return None
    except (ValueError, UnsupportedAlgorithm):
        found.wrong(path, "holds no private key in PEM form")
        return None
    match key:
        case RSAPrivateKey():
            if key.key_size < _LEAST_RSA_BITS:
                found.wrong(path, f"RSA of {key.key_size} bits: receivers ignore it; make one of 2048")
                return None
            if key.key_size < _GOOD_RSA_BITS:
                found.odd(path, f"RSA of {key.key_size} bits is weak; make one of 2048")
            return "rsa"
        case Ed25519PrivateKey():
            return "ed25519"
        case _:
            found.wrong(path, "is neither RSA nor Ed25519, the two that DKIM knows")
            return None


def check_key_id(key_id: str, path: str, found: Findings) -> bool:
    """The id stands in return paths, hence its form."""
    if _KEY_ID.fullmatch(key_id) is None:
        found.wrong(path, "a key is named by exactly two characters of [a-z0-9], as in k1")
        return False
    return True


def secret(content: bytes, path: str, found: Findings) -> bytes | None:
    """The bytes of a secret without the line end an editor left."""
    stripped = content.rstrip(b"\r\n")
    if len(stripped) < _LEAST_SECRET_BYTES:
        found.wrong(path, f"holds {len(stripped)} bytes; it needs {_LEAST_SECRET_BYTES} random ones or more")
        return None
    return stripped
