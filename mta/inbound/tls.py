"""The certificate reports are received with. One that cannot be used turns TLS off, and nothing else (H16)."""

import os
import ssl
import stat
from datetime import UTC, datetime

from cryptography import x509
from msgspec import Struct


class Unusable(Struct, frozen=True):
    """Why there is no TLS."""

    reason: str


def server_context(certificate: str, key: str) -> ssl.SSLContext | Unusable:
    """Of two files in PEM form. Whoever sends mail asks for no certificate of ours, hence TLS 1.2 at least and the
    default ciphers."""
    try:
        if os.stat(key).st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not _is_systemds(key):
            return Unusable(f"others may read {key}: chmod 600")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        return Unusable(f"{certificate} and {key} do not go together: {error.reason or error}")
    except _Encrypted:
        return Unusable(f"{key} is encrypted with a passphrase")
    except OSError as error:
        return Unusable(f"{error.filename or certificate}: {error.strerror}")
    return context


def expired(certificate: str, now: float) -> str:
    """Since when the certificate is; empty while it is valid. Such a one is still used: most senders look at none."""
    try:
        with open(certificate, "rb") as file:
            ends = x509.load_pem_x509_certificate(file.read()).not_valid_after_utc
    except (OSError, ValueError):  # OpenSSL has read it, so it is good enough
        return ""
    return f"{ends:%Y-%m-%d}" if ends < datetime.fromtimestamp(now, UTC) else ""


class _Encrypted(Exception):
    """A passphrase was asked for."""


def _no_passphrase() -> str:
    raise _Encrypted


def _is_systemds(key: str) -> bool:
    """Its files carry a group bit that is the mask of an access list."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return bool(directory) and os.path.dirname(os.path.abspath(key)) == os.path.abspath(directory)
