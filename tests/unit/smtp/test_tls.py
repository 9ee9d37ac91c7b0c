"""TLS contexts."""

import asyncio
import ssl

from mta.smtp import tls


def test_t02_opportunistic() -> None:
    """TLS 1.2 or later, no certificate checked, made once."""
    context = tls.opportunistic()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname
    assert tls.opportunistic() is context


def test_verified() -> None:
    """TLS 1.2 or later, chain and name checked, the name by what is meant for it; made once."""
    context = tls.verified()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert not context.hostname_checks_common_name
    assert tls.verified() is context


def test_nothing_is_verified_in_clear() -> None:
    """D13: a transport without TLS has proven nothing."""
    assert not tls.is_verified(asyncio.Transport())
