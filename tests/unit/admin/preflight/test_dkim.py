import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.preflight.dkim import DkimRecord, mismatch, read_record, record_name, usage_fault
from mta.compose.dkim import SigningKey
from tests.fakes.keys import signing_key

KEY = signing_key()
ED = signing_key("e1", bits=0)
RSA_P = KEY.dns_record().partition("p=")[2]
ED_P = ED.dns_record().partition("p=")[2]


def record(text: str) -> DkimRecord:
    read = read_record(text)
    assert isinstance(read, DkimRecord), read
    return read


@pytest.mark.parametrize(("key", "bits"), [(KEY, 2048), (signing_key(bits=1024), 1024), (ED, 0)])
def test_the_record_we_tell_people_to_publish_is_ours(key: SigningKey, bits: int) -> None:
    """Whatever the kind of key."""
    read = record(key.dns_record())
    assert (read.key_type, read.bits) == ("rsa" if bits else "ed25519", bits)
    assert mismatch(read, key) == ""
    assert usage_fault(read) == ""


def test_every_tag_is_read() -> None:
    """RFC 6376 section 3.6.1; unknown ones are ignored, and space in the key is none of it."""
    read = record(
        f"v=DKIM1; h=sha1:SHA256; k=rsa; n=note; p={RSA_P[:99]} \t{RSA_P[99:]}; s=email:x; t=y:s; q=?"
    )
    assert read == DkimRecord(
        "rsa",
        base64.b64decode(RSA_P),
        2048,
        flags=("y", "s"),
        services=("email", "x"),
        hashes=("sha1", "sha256"),
    )
    assert read.is_testing


def test_defaults_hold() -> None:
    """Only p= is required."""
    read = record(f"p={RSA_P}")
    assert read == DkimRecord("rsa", base64.b64decode(RSA_P), 2048)
    assert not read.is_testing
    assert not read.is_revoked


def test_an_empty_key_is_revoked() -> None:
    """Section 3.6.1, of either type."""
    assert record("v=DKIM1; p=").is_revoked
    assert record("v=DKIM1; k=ed25519; p= ").is_revoked


def test_a_bare_rsa_key_is_read() -> None:
    """RFC 6376 names RSAPublicKey, without the frame around it that everybody publishes."""
    public = KEY.private.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    bare = base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()
    assert mismatch(record(f"p={bare}"), KEY) == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("v=DKIM2; p=", "v= is not DKIM1"),
        ("p=; v=DKIM1", "does not come first"),
        ("v=DKIM1; k=rsa", "has no p="),
        ("v=DKIM1; k=dsa; p=AAAA", "k=dsa is neither"),
        ("v=DKIM1; p=A", "not base64"),
        ("v=DKIM1; p=é", "not base64"),
        ("v=DKIM1; p=AAAA", "no RSA key"),
        (f"v=DKIM1; k=rsa; p={ED_P}", "no RSA key"),
        (f"v=DKIM1; k=ed25519; p={RSA_P}", "no Ed25519 key"),
        ("v=DKIM1; p=; p=", "stands there twice"),
        ("hello", "is no tag"),
        (f"p={'A' * 20_000}", "is longer than"),
    ],
    ids=lambda value: value[:17],  # without the keys, which differ from run to run
)
def test_what_is_no_key_is_told(text: str, said: str) -> None:
    """A str says why."""
    read = read_record(text)
    assert isinstance(read, str)
    assert said in read


def test_a_mismatch_says_which() -> None:
    """Type, size, or only the key."""
    other = record(signing_key(which=1).dns_record())
    assert mismatch(other, KEY) == "DNS holds another key than the configured one"
    small = record(signing_key(bits=1024).dns_record())
    assert mismatch(small, KEY).endswith("(1024 bits there, 2048 here)")
    assert "k=ed25519, the configured one is rsa" in mismatch(record(ED.dns_record()), KEY)
    assert "k=rsa, the configured one is ed25519" in mismatch(other, ED)
    assert mismatch(record(signing_key("e1", bits=0, which=1).dns_record()), ED)


def test_a_key_for_something_else_may_not_be_used() -> None:
    """s= and h=, RFC 6376 section 3.6.1."""
    assert "s=tlsrpt" in usage_fault(record(f"s=tlsrpt; p={RSA_P}"))
    assert "h=sha1" in usage_fault(record(f"h=sha1; p={RSA_P}"))


def test_a_record_lies_below_its_domain() -> None:
    """RFC 6376 section 3.6.2.1."""
    assert record_name(KEY) == "s1._domainkey.acme.test"


@given(st.text() | st.binary().map(lambda raw: f"p={base64.b64encode(raw).decode()}"))
def test_no_text_raises(text: str) -> None:
    """A record comes from a stranger's zone."""
    assert isinstance(read_record(text), DkimRecord | str)
