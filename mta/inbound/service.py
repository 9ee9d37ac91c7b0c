"""Everything that takes in reports, wired: sockets, conversations, workers, what is asked and where it is told.

`start` once NATS and DNS are there, `drain` while they still are, `stop` at the end.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Mapping

import structlog
from msgspec import Struct

from mta.classify.classifier import Classifier
from mta.inbound.admission import Admission
from mta.inbound.authentic import Authenticity, Texts
from mta.inbound.counters import Counters
from mta.inbound.fact import Recording
from mta.inbound.listener import Listener
from mta.inbound.origin import Origins
from mta.inbound.reception import ProviderOf, Reception
from mta.inbound.settings import InboundSettings, WorkerSettings
from mta.inbound.tls import Unusable, expired, server_context
from mta.inbound.workers import READER, ReportWorkers, usual_workers
from mta.jetstream.connection import Link
from mta.model.outcome import Stage, Verdict
from mta.model.reply import Reply
from mta.model.token import TokenKey, TokenReader

log = structlog.get_logger()


class Asked(Struct, frozen=True):
    """Who is asked, and told."""

    link: Link
    recorder: Recording
    classifier: Classifier
    texts: Texts
    provider_of: ProviderOf


class Inbound:
    """`tenants` by bounce domain. `hostname` is what we greet with."""

    def __init__(
        self,
        settings: InboundSettings,
        hostname: str,
        tenants: Mapping[str, Iterable[str]],
        keys: Iterable[TokenKey],
        asked: Asked,
        reader: str = READER,
    ) -> None:
        self._workers = ReportWorkers(WorkerSettings(workers=usual_workers()), reader)
        self.counters = Counters()
        self._is_open = False
        tokens = TokenReader(keys)

        def classify(reply: Reply, provider: str) -> Verdict:
            return asked.classifier.classify(Stage.OUT_OF_BAND, reply, provider=provider)

        reception = Reception(
            settings,
            tokens,
            workers=self._workers,
            authenticity=Authenticity(asked.texts, self._workers.verify, settings.dns_s),
            origins=Origins(asked.link),
            recorder=asked.recorder,
            classify=classify,
            provider_of=asked.provider_of,
            counters=self.counters,
        )
        self._listener = Listener(
            settings,
            hostname,
            _context(settings),
            Admission(tokens, tenants, feedback=settings.feedback),
            reception.receive,
            self.counters,
        )

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Bound sockets, which are ours from here on; without any nothing is started. `WorkersBusy` if no worker comes
        up."""
        sockets = tuple(sockets)
        if sockets:
            self._is_open = True
            await self._workers.start()
            await self._listener.open(sockets)

    async def drain(self, limit_s: float) -> None:
        """What is on the way is finished within the limit."""
        if self._is_open:
            await self._listener.drain(limit_s)
            log.info("inbound_closed", **self.counters.told())

    async def stop(self) -> None:
        await self._workers.stop()


def _context(settings: InboundSettings) -> ssl.SSLContext | None:
    """H16: whatever is wrong with the certificate, reports come in the clear."""
    if not settings.certificate:
        return None
    made = server_context(settings.certificate, settings.key)
    if isinstance(made, Unusable):
        log.warning("inbound_without_tls", reason=made.reason)
        return None
    if since := expired(settings.certificate, time.time()):
        log.warning("inbound_certificate_expired", certificate=settings.certificate, since=since)
    return made
