import pytest

from mta.admin.preflight.identity import is_inner, named, public, unseen
from mta.model.path import EgressSource


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("10.1.2.3", True),
        ("172.31.0.1", True),
        ("192.168.1.1", True),
        ("100.64.0.1", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("fd00::1", True),
        ("192.0.2.10", False),
        ("172.32.0.1", False),
        ("2001:db8::1", False),
    ],
)
def test_inner_addresses_are_those_nobody_outside_sees(address: str, wanted: bool) -> None:
    """Addresses of documentation stand for public ones."""
    assert is_inner(address) is wanted
    assert public([address]) == (() if wanted else (address,))


def test_what_receivers_see_is_known_of_public_addresses_only() -> None:
    """The kernel's choice and an address behind NAT are not."""
    assert unseen(EgressSource("a", "a.test", "192.0.2.10")) == ""
    assert "kernel chooses" in unseen(EgressSource("a", "a.test"))
    assert "private" in unseen(EgressSource("a", "a.test", "10.0.0.1"))


def test_a_source_is_named_with_its_address() -> None:
    """If it has one."""
    assert named(EgressSource("a", "a.test", "192.0.2.10")) == "a (192.0.2.10)"
    assert named(EgressSource("a", "a.test")) == "a"
