"""Certificates for scripted servers, by an authority that the process under test trusts."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from mta.https import verifying
from mta.smtp import tls
from tests.fakes.keys import pem


@contextmanager
def trusted(ca: trustme.CA, directory: Path) -> Iterator[Path]:
    """Within it OpenSSL's default roots in this process are `ca` alone; the PEM file, for $SSL_CERT_FILE of others."""
    roots = directory / "roots.pem"
    ca.cert_pem.write_to_path(str(roots))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(roots))
        patch.delenv("SSL_CERT_DIR", raising=False)
        tls.verified.cache_clear()
        yield roots
    tls.verified.cache_clear()


@contextmanager
def trusted_server(directory: Path, *names: str) -> Iterator[ssl.SSLContext]:
    """What a server for `names` serves by, of an authority that is trusted within."""
    ca = trustme.CA()
    with trusted(ca, directory):
        yield server(ca, *names)


def server(ca: trustme.CA, *names: str, expired: bool = False, not_yet: bool = False) -> ssl.SSLContext:
    """What a server with a certificate for `names` serves by."""
    now = datetime.now(UTC)
    begins = now + timedelta(days=1) if not_yet else now - timedelta(days=30)
    ends = now - timedelta(days=1) if expired else now + timedelta(days=30)
    return presenting(ca.issue_cert(*names, not_before=begins, not_after=ends))


def presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """What a server with this certificate serves by."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def of_nobody(name: str = "mx.test") -> ssl.SSLContext:
    """By an authority that nobody knows."""
    return server(trustme.CA(), name)


def unreadable(ca: trustme.CA, name: str) -> ssl.SSLContext:
    """What a server for `name` serves by whose certificate has, beside that name, one of octets that are no text."""
    names = b"".join(b"\x82" + bytes((len(one),)) + one for one in (name.encode(), b"\xff\xfe"))
    alternatives = x509.UnrecognizedExtension(
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30" + bytes((len(names),)) + names
    )
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer.subject, x509.Name(()), key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternatives, critical=True)
        .sign(serialization.load_pem_private_key(ca.private_key_pem.bytes(), None), hashes.SHA256())  # type: ignore[arg-type]
    )
    return _presenting(certificate, key)


def self_signed(name: str) -> ssl.SSLContext:
    """By nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    owner = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = x509.CertificateBuilder(owner, owner, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return _presenting(built.sign(key, hashes.SHA256()), key)


def with_digest(ca: trustme.CA, *names: str) -> tuple[ssl.SSLContext, bytes]:
    """A server, and the SHA-256 of its key as TLSA records give it."""
    leaf = ca.issue_cert(*names)
    key = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return presenting(leaf), sha256(spki).digest()


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """What a client of ours asks by, if it is to believe this authority as well."""
    context = verifying()
    ca.configure_trust(context)
    return context


def _presenting(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    return presenting(trustme.LeafCert(pem(key), certificate.public_bytes(serialization.Encoding.PEM), []))
