"""What the file behind `nats.credentials` holds: a NATS credentials file, or one line `user:password`.

Pure: where the file lies and who may read it is the configuration's business. A finding never shows what it read.
"""

import re

import nkeys

from mta.model.login import Login, login_of

EXPECTED = "expected a NATS credentials file (.creds: a user's JWT and its seed) or one line user:password"
_JWT = re.compile(rb"-----BEGIN NATS USER JWT-----\s+[\w-]+\.[\w-]+\.[\w-]+\s+")
_SEED = re.compile(rb"-----BEGIN USER NKEY SEED-----\s+(\w+)\s+")


def login(content: bytes) -> Login | None:
    """Of a line `user:password`; None for a credentials file, which the client library reads by itself at every
    connect. ValueError if it is neither."""
    if b"-----BEGIN " in content:
        _check_creds(content)
        return None
    try:
        return login_of(content)
    except ValueError:
        raise ValueError(f"is neither: {EXPECTED}") from None


def _check_creds(content: bytes) -> None:
    seed = _SEED.search(content)
    if _JWT.search(content) is None or seed is None:
        raise ValueError(f"is a part of a credentials file only: {EXPECTED}")
    try:
        nkeys.from_seed(bytearray(seed[1]))
    except (nkeys.NkeysError, ValueError) as error:
        raise ValueError(f"holds a seed that is none: {EXPECTED}") from error
