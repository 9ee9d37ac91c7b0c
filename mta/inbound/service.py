"""Everything that takes in reports, wired: sockets, conversations, workers, what is asked and where it is told.

`start` once NATS and DNS are there, `drain` while they still are, `stop` at the end.
"""

import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from msgspec import Struct

from mta.dns.record import DnsTrouble
from mta.inbound.admission import Admission
from mta.inbound.authentic import Authenticity
from mta.inbound.counters import Counters
from mta.inbound.fact import Recording
from mta.inbound.judge import Classify
from mta.inbound.listener import Listener
from mta.inbound.origin import Origins
from mta.inbound.reception import ProviderOf, Reception
from mta.inbound.settings import InboundSettings, WorkerSettings
from mta.inbound.tls import Unusable, expired, server_context
from mta.inbound.workers import READER, ReportWorkers, usual_workers
from mta.jetstream.connection import Link
from mta.model.token import TokenKey, TokenReader

log = structlog.get_logger()


class Asked(Struct, frozen=True):
    """Who is asked, and told. `texts` are the TXT records of a name."""

    link: Link
    recorder: Recording
    classify: Classify
    texts: Callable[[str], Awaitable[tuple[str, ...] | DnsTrouble]]
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
        self._settings = settings
        self._workers = ReportWorkers(WorkerSettings(workers=usual_workers()), reader)
        self.counters = Counters()
        tokens = TokenReader(keys)
        reception = Reception(
            settings,
            tokens,
            workers=self._workers,
            authenticity=Authenticity(asked.texts, self._workers.verify, settings.dns_s),
            origins=Origins(asked.link),
            recorder=asked.recorder,
            classify=asked.classify,
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
        """Bound sockets, which are ours from here on. `WorkersBusy` if no worker comes up."""
        await self._workers.start()
        await self._listener.open(sockets)

    async def drain(self, limit_s: float) -> None:
        await self._listener.drain(limit_s)
        log.info("inbound_closed", **self.counters.told())

    async def stop(self) -> None:
        await self._workers.stop()


def bound(address: str, port: int) -> socket.socket:
    """An address of this machine; OSError if it is not, or in use."""
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


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
