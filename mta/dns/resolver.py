"""Asks DNS for the hosts of a mail domain, and remembers. The only module that knows aiodns.

One channel for the life of the process (pycares frees a channel under its queries otherwise, CVE-2025-48945),
one lookup in flight per name however many ask, a bounded memory for domains and one for hosts (thousands of
domains share the hosts of a large provider). Names are checked before they are asked: C would end them at a
NUL.

What answers mean is decided in `mta.dns.mx`; nothing a zone or a server does raises out of `resolve`.
"""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Generic, TypeVar

import aiodns
import pycares
from aiodns import error as ares
from msgspec.structs import replace

from mta.dns.mx import (
    AddressGuard,
    DnsTrouble,
    HostAddresses,
    MxAnswer,
    MxFound,
    MxTargets,
    NoMail,
    Record,
    RecordKind,
    TroubleKind,
    assemble,
    name_fault,
    read_addresses,
    read_mx,
    shuffled,
)
from mta.dns.settings import DnsSettings

_SHORTEST_TTL_S = 5.0  # C13: TTL 0 means at most one query per domain and 5 s
_LONGEST_TTL_S = 3600.0  # C13: a move is seen within min(TTL, 1 h)
_NO_MAIL_TTL_S = 300.0  # about the usual SOA minimum; a domain may be new
_TROUBLE_TTL_S = 15.0  # C1: at most 60 s; it only has to stop a burst of equal questions
_MOST_DOMAINS = 50_000
_MOST_HOSTS = 20_000
_MOST_LOOKUPS = 100  # domains looked up at once
_DEADLINE_S = 20.0  # per question; c-ares itself may take tries x servers x a doubling timeout
_FLUSH_AFTER = (
    20_000  # c-ares keeps answers without bound for up to an hour: 1.35 kB each, so 27 MB between flushes
)

_ABSENT = {ares.ARES_ENODATA: False, ares.ARES_ENOTFOUND: True}
_TROUBLE: dict[int, TroubleKind] = {
    ares.ARES_ESERVFAIL: "servfail",
    ares.ARES_EREFUSED: "refused",
    ares.ARES_ETIMEOUT: "timeout",
    ares.ARES_ECONNREFUSED: "unreachable",
    ares.ARES_ECANCELLED: "closed",
    ares.ARES_EDESTRUCTION: "closed",
}
_KINDS: dict[int, RecordKind] = {
    pycares.QUERY_TYPE_MX: "MX",
    pycares.QUERY_TYPE_CNAME: "CNAME",
    pycares.QUERY_TYPE_A: "A",
    pycares.QUERY_TYPE_AAAA: "AAAA",
}
# Addresses that no host has: if one can be bound, net.ip*.ip_nonlocal_bind is on and binding tells nothing.
_NOBODYS = {socket.AF_INET: "240.0.0.1", socket.AF_INET6: "100::1"}

Value = TypeVar("Value")


class Absent(Exception):
    """NXDOMAIN (`is_missing`) or NOERROR without data."""

    def __init__(self, is_missing: bool) -> None:
        super().__init__(is_missing)
        self.is_missing = is_missing


class LookupFailed(Exception):
    """No usable answer to one question."""

    def __init__(self, trouble: DnsTrouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


class TtlCache(Generic[Value]):
    """Values until their time ends; when full the one kept longest makes room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, tuple[float, Value]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, now: float) -> tuple[float, Value] | None:
        """(seconds left, value)."""
        kept = self._kept.get(key)
        if kept is None or kept[0] <= now:
            return None
        return kept[0] - now, kept[1]

    def clear(self) -> None:
        self._kept.clear()

    def put(self, key: str, value: Value, until: float) -> None:
        self._kept.pop(key, None)
        if len(self._kept) >= self._most:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (until, value)


class Resolver:
    """`start` inside the running loop, `close` at the end. `own` are addresses of ours that the kernel does
    not know as local (behind NAT); `ipv6` None finds out whether there is a route."""

    def __init__(
        self,
        settings: DnsSettings,
        *,
        own: Collection[str] = (),
        ipv6: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._own = frozenset(own)
        self._ipv6 = ipv6
        self._clock = clock
        self._rng = rng
        self._guard = AddressGuard(settings.allow, self._is_own)
        self._binding_tells: dict[socket.AddressFamily, bool] = {}
        self._channel: _Channel | None = None
        self._slots = asyncio.Semaphore(_MOST_LOOKUPS)
        self._answers: TtlCache[MxAnswer] = TtlCache(_MOST_DOMAINS)
        self._hosts: TtlCache[HostAddresses] = TtlCache(_MOST_HOSTS)
        self._lookups: dict[str, asyncio.Task[MxAnswer]] = {}
        self._host_lookups: dict[str, asyncio.Task[HostAddresses]] = {}
        self._asked = 0

    def start(self) -> None:
        """ValueError if `servers` cannot be read."""
        if self._ipv6 is None:
            self._ipv6 = reaches_ipv6()
        self._binding_tells = {family: not can_bind(nobody) for family, nobody in _NOBODYS.items()}
        try:
            self._channel = _Channel(
                nameservers=self._settings.servers or None,
                timeout=self._settings.timeout_s,
                tries=self._settings.tries,
            )
        except pycares.AresError as error:
            raise ValueError(f"dns.servers {self._settings.servers}: {error.args[-1]}") from error

    async def close(self) -> None:
        """End all lookups; whoever waits for one gets `DnsTrouble("closed")`."""
        channel, self._channel = self._channel, None
        if channel is None:
            return
        channel.cancel()
        await asyncio.gather(*self._lookups.values(), *self._host_lookups.values())
        await channel.close()

    def forget(self) -> None:
        """Drop all that is known, so that the next look at each domain asks again."""
        self._answers.clear()
        self._hosts.clear()
        if self._channel is not None:
            self._channel.forget()

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
        if self._channel is None:
            return DnsTrouble("closed", "the resolver is not running")
        answer = await _shared(self._lookups, name, "mx", self._look_up_domain)
        return self._dealt(answer, answer.ttl_s if isinstance(answer, MxFound) else 0.0)

    def _dealt(self, answer: MxAnswer, ttl_s: float) -> MxAnswer:
        if not isinstance(answer, MxFound):
            return answer
        return MxFound(shuffled(answer.hosts, self._rng), answer.site_name, ttl_s)

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
            return read_mx(domain, await self._ask(domain, "MX"))
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
        return await _shared(self._host_lookups, name, "addresses", self._look_up_host)

    async def _look_up_host(self, name: str) -> HostAddresses:
        halves = await self._halves(name)
        records = [record for half in halves if isinstance(half, list) for record in half]
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

    async def _halves(self, name: str) -> Sequence[list[Record] | Absent | LookupFailed]:
        """A and AAAA; where there is no IPv6, AAAA only if it could explain that there is no A."""
        if self._ipv6:
            return await asyncio.gather(self._half(name, "A"), self._half(name, "AAAA"))
        first = await self._half(name, "A")
        if isinstance(first, Absent) and not first.is_missing:
            return (first, await self._half(name, "AAAA"))
        return (first,)

    async def _half(self, name: str, kind: RecordKind) -> list[Record] | Absent | LookupFailed:
        try:
            return await self._ask(name, kind)
        except (Absent, LookupFailed) as failure:
            return failure

    async def _ask(self, name: str, kind: RecordKind) -> list[Record]:
        """One question; the border where errors of aiodns end."""
        channel = self._channel
        if channel is None:
            raise LookupFailed(DnsTrouble("closed", "the resolver is not running"))
        self._asked += 1
        if self._asked % _FLUSH_AFTER == 0:
            channel.forget()
        try:
            async with asyncio.timeout(_DEADLINE_S):
                result = await channel.query_dns(name, kind)
        except TimeoutError as error:
            raise LookupFailed(DnsTrouble("timeout", f"{kind} of {name}: no answer")) from error
        except ares.DNSError as error:
            number = error.args[0]
            if number in _ABSENT:
                raise Absent(_ABSENT[number]) from error
            trouble: TroubleKind = _TROUBLE.get(number, "bad_answer")
            raise LookupFailed(DnsTrouble(trouble, f"{kind} of {name}: {error.args[-1]}")) from error
        return [record for record in map(_decoded, result.answer) if record is not None]

    def _is_own(self, address: str) -> bool:
        if address in self._own:
            return True
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return self._binding_tells.get(family, False) and can_bind(address)


class _Channel(aiodns.DNSResolver):
    def forget(self) -> None:
        """Empty the answer cache of c-ares, which it does at a re-read of its configuration; aiodns has no
        word for it and pycares none for the cache's size. If the re-read fails the cache stays, till the next
        time."""
        with contextlib.suppress(pycares.AresError):
            self._channel.reinit()


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


async def _shared(
    running: dict[str, asyncio.Task[Value]],
    name: str,
    what: str,
    begin: Callable[[str], Coroutine[Any, Any, Value]],
) -> Value:
    """The result of the lookup in flight, else of a new one. A task of its own, because it serves all who ask
    and must outlive the one who asked first; it leaves `running` when it ends, and `close` ends all."""
    task = running.get(name)
    if task is None:
        task = running[name] = asyncio.create_task(begin(name), name=f"{what} of {name}")
        task.add_done_callback(lambda _: running.pop(name, None))
    return await asyncio.shield(task)


def _clamped(ttl_s: float) -> float:
    return min(max(ttl_s, _SHORTEST_TTL_S), _LONGEST_TTL_S)


def _decoded(record: pycares.DNSRecord) -> Record | None:
    """None for what nobody asked for (RRSIG beside the answer, say)."""
    kind = _KINDS.get(record.type)
    if kind is None:
        return None
    data: Any = record.data
    preference = 0
    if kind == "MX":
        value, preference = data.exchange, data.priority
    else:
        value = data.cname if kind == "CNAME" else data.addr
    return Record(_name(record.name), kind, _name(value), record.ttl, preference)


def _name(raw: str | bytes) -> str:
    """pycares leaves a name that is not ASCII as bytes; such a name is refused later, but must be
    printable."""
    text = raw if isinstance(raw, str) else raw.decode("ascii", "backslashreplace")
    return text.removesuffix(".").lower()
