"""Where mail goes and where it comes from."""

from msgspec import Struct

from mta.model.tls import NO_DANE, HostDane


class MxHost(Struct, frozen=True, gc=False):
    """One target of a site: a host name, its port, and the addresses found for it (none: resolve at connect)."""

    name: str
    port: int = 25
    addresses: tuple[str, ...] = ()
    preference: int = 0
    dane: HostDane = NO_DANE


class Site(Struct, frozen=True):
    """Domains that share one MX set. `name` is canonical and stands for the set; `hosts` are in the order to try."""

    name: str
    provider: str
    hosts: tuple[MxHost, ...]
    tls: str = "opportunistic"
    is_static: bool = False


class EgressSource(Struct, frozen=True, gc=False):
    """Our sending identity. An empty `address` lets the kernel choose."""

    name: str
    ehlo: str
    address: str = ""


class EgressPool(Struct, frozen=True):
    """A weighted set of sources: (source, weight), weights positive."""

    name: str
    sources: tuple[tuple[EgressSource, int], ...]


class EgressPath(Struct, frozen=True, gc=False):
    """(source, site): what queues, throttles and connection pools are keyed by. Names, not objects, so that a path
    stays the same when a site's host order changes."""

    source: str
    site: str
    tls: str = "opportunistic"
