"""Asks DNS for the hosts of a mail domain, and remembers.

One lookup in flight per name however many ask, a bounded memory for domains and one for hosts (thousands of
domains share the hosts of a large provider). Names are checked before they are asked.

What answers mean is decided in `mta.dns.mx`; nothing a zone or a server does raises out of `resolve`.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from mta.dns.cache import TtlCache
from mta.dns.flight import shared
from mta.dns.mx import (
    AddressGuard,
    HostAddresses,
    MxAnswer,
    MxFound,
    MxTargets,
    NoMail,
    assemble,
    name_fault,
    read_addresses,
    read_mx,
    shuffled,
)
from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, RecordKind
from mta.dns.settings import DnsSettings

_SHORTEST_TTL_S = 5.0  # C13: TTL 0 means at most one query per domain and 5 s
_LONGEST_TTL_S = 3600.0  # C13: a move is seen within min(TTL, 1 h)
_NO_MAIL_TTL_S = 300.0  # about the usual SOA minimum; a domain may be new
_TROUBLE_TTL_S = 15.0  # C1: at most 60 s; it only has to stop a burst of equal questions
_MOST_DOMAINS = 50_000
_MOST_HOSTS = 20_000
_MOST_LOOKUPS = 100  # domains looked up at once
# Addresses that no host has: if one can be bound, net.ip*.ip_nonlocal_bind is on and binding tells nothing.
_NOBODYS = {socket.AF_INET: "240.0.0.1", socket.AF_INET6: "100::1"}


class Resolver:
    """`start` inside the running loop; `close` at the end, once its nameservers are closed. `own` are addresses of
    ours that the kernel does not know as local (behind NAT); `ipv6` None finds out whether there is a route."""

    def __init__(
        self,
        nameservers: Nameservers,
        settings: DnsSettings,
        *,
        own: Collection[str] = (),
        ipv6: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._nameservers = nameservers
        self._own = frozenset(own)
        self._ipv6 = ipv6
        self._clock = clock
        self._rng = rng
        self._guard = AddressGuard(settings.allow, self._is_own)
        self._binding_tells: dict[socket.AddressFamily, bool] = {}
        self._slots = asyncio.Semaphore(_MOST_LOOKUPS)
        self._answers: TtlCache[MxAnswer] = TtlCache(_MOST_DOMAINS)
        self._hosts: TtlCache[HostAddresses] = TtlCache(_MOST_HOSTS)
        self._lookups: dict[str, asyncio.Task[MxAnswer]] = {}
        self._host_lookups: dict[str, asyncio.Task[HostAddresses]] = {}

    def start(self) -> None:
        if self._ipv6 is None:
            self._ipv6 = reaches_ipv6()
        self._binding_tells = {family: not can_bind(nobody) for family, nobody in _NOBODYS.items()}

    async def close(self) -> None:
        """Returns when the last lookup has ended."""
        await asyncio.gather(*self._lookups.values(), *self._host_lookups.values())

    def forget(self) -> None:
        """Drop all that is known, so that the next look at each domain asks again."""
        self._answers.clear()
        self._hosts.clear()
        self._nameservers.forget()

    def look_up(self, domain: str) -> MxAnswer | None:
        """The answer if it is known now; equal preferences in a new order at each call."""
        kept = self._answers.get(domain.lower(), self._clock())
        return self._dealt(kept[1], kept[0]) if kept is not None else None

    async def resolve(self, domain: str) -> MxAnswer:
        """The hosts of `domain` (an A-label name without a final dot), or why there are none."""
        fault = name_fault(domain)
        if fault:
            return NoMail("bad_name", f"{domain[:80]!r} is no mail domain: {fault}")
        name = domain.lower()
        known = self.look_up(name)
        if known is not None:
            return known
        answer = await shared(self._lookups, name, "mx", self._look_up_domain)
        return self._dealt(answer, answer.ttl_s if isinstance(answer, MxFound) else 0.0)

    async def addresses(self, name: str) -> HostAddresses:
        """The addresses of one host that may be connected to."""
        fault = name_fault(name, is_host=True)
        if fault:
            return HostAddresses(trouble=DnsTrouble("bad_address", f"{name[:80]!r} is no host name: {fault}"))
        return await self._host(name.lower())

    def _dealt(self, answer: MxAnswer, ttl_s: float) -> MxAnswer:
        if not isinstance(answer, MxFound):
            return answer
        return replace(answer, hosts=shuffled(answer.hosts, self._rng), ttl_s=ttl_s)

    async def _look_up_domain(self, domain: str) -> MxAnswer:
        async with self._slots:
            targets = await self._targets(domain)
            answer: MxAnswer
            if isinstance(targets, MxTargets):
                names = [name for name, _ in targets.names]
                known = await asyncio.gather(*(self._host(name) for name in names))
                answer = assemble(targets, dict(zip(names, known, strict=True)))
            else:
                answer = targets
        if isinstance(answer, MxFound):
            answer = replace(answer, ttl_s=_clamped(answer.ttl_s))
            ttl_s = answer.ttl_s
        else:
            ttl_s = _NO_MAIL_TTL_S if isinstance(answer, NoMail) else _TROUBLE_TTL_S
        self._answers.put(domain, answer, self._clock() + ttl_s)
        return answer

    async def _targets(self, domain: str) -> MxTargets | NoMail | DnsTrouble:
        try:
            return read_mx(domain, (await self._nameservers.ask(domain, "MX")).records)
        except Absent as absent:
            if absent.is_missing:
                return NoMail("nxdomain", f"{domain} does not exist")
            return read_mx(domain, ())
        except LookupFailed as failure:
            return failure.trouble

    async def _host(self, name: str) -> HostAddresses:
        kept = self._hosts.get(name, self._clock())
        if kept is not None:
            return replace(kept[1], ttl_s=kept[0])
        return await shared(self._host_lookups, name, "addresses", self._look_up_host)

    async def _look_up_host(self, name: str) -> HostAddresses:
        halves = await self._halves(name)
        records = [record for half in halves if isinstance(half, Answer) for record in half.records]
        host = read_addresses(name, records, self._guard)
        trouble = next((half.trouble for half in halves if isinstance(half, LookupFailed)), host.trouble)
        addresses = host.addresses
        if addresses and not self._ipv6:
            addresses = tuple(address for address in addresses if ":" not in address)
            if not addresses:
                trouble = DnsTrouble(
                    "unreachable", f"{name} has only IPv6 addresses, this host no route to them"
                )
        is_missing = any(isinstance(half, Absent) and half.is_missing for half in halves)
        ttl_s = _clamped(host.ttl_s) if addresses and trouble is None else _TROUBLE_TTL_S
        host = replace(host, addresses=addresses, ttl_s=ttl_s, trouble=trouble, is_missing=is_missing)
        self._hosts.put(name, host, self._clock() + ttl_s)
        return host

    async def _halves(self, name: str) -> Sequence[Answer | Absent | LookupFailed]:
        """A and AAAA; where there is no IPv6, AAAA only if it could explain that there is no A."""
        if self._ipv6:
            return await asyncio.gather(self._half(name, "A"), self._half(name, "AAAA"))
        first = await self._half(name, "A")
        if isinstance(first, Absent) and not first.is_missing:
            return (first, await self._half(name, "AAAA"))
        return (first,)

    async def _half(self, name: str, kind: RecordKind) -> Answer | Absent | LookupFailed:
        try:
            return await self._nameservers.ask(name, kind)
        except (Absent, LookupFailed) as failure:
            return failure

    def _is_own(self, address: str) -> bool:
        if address in self._own:
            return True
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self._binding_tells.get(family, False) and can_bind(address)


def reaches_ipv6() -> bool:
    """Whether the kernel has a route to the IPv6 internet. Connecting a datagram socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:4860:4860::8888", 53))
    except OSError:
        return False
    return True


def can_bind(address: str) -> bool:
    """Whether `address` is one of this host's."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _clamped(ttl_s: float) -> float:
    return min(max(ttl_s, _SHORTEST_TTL_S), _LONGEST_TTL_S)
