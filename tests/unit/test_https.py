import ssl

import pytest

from mta.dns.mx import HostAddresses
from mta.https import Https, HttpsFailed, verifying


def test_what_a_stranger_wrote_can_be_logged() -> None:
    """Neither what moves a cursor nor a page of it."""
    failed = HttpsFailed("a\x1b[31m\nb" + "x" * 1000)
    assert failed.detail.startswith("a?[31m?b")
    assert len(failed.detail) == 200
    assert not failed.is_untrusted


def test_certificates_are_checked() -> None:
    """RFC 8461 section 3.3: chain, name, no common name; RFC 8996: no TLS that is banned."""
    context = verifying()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert not context.hostname_checks_common_name
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_what_does_not_run_asks_nobody() -> None:
    """Neither before the start nor after the end."""

    async def addresses(name: str) -> HostAddresses:
        raise AssertionError(name)

    https = Https(addresses, context=None, most_s=1.0)
    for _ in range(2):
        with pytest.raises(HttpsFailed, match="not running"):
            async with https.exchange("GET", "https://acme.test/", {}):
                pass
        https.start()
        await https.close()
