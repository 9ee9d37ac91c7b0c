import pytest

from mta.inbound.listener import _network


@pytest.mark.parametrize(
    ("peer", "same"),
    [
        (("192.0.2.1", 1), ("192.0.2.1", 2)),
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:1", 2, 0, 0)),
        (("::ffff:192.0.2.1", 1, 0, 0), ("192.0.2.1", 1)),
        (("fe80::1%eth0", 1, 0, 2), ("fe80::2%eth1", 1, 0, 3)),
        ("", None),
    ],
)
def test_h3_what_counts_as_one_address(peer: object, same: object) -> None:
    """A network of 64 bits is given to one customer; an IPv4 address is one in either form."""
    assert _network(peer) == _network(same)


def test_h3_what_does_not() -> None:
    assert (
        len({_network((one, 1)) for one in ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1")}) == 4
    )
