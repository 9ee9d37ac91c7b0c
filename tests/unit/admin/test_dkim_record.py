"""Records beside keys; the oracle is dkimpy."""

import base64
import time

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.dkim_record import (
    Aspect,
    DkimRecord,
    compare,
    is_fatal,
    judge,
    read_record,
    strings,
    zone_line,
)
from mta.compose.dkim import SigningKey
from tests.fakes.keys import signing_key

RSA = signing_key()
WEAK = signing_key(bits=1024)
ED25519 = signing_key("e1", bits=0)
RECORD = RSA.dns_record()
P = RECORD.partition("p=")[2]
ED25519_P = ED25519.dns_record().partition("p=")[2]


def pkcs1() -> str:
    public = RSA.private.public_key()
    assert isinstance(public, RSAPublicKey)
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode()


def elliptic() -> str:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def record(text: str) -> DkimRecord:
    read = read_record(text)
    assert isinstance(read, DkimRecord), read
    return read


def flaws_of(text: str, key: SigningKey = RSA) -> list[tuple[Aspect, bool, str]]:
    return [(flaw.aspect, flaw.is_fatal, flaw.text) for flaw in judge([text], key, time.time())]


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
def test_what_we_publish_has_no_flaw(key: SigningKey) -> None:
    """Whatever the kind of key: our signer and dkimpy agree by it."""
    read = record(key.dns_record())
    assert (read.kind, read.bits) == (("rsa", 2048) if key.bits else ("ed25519", 0))
    assert judge([key.dns_record()], key, time.time()) == ()


def test_every_tag_is_read() -> None:
    """RFC 6376 section 3.6.1; unknown ones are ignored, and space in the key is none of it."""
    text = f"v=DKIM1; h=sha1:SHA256; k=rsa; n=note; p={P[:99]} \t{P[99:]}; s=email:x; t=y : s; q=?"
    assert record(text) == DkimRecord(
        "rsa", base64.b64decode(P), 2048, ("sha1", "sha256"), ("email", "x"), ("y", "s")
    )


def test_defaults_hold() -> None:
    """Only p= is required."""
    assert record(f"p={P}") == DkimRecord("rsa", base64.b64decode(P), 2048)
    assert not record(f"p={P}").is_revoked


def test_an_empty_key_is_revoked() -> None:
    """Section 3.6.1, of either kind."""
    assert record("v=DKIM1; p=").is_revoked
    assert record("v=DKIM1; k=ed25519; p= ").is_revoked


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
        ("; ".join((RECORD, "")) + ";", "is no list of tag=value: nothing stands before a semicolon"),
        ("hello", "is no list of tag=value: 'hello'"),
        (f"v=DKIM1;; p={P}", "is no list of tag=value"),
        (f"1v=DKIM1; p={P}", "is no list of tag=value"),
        (f"k=rsa; v=DKIM1; p={P}", "does not begin with v=DKIM1"),
        ("p=; v=DKIM1", "does not begin with v=DKIM1"),
        (f"v=DKIM2; p={P}", "does not begin with v=DKIM1"),
        ("v=DKIM2; p=", "does not begin with v=DKIM1"),
        (f"v=dkim1; p={P}", "does not begin with v=DKIM1"),
        (f'"v=DKIM1; k=rsa; p={P}"', "holds quotes or backslashes"),
        (f"v=DKIM1\\; k=rsa\\; p={P}", "holds quotes or backslashes"),
        (f'v=DKIM1; p={P[:200]}" "{P[200:]}', "holds quotes or backslashes"),
        (f"v=DKIM1; k=rsa; p={P}; p={P}", "has the tag p= twice"),
        ("v=DKIM1; p=; p=", "has the tag p= twice"),
        ("v=DKIM1; k=rsa", "p= is missing"),
        (f"v=DKIM1; P={P}", "p= is missing"),
        (f"v=DKIM1; k=dsa; p={P}", "of a kind nobody knows: k=dsa"),
        (f"v=DKIM1; k=RSA; p={P}", "of a kind nobody knows: k=RSA"),
        ("v=DKIM1; p=A", "holds in p= what is not base64"),
        (RECORD[:255], "holds in p= what is not base64: is it cut off at 255 characters?"),
        (RECORD[:254], "holds in p= no RSA key: is it cut off at 255 characters?"),
        ("v=DKIM1; p=AAAA", "holds in p= no RSA key"),
        pytest.param(
            f"v=DKIM1; k=rsa; p={ED25519_P}", "holds in p= no RSA key", id="another kind"
        ),  # the same in all processes
        (f"v=DKIM1; p={elliptic()}", "holds in p= a key that is not RSA"),
        (f"v=DKIM1; k=ed25519; p={P}", "holds in p= 294 octets, and an Ed25519 key has 32"),
        ("v=DKIM1; k=ed25519; p=?", "holds in p= what is not base64"),
        (f"v=DKIM1; n=Schlüssel; p={P}", "holds what is not printable ASCII"),
        (f"v=DKIM1; p={P}\0", "holds what is not printable ASCII"),
        ("v=DKIM1; p=é", "holds what is not printable ASCII"),
        (f"v=DKIM1; n={'x' * 9000}; p={P}", "is longer than 8192 characters"),
        (f"p={'A' * 20_000}", "is longer than 8192 characters"),
    ],
)
def test_records_that_receivers_cannot_use(text: str, said: str) -> None:
    """Each with a reason; nothing raises."""
    reason = read_record(text)
    assert isinstance(reason, str)
    assert said in reason
    assert len(reason) < 120
    assert flaws_of(text) == [(Aspect.RECORD, True, f"the record {reason}")]


@pytest.mark.parametrize(
    ("text", "is_fatal", "said"),
    [
        ("v=DKIM1; p=", True, "the key is revoked"),
        (f"v=DKIM1; h=sha1; p={P}", True, "h=sha1 forbids sha256: leave h= out"),
        (f"v=DKIM1; s=tlsrpt; p={P}", True, "s=tlsrpt is not for mail: leave s= out"),
        (f"v=DKIM1; s=tlsrpt:other; p={P}", True, "s=tlsrpt:other is not for mail"),
        (f"v=DKIM1; s=email:tlsrpt; p={P}", True, "s=email:tlsrpt is more than some receivers can read"),
        (f"v=DKIM1; t=s:Y; p={P}", False, "t=y says you are only testing"),
    ],
)
def test_flaws_of_a_record_that_can_be_read(text: str, is_fatal: bool, said: str) -> None:
    """RFC 6376 section 3.6.1. Fatal is what leaves a receiver without a valid signature."""
    ((aspect, fatal, words),) = flaws_of(text)
    assert (aspect, fatal, said in words) == (Aspect.RECORD, is_fatal, True), words


@pytest.mark.parametrize(
    ("key", "published", "said"),
    [
        (
            RSA,
            signing_key(which=1),
            "another key is published (RSA, 2048 bits) than we sign with (RSA, 2048 bits)",
        ),
        (RSA, WEAK, "another key is published (RSA, 1024 bits) than we sign with (RSA, 2048 bits)"),
        (RSA, ED25519, "another key is published (Ed25519) than we sign with (RSA, 2048 bits)"),
        (ED25519, RSA, "another key is published (RSA, 2048 bits) than we sign with (Ed25519)"),
        (ED25519, signing_key("e1", bits=0, which=1), "another key is published (Ed25519)"),
    ],
    ids=["another RSA key", "a smaller one", "another kind", "RSA for Ed25519", "another Ed25519 key"],
)
def test_another_key_is_told_apart(key: SigningKey, published: SigningKey, said: str) -> None:
    """By its value, not by how it is written; what else is wrong with it does not matter then."""
    ((aspect, fatal, words),) = flaws_of(published.dns_record(), key)
    assert (aspect, fatal, said in words) == (Aspect.KEY, True, True), words
    assert not is_fatal(compare(record(published.dns_record()), published))


def test_K_01_a_weak_key_is_a_warning() -> None:
    """Receivers must accept 1024 bits."""
    said = "RSA of 1024 bits is weak: make a key of 2048, under a new selector"
    assert flaws_of(WEAK.dns_record(), WEAK) == [(Aspect.BITS, False, said)]


def test_what_is_fatal_ends_it() -> None:
    """One cause, one flaw; a warning before it stays."""
    assert [flaw[:2] for flaw in flaws_of(f"v=DKIM1; t=y; {WEAK.dns_record().partition('; ')[2]}", WEAK)] == [
        (Aspect.RECORD, False),
        (Aspect.BITS, False),
    ]
    assert [flaw[:2] for flaw in flaws_of(f"v=DKIM1; t=y; p={P}", WEAK)] == [
        (Aspect.RECORD, False),
        (Aspect.KEY, True),
    ]
    assert [flaw[0] for flaw in flaws_of(f"v=DKIM1; s=tlsrpt; p={P}", WEAK)] == [Aspect.RECORD]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            [RECORD, "site-verification=1"],
            "2 TXT records are there, one of them good, and a receiver may pick any",
        ),
        (["v=DKIM1; p=", RECORD], "2 TXT records are there, one of them good"),
        ([RECORD, RECORD], "2 TXT records are there, one of them good"),
        (["v=DKIM1; p=", "x"], "2 TXT records are there, none of them good"),
        (["x"] * 20 + [RECORD], "21 TXT records are there, none of them good"),
        ([], "there is no record"),
    ],
    ids=["a stranger's", "a revoked one", "twice ours", "none good", "more than are read", "none"],
)
def test_there_must_be_one_record(texts: list[str], said: str) -> None:
    """RFC 6376 section 3.6.2.2 leaves to the receiver which one counts, and mail goes to all of them."""
    (flaw,) = judge(texts, RSA, time.time())
    assert (flaw.aspect, flaw.is_fatal) == (Aspect.RECORD, True)
    assert flaw.said.startswith(said)
    assert flaw.todo == ("leave only ours" if texts else "")


@pytest.mark.parametrize("ahead_s", [86_400, -30 * 86_400])
@pytest.mark.parametrize("key", [RSA, ED25519])
def test_a_signature_that_does_not_hold_is_told(key: SigningKey, ahead_s: float) -> None:
    """K-11: an independent verifier has the last word; here it finds one from the future, or one that has ended."""
    (flaw,) = judge([key.dns_record()], key, time.time() + ahead_s)
    assert (flaw.aspect, flaw.is_fatal, "does not hold" in flaw.said) == (Aspect.SIGNATURE, True, True)


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
    read = read_record(text)
    if isinstance(read, str):
        assert 0 < len(read) < 120
        return
    if not is_fatal(compare(read, RSA)):
        pk, bits, kind, _ = dkim.evaluate_pk("x", text.encode())
        assert pk is not None
        assert (bits, kind) == (2048, b"rsa")


@pytest.mark.parametrize("text", ["", "é", "v=DKIM1; k=rsa; p=AAAA", "v=DKIM1; k=ed25519; p=AAAA", "p"])
@pytest.mark.parametrize("key", [RSA, ED25519])
def test_no_record_makes_the_verifier_raise(text: str, key: SigningKey) -> None:
    """It is only asked about good ones."""
    assert is_fatal(judge([text], key, time.time()))
