"""Asks DNS one question. The only module that knows aiodns.

One channel for the life of the process (pycares frees a channel under its queries otherwise, CVE-2025-48945). Names
are checked by the callers before they are asked: C would end them at a NUL. Nothing is kept here but what c-ares
keeps; whoever asks twice asks twice. It does not validate: no answer of it is ever `is_secure`, and it is not to be
asked for TLSA.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Protocol

import aiodns
import pycares
from aiodns import error as ares

from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, Record, RecordKind, TroubleKind
from mta.dns.settings import DnsSettings

_DEADLINE_S = 20.0  # per question; c-ares itself may take tries x servers x a doubling timeout
_MOST_MISREAD, _SPREAD_S = 2, 0.2
_FIRST_PAUSE_S = 0.5  # then twice as long each time: who was slow once is finding out, not deaf
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
    pycares.QUERY_TYPE_TXT: "TXT",
    pycares.QUERY_TYPE_PTR: "PTR",
    pycares.QUERY_TYPE_SOA: "SOA",
}


class Nameservers(Protocol):
    """Whoever answers questions. `start` inside the running loop, `close` at the end."""

    def start(self) -> None: ...

    async def close(self) -> None:
        """Whoever still waits gets `LookupFailed`."""
        ...

    def forget(self) -> None:
        """Believe nothing that is kept: ask again."""
        ...

    async def ask(self, name: str, kind: RecordKind) -> Answer:
        """At least one record; else `Absent` or `LookupFailed` is raised, and nothing else."""
        ...


class StubNameservers:
    """The configured servers, or those of /etc/resolv.conf, through c-ares."""

    def __init__(self, settings: DnsSettings, rng: Callable[[], float] = random.random) -> None:
        self._settings = settings
        self._rng = rng
        self._channel: _Channel | None = None
        self._closed = asyncio.Event()
        self._asked = 0

    def start(self) -> None:
        """ValueError if `servers` cannot be read."""
        try:
            self._channel = _Channel(
                nameservers=self._settings.servers or None,
                timeout=self._settings.timeout_s,
                tries=self._settings.tries,
            )
        except pycares.AresError as error:
            raise ValueError(f"dns.servers {self._settings.servers}: {error.args[-1]}") from error

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        self._closed.set()
        if channel is not None:
            channel.cancel()
            await channel.close()

    def forget(self) -> None:
        if self._channel is not None:
            self._channel.forget()

    async def ask(self, name: str, kind: RecordKind) -> Answer:
        """c-ares takes a multiple of the server's mean latency for its time-out: beside a thousand answers out of a
        cache, a domain that has to be found out about is given half a second. So a time-out that comes early is none,
        and the question is asked again until about the time that was configured is over. An answer it cannot read takes
        all questions with it that are on the way beside it, as if theirs had been such: each is asked once or twice
        more, not all at the same moment."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._settings.timeout_s * self._settings.tries
        pause_s = _FIRST_PAUSE_S
        misread = 0
        while True:
            try:
                return await self._ask_once(name, kind)
            except LookupFailed as failure:
                if failure.trouble.kind == "bad_answer" and misread < _MOST_MISREAD:
                    misread += 1
                    await self._pause(self._rng() * misread * _SPREAD_S)
                    continue
                if failure.trouble.kind != "timeout" or loop.time() + pause_s > give_up_at:
                    raise
            await self._pause(pause_s)
            pause_s *= 2

    async def _pause(self, seconds: float) -> None:
        """Or until all is closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    async def _ask_once(self, name: str, kind: RecordKind) -> Answer:
        """The border where errors of aiodns end."""
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
        return Answer(tuple(record for record in map(_decoded, result.answer) if record is not None))


class _Channel(aiodns.DNSResolver):
    def forget(self) -> None:
        """Empty the answer cache of c-ares, which it does at a re-read of its configuration; aiodns has no
        word for it and pycares none for the cache's size. If the re-read fails the cache stays, till the next
        time."""
        with contextlib.suppress(pycares.AresError):
            self._channel.reinit()


def _decoded(record: pycares.DNSRecord) -> Record | None:
    """None for what nobody asked for (RRSIG beside the answer, say)."""
    kind = _KINDS.get(record.type)
    if kind is None:
        return None
    data: Any = record.data
    preference = 0
    match kind:
        case "MX":
            value, preference = _name(data.exchange), data.priority
        case "CNAME":
            value = _name(data.cname)
        case "PTR":
            value = _name(data.dname)
        case "SOA":
            value = _name(data.mname)
        case "TXT":
            value = data.data.decode("utf-8", "backslashreplace")
        case _:
            value = data.addr
    return Record(_name(record.name), kind, value, record.ttl, preference)


def _name(raw: str | bytes) -> str:
    """pycares leaves a name that is not ASCII as bytes; such a name is refused later, but must be
    printable."""
    text = raw if isinstance(raw, str) else raw.decode("ascii", "backslashreplace")
    return text.removesuffix(".").lower()
