"""Certificates against TLSA records: T-07, and hostile octets."""

import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256, sha512
from typing import NamedTuple

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.tls import Tlsa
from mta.smtp.dane import fault, shows_chain

NOW = datetime(2030, 6, 1, tzinfo=UTC)
NAME = "mx.acme.test"
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


class Made(NamedTuple):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Wish(NamedTuple):
    """What is out of the ordinary about a certificate to make."""

    days: tuple[int, int] = (-10, 10)
    names: tuple[str, ...] = (NAME,)
    common_name: str = ""
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    pss: bool = False


PLAIN = Wish()


def make(subject: str, issuer: Made | None = None, wish: Wish = PLAIN, key: Key | None = None) -> Made:
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else key
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wish.common_name or subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=wish.days[0]))
        .not_valid_after(NOW + timedelta(days=wish.days[1]))
    )
    for extension, critical in wish.extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if wish.pss else None
    return Made(builder.sign(signer, digest, rsa_padding=scheme), key)


def authority(
    subject: str,
    issuer: Made | None = None,
    *,
    path_length: int | None = None,
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    days: tuple[int, int] = (-10, 10),
    key: Key | None = None,
) -> Made:
    limits = (x509.BasicConstraints(True, path_length), True)
    return make(subject, issuer, Wish(days=days, extensions=(limits, *extra)), key)


def end(issuer: Made | None, wish: Wish = PLAIN) -> Made:
    """A server's certificate; DNS names as wished, in the alternative names."""
    if wish.names:
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in wish.names])
        wish = wish._replace(extensions=((names, False), *wish.extensions))
    return make("server", issuer, wish)


def usage(**allowed: bool) -> x509.KeyUsage:
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
        "key_cert_sign crl_sign encipher_only decipher_only"
    )
    return x509.KeyUsage(**{**dict.fromkeys(every.split(), False), **allowed})


def tlsa(made: Made, kind: str) -> Tlsa:
    """The record of `kind`, as in "3 1 1", that is true of a certificate."""
    usage_, selector, matching = map(int, kind.split())
    data = made.spki if selector else made.der
    return Tlsa(usage_, selector, matching, (data, sha256(data).digest(), sha512(data).digest())[matching])


def judged(records: Sequence[Tlsa], *chain: Made, names: Sequence[str] = (NAME,)) -> str:
    return fault(records, [made.der for made in chain], names, NOW)


@cache
def family() -> tuple[Made, Made, Made]:
    """A leaf, the one that signed it, and the root."""
    root = authority("root")
    middle = authority("middle", root, path_length=0, extra=((usage(key_cert_sign=True), True),))
    return end(middle), middle, root


KINDS = [f"{selector} {matching}" for selector in (0, 1) for matching in (0, 1, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_entity_record(kind: str) -> None:
    """T-07: usage 3 matches the peer's own certificate or its key, whole or by digest; no other in the chain."""
    leaf, middle, root = family()
    assert judged([tlsa(leaf, f"3 {kind}")], leaf) == ""
    assert judged([tlsa(leaf, f"3 {kind}")], leaf, middle, root) == ""
    assert "none that the TLSA records name" in judged([tlsa(middle, f"3 {kind}")], leaf, middle, root)
    assert judged([tlsa(middle, f"3 {kind}"), tlsa(leaf, f"3 {kind}")], leaf) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_trust_anchor_record(kind: str) -> None:
    """T-07: usage 2 matches any certificate above the peer's that the chain leads to."""
    leaf, middle, root = family()
    assert judged([tlsa(root, f"2 {kind}")], leaf, middle, root) == ""
    assert judged([tlsa(middle, f"2 {kind}")], leaf, middle) == ""
    assert judged([tlsa(middle, f"2 {kind}")], leaf, middle, root) == ""
    other = authority("root")
    assert "leads to no trust anchor" in judged([tlsa(other, f"2 {kind}")], leaf, middle, root)


@pytest.mark.parametrize("selector", [0, 1])
def test_an_anchor_that_only_the_record_holds(selector: int) -> None:
    """RFC 7671 section 5.2.1: a certificate or key given in full need not be sent by the peer, a digest needs it."""
    leaf, middle, root = family()
    assert judged([tlsa(root, f"2 {selector} 0")], leaf, middle) == ""
    assert judged([tlsa(middle, f"2 {selector} 0")], leaf) == ""
    assert "leads to no" in judged([tlsa(root, f"2 {selector} 0")], leaf)
    assert "leads to no" in judged([tlsa(root, f"2 {selector} 1")], leaf, middle)
    assert "leads to no" in judged([tlsa(authority("root"), f"2 {selector} 0")], leaf, middle)


@pytest.mark.parametrize("kind", ["0 1 1", "1 1 1", "0 0 0", "1 0 1"])
def test_usages_for_the_web_satisfy_nothing(kind: str) -> None:
    """T-07: records of usage 0 and 1 name no certificate, however well they match."""
    leaf, middle, root = family()
    assert judged([tlsa(leaf, kind), tlsa(root, kind)], leaf, middle, root) != ""


@pytest.mark.parametrize(
    "wish",
    [
        Wish(days=(-10, -5)),
        Wish(days=(5, 10)),
        Wish(names=("other.test",)),
        Wish(extensions=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),)),
    ],
)
def test_an_end_entity_is_not_judged(wish: Wish) -> None:
    """RFC 7672 section 3.1.1: dates, names and extensions mean nothing to usage 3; usage 2 refuses each of them."""
    root = authority("root")
    leaf = end(root, wish)
    assert judged([tlsa(leaf, "3 1 1")], leaf, root) == ""
    assert judged([tlsa(leaf, "3 0 1")], leaf, root) == ""
    assert judged([tlsa(root, "2 0 1")], leaf, root) != ""
    assert judged([tlsa(root, "2 1 0")], leaf, root) != ""


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(days=(-10, -5)), "the certificate has expired"),
        (Wish(days=(5, 10)), "the certificate is not valid yet"),
        (Wish(names=("other.test",)), "is for none of mx.acme.test"),
        (
            Wish(extensions=((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False),)),
            "not for servers",
        ),
        (
            Wish(extensions=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),)),
            "critical extension that is not understood: 1.2.3",
        ),
    ],
)
def test_a_leaf_below_an_anchor_is_judged(wish: Wish, said: str) -> None:
    """T-07: dates, name, purpose and critical extensions of the peer's certificate, each with its reason."""
    root = authority("root")
    assert said in judged([tlsa(root, "2 0 1")], end(root, wish), root)


def test_what_does_no_harm_in_a_leaf() -> None:
    """Purposes that include servers, and unknown extensions that are not critical."""
    root = authority("root")
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0")
    leaf = end(root, Wish(extensions=((purposes, True), (unknown, False))))
    assert judged([tlsa(root, "2 0 1")], leaf, root) == ""


@pytest.mark.parametrize(
    ("patterns", "names", "matches"),
    [
        (("MX.Acme.Test",), (NAME,), True),
        ((NAME,), ("other.test", "MX.acme.test"), True),
        (("*.acme.test",), (NAME,), True),
        (("*.test",), ("acme.test",), False),
        (("*.acme.test",), ("acme.test",), False),
        (("*.acme.test",), ("a.mx.acme.test",), False),
        (("*",), (NAME,), False),
        (("m*.acme.test",), (NAME,), False),
        (("mx.*.test",), (NAME,), False),
        (("mx.acme.test\0.evil.test",), (NAME,), False),
        (("evil.test",), (NAME,), False),
    ],
)
def test_names_below_an_anchor(patterns: tuple[str, ...], names: tuple[str, ...], matches: bool) -> None:
    """RFC 7672 section 3.2.3: any DNS name of the certificate, a wildcard only for the whole left-most label."""
    root = authority("root")
    leaf = end(root, Wish(names=patterns, common_name=NAME))
    assert (judged([tlsa(root, "2 0 1")], leaf, root, names=names) == "") is matches


def test_the_common_name_counts_where_there_is_no_other() -> None:
    """RFC 7672 section 3.2.3: without DNS names the common name is looked at; with one it is not."""
    root = authority("root")
    address = x509.SubjectAlternativeName([x509.RFC822Name("a@acme.test")])
    for wish in (Wish(names=()), Wish(names=(), extensions=((address, False),))):
        assert judged([tlsa(root, "2 0 1")], end(root, wish._replace(common_name=NAME)), root) == ""
        assert "none of" in judged(
            [tlsa(root, "2 0 1")], end(root, wish._replace(common_name="a.test")), root
        )


@pytest.mark.parametrize(
    ("issuer", "said"),
    [
        (lambda root: make("middle", root), "no certificate authority"),
        (
            lambda root: make("middle", root, Wish(extensions=((x509.BasicConstraints(False, None), True),))),
            "no cert",
        ),
        (lambda root: authority("middle", root, days=(-10, -5)), "an issuer has expired"),
        (lambda root: authority("middle", root, days=(5, 10)), "an issuer is not valid yet"),
        (
            lambda root: authority("middle", root, extra=((usage(crl_sign=True), True),)),
            "may not sign certificates",
        ),
        (
            lambda root: authority(
                "middle", root, extra=((x509.NameConstraints([x509.DNSName("a.test")], None), True),)
            ),
            "critical extension",
        ),
        (
            lambda root: make(
                "middle",
                root,
                Wish(extensions=((x509.UnrecognizedExtension(x509.OID_BASIC_CONSTRAINTS, b"\5"), True),)),
            ),
            "an issuer cannot be read",
        ),
    ],
)
def test_an_issuer_that_may_not_sign(issuer: Callable[[Made], Made], said: str) -> None:
    """T-07: a certificate on the way must be an authority, valid now, and hold nothing critical that is not understood;
    also when a record names it."""
    root = authority("root")
    middle = issuer(root)
    leaf = end(middle)
    for anchor in (root, middle):
        assert said in judged([tlsa(anchor, "2 0 1")], leaf, middle, root)


def test_the_path_length() -> None:
    """RFC 5280 section 4.2.1.9: an authority says how many others may lie below it."""
    for length, is_long_enough in ((None, True), (1, True), (0, False)):
        root = authority("root", path_length=length)
        middle = authority("middle", root)
        said = judged([tlsa(root, "2 0 1")], end(middle), middle, root)
        assert said == "" if is_long_enough else "that many below it" in said


def test_a_certificate_that_was_not_signed_by_the_next() -> None:
    """A record's certificate in the chain proves nothing if it did not sign: the peer can send what it likes."""
    _, middle, root = family()
    forged = end(make("middle", root))
    assert "leads to no" in judged([tlsa(root, "2 0 1"), tlsa(middle, "2 1 1")], forged, middle, root)


def test_the_leaf_is_no_anchor() -> None:
    """Usage 2 names something above the peer's certificate."""
    leaf, middle, root = family()
    assert "leads to no" in judged([tlsa(leaf, "2 0 1"), tlsa(leaf, "2 1 1")], leaf, middle, root)


def test_a_chain_in_any_order() -> None:
    """RFC 8446 section 4.4.2: order, repeats and strangers in the chain do not matter, only the first does."""
    leaf, middle, root = family()
    stranger = authority("stranger")
    assert judged([tlsa(root, "2 1 1")], leaf, root, stranger, leaf, middle, middle) == ""


def test_two_ways_up() -> None:
    """An authority signed by two roots leads to each, whichever way is sent first."""
    one, two = authority("one"), authority("two")
    by_one = authority("middle", one)
    by_two = authority("middle", two, key=by_one.key)
    leaf = end(by_one)
    for chain in ((by_one, one, by_two, two), (by_two, two, by_one, one)):
        assert judged([tlsa(one, "2 0 1")], leaf, *chain) == ""
        assert judged([tlsa(two, "2 0 1")], leaf, *chain) == ""


def test_keys_of_each_kind() -> None:
    """RSA with both paddings, and Ed25519, sign chains too; a bare key that did not sign leads nowhere."""
    large = rsa.generate_private_key(65537, 2048)
    others = [authority("root", key=rsa.generate_private_key(65537, 2048)), family()[2]]
    others.append(authority("root", key=ed25519.Ed25519PrivateKey.generate()))
    for key, wish in (
        (large, Wish()),
        (large, Wish(pss=True)),
        (ed25519.Ed25519PrivateKey.generate(), Wish()),
    ):
        root = authority("root", key=key)
        leaf = end(root, wish)
        assert judged([tlsa(root, "2 0 1")], leaf, root) == ""
        assert judged([tlsa(root, "2 1 0")], leaf) == ""
        assert judged([tlsa(leaf, "3 1 1")], leaf) == ""
        for other in others:
            assert "leads to no" in judged([tlsa(other, "2 1 0")], leaf)


def test_trustme() -> None:
    """An authority made by somebody else's code, checked today."""
    root = trustme.CA()
    pair = root.issue_cert(NAME)
    chain = [
        x509.load_pem_x509_certificate(pem.bytes()).public_bytes(Encoding.DER)
        for pem in (*pair.cert_chain_pems, root.cert_pem)
    ]
    anchor = Tlsa(2, 0, 1, sha256(chain[-1]).digest())
    assert fault([anchor], chain, (NAME,), datetime.now(UTC)) == ""
    assert fault([anchor], chain, ("a.test",), datetime.now(UTC)) != ""


def test_a_hash_that_collides_is_not_believed() -> None:
    """A signature over SHA-1 leads nowhere: its maker need not be the authority."""
    root = authority("root", key=rsa.generate_private_key(65537, 2048))
    leaf = end(root)
    weak = weakened(leaf, root)
    assert judged([tlsa(root, "2 0 1")], leaf, root) == ""
    assert "leads to no" in fault([tlsa(root, "2 0 1")], [weak, root.der], (NAME,), NOW)
    assert "leads to no" in fault([tlsa(root, "2 1 0")], [weak], (NAME,), NOW)


def weakened(leaf: Made, root: Made) -> bytes:
    """The same certificate, signed over SHA-1: cryptography does not make such any more."""
    strong, weak = (bytes.fromhex(f"06092a864886f70d0101{end}") for end in ("0b", "05"))
    signed = leaf.certificate.tbs_certificate_bytes.replace(strong, weak)
    assert isinstance(root.key, rsa.RSAPrivateKey)
    signature = root.key.sign(signed, padding.PKCS1v15(), hashes.SHA1())
    return (
        leaf.der.replace(leaf.certificate.tbs_certificate_bytes, signed)
        .replace(strong, weak)
        .replace(leaf.certificate.signature, signature)
    )


def test_no_certificate() -> None:
    """A peer that shows none satisfies nothing."""
    assert fault([tlsa(family()[0], "3 1 1")], [], (NAME,), NOW) != ""
    assert fault([], [family()[0].der], (NAME,), NOW) != ""


def test_only_the_first_of_a_long_chain_are_looked_at() -> None:
    """A peer cannot make us verify without end: the eleventh certificate is not read."""
    leaf, middle, root = family()
    strangers = [authority(f"s{number}") for number in range(8)]
    assert judged([tlsa(root, "2 0 1")], leaf, *strangers[:7], middle, root) == ""
    assert "leads to no" in judged([tlsa(root, "2 0 1")], leaf, *strangers, middle, root)


def test_an_unreadable_certificate_beside_the_way() -> None:
    """Rubbish in the chain or in another record is passed over."""
    leaf, middle, root = family()
    chain = [leaf.der, b"\x30\x03\2\1\0", b"", middle.der, root.der]
    records = [Tlsa(2, 0, 0, b"\x30\0"), Tlsa(2, 1, 0, b"\x30\0"), tlsa(root, "2 0 1")]
    assert fault(records, chain, (NAME,), NOW) == ""


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=5),
    st.integers(0, 2),
    st.integers(0, 2000),
)
def test_a_spoilt_certificate_is_a_reason(edits: list[tuple[int, bytes]], which: int, length: int) -> None:
    """Hostile octets anywhere in the chain or in records give an answer, and a spoilt one never matches by its
    digest."""
    chain = [made.der for made in family()]
    spoilt = bytearray(chain[which])
    for at, octets in edits:
        at %= len(spoilt)
        spoilt[at : at + len(octets)] = octets
    sound, chain[which] = chain[which], bytes(spoilt[: length or None])
    leaf, middle, root = family()
    anchors = [tlsa(root, "2 1 1"), Tlsa(2, 0, 0, chain[which]), Tlsa(2, 1, 0, chain[which])]
    for records in ([tlsa(leaf, "3 0 1")], [tlsa(leaf, "3 1 1")], anchors, [tlsa(middle, "2 0 1")]):
        said = fault(records, chain, (NAME,), NOW)
        assert said == "" or said.strip()
    if which == 0 and chain[0] != sound:
        assert fault([tlsa(leaf, "3 0 1")], chain, (NAME,), NOW) != ""


def element(tag: int, content: bytes) -> bytes:
    """DER; up to 127 octets."""
    return bytes((tag, len(content))) + content


SEQUENCE = 0x30
BEFORE_KEY = element(2, b"\1") + 4 * element(SEQUENCE, b"")
KEY = element(SEQUENCE, b"key")


@pytest.mark.parametrize(
    ("der", "is_found"),
    [
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY + KEY)), True),
        (element(SEQUENCE, element(SEQUENCE, element(0xA0, b"\2\1\2") + BEFORE_KEY + KEY)), True),
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY + KEY + element(0xA3, b""))), True),
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY[:-2] + b"\x30\x80" + KEY)), False),
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY[:-2] + b"\x30\x81\0" + KEY)), False),
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY[:-2] + b"\x30\x85\0\0\0\0\0" + KEY)), False),
        (b"\x30\x84\0\0\0\x82" + element(SEQUENCE, BEFORE_KEY + KEY) + bytes(130), True),
        (b"\x30\x80" + element(SEQUENCE, BEFORE_KEY + KEY) + b"\0\0", False),
        (element(0x31, element(SEQUENCE, BEFORE_KEY + KEY)), False),
        (element(SEQUENCE, element(0x31, BEFORE_KEY + KEY)), False),
        (element(SEQUENCE, element(SEQUENCE, 5 * element(SEQUENCE, b"") + KEY)), False),
        (element(SEQUENCE, element(SEQUENCE, element(2, b"\1") + BEFORE_KEY + KEY)), False),
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY)), False),
        (element(SEQUENCE, element(SEQUENCE, BEFORE_KEY + KEY[:-1])), False),
    ],
)
def test_the_key_is_only_where_it_belongs(der: bytes, is_found: bool) -> None:
    """RFC 5280 section 4.1: what TLS takes for the peer's key and what a record is compared with must be the same."""
    records = [Tlsa(3, 1, 0, data) for data in (KEY, KEY[:-1], element(SEQUENCE, b""))]
    assert (fault(records, [der], (NAME,), NOW) == "") is is_found


@given(st.binary(max_size=200), st.integers(0, 3), st.integers(0, 2), st.integers(0, 3))
def test_noise_satisfies_nothing(noise: bytes, usage_: int, selector: int, matching: int) -> None:
    """What is no certificate matches by no digest and by no key."""
    records = [Tlsa(usage_, selector, matching, sha256(b"").digest()), Tlsa(usage_, 1, 0, b"")]
    assert fault(records, [noise, noise], (NAME,), NOW) != ""


def test_the_chain_is_there_since_python_3_13() -> None:
    """T-09: the answer agrees with what `ssl` has."""
    assert shows_chain() is hasattr(ssl.SSLObject, "get_unverified_chain")
