"""Asks DNS for the addresses of hosts, and remembers; from a validating resolver also for their TLSA records.

What was learnt with DNSSEC and what without never mix: each way has `Hosts` of its own, with a memory of its own
(thousands of domains share the hosts of a large provider). One lookup in flight per name however many ask. Names are
checked by the callers before they are asked.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from mta.dns.cache import TtlCache
from mta.dns.dane import bases, broken, owner, read_tlsa
from mta.dns.flight import shared
from mta.dns.mx import AddressGuard, HostAddresses, read_addresses
from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, RecordKind
from mta.model.tls import NO_DANE, DaneState, HostDane

TROUBLE_TTL_S = 15.0  # C1: at most 60 s; it only has to stop a burst of equal questions
_SHORTEST_TTL_S = 5.0  # C13: TTL 0 means at most one query per domain and 5 s
_LONGEST_TTL_S = 3600.0  # C13: a move is seen within min(TTL, 1 h)
_FOREVER_S = float("inf")
_MOST_HOSTS = 20_000

Value = TypeVar("Value")


class Hosts:
    """`has_ipv6` False: no addresses that could not be reached. `with_dane`: `nameservers` validate, and TLSA records
    are asked for; `takes_anchors` says whether those of usage DANE-TA can be used."""

    def __init__(
        self,
        nameservers: Nameservers,
        guard: AddressGuard,
        clock: Callable[[], float],
        *,
        with_dane: bool = False,
        takes_anchors: bool = False,
    ) -> None:
        self.has_ipv6 = False
        self._nameservers = nameservers
        self._guard = guard
        self._clock = clock
        self._with_dane = with_dane
        self._takes_anchors = takes_anchors
        self._known: TtlCache[HostAddresses] = TtlCache(_MOST_HOSTS)
        self._lookups: dict[str, asyncio.Task[HostAddresses]] = {}

    async def close(self) -> None:
        """Returns when the last lookup has ended."""
        await asyncio.gather(*self._lookups.values())

    def forget(self) -> None:
        self._known.clear()

    async def find(self, name: str) -> HostAddresses:
        """What is known of `name`, else what DNS says now."""
        kept = self._known.get(name, self._clock())
        if kept is not None:
            return replace(kept[1], ttl_s=kept[0])
        return await shared(self._lookups, name, "addresses", self._look_up)

    async def _look_up(self, name: str) -> HostAddresses:
        halves = await self._halves(name)
        records = [record for half in halves if isinstance(half, Answer) for record in half.records]
        host = read_addresses(name, records, self._guard)
        trouble = next((half.trouble for half in halves if isinstance(half, LookupFailed)), host.trouble)
        addresses = host.addresses
        if addresses and not self.has_ipv6:
            addresses = tuple(address for address in addresses if ":" not in address)
            if not addresses:
                trouble = DnsTrouble(
                    "unreachable", f"{name} has only IPv6 addresses, this host no route to them"
                )
        is_missing = any(isinstance(half, Absent) and half.is_missing for half in halves)
        dane, dane_ttl_s = NO_DANE, _FOREVER_S
        if addresses and self._with_dane:
            dane, dane_ttl_s = await self._dane(name, halves)
        is_sound = addresses and trouble is None and dane.state is not DaneState.BROKEN
        ttl_s = clamped(min(host.ttl_s, dane_ttl_s)) if is_sound else TROUBLE_TTL_S
        host = replace(
            host, addresses=addresses, ttl_s=ttl_s, trouble=trouble, is_missing=is_missing, dane=dane
        )
        self._known.put(name, host, self._clock() + ttl_s)
        return host

    async def _dane(
        self, name: str, halves: Sequence[Answer | Absent | LookupFailed]
    ) -> tuple[HostDane, float]:
        """Nothing is asked where the addresses are not secure: some servers choke on the question (RFC 7672
        section 2.2.2). But an alias that leads out of its own secure zone can still have records under its own name;
        the answers about addresses do not tell whether it is secure."""
        answers = [half for half in halves if isinstance(half, Answer)]
        secure = [record for answer in answers if answer.is_secure for record in answer.records]
        candidates = bases(name, secure) if secure else ()
        if not secure and any(
            record.owner == name for answer in answers for record in answer.records if record.kind == "CNAME"
        ):
            alias = await self._half(name, "CNAME")
            if isinstance(alias, LookupFailed):
                return broken(alias), _FOREVER_S
            if isinstance(alias, Answer) and alias.is_secure:
                candidates = bases(name, ())
        ttl_s = _FOREVER_S
        for base in candidates:
            answer = await self._half(owner(base), "TLSA")
            dane, dane_ttl_s = read_tlsa(base, answer, takes_anchors=self._takes_anchors)
            ttl_s = min(ttl_s, dane_ttl_s)
            if dane.state is not DaneState.ABSENT:
                return dane, ttl_s
        return NO_DANE, ttl_s

    async def _halves(self, name: str) -> Sequence[Answer | Absent | LookupFailed]:
        """A and AAAA; where there is no IPv6, AAAA only if it could explain that there is no A."""
        if self.has_ipv6:
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


def clamped(ttl_s: float) -> float:
    """Seconds to believe what DNS gives `ttl_s` to."""
    return min(max(ttl_s, _SHORTEST_TTL_S), _LONGEST_TTL_S)
