"""TLS contexts for the sending side."""

import ssl
from asyncio import BaseTransport
from functools import cache


@cache
def opportunistic() -> ssl.SSLContext:
    """TLS 1.2 or later, the peer's certificate unverified (T-02; RFC 8996 bans what is older).

    Whoever can only fall back to clear text gains nothing from refusing a certificate (RFC 7435). Made
    once: a context costs more than a handshake's Python part, and sharing it is what it is for.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def described(transport: BaseTransport) -> tuple[str, str]:
    """(version, cipher) as OpenSSL names them, empty in clear."""
    cipher = transport.get_extra_info("cipher")
    if cipher is None:
        return "", ""
    name, version, _ = cipher
    connection = transport.get_extra_info("ssl_object")
    return (connection.version() if connection is not None else None) or version, name
