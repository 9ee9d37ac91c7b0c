import pytest

from mta.inbound.listener import _affordable, _network
from mta.inbound.settings import InboundSettings


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


@pytest.mark.parametrize(
    ("open_files", "wanted", "allowed"),
    [(1024, 1000, 256), (1 << 20, 1000, 1000), (400, 100, 100), (-1, 9, 9)],
)
def test_h3_sending_keeps_its_descriptors(open_files: int, wanted: int, allowed: int) -> None:
    """A shell gives 1,024, the unit a million."""
    assert _affordable(InboundSettings(max_connections=wanted), open_files).max_connections == allowed
