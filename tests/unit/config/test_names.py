import pytest

from mta.config.names import a_label, host_and_port, is_token


def test_a_token_needs_no_escape() -> None:
    """Only what stands in a subject as it is."""
    assert is_token("acme-2_x")
    assert not is_token("Acme")
    assert not is_token("")
    assert not is_token("a" * 65)
    assert not is_token("a\n")


def test_domains_become_a_labels() -> None:
    """Lower case, and IDN encoded."""
    assert a_label("Example.TEST") == "example.test"
    assert a_label("bücher.test") == "xn--bcher-kva.test"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a..b",
        "-a.test",
        "a-.test",
        "a.test.",
        "a b.test",
        "a" * 64 + ".test",
        "a.\0b",
        "ab\u2028.test",
        "x." * 127 + "test",
    ],
)
def test_what_is_no_domain_is_refused(name: str) -> None:
    """Nothing that DNS or a header would read as another name."""
    with pytest.raises(ValueError, match="domain name"):
        a_label(name)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("127.0.0.1:2525", ("127.0.0.1", 2525)),
        ("mx.example.test", ("mx.example.test", 25)),
        ("[::1]:2525", ("::1", 2525)),
        ("[2001:db8::1]", ("2001:db8::1", 25)),
    ],
)
def test_hosts_may_name_a_port(text: str, want: tuple[str, int]) -> None:
    """Names, IPv4 and bracketed IPv6."""
    assert host_and_port(text, 25) == want


@pytest.mark.parametrize(
    "text", ["", "h:0", "h:65536", "h:x", "h:", "[::1", "[::1]x", "[nope]:1", "::1", "h:999999999999"]
)
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    """A mistyped relay is found at start."""
    with pytest.raises(ValueError):
        host_and_port(text, 25)
