"""Asks DNS for the hosts of a mail domain, and remembers.

One lookup in flight per name however many ask (one more for those who are in a hurry: they never wait behind the
others, whose name servers may be silent), and a bounded memory. Names are checked before they are asked.

With a validating resolver that one is asked for the MX. Where it vouches for the answer, it is asked for the hosts too,
and for what they promise of their certificates; else the hosts are looked up as without it, and nobody's promise
counts: whoever can forge the MX can name a host with a fine one (RFC 7672 section 2.2.1).

What answers mean is decided in `mta.dns.mx`; nothing a zone or a server does raises out of `resolve`.
"""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Collection
from functools import partial

from msgspec.structs import replace

from mta.dns.cache import TtlCache
from mta.dns.flight import shared
from mta.dns.hosts import TROUBLE_TTL_S, Hosts, clamped
from mta.dns.mx import (
    AddressGuard,
    HostAddresses,
    MxAnswer,
    MxFound,
    MxTargets,
    NoMail,
    assemble,
    name_fault,
    read_mx,
    shuffled,
)
from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, DnsTrouble, LookupFailed
from mta.dns.settings import DnsSettings
from mta.dns.slots import Slots

_NO_MAIL_TTL_S = 300.0  # about the usual SOA minimum; a domain may be new
_MOST_DOMAINS = 100_000  # C15: so that nobody is asked for twice within his TTL; at about 500 octets each
_QUICK_LOOKUPS, _MOST_LOOKUPS = 100, 2000  # domains looked up at once; with those that have no answer yet
_QUICK_S = 1.0  # within which an answer comes, or it is not to be waited for by others
# Addresses that no host has: if one can be bound, net.ip*.ip_nonlocal_bind is on and binding tells nothing.
_NOBODYS = {socket.AF_INET: "240.0.0.1", socket.AF_INET6: "100::1"}


class Resolver:
    """`start` inside the running loop; `close` at the end, once its nameservers are closed. `own` are addresses of
    ours that the kernel does not know as local (behind NAT); `ipv6` None finds out whether there is a route.
    Without `validating` there is no DANE."""

    def __init__(
        self,
        nameservers: Nameservers,
        settings: DnsSettings,
        *,
        validating: Nameservers | None = None,
        own: Collection[str] = (),
        ipv6: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._nameservers = nameservers
        self._validating = validating
        self._own = frozenset(own)
        self._ipv6 = ipv6
        self._clock = clock
        self._rng = rng
        guard = AddressGuard(settings.allow, self._is_own)
        self._hosts = Hosts(nameservers, guard, clock)
        self._secure_hosts = self._hosts
        if validating is not None:
            self._secure_hosts = Hosts(
                validating, guard, clock, with_dane=True, takes_anchors=settings.takes_anchors
            )
        self._binding_tells: dict[socket.AddressFamily, bool] = {}
        self._usual, self._express = _Way(), _Way()
        self._answers: TtlCache[MxAnswer] = TtlCache(_MOST_DOMAINS)

    def start(self) -> None:
        if self._ipv6 is None:
            self._ipv6 = reaches_ipv6()
        self._hosts.has_ipv6 = self._secure_hosts.has_ipv6 = self._ipv6
        self._binding_tells = {family: not can_bind(nobody) for family, nobody in _NOBODYS.items()}

    async def close(self) -> None:
        """Returns when the last lookup has ended."""
        lookups = (*self._usual.lookups.values(), *self._express.lookups.values())
        await asyncio.gather(*lookups, self._hosts.close(), self._secure_hosts.close())

    def forget(self) -> None:
        """Drop all that is known, so that the next look at each domain asks again."""
        self._answers.clear()
        self._hosts.forget()
        self._secure_hosts.forget()
        self._nameservers.forget()
        if self._validating is not None:
            self._validating.forget()

    def look_up(self, domain: str) -> MxAnswer | None:
        """The answer if it is known now; equal preferences in a new order at each call."""
        kept = self._answers.get(domain.lower(), self._clock())
        return self._dealt(kept[1], kept[0]) if kept is not None else None

    async def resolve(self, domain: str, *, is_urgent: bool = False) -> MxAnswer:
        """The hosts of `domain` (an A-label name without a final dot), or why there are none."""
        fault = name_fault(domain)
        if fault:
            return NoMail("bad_name", f"{domain[:80]!r} is no mail domain: {fault}")
        name = domain.lower()
        known = self.look_up(name)
        if known is not None:
            return known
        way = self._express if is_urgent else self._usual
        answer = await shared(way.lookups, name, "mx", partial(self._look_up_domain, way))
        return self._dealt(answer, answer.ttl_s if isinstance(answer, MxFound) else 0.0)

    async def addresses(self, name: str) -> HostAddresses:
        """The addresses of one host that may be connected to."""
        fault = name_fault(name, is_host=True)
        if fault:
            return HostAddresses(trouble=DnsTrouble("bad_address", f"{name[:80]!r} is no host name: {fault}"))
        return await self._hosts.find(name.lower())

    def _dealt(self, answer: MxAnswer, ttl_s: float) -> MxAnswer:
        if not isinstance(answer, MxFound):
            return answer
        return replace(answer, hosts=shuffled(answer.hosts, self._rng), ttl_s=ttl_s)

    async def _look_up_domain(self, way: "_Way", domain: str) -> MxAnswer:
        async with way.slots.taken():
            targets = await self._targets(domain)
            answer: MxAnswer
            if isinstance(targets, MxTargets):
                names = [name for name, _ in targets.names]
                hosts = self._secure_hosts if targets.is_secure else self._hosts
                known = await asyncio.gather(*(hosts.find(name) for name in names))
                answer = assemble(targets, dict(zip(names, known, strict=True)))
            else:
                answer = targets
        if isinstance(answer, MxFound):
            answer = replace(answer, ttl_s=clamped(answer.ttl_s))
            ttl_s = answer.ttl_s
        else:
            ttl_s = _NO_MAIL_TTL_S if isinstance(answer, NoMail) else TROUBLE_TTL_S
        self._answers.put(domain, answer, self._clock() + ttl_s)
        return answer

    async def _targets(self, domain: str) -> MxTargets | NoMail | DnsTrouble:
        try:
            answer = await (self._validating or self._nameservers).ask(domain, "MX")
            return read_mx(domain, answer.records, is_secure=answer.is_secure)
        except Absent as absent:
            if absent.is_missing:
                return NoMail("nxdomain", f"{domain} does not exist")
            return read_mx(domain, (), is_secure=absent.is_secure)
        except LookupFailed as failure:
            return failure.trouble

    def _is_own(self, address: str) -> bool:
        if address in self._own:
            return True
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self._binding_tells.get(family, False) and can_bind(address)


class _Way:
    """Lookups that may have to wait for one another."""

    def __init__(self) -> None:
        self.slots = Slots(_QUICK_LOOKUPS, _MOST_LOOKUPS, _QUICK_S)
        self.lookups: dict[str, asyncio.Task[MxAnswer]] = {}


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
