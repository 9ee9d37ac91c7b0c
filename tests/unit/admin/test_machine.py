from mta.admin.machine import unbindable


def test_loopback_is_ours_and_documentation_is_not() -> None:
    """192.0.2.0/24 and 2001:db8::/32 are nobody's (RFC 5737, RFC 3849)."""
    assert unbindable("127.0.0.1") == ""
    assert unbindable("192.0.2.1") == "Cannot assign requested address"
    assert unbindable("2001:db8::1") != ""
