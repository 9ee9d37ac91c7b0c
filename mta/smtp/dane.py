"""Whether a peer's certificate is one that TLSA records name (RFC 6698, 7671, 7672; T-07).

Certificates are a stranger's octets: whatever they hold, the answer is a reason and never an exception. DANE-EE
compares octets and parses nothing but the way to the key, so that no date, name or odd extension matters (RFC 7672
section 3.1.1). DANE-TA looks for a way from the leaf to what a record names, over certificates that may sign, each
valid now. Extensions marked critical that are not understood, name constraints among them, end a way.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256, sha512

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from mta.model.tls import Tlsa

_MOST_CERTIFICATES = 10  # of a chain; four are many
_MOST_GIVEN = 4  # certificates and keys given in full by records; one is rare
_LONGEST_REASON = 200
_ANCHOR, _END_ENTITY = 2, 3
_WHOLE, _KEY = 0, 1
_FULL = 0
_WEAK = ("md5", "sha1")
_SERVING = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})
_UNDERSTOOD = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
_SEQUENCE, _VERSION = 0x30, 0xA0  # tags of DER
_TO_KEY = bytes((0x02, *(5 * [_SEQUENCE])))  # serial number, signature, issuer, validity, subject, key


def shows_chain() -> bool:
    """Whether `ssl.SSLObject` has `get_unverified_chain` (T-09); without it DANE-TA records cannot be used."""
    return sys.version_info >= (3, 13)


def fault(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> str:
    """Why the peer that shows `chain` (DER, its own certificate first) satisfies none of `records`; "" if it does.
    `names` are those that a certificate below a trust anchor may be for: the TLSA base, and the domain that the mail is
    for (RFC 7672 section 3.2.2). `now` is aware of its zone."""
    if not chain:
        return "the peer showed no certificate"
    if any(_matches(record, chain[0]) for record in records if record.usage == _END_ENTITY):
        return ""
    anchors = [record for record in records if record.usage == _ANCHOR]
    if not anchors:
        return "the certificate is none that the TLSA records name"
    try:
        return _way_fault(anchors, chain[:_MOST_CERTIFICATES], names, now)
    except Exception as error:  # see below
        return f"the certificate cannot be read: {error}"[:_LONGEST_REASON]


def _is_for(leaf: x509.Certificate, names: Sequence[str]) -> bool:
    """Whether the certificate names one of `names`: by DNS names among its alternative names, or where it has none by
    its common name; `*` stands for one whole left-most label (RFC 7672 section 3.2.3, RFC 6125 section 6.4)."""
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        patterns = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        patterns = []
    if not patterns:
        patterns = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return any(_covers(pattern.lower(), name.lower()) for pattern in patterns for name in names)


def _covers(pattern: str, name: str) -> bool:
    if not pattern.startswith("*."):
        return pattern == name
    label, _, rest = name.partition(".")
    return bool(label) and "." in rest and pattern == f"*.{rest}"


def _matches(record: Tlsa, der: bytes) -> bool:
    """RFC 6698 section 2.1. What is not built like a certificate has no key to match."""
    selected = der if record.selector == _WHOLE else _key(der)
    if not selected:
        return False
    if record.matching == _FULL:
        return selected == record.data
    digest = sha256 if record.matching == 1 else sha512
    return digest(selected).digest() == record.data


def _key(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo as it stands in the certificate; empty if it is not where RFC 5280 puts it. Not what
    cryptography makes of the key: that differs for keys bound to RSASSA-PSS, and fails for kinds it does not know."""
    certificate = next(_elements(der), None)
    if certificate is None or certificate[0] != _SEQUENCE:
        return b""
    signed = next(_elements(certificate[2]), None)
    if signed is None or signed[0] != _SEQUENCE:
        return b""
    fields = list(_elements(signed[2]))
    if fields and fields[0][0] == _VERSION:
        fields = fields[1:]
    fields = fields[: len(_TO_KEY)]
    return fields[-1][1] if bytes(tag for tag, _, _ in fields) == _TO_KEY else b""


def _elements(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(tag, the element, its content) of each in a row; ends where it is no longer DER."""
    at = 0
    while at + 2 <= len(der):
        size, start = der[at + 1], at + 2
        if size >= 0x80:
            start += size & 0x7F
            size = int.from_bytes(der[at + 2 : min(start, at + 6)], "big")
            if start > at + 6 or size < 0x80:
                return
        end = start + size
        if end > len(der):
            return
        yield der[at], der[at:end], der[start:end]
        at = end


def _way_fault(anchors: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> str:
    leaf = x509.load_der_x509_certificate(chain[0])
    reason = _leaf_fault(leaf, names, now)
    if reason:
        return f"the certificate {reason}"
    given, keys = (
        [record.data for record in anchors if (record.selector, record.matching) == (selector, _FULL)]
        for selector in (_WHOLE, _KEY)
    )
    left = dict.fromkeys((*chain[1:], *given[:_MOST_GIVEN]))
    reached = [leaf]
    reasons = ["the certificate leads to no trust anchor that the TLSA records name"]
    # By distance from the leaf: the shortest way to a certificate is the one its path length has to allow.
    for between in range(len(left) + 1):
        if any(_signed_with(key, certificate) for key in keys[:_MOST_GIVEN] for certificate in reached):
            return ""
        issuers = [(der, issuer) for der in left if (issuer := _issuer_of(reached, der)) is not None]
        reached = []
        for der, issuer in issuers:
            del left[der]
            reason = _issuer_fault(issuer, between, now)
            if reason:
                reasons.append(f"an issuer {reason}")
            elif any(_matches(record, der) for record in anchors):
                return ""
            else:
                reached.append(issuer)
        if not reached:
            break
    return "; ".join(reasons)


def _leaf_fault(leaf: x509.Certificate, names: Sequence[str], now: datetime) -> str:
    reason = _state_fault(leaf, now)
    if reason:
        return reason
    if not _is_for(leaf, names):
        return f"is for none of {', '.join(names)}"
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if not _SERVING.isdisjoint(purposes) else "is not for servers"


def _state_fault(certificate: x509.Certificate, now: datetime) -> str:
    if now < certificate.not_valid_before_utc:
        return "is not valid yet"
    if now > certificate.not_valid_after_utc:
        return "has expired"
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _UNDERSTOOD:
            return f"has a critical extension that is not understood: {extension.oid.dotted_string}"
    return ""


def _issuer_of(certificates: Sequence[x509.Certificate], der: bytes) -> x509.Certificate | None:
    """The certificate in `der` if it signed one of `certificates`."""
    try:
        issuer = x509.load_der_x509_certificate(der)
    except Exception:  # cryptography documents few of those that a certificate can make it raise
        return None
    return issuer if any(_has_signed(issuer, certificate) for certificate in certificates) else None


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        if issuer.subject != certificate.issuer or _is_weak(certificate):
            return False
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # not only InvalidSignature: a key of another kind, or of none that is known
        return False
    return True


def _issuer_fault(issuer: x509.Certificate, between: int, now: datetime) -> str:
    """`between` certificates lie between it and the leaf (RFC 5280 section 4.2.1.9)."""
    try:
        reason = _state_fault(issuer, now)
        extensions = {extension.oid: extension.value for extension in issuer.extensions}
    except Exception as error:  # as above
        return f"cannot be read: {error}"[:_LONGEST_REASON]
    if reason:
        return reason
    limits = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
    if not isinstance(limits, x509.BasicConstraints) or not limits.ca:
        return "is no certificate authority"
    if limits.path_length is not None and between > limits.path_length:
        return "may not have that many below it"
    usage = extensions.get(ExtensionOID.KEY_USAGE)
    if isinstance(usage, x509.KeyUsage) and not usage.key_cert_sign:
        return "may not sign certificates"
    return ""


def _signed_with(key: bytes, certificate: x509.Certificate) -> bool:
    """Whether a key that a record gives in full, and no certificate may come with, signed it (RFC 7671 section
    5.2.1)."""
    try:
        if _is_weak(certificate):
            return False
        signature, signed = certificate.signature, certificate.tbs_certificate_bytes
        public = load_der_public_key(key)
        how = certificate.signature_algorithm_parameters
        hashed = certificate.signature_hash_algorithm
        match public:
            case rsa.RSAPublicKey() if isinstance(how, padding.PKCS1v15 | padding.PSS) and hashed is not None:
                public.verify(signature, signed, how, hashed)
            case ec.EllipticCurvePublicKey() if isinstance(how, ec.ECDSA):
                public.verify(signature, signed, how)
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() if how is None:
                public.verify(signature, signed)
            case _:
                return False
    except Exception:  # as above
        return False
    return True


def _is_weak(certificate: x509.Certificate) -> bool:
    """Signed over a hash that can be made to collide."""
    hashed = certificate.signature_hash_algorithm
    return hashed is not None and hashed.name in _WEAK
