"""What a domain asks of those who send to it: MTA-STS (RFC 8461), the sending side.

The TXT record is asked for again when its time is over, the policy fetched when there is none, when the record has
another `id`, and in time before it expires. Invariants: a policy that was fetched binds until its `max_age` is over or
the domain puts another in its place, whatever becomes of its record, of DNS or of its host (section 5.1), and through
restarts; nobody waits for a look at a record while a policy binds; after a fetch that failed there is none for 5
minutes; one lookup is in flight per domain (one more for those who are in a hurry: they never wait behind the
others), and everything is bounded.

Records and files are read in `mta.dns.policy`, fetched in `mta.dns.fetch`, kept in `mta.dns.shelf`. What a policy means
for a connection is left to the caller. Without DNSSEC the first contact is not protected: who can hide the record then
hides the policy.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from msgspec import Struct

from mta.dns.cache import TtlCache
from mta.dns.fetch import FetchFailed, PolicyHosts
from mta.dns.flight import joined
from mta.dns.mx import name_fault
from mta.dns.nameservers import Nameservers
from mta.dns.policy import NoRecord, StsRecord, host_name, read_policy, read_record, record_name
from mta.dns.record import Absent, DnsTrouble, LookupFailed
from mta.dns.settings import StsLimits
from mta.dns.shelf import Kept, Shelf
from mta.dns.slots import Slots
from mta.https import Addresses
from mta.model.tls import StsMode, StsPolicy, TlsFailure

_SHORTEST_TTL_S = 300.0
_LONGEST_TTL_S = 3600.0
_TROUBLE_S = 300.0  # RFC 8461 section 3.3: after a failed fetch wait 5 minutes or longer
_LIMITS = StsLimits()
_ROUND_S = 3600.0
_REFRESHED_AT_ONCE = 10  # mail that waits for a policy comes first
_QUICK_QUESTIONS, _MOST_QUESTIONS = 100, 2000  # TXT questions at once; with those that have no answer yet
_QUICK_S = 1.0  # within which records and files come, or others do not wait for them

log = structlog.get_logger()


class NoSts(Struct, frozen=True, gc=False):
    """The domain asks for nothing, as far as can be known; `detail` says why that is so. `is_sure`: it said so, or at
    least nobody failed to answer."""

    detail: str
    is_sure: bool = True


class StsFault(Struct, frozen=True, gc=False):
    """The domain has a record, no usable policy of it is known, and none could be got."""

    failure: TlsFailure
    detail: str


StsAnswer = StsPolicy | NoSts | StsFault
_Found = StsRecord | NoRecord | DnsTrouble


class StsPolicies:
    """`start` inside the running loop; `close` ends what is in flight. `addresses` is `Resolver.addresses`; `state` the
    file that keeps policies. `clock` gives seconds since the epoch, as policies outlive the process."""

    def __init__(
        self,
        nameservers: Nameservers,
        addresses: Addresses,
        state: Path,
        *,
        port: int = 443,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
        limits: StsLimits = _LIMITS,
    ) -> None:
        self._nameservers = nameservers
        self._hosts = PolicyHosts(addresses, port=port, context=context, fetch_s=limits.fetch_s)
        self._shelf = Shelf(state, limits)
        self._clock = clock
        self._answers: TtlCache[NoSts | StsFault] = TtlCache(limits.most_domains)
        self._faults: TtlCache[StsFault] = TtlCache(limits.most_domains)
        self._most_checks = limits.most_checks
        self._usual, self._express = _Way(limits), _Way(limits)
        self._is_open = False

    async def start(self) -> None:
        await self._shelf.start(self._clock())
        self._hosts.start()
        self._is_open = True

    async def close(self) -> None:
        """Who still waits gets what is known, or `NoSts`."""
        self._is_open = False
        running = (*self._usual.lookups.values(), *self._express.lookups.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self._hosts.close()
        await self._shelf.close()

    async def run(self) -> None:
        """`refresh` once an hour, until cancelled."""
        while True:
            await asyncio.sleep(_ROUND_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Fetch anew what is due: the policy of a domain that gets no mail for a while would lapse, and whoever stands
        in the way of the next mail could keep it away for good (RFC 8461 section 10.2)."""
        due = self._shelf.due(self._clock())
        for start in range(0, len(due), _REFRESHED_AT_ONCE):
            part = due[start : start + _REFRESHED_AT_ONCE]
            await asyncio.gather(*(self._looked(self._usual, domain) for domain in part))

    def look_up(self, domain: str) -> StsAnswer | None:
        """What is known now, None if `resolve` has to ask. A policy that binds is given even if its record is due to
        be asked for again: that happens meanwhile."""
        name = domain.lower()
        now = self._clock()
        kept = self._shelf.get(name, now)
        if kept is not None:
            if kept.look_at <= now and self._is_open and len(self._usual.lookups) < self._most_checks:
                self._joined(self._usual, name)
            return kept.policy
        known = self._answers.get(name, now)
        # What is to be believed for longer was told by a clock that was ahead.
        return known[1] if known is not None and known[0] <= _LONGEST_TTL_S else None

    async def resolve(self, domain: str, *, is_urgent: bool = False) -> StsAnswer:
        """What `domain` (an A-label name without a final dot) asks for. Nothing that a domain does raises."""
        known = self.look_up(domain)
        way = self._express if is_urgent else self._usual
        return known if known is not None else await self._looked(way, domain)

    async def recheck(self, domain: str) -> StsAnswer:
        """What holds before mail is given up because of a policy: its record is asked for now, if that was not done
        within 5 minutes (T-06). A record that nameservers keep may be as old as its TTL."""
        now = self._clock()
        kept = self._shelf.get(domain.lower(), now)
        if kept is None or kept.looked_at > now - _TROUBLE_S:
            return await self.resolve(domain)
        return await self._looked(self._usual, domain)

    async def _looked(self, way: "_Way", domain: str) -> StsAnswer:
        fault = name_fault(domain) or name_fault(record_name(domain), is_host=True)
        if fault:
            return NoSts(f"{domain[:80]!r} can have no policy: {fault}")
        if self._is_open:
            task = self._joined(way, domain.lower())
            # Unlike `await task` it tells the end of the task from that of the one who waits.
            await asyncio.wait((task,))
            if not task.cancelled():
                return task.result()
        known = self.look_up(domain)
        return known if known is not None else NoSts("not running", is_sure=False)

    def _joined(self, way: "_Way", name: str) -> asyncio.Task[StsAnswer]:
        return joined(way.lookups, name, "MTA-STS policy", partial(self._look, way))

    async def _look(self, way: "_Way", domain: str) -> StsAnswer:
        """Ask for the record, fetch what it calls for, and remember what came of it."""
        async with way.questions.taken():
            record = await self._record(domain)
        kept = self._shelf.get(domain, self._clock())
        if kept is not None:
            return await self._checked(way, domain, record, kept)
        if not isinstance(record, StsRecord):
            answer = NoSts(record.detail, is_sure=isinstance(record, NoRecord))
            self._answers.put(domain, answer, self._clock() + _rest_s(record))
            return answer
        fetched = await self._fetched(way, domain, record.id, record)
        if isinstance(fetched, StsFault):
            self._answers.put(domain, fetched, self._clock() + _TROUBLE_S)
        return fetched

    async def _checked(self, way: "_Way", domain: str, record: _Found, kept: Kept) -> StsPolicy:
        """The policy in whose place `record` puts another, else the one that is kept."""
        id = _wanted(record, kept, self._clock())
        fetched = await self._fetched(way, domain, id, record) if id is not None else None
        if isinstance(fetched, StsPolicy):
            return fetched
        rest_s = _rest_s(record)
        if fetched is not None:
            rest_s = _TROUBLE_S
            if kept.policy.mode is not StsMode.NONE:  # RFC 8461 section 5.1 wants somebody to hear of it
                log.warning(
                    "sts_refresh_failed", domain=domain, failure=fetched.failure, detail=fetched.detail
                )
        now = self._clock()
        self._shelf.look_again(domain, now, now + rest_s)
        return kept.policy

    async def _record(self, domain: str) -> _Found:
        name = record_name(domain)
        try:
            return read_record(name, (await self._nameservers.ask(name, "TXT")).records)
        except Absent:
            return read_record(name, ())
        except LookupFailed as failure:
            return failure.trouble

    async def _fetched(self, way: "_Way", domain: str, id: str, record: _Found) -> StsPolicy | StsFault:
        """From the host of the domain onto the shelf, with `record` as the reason to look."""
        failed = self._faults.get(domain, self._clock())
        if failed is not None and failed[0] <= _TROUBLE_S:
            return failed[1]
        async with way.fetches.taken():
            try:
                read = read_policy(id, await self._hosts.get(host_name(domain)))
            except FetchFailed as failure:
                fault = StsFault(failure.failure, failure.detail)
            else:
                if isinstance(read, StsPolicy):
                    now = self._clock()
                    self._shelf.put(domain, read, now, now + _rest_s(record))
                    return read
                fault = StsFault(TlsFailure.STS_POLICY_INVALID, read.detail)
        self._faults.put(domain, fault, self._clock() + _TROUBLE_S)
        return fault


class _Way:
    """Lookups that may have to wait for one another."""

    def __init__(self, limits: StsLimits) -> None:
        self.questions = Slots(_QUICK_QUESTIONS, _MOST_QUESTIONS, _QUICK_S)
        self.fetches = Slots(limits.most_fetches, limits.most_slow_fetches, _QUICK_S)
        self.lookups: dict[str, asyncio.Task[StsAnswer]] = {}


def _wanted(record: _Found, kept: Kept, now: float) -> str | None:
    """The `id` of a policy to be fetched in the place of the one that is kept. Where DNS fails that one is
    refreshed all the same: who can stop the record must not be able to outwait the policy (RFC 8461 section 10.2).
    A record that is gone refreshes nothing: so a domain can leave."""
    if isinstance(record, StsRecord) and record.id != kept.policy.id:
        return record.id
    if kept.refresh_at <= now and not isinstance(record, NoRecord):
        return kept.policy.id
    return None


def _rest_s(record: _Found) -> float:
    """How long nobody asks for it again."""
    if isinstance(record, DnsTrouble):
        return _TROUBLE_S
    return min(max(record.ttl_s, _SHORTEST_TTL_S), _LONGEST_TTL_S)
