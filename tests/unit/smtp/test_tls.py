"""TLS contexts."""

import ssl

from mta.smtp import tls


def test_t02_opportunistic() -> None:
    """TLS 1.2 or later, no certificate checked, made once."""
    context = tls.opportunistic()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname
    assert tls.opportunistic() is context
