"""Which addresses the AD bit is believed from."""

import pytest

from mta.dns.settings import loopback


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1", ("127.0.0.1", 53)),
        ("127.8.9.10:5353", ("127.8.9.10", 5353)),
        ("[::1]:53", ("::1", 53)),
        ("[::1]", ("::1", 53)),
        ("::1", ("::1", 53)),
    ],
)
def test_an_address_of_this_host(text: str, address: tuple[str, int]) -> None:
    """T-09: loopback of both families, with a port or without."""
    assert loopback(text) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.53", "no network can be trusted"),
        ("0.0.0.0:53", "no network can be trusted"),
        ("[2001:db8::1]:53", "no network can be trusted"),
        ("[::1%eth0]:53", "no network can be trusted"),
        ("localhost", "no IP address"),
        ("127.0.0.1:x", "no port"),
        ("127.0.0.1:", "no port"),
        ("127.0.0.1:0", "no port"),
        ("127.0.0.1:65536", "no port"),
        ("[::1]53", "no port"),
        ("[::1", "no IP address"),
        ("127.0.0.1:\N{ARABIC-INDIC DIGIT FIVE}", "no port"),
        ("", "no IP address"),
    ],
)
def test_any_other_is_refused(text: str, said: str) -> None:
    """T-09: what is reached over a network, or is no address, is no resolver to believe."""
    with pytest.raises(ValueError, match=said):
        loopback(text)
