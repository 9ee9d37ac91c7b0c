"""From a report to the reply that ends its transaction: read, believe or not, find whose it is, decide, store.

250 means that the event is stored, or that none is due. What cannot be told now is 451: the peer comes again. What is
no report of ours, too old, or not its author's, is refused. A report sent again is taken again, and told once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import structlog

from mta.inbound.admission import Addressee
from mta.inbound.authentic import Authorship
from mta.inbound.counters import Counters
from mta.inbound.fact import OTHER, Recording
from mta.inbound.judge import NO_REPORT, Classify, Drop, Refuse, Tell, fact_of, is_complaint, judge, tokens_in
from mta.inbound.origin import Origin
from mta.inbound.settings import InboundSettings
from mta.inbound.workers import Guilty, WorkersBusy
from mta.jetstream.errors import JetStreamError
from mta.model.report import Report, ReportKind
from mta.model.token import AddressToken, Purpose, TokenReader

_SAY_EVERY_S = 60.0
_TAKEN = "250 2.0.0 Ok"
_LATER = "451 4.3.0 Cannot be stored now, come again"
_GUILTY = Refuse("unreadable", "554 5.6.0 This cannot be read")
_TOO_OLD = Refuse("too_old", "550 5.1.6 The mail this is about is too old, or nobody's here")
_NO_AUTHOR = Refuse("unproven", "550 5.7.20 No valid signature of the domain this complaint comes from")
_NO_TOKEN = Refuse("no_token", "550 5.7.1 Not about mail that was sent from here")

log = structlog.get_logger()

ProviderOf = Callable[[str], Awaitable[str]]
"""The provider's token of a domain."""


class Reading(Protocol):
    async def read(self, raw: bytes) -> Report:
        """`Guilty` or `WorkersBusy` if there is none."""
        ...


class Finding(Protocol):
    async def find(self, token: AddressToken, tenants: frozenset[str]) -> Origin | None: ...


class Judging(Protocol):
    async def judge(self, raw: bytes, from_domain: str) -> Authorship: ...


class Reception:
    """Its collaborators answer within limits of their own; storing and the provider have theirs here."""

    def __init__(
        self,
        settings: InboundSettings,
        tokens: TokenReader,
        *,
        workers: Reading,
        authenticity: Judging,
        origins: Finding,
        recorder: Recording,
        classify: Classify,
        provider_of: ProviderOf,
        counters: Counters,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._workers = workers
        self._authenticity = authenticity
        self._origins = origins
        self._recorder = recorder
        self._classify = classify
        self._provider_of = provider_of
        self._counters = counters
        self._clock = clock
        self._said_at: dict[str, float] = {}

    async def receive(self, addressee: Addressee, raw: bytes) -> str:
        """The reply to the end of data."""
        try:
            report = await self._workers.read(raw)
            return await self._settle(addressee, raw, report)
        except Guilty:
            return self._refused(_GUILTY)
        except WorkersBusy as error:
            return self._put_off("workers", str(error))
        except (JetStreamError, TimeoutError) as error:
            return self._put_off("store", str(error))

    async def _settle(self, addressee: Addressee, raw: bytes, report: Report) -> str:
        purpose = addressee.purpose
        if addressee.token is None and report.kind is not ReportKind.FEEDBACK:
            return self._refused(NO_REPORT)
        given = (addressee.token,) if addressee.token else tuple(tokens_in(report, self._tokens))
        if not given:  # before anything is asked of DNS or reckoned for a stranger
            return self._refused(_NO_TOKEN)
        if is_complaint(report) and purpose is not Purpose.UNSUBSCRIBE:
            match await self._authenticity.judge(raw, report.from_domain):
                case Authorship.UNKNOWN:
                    return self._put_off(
                        "dns", report.from_domain, "451 4.7.5 The key cannot be looked up now"
                    )
                case Authorship.UNPROVEN:
                    return self._refused(_NO_AUTHOR)
        token, origin = await self._found(given, addressee.tenants)
        if origin is None:
            return self._refused(_TOO_OLD)
        match judge(purpose, report, origin, partial(self._tokens.is_of, token), raw):
            case Refuse() as refusal:
                return self._refused(refusal)
            case Drop(why=why):
                self._counters.dropped[why] += 1
                return _TAKEN
            case Tell() as tell:
                return await self._store(tell, report, origin)

    async def _found(
        self, given: tuple[AddressToken, ...], tenants: frozenset[str]
    ) -> tuple[AddressToken, Origin | None]:
        """Of these tokens, at least one, that which counts, and the mail it was made for. A feedback loop's report may
        hold several: the first that leads somewhere."""
        token = given[0]
        seen = set()
        for token in given:
            if token.payload_key in seen:
                continue
            seen.add(token.payload_key)
            origin = await self._origins.find(token, tenants)
            if origin is not None:
                return token, origin
        return token, None

    async def _store(self, tell: Tell, report: Report, origin: Origin) -> str:
        provider = await self._provider(tell.recipient)
        fact = fact_of(tell, report, origin, at=self._clock(), provider=provider, classify=self._classify)
        async with asyncio.timeout(self._settings.record_s):
            is_new = await self._recorder.record(fact)
        if is_new:
            self._counters.events[fact.kind] += 1
        else:
            self._counters.dropped["known"] += 1
        return _TAKEN

    async def _provider(self, recipient: str) -> str:
        """Worth a moment, no more."""
        domain = recipient.rpartition("@")[2]
        if not domain:
            return OTHER
        try:
            async with asyncio.timeout(self._settings.provider_s):
                return await self._provider_of(domain)
        except TimeoutError:
            return OTHER

    def _refused(self, refusal: Refuse) -> str:
        self._counters.refused[refusal.why] += 1
        return refusal.reply

    def _put_off(self, why: str, detail: str, reply: str = _LATER) -> str:
        """Said now and then: strangers decide how often it happens."""
        self._counters.put_off[why] += 1
        now = self._clock()
        if now - self._said_at.get(why, 0.0) > _SAY_EVERY_S:
            self._said_at[why] = now
            log.warning("report_put_off", why=why, detail=detail[:200], times=self._counters.put_off[why])
        return reply
