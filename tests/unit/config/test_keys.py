import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from mta.config.keys import check_dkim_key, check_key_id, secret
from mta.config.problems import Findings

Private = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def pem(key: Private, lock: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption())


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()])
def test_good_keys_pass_in_silence(key: Private) -> None:
    """RSA of 2048 bits and Ed25519."""
    found = Findings("f")
    assert check_dkim_key(pem(key), "k", found)
    assert (found.problems, found.warnings) == ([], [])


def test_a_weak_rsa_key_passes_with_a_warning() -> None:
    """RFC 8301: 1024 bits must be accepted by receivers, 2048 should be used."""
    found = Findings("f")
    assert check_dkim_key(pem(rsa.generate_private_key(65537, 1024)), "k", found)
    assert [str(warning) for warning in found.warnings] == [
        "f: k: RSA of 1024 bits is weak; make one of 2048"
    ]


RSA_512 = b"""-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBANgZIRzqkEyjG02jIN5d2Xr7Io8l3ZVbOvGEvFo7H7+VE6QYKvxs
+mgKim5LLGJpcRpJEXmHrFVMP23sW5Sxi6MCAwEAAQJANclLbJ8Ve329df18WNyT
HQEVAPwzwtEKQsL+/pZouI41FNecHzfbIPynPUsCeQxDh7yNKGgPIMrywfTxkbHX
gQIhAPtpvCCRUp2oEpv5miakFol7ArohpDcdhubnr5gD6fYpAiEA3ApzYND9Emj2
7Gqcr81o7haMMlpxdtYvQXiutaaSdOsCIFS+2G417h48iEFRSpfZ2crvzwSE0IDP
kCiHUlYwg425AiEAyxNKEJxQM+FzohVyrj1hDfr5QK9/8DEUQ9RhSXyFxikCIAVX
h3QmKZdZRTwkMG+2K8P0hXfzMBRE84v5bFbvTvNw
-----END RSA PRIVATE KEY-----
"""  # protects nothing: newer libraries refuse to make so short a one

TOO_SHORT = b"""-----BEGIN PRIVATE KEY-----
-----END PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no private key in PEM form"),
        (b"\x00\xff" * 40, "holds no private key in PEM form"),
        (TOO_SHORT, "holds no private key in PEM form"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "is neither RSA nor Ed25519, the two that DKIM knows"),
        (
            pem(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")),
            "is encrypted with a passphrase: store it decrypted, readable by this service only",
        ),
    ],
)
def test_what_cannot_sign_is_refused(content: bytes, said: str) -> None:
    """Each with its reason, and never with its content."""
    found = Findings("f")
    assert not check_dkim_key(content, "k", found)
    assert [str(problem) for problem in found.problems] == [f"f: k: {said}"]


def test_an_rsa_key_that_receivers_ignore_is_refused() -> None:
    """RFC 8301 section 3.2: below 1024 bits a signature counts as none."""
    found = Findings("f")
    assert not check_dkim_key(RSA_512, "k", found)
    assert "RSA of 512 bits: receivers ignore it; make one of 2048" in str(found.problems[0])


def test_a_key_id_is_two_characters() -> None:
    """It stands in a local part and is cut off by its length."""
    found = Findings("f")
    assert check_key_id("k1", "p", found)
    assert check_key_id("ab", "p", found)
    for name in ("k", "k12", "K1", "k.", "k\n", ""):
        assert not check_key_id(name, "p", found)
    assert len(found.problems) == 6


def test_a_secret_loses_its_final_line_end_only() -> None:
    """What an editor adds is no part of it."""
    assert secret(b"0123456789abcdef\r\n", "p", Findings("f")) == b"0123456789abcdef"
    assert secret(b" 0123456789abcde", "p", Findings("f")) == b" 0123456789abcde"


def test_a_short_secret_is_refused_without_being_shown() -> None:
    """16 bytes are the least."""
    found = Findings("f")
    assert secret(b"0123456789abcde\n", "p", found) is None
    assert str(found.problems[0]) == "f: p: holds 15 bytes; it needs 16 random ones or more"
