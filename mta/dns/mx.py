"""From decoded DNS answers to the hosts that take a domain's mail (RFC 5321 section 5.1, RFC 7505).

Invariants: an answer is believed only from the owner name asked for, or the end of a CNAME chain that starts
there; no name reaches the wire or an event that is not plain letters, digits, hyphens, underscores and dots;
no address is returned that `AddressGuard` refuses; at most 20 hosts and 30 addresses; the name of a site
depends on its MX set only, never on chance, on addresses or on the order of an answer. Results are values:
`MxFound`, `NoMail` (permanent) or `DnsTrouble` (temporary).

Asking, caching and time are left to `mta.dns.resolver`; what an outcome means for a recipient to the caller.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import groupby
from string import ascii_letters, digits
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from mta.dns.record import DnsTrouble, Record, chain_end
from mta.model.ids import base32
from mta.model.path import MxHost
from mta.model.tls import NO_DANE, HostDane

MOST_HOSTS = 20
MOST_ADDRESSES = 30
_LONGEST_SITE_NAME = 100  # it is a label of metrics and a field of every event
_PARTIAL_TTL_S = 60.0  # C1: a host left out because of trouble is looked for again this soon
_LABEL = frozenset(ascii_letters + digits + "-")
_HOST_LABEL = _LABEL | {"_"}
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")

NoMailKind = Literal["nxdomain", "null_mx", "nodata", "bad_name"]


class MxFound(Struct, frozen=True, gc=False):
    """`hosts` in the order to try, each with at least one address; `site_name` stands for the MX set. `is_secure`:
    DNSSEC vouches for that set. `is_whole`: no host is left out that another look might find."""

    hosts: tuple[MxHost, ...]
    site_name: str
    ttl_s: float
    is_secure: bool = False
    is_whole: bool = True


class NoMail(Struct, frozen=True, gc=False):
    """The domain takes no mail and says so: permanent (S-08, T-04)."""

    kind: NoMailKind
    detail: str


MxAnswer = MxFound | NoMail | DnsTrouble


class MxTargets(Struct, frozen=True, gc=False):
    """What an MX answer names, before addresses are known: (host name, preference) in order of preference.
    `is_secure`: DNSSEC vouches for the answer, or for there being none. `is_whole`: these are all."""

    names: tuple[tuple[str, int], ...]
    site_name: str
    ttl_s: float
    is_implicit: bool = False
    is_secure: bool = False
    is_whole: bool = True


class HostAddresses(Struct, frozen=True, gc=False):
    """What is known of one host: usable addresses, or why there are none. `refused` says which the guard
    turned down and why, `trouble` is set where a lookup failed, `is_missing` where the name does not
    exist. `ttl_s` covers `dane` too."""

    addresses: tuple[str, ...] = ()
    ttl_s: float = 0.0
    refused: tuple[str, ...] = ()
    trouble: DnsTrouble | None = None
    is_missing: bool = False
    dane: HostDane = NO_DANE


class AddressGuard:
    """Refuses addresses that a stranger's zone must not make us connect to (S-09): everything that is not
    public, also when wrapped into IPv6, and this host itself. `allow` wins over all of it. Binds MX answers
    only; a static route is the operator's word."""

    def __init__(self, allow: Iterable[str], is_own: Callable[[str], bool]) -> None:
        self._allow = tuple(ip_network(network, strict=False) for network in allow)
        self._is_own = is_own

    def fault(self, address: str) -> str:
        """Why `address` may not be connected to; "" if it may."""
        try:
            ip = ip_address(address)
        except ValueError:
            return "no address"
        if any(ip in network for network in self._allow):
            return ""
        fault = _range_fault(ip)
        if not fault and self._is_own(address):
            return "an address of this host"
        return fault


def name_fault(name: str, *, is_host: bool = False) -> str:
    """Why `name` cannot be a mail domain, or with `is_host` the exchange of an MX; "" if it can.

    Letters, digits, hyphens; no empty or over-long label (RFC 1035 section 2.3.4), more than one label, and a
    last one that starts with a letter, which keeps out every spelling of an IPv4 address. Exchanges may hold
    underscores: the hidden ones that some DNS hosters generate do (`_dc-mx.….example`).
    """
    if not name or len(name) > 253:
        return "empty" if not name else "longer than 253 octets"
    labels = name.split(".")
    if len(labels) < 2:
        return "only one label"
    allowed = _HOST_LABEL if is_host else _LABEL
    for label in labels:
        if not label or len(label) > 63:
            return "an empty label" if not label else "a label longer than 63 octets"
        if not allowed.issuperset(label):
            return "a character that host names do not have"
        if label[0] == "-" or label[-1] == "-":
            return "a label that starts or ends with a hyphen"
    if labels[-1][0] not in ascii_letters:
        return "an IP literal or no top-level domain"
    return ""


def read_mx(
    domain: str, records: Sequence[Record], *, is_secure: bool = False
) -> MxTargets | NoMail | DnsTrouble:
    """What an answer to the MX question says; no records means NOERROR without data. `is_secure` is the answer's.

    MX records that are there but unusable are an error and never an implicit MX (S-07). A null MX beside
    others is ignored (C6); alone it counts whatever its preference: nothing else can be meant by it.
    """
    end = chain_end(domain, records)
    if isinstance(end, DnsTrouble):
        return end
    name, ttl_s = end
    exchanges = [record for record in records if record.kind == "MX" and record.owner == name]
    if not exchanges:
        return MxTargets(((domain, 0),), domain, ttl_s, is_implicit=True, is_secure=is_secure)
    ttl_s = min(ttl_s, *(float(record.ttl_s) for record in exchanges))
    named = [record for record in exchanges if record.value]
    if not named:
        return NoMail("null_mx", f"{domain} has a null MX: it takes no mail")
    best: dict[str, int] = {}
    faults: list[str] = []
    for record in named:
        fault = name_fault(record.value, is_host=True)
        if fault:
            faults.append(f"{record.value[:80]!r}: {fault}")
        elif record.preference < best.get(record.value, 0x10000):
            best[record.value] = record.preference
    if not best:
        return DnsTrouble("bad_mx", f"no MX of {domain} is a host name: {'; '.join(faults[:3])}")
    names = sorted(best.items(), key=lambda item: (item[1], item[0]))
    return MxTargets(
        tuple(names[:MOST_HOSTS]),
        site_name(names),
        ttl_s,
        is_secure=is_secure,
        is_whole=len(names) <= MOST_HOSTS,
    )


def read_addresses(name: str, records: Sequence[Record], guard: AddressGuard) -> HostAddresses:
    """The usable addresses in answers to the A and AAAA questions, IPv4 first.

    IPv4 first because receivers judge IPv6 sources more strictly (no PTR or no SPF there is refused
    outright); IPv6 addresses follow and are tried when those fail.
    """
    end = chain_end(name, records)
    if isinstance(end, DnsTrouble):
        return HostAddresses(trouble=end)
    target, ttl_s = end
    usable: list[str] = []
    refused: list[str] = []
    for kind in ("A", "AAAA"):
        for record in records:
            if record.kind != kind or record.owner != target:
                continue
            ttl_s = min(ttl_s, float(record.ttl_s))
            fault = guard.fault(record.value)
            if not fault:
                usable.append(record.value)
            elif len(refused) < MOST_ADDRESSES:
                refused.append(f"{record.value} ({fault})")
    return HostAddresses(tuple(usable[:MOST_ADDRESSES]), ttl_s, tuple(refused))


def assemble(targets: MxTargets, known: Mapping[str, HostAddresses]) -> MxAnswer:
    """Join the hosts of `targets` with what is `known` of each. Hosts without an address are left out; those whose
    DANE is broken stay, so that whoever passes them over can say why."""
    found = [(name, preference, known[name]) for name, preference in targets.names]
    shares = _share([len(host.addresses) for _, _, host in found], MOST_ADDRESSES)
    hosts = tuple(
        MxHost(name=name, addresses=host.addresses[:share], preference=preference, dane=host.dane)
        for (name, preference, host), share in zip(found, shares, strict=True)
        if share
    )
    if not hosts:
        return _nothing_usable(targets, [host for _, _, host in found])
    ttl_s = min(targets.ttl_s, *(host.ttl_s for _, _, host in found if host.addresses))
    if any(host.trouble for _, _, host in found):
        ttl_s = min(ttl_s, _PARTIAL_TTL_S)
    is_whole = targets.is_whole and not any(host.trouble and not host.addresses for _, _, host in found)
    return MxFound(hosts, targets.site_name, ttl_s, targets.is_secure, is_whole)


def shuffled(hosts: Sequence[MxHost], rng: Callable[[], float]) -> tuple[MxHost, ...]:
    """The order to try for one connection: by preference, equal ones in random order (S-07, C12); the
    addresses of a host likewise, IPv4 before IPv6. `rng` gives floats in [0, 1)."""
    if len(hosts) == 1 and len(hosts[0].addresses) < 2:
        return tuple(hosts)
    ordered = sorted(hosts, key=lambda host: (host.preference, rng()))
    return tuple(
        replace(host, addresses=tuple(sorted(host.addresses, key=lambda address: (":" in address, rng()))))
        if len(host.addresses) > 1
        else host
        for host in ordered
    )


def site_name(names: Sequence[tuple[str, int]]) -> str:
    """The canonical name of an MX set: hosts of equal preference joined by `|`, ranks by `,`, so that domains
    which prefer other hosts of the same set do not share a path. A long one is cut to its first host, the
    number of the others and a digest."""
    ordered = sorted(names, key=lambda item: (item[1], item[0]))
    ranks = groupby(ordered, key=lambda item: item[1])
    full = ",".join("|".join(name for name, _ in rank) for _, rank in ranks)
    if len(full) <= _LONGEST_SITE_NAME:
        return full
    digest = base32(blake2b(full.encode(), digest_size=10).digest())
    return f"{ordered[0][0]}+{len(ordered) - 1}.{digest}"


def _share(counts: Sequence[int], most: int) -> list[int]:
    """How many of each to take so that `most` is kept and everyone gets a first before anyone a second."""
    shares = [0] * len(counts)
    left = min(most, sum(counts))
    while left:
        for index, count in enumerate(counts):
            if left and shares[index] < count:
                shares[index] += 1
                left -= 1
    return shares


def _nothing_usable(targets: MxTargets, hosts: Sequence[HostAddresses]) -> NoMail | DnsTrouble:
    """No host has an address we may use. Trouble outweighs refusal: it may hide a good host."""
    names = ", ".join(name for name, _ in targets.names[:3])
    trouble = next((host.trouble for host in hosts if host.trouble), None)
    if trouble is not None:
        return trouble
    refused = [reason for host in hosts for reason in host.refused]
    if refused:
        return DnsTrouble("bad_address", f"{names}: {', '.join(refused[:3])} may not be connected to")
    if not targets.is_implicit:
        return DnsTrouble("bad_mx", f"no MX of the domain has an address: {names}")
    if hosts[0].is_missing:
        return NoMail("nxdomain", f"{names} does not exist")
    return NoMail("nodata", f"{names} has neither MX nor address records")


def _range_fault(ip: IPv4Address | IPv6Address) -> str:
    if isinstance(ip, IPv6Address):
        inner = _embedded(ip)
        if inner is not None:
            return _range_fault(inner)
    if ip.is_unspecified:
        return "unspecified"
    if ip.is_loopback:
        return "loopback"
    if ip.is_link_local:
        return "link-local"
    if ip.is_multicast:
        return "multicast"
    if ip.is_private:
        return "private"
    if not ip.is_global or (isinstance(ip, IPv6Address) and ip not in _GLOBAL_UNICAST):
        return "not public"
    return ""


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a connection to `ip` really reaches: mapped, 6to4, NAT64 (RFC 4291, 3056, 6052).
    Teredo needs no word: Python counts all of 2001::/23 as private."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour
