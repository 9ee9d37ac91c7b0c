"""TLS contexts for the sending side, and what a handshake failed of."""

import ssl
from asyncio import BaseTransport
from functools import cache

from mta.model.tls import TlsFailure

# OpenSSL's verification results (x509_vfy.h) as RFC 8460 section 4.3 tells them apart.
_VERIFY_CODES = {
    9: TlsFailure.CERTIFICATE_EXPIRED,  # not yet valid: as much outside its dates
    10: TlsFailure.CERTIFICATE_EXPIRED,
    18: TlsFailure.CERTIFICATE_NOT_TRUSTED,  # self-signed
    19: TlsFailure.CERTIFICATE_NOT_TRUSTED,  # self-signed in the chain
    20: TlsFailure.CERTIFICATE_NOT_TRUSTED,  # no issuer at hand
    21: TlsFailure.CERTIFICATE_NOT_TRUSTED,
    62: TlsFailure.CERTIFICATE_HOST_MISMATCH,
    64: TlsFailure.CERTIFICATE_HOST_MISMATCH,
}


@cache
def opportunistic() -> ssl.SSLContext:
    """TLS 1.2 or later, the peer's certificate unverified (T-02; RFC 8996 bans what is older).

    Whoever can only fall back to clear text gains nothing from refusing a certificate (RFC 7435), and DANE has a
    check of its own. Made once: a context costs more than a handshake's Python part, and sharing it is what it is for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@cache
def verified() -> ssl.SSLContext:
    """A chain to a root that the system trusts ($SSL_CERT_FILE, as everywhere with OpenSSL) and a DNS-ID that is the
    host's; no fallback to the common name (RFC 8461 section 4.1)."""
    context = ssl.create_default_context()
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def is_verified(transport: BaseTransport) -> bool:
    """Inside TLS, and the peer has shown a certificate that was checked, name and all."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return False
    context = connection.context
    is_checked = context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    # Empty for a certificate that nobody has checked.
    return bool(is_checked and connection.getpeercert())


def described(transport: BaseTransport) -> tuple[str, str]:
    """(version, cipher) as OpenSSL names them, empty in clear."""
    cipher = transport.get_extra_info("cipher")
    if cipher is None:
        return "", ""
    name, version, _ = cipher
    connection = transport.get_extra_info("ssl_object")
    return (connection.version() if connection is not None else None) or version, name


def chain(transport: BaseTransport) -> list[bytes]:
    """What the peer presented, in DER, its own certificate first; where the interpreter cannot tell the rest (before
    3.13) only that one."""
    connection = transport.get_extra_info("ssl_object")
    if connection is None:
        return []
    whole = getattr(connection, "get_unverified_chain", None)
    if whole is not None:
        return list(whole())
    own = connection.getpeercert(binary_form=True)
    return [own] if own else []


def failure(error: BaseException | None) -> tuple[TlsFailure, str]:
    """What a handshake failed of, and in words; `error` and its causes are looked through."""
    text = ""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            kind = _VERIFY_CODES.get(error.verify_code, TlsFailure.VALIDATION_FAILURE)
            return kind, f"the certificate is not valid: {error.verify_message}"
        text = str(error) or type(error).__name__
        error = error.__cause__
    return TlsFailure.VALIDATION_FAILURE, text
