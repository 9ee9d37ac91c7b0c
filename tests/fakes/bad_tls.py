"""What a server may do with STARTTLS that no client of today should go along with."""

import ssl
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.smtp_server import Cut, On, Step, ToHello
from tests.fakes.trust import server

_NO_HELLO = b"this is no handshake\r\n" * 20
_ALERT = b"\x15\x03\x03\x00\x02\x02\x28"  # fatal, handshake_failure
# 512 bits, a safe prime made for this test alone.
_SHORT_PRIME = bytes.fromhex(
    "ae4fd95767b63f29d1e5781cd467ffda90c37edec5ae6cf1435dad495dd85de3"
    "bf403636263ddfcdabece9b1b4070b3153ee658c01c2637f09286185eab6c7bf"
)


@dataclass(frozen=True)
class BadTls:
    """A script for a FakeMX, with the context that it serves by; `said` is in what the client tells of it."""

    steps: Sequence[Step] = ()
    phase: str = "handshake"
    context: ssl.SSLContext | None = None
    said: str = ""

    @property
    def rules(self) -> list[On]:
        return [On(self.phase, self.steps)] if self.steps else []


@cache
def bad_tls(ca: trustme.CA, *names: str) -> dict[str, BadTls]:
    """By what is wrong. Their certificates are good, by `ca` and for `names`."""
    return {
        "refused": BadTls([b"454 4.7.0 not now\r\n"], "starttls", said="454"),
        "closed": BadTls([Cut.CLOSE]),
        "reset": BadTls([Cut.RESET]),
        "stalled": BadTls([Cut.SILENCE]),
        "garbage": BadTls([ToHello(lambda _: _NO_HELLO), Cut.CLOSE]),
        "alert": BadTls([ToHello(lambda _: _ALERT), Cut.CLOSE], said="alert handshake failure"),
        "TLS 1.0": BadTls(context=careless(ca, *names, newest=ssl.TLSVersion.TLSv1)),
        "TLS 1.1": BadTls(context=careless(ca, *names, newest=ssl.TLSVersion.TLSv1_1)),
        "no encryption": BadTls(context=careless(ca, *names, ciphers="eNULL")),
        "nobody": BadTls(context=careless(ca, *names, ciphers="aNULL:!eNULL")),
        "512-bit DH": BadTls([ToHello(_short_key(ca, *names)), Cut.SILENCE], said="dh key too small"),
    }


def careless(
    ca: trustme.CA,
    *names: str,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    ciphers: str = "ALL",
) -> ssl.SSLContext:
    """Nothing newer than this, and only these, however weak. What OpenSSL has no more, RC4 among it, cannot be had."""
    context = server(ca, *names)
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    context.options &= ~(ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = newest
    return context


def careless_client() -> ssl.SSLContext:
    """One that takes what `careless` gives."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:eNULL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def _short_key(ca: trustme.CA, *names: str) -> Callable[[bytes], bytes]:
    """Answers any hello by TLS 1.2 with DHE-RSA-AES128-GCM-SHA256 over 512 bits; no OpenSSL does that any more. Its
    signature is none: it would be looked at last."""
    leaf = ca.issue_cert(*names, key_type=trustme.KeyType.RSA)
    chain = [x509.load_pem_x509_certificate(pem.bytes()) for pem in leaf.cert_chain_pems]
    certificates = b"".join(_sized(one.public_bytes(Encoding.DER), 3) for one in chain)
    renegotiation = b"\xff\x01\x00\x01\x00"  # RFC 5746: without it nobody goes on
    hello = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\x00\x9e" + b"\x00" + _sized(renegotiation, 2)
    numbers = (_SHORT_PRIME, b"\x02", (2).to_bytes(64, "big"))
    key = b"".join(_sized(one, 2) for one in numbers) + b"\x08\x04" + _sized(bytes(256), 2)
    messages = ((2, hello), (11, _sized(certificates, 3)), (12, key), (14, b""))
    flight = b"".join(
        b"\x16\x03\x03" + _sized(bytes((kind,)) + _sized(body, 3), 2) for kind, body in messages
    )
    return lambda _: flight


def _sized(octets: bytes, width: int) -> bytes:
    return len(octets).to_bytes(width, "big") + octets
