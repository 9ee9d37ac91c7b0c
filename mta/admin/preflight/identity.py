"""What is examined: one From domain of a tenant, with all that its mail shows to a receiver."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from msgspec import Struct

from mta.compose.dkim import SigningKey
from mta.delivery.settings import StaticRoute
from mta.model.path import EgressSource

# RFC 1918, 6598, 3927, 4193, 4291, 1122. Not `ip_address().is_private`: that counts documentation addresses too.
_INNER = tuple(
    map(
        ip_network,
        (
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
            "169.254.0.0/16",
            "127.0.0.0/8",
            "0.0.0.0/8",
            "fc00::/7",
            "fe80::/10",
            "::/127",
        ),
    )
)


class Identity(Struct, frozen=True):
    """`sources` are those of all the tenant's pools; `keys` in the order they sign, and where they cannot, `refusal`
    says why. `clear_routes` ask for no TLS."""

    domain: str
    return_path: str
    sources: tuple[EgressSource, ...] = ()
    keys: tuple[SigningKey, ...] = ()
    refusal: str = ""
    public_url: str = ""
    clear_routes: tuple[StaticRoute, ...] = ()


def is_inner(address: str) -> bool:
    """Whether the internet never sees it."""
    ip = ip_address(address)
    return any(ip in network for network in _INNER)


def unseen(source: EgressSource) -> str:
    """Why what receivers see of a source is not known here; "" if it is."""
    if not source.address:
        return "has no address configured: which one the kernel chooses cannot be checked"
    if is_inner(source.address):
        return "is a private address: receivers see another one, which cannot be checked"
    return ""


def named(source: EgressSource) -> str:
    return f"{source.name} ({source.address})" if source.address else source.name


def public(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(address for address in addresses if not is_inner(address))
