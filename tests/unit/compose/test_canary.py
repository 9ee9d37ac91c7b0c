"""The canary sees what a verifier would see."""

import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mta.compose.canary import Canary, verifies
from mta.compose.dkim import Draft, Signer, body_hash, load_key, load_keys
from mta.compose.settings import DkimKey
from tests.fakes.keys import ed25519_pem, pem, rsa_key

FIELDS = (("From", "news@acme.test"), ("Subject", "Hello"))
SECOND = DkimKey("acme.test", "e1", ed25519_pem())


def signed(*keys: DkimKey) -> bytes:
    body = b"Hi\r\n"
    signatures = Signer(load_keys(keys)[0]).sign(Draft("", "", FIELDS, body), body_hash(body), time.time())
    head = "".join(f"{name}: {value}\r\n" for name, value in (*signatures, *FIELDS))
    return head.encode() + b"\r\n" + body


def test_good_signatures_pass() -> None:
    """Both kinds, each in its place."""
    wire = signed(rsa_key(), SECOND)
    assert verifies(wire, 0, load_key(rsa_key())[0])
    assert verifies(wire, 1, load_key(SECOND)[0])


@pytest.mark.parametrize(
    "change", [(b"Hi", b"Ho"), (b"Hello", b"Hullo"), (b"bh=", b"bh=A"), (b"d=acme", b"d=acne")]
)
def test_changed_messages_fail(change: tuple[bytes, bytes]) -> None:
    """For both kinds of key."""
    wire = signed(rsa_key(), SECOND).replace(*change)
    assert not verifies(wire, 0, load_key(rsa_key())[0])
    assert not verifies(wire, 1, load_key(SECOND)[0])


def test_another_key_fails() -> None:
    """The public part must be that of the key that signed."""
    other = DkimKey("acme.test", "s1", pem(rsa.generate_private_key(65537, 1024)))
    other_curve = DkimKey("acme.test", "e1", pem(ed25519.Ed25519PrivateKey.generate()))
    wire = signed(rsa_key(), SECOND)
    assert not verifies(wire, 0, load_key(other)[0])
    assert not verifies(wire, 1, load_key(other_curve)[0])


@pytest.mark.parametrize(
    "wire", [b"", b"From: a\r\n\r\n", b"DKIM-Signature: nonsense\r\n\r\n", b"\xff\xff: x\r\n\r\n"]
)
def test_unsigned_fails(wire: bytes) -> None:
    """Nothing there is no pass."""
    assert not verifies(wire, 0, load_key(rsa_key())[0])
    assert not verifies(wire, 0, load_key(SECOND)[0])


def test_once_per_kind() -> None:
    """The second message of a kind is not looked at; another tenant's or template's is; the memory is
    bounded."""
    canary = Canary(kinds=2)
    keys = load_keys([rsa_key()])[0]
    good, bad = signed(rsa_key()), signed(rsa_key()).replace(b"Hi", b"Ho")
    assert canary.failed("acme", b"t1", good, keys) is None
    assert canary.failed("acme", b"t1", bad, keys) is None
    assert canary.failed("acme", b"t2", bad, keys) is keys[0]
    assert canary.failed("other", b"t1", bad, keys) is keys[0]
    canary.failed("acme", b"t3", good, keys)
    canary.failed("acme", b"t4", good, keys)
    assert canary.failed("acme", b"t1", bad, keys) is keys[0]
