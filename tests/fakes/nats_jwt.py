"""Operator, account and user of a NATS server that trusts signatures: its configuration, and the user's `.creds`."""

import base64
import json
import os
from typing import Any

import nkeys
from msgspec import Struct

_CREDS = """\
-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
"""


class Trust(Struct, frozen=True):
    """`config` goes into the server's file, `creds` is what a client shows."""

    config: str
    creds: str


def trust() -> Trust:
    """Freshly made."""
    operator, _ = _pair(nkeys.PREFIX_BYTE_OPERATOR)
    account, _ = _pair(nkeys.PREFIX_BYTE_ACCOUNT)
    user, seed = _pair(nkeys.PREFIX_BYTE_USER)
    limits = {"subs": -1, "data": -1, "payload": -1}
    of_account = {
        **limits,
        "imports": -1,
        "exports": -1,
        "wildcards": True,
        "conn": -1,
        "leaf": -1,
    }
    preload = _jwt(operator, account, {"type": "account", "limits": of_account})
    config = (
        f"operator: {_jwt(operator, operator, {'type': 'operator'})}\nresolver: MEMORY\n"
        f"resolver_preload {{ {_name(account)}: {preload} }}"
    )
    jwt = _jwt(account, user, {"type": "user", "pub": {}, "sub": {}, **limits})
    return Trust(config, _CREDS.format(jwt=jwt, seed=seed))


def _pair(prefix: int) -> tuple[Any, str]:
    seed = nkeys.encode_seed(os.urandom(32), prefix)
    return nkeys.from_seed(bytearray(seed)), bytes(seed).decode()


def _name(pair: Any) -> str:
    return str(pair.public_key.decode())


def _jwt(issuer: Any, subject: Any, claims: dict[str, Any]) -> str:
    body = {
        "jti": os.urandom(8).hex(),
        "iat": 1_700_000_000,
        "iss": _name(issuer),
        "sub": _name(subject),
        "name": "test",
        "nats": {"version": 2, **claims},
    }
    signed = ".".join(
        _base64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body)
    )
    return f"{signed}.{_base64(issuer.sign(signed.encode()))}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
