import base64
import time

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.dkim_record import DkimRecord, Flaw, compare, judge, read_record, strings, zone_line
from mta.compose.dkim import SigningKey, load_key
from mta.compose.settings import DkimKey
from tests.fakes.keys import ed25519_pem, pem, rsa_key, rsa_pem

RSA = load_key(rsa_key())[0]
ED25519 = load_key(DkimKey("acme.test", "e1", ed25519_pem()))[0]
RECORD = RSA.dns_record()
P = RECORD.partition("p=")[2]


def pkcs1() -> str:
    public = load_pem_private_key(rsa_pem(2048), None).public_key()
    assert isinstance(public, RSAPublicKey)
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()


def elliptic() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def flaws_of(text: str, key: SigningKey = RSA) -> list[tuple[bool, str]]:
    return [(flaw.is_fatal, flaw.text) for flaw in judge([text], key, time.time())]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=1000))
def test_a_record_is_cut_into_strings_and_joined_again(text: str) -> None:
    """RFC 1035: none longer than 255 octets, and a resolver puts them together without a gap."""
    parts = strings(text)
    assert "".join(parts) == text
    assert all(0 < len(part) <= 255 for part in parts)
    assert all(len(part) == 255 for part in parts[:-1])


def test_a_zone_line_says_the_record_in_its_strings() -> None:
    """With a final dot, so that no zone is added to the name; a key of 2048 bits takes two strings."""
    name, opened, rest = zone_line("s1._domainkey.acme.test", RECORD).partition(" IN TXT ( ")
    assert (name, opened) == ("s1._domainkey.acme.test.", " IN TXT ( ")
    assert rest == f'"{RECORD[:255]}" "{RECORD[255:]}" )'


@pytest.mark.parametrize("key", [RSA, ED25519])
def test_what_we_publish_can_be_read(key: SigningKey) -> None:
    """And has no flaw: our signer and dkimpy agree by it."""
    record = read_record(key.dns_record())
    assert isinstance(record, DkimRecord)
    assert (record.kind, record.bits) == (("rsa", 2048) if key.bits else ("ed25519", 0))
    assert judge([key.dns_record()], key, time.time()) == ()


@pytest.mark.parametrize(
    "text",
    [
        f"p={P}",
        f"k=rsa; p={P};",
        f" v = DKIM1 ; p = {P} ; ",
        f'v=DKIM1; h=sha1 : sha256; s=email; t=s; n=a "note"; p={P[:50]} {P[50:90]}\r\n\t{P[90:]}',
        f"v=DKIM1; s=*; t=x:s; zz=unknown; p={P}",
        f"v=DKIM1; p={pkcs1()}",
    ],
)
def test_records_that_hold(text: str) -> None:
    """RFC 6376 section 3.6.1: defaults, white space, what nobody knows, and a bare RSAPublicKey."""
    assert flaws_of(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" ; ", "is no list of tag=value"),
        ("hello", "is no list of tag=value: 'hello'"),
        (f"v=DKIM1;; p={P}", "is no list of tag=value: ''"),
        (f"1v=DKIM1; p={P}", "is no list of tag=value"),
        (f"k=rsa; v=DKIM1; p={P}", "does not begin with v=DKIM1"),
        (f"v=DKIM2; p={P}", "does not begin with v=DKIM1"),
        (f"v=dkim1; p={P}", "does not begin with v=DKIM1"),
        (f'"v=DKIM1; k=rsa; p={P}"', "holds quotes or backslashes"),
        (f"v=DKIM1\\; k=rsa\\; p={P}", "holds quotes or backslashes"),
        (f'v=DKIM1; p={P[:200]}" "{P[200:]}', "holds quotes or backslashes"),
        (f"v=DKIM1; k=rsa; p={P}; p={P}", "has the tag p= twice"),
        ("v=DKIM1; k=rsa", "p= is missing"),
        (f"v=DKIM1; P={P}", "p= is missing"),
        (f"v=DKIM1; k=dsa; p={P}", "of a kind nobody knows: k=dsa"),
        (RECORD[:255], "holds in p= what is not base64: is it cut off at 255 characters?"),
        (RECORD[:254], "holds in p= no RSA key: is it cut off at 255 characters?"),
        ("v=DKIM1; p=AAAA", "holds in p= no RSA key"),
        (f"v=DKIM1; p={elliptic()}", "holds in p= a key that is not RSA"),
        (f"v=DKIM1; k=ed25519; p={P}", "holds in p= 294 octets, and an Ed25519 key has 32"),
        ("v=DKIM1; k=ed25519; p=?", "holds in p= what is not base64"),
        (f"v=DKIM1; n=Schlüssel; p={P}", "holds what is not printable ASCII"),
        (f"v=DKIM1; p={P}\0", "holds what is not printable ASCII"),
        (f"v=DKIM1; n={'x' * 9000}; p={P}", "is longer than 8192 characters"),
    ],
)
def test_records_that_receivers_cannot_use(text: str, said: str) -> None:
    """Each with a reason; nothing raises."""
    reason = read_record(text)
    assert isinstance(reason, str)
    assert said in reason
    assert len(reason) < 120
    assert flaws_of(text) == [(True, f"the record {reason}")]


@pytest.mark.parametrize(
    ("text", "is_fatal", "said"),
    [
        ("v=DKIM1; p=", True, "the key is revoked"),
        (load_key(rsa_key(bits=1024))[0].dns_record(), True, "another key is published (RSA, 1024 bits)"),
        pytest.param(
            ED25519.dns_record(),
            True,
            "another key is published (Ed25519) than we sign with (RSA, 2048 bits)",
            id="another kind",  # the same in all processes
        ),
        (f"v=DKIM1; h=sha1; p={P}", True, "h=sha1 forbids sha256"),
        (f"v=DKIM1; s=tlsrpt; p={P}", True, "s=tlsrpt is not for mail"),
        (f"v=DKIM1; s=tlsrpt:other; p={P}", True, "s=tlsrpt:other is not for mail"),
        (f"v=DKIM1; s=email:tlsrpt; p={P}", True, "s=email:tlsrpt is more than some receivers can read"),
        (f"v=DKIM1; t=s:Y; p={P}", False, "t=y says you are only testing"),
    ],
)
def test_flaws_of_a_record_that_can_be_read(text: str, is_fatal: bool, said: str) -> None:
    """Fatal is what leaves a receiver without a valid signature."""
    ((fatal, words),) = flaws_of(text)
    assert (fatal, said in words) == (is_fatal, True), words


def test_K_01_a_weak_key_is_a_warning() -> None:
    """Receivers must accept 1024 bits."""
    weak = load_key(rsa_key(bits=1024))[0]
    ((fatal, words),) = flaws_of(weak.dns_record(), weak)
    assert (fatal, words) == (False, "RSA of 1024 bits is weak: make a key of 2048")


def test_another_key_of_the_same_kind_is_told_apart() -> None:
    """By its value, not by how it is written."""
    other = load_key(DkimKey("acme.test", "e1", pem(Ed25519PrivateKey.generate())))[0]
    record = read_record(other.dns_record())
    assert isinstance(record, DkimRecord)
    assert [flaw.is_fatal for flaw in compare(record, ED25519)] == [True]
    assert compare(record, other) == ()


def test_several_records_are_a_warning_while_one_is_ours() -> None:
    """RFC 6376 section 3.6.2.2 leaves to the receiver which one counts; no record, or none of ours, is fatal."""
    now = time.time()
    many = "2 TXT records are there, and a receiver may pick any: leave only ours"
    for texts in ([RECORD, "site-verification=1"], ["v=DKIM1; p=", RECORD]):
        assert judge(texts, RSA, now) == (Flaw(False, many),)
    assert [flaw.is_fatal for flaw in judge(["v=DKIM1; p=", f"{RECORD}; t=y"], RSA, now)] == [False, False]
    first, second = judge(["v=DKIM1; p=", "x"], RSA, now)
    assert (first.is_fatal, second) == (True, Flaw(False, many))
    assert judge([], RSA, now) == (Flaw(True, "there is no record"),)
    assert judge(["x"] * 20 + [RECORD], RSA, now)[0].is_fatal


def test_a_signature_that_does_not_hold_is_told() -> None:
    """K-11: an independent verifier has the last word; here it finds a signature that has run out."""
    ((fatal, words),) = [(flaw.is_fatal, flaw.text) for flaw in judge([RECORD], RSA, 1_000_000_000.0)]
    assert (fatal, "does not hold" in words) == (True, True)


tags = st.sampled_from(["v", "k", "p", "h", "s", "t", "n", "g", "x_1", " v ", "", "P"])
values = st.sampled_from(
    ["DKIM1", "rsa", "ed25519", P, f"{P[:9]} {P[9:]}", "", "*", "email", "y:s", "sha1:sha256"]
)
lists = st.lists(
    st.tuples(
        tags,
        values | st.text(max_size=20) | st.binary(max_size=300).map(lambda b: base64.b64encode(b).decode()),
    )
).map(lambda pairs: ";".join(f"{tag}={value}" for tag, value in pairs))


@given(st.text(max_size=200) | lists)
def test_any_text_is_a_record_or_a_reason(text: str) -> None:
    """Whatever DNS holds: no text raises, a reason is short, and where we see no fatal flaw dkimpy has none either."""
    record = read_record(text)
    if isinstance(record, str):
        assert 0 < len(record) < 120
        return
    if not any(flaw.is_fatal for flaw in compare(record, RSA)):
        pk, bits, kind, _ = dkim.evaluate_pk("x", text.encode())
        assert pk is not None
        assert (bits, kind) == (2048, b"rsa")
