"""Counts TLS sessions, and tells the domains that want to know (RFC 8460).

The counts are kept in `state_dir/tlsrpt.json` every minute and at the end: what a crash takes is a minute of them. Some
hours into the day the TXT record of each domain with counts of the day before is asked for. Who has none is forgotten;
the others are told, by HTTPS, or by a payload on our own stream, which composes and signs it as all mail. What fails is
tried again until the day ends, so within 24 hours, then dropped with a line in the log. Whoever was told is marked at
once: a restart tells nobody twice, but for a POST whose answer the daemon did not live to write down.

Everything on disk and in DNS may be wrong; none of it ends the daemon.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heappush
from pathlib import Path

import structlog

from mta.file import write_whole
from mta.https import Trouble
from mta.jetstream.errors import JetStreamError
from mta.model.tls import TlsSession
from mta.tlsrpt.post import HttpsPost
from mta.tlsrpt.report import Report, due_at, payload, report
from mta.tlsrpt.rua import ByMail, Destination, rua
from mta.tlsrpt.settings import TlsRptSettings
from mta.tlsrpt.tally import DAY_S, Tally

FILE_NAME = "tlsrpt.json"
_MOST_FILE_BYTES = 100_000_000
_AT_ONCE = 8

Texts = Callable[[str], Awaitable[tuple[str, ...] | Trouble]]
"""A name to the text of each of its TXT records: () where there is none."""
Publish = Callable[[str, bytes, str], Awaitable[object]]
"""Subject, body, message id: returns when the stream has it; JetStreamError."""

log = structlog.get_logger()


class Reporter:
    """`open`, then `run` in the owner's TaskGroup; `close` when no session can come any more. `note` may be called at
    any time. `clock` is seconds since the epoch."""

    def __init__(
        self,
        settings: TlsRptSettings,
        node: str,
        directory: Path,
        *,
        texts: Texts,
        post: HttpsPost,
        publish: Publish,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._node = node
        self._path = directory / FILE_NAME
        self._texts = texts
        self._post = post
        self._publish = publish
        self._clock = clock
        self._tally = Tally()
        self._planned = 0
        self._due: list[tuple[float, str]] = []
        self._tries: dict[str, int] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._writing = asyncio.Lock()

    def note(self, session: TlsSession) -> None:
        self._tally.note(session)

    def open(self) -> None:
        """Goes on with what is kept; with nothing where that cannot be read."""
        try:
            with self._path.open("rb") as file:
                raw = file.read(_MOST_FILE_BYTES + 1)
            if len(raw) > _MOST_FILE_BYTES:
                raise ValueError(f"is larger than {_MOST_FILE_BYTES} bytes")
            self._tally = Tally.decode(raw)
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("tls_counts_unreadable", file=str(self._path), reason=str(error))
        self._post.start()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again(self.turn), name="report on TLS")
            group.create_task(self._again(self.save), name="keep the TLS counts")

    async def close(self) -> None:
        await self.save()
        await self._post.close()

    async def _again(self, what: Callable[[], Awaitable[None]]) -> None:
        while True:
            await what()
            await asyncio.sleep(self._settings.look_s)

    async def turn(self) -> None:
        """Reports everything that is due."""
        now = self._clock()
        today = int(now // DAY_S)
        self._forget(today)
        if self._planned != today:
            self._due.clear()
            if now >= today * DAY_S + self._settings.begin_s:
                self._plan(today)
        async with asyncio.TaskGroup() as group:
            while self._due and self._due[0][0] <= now:
                await self._slots.acquire()
                _, domain = heappop(self._due)
                group.create_task(self._one(today - 1, domain), name=f"TLS report for {domain}")

    # -- what is due ------------------------------------------------------------------------------------------------

    def _forget(self, today: int) -> None:
        for day, domains in self._tally.forget(today):
            if domains:
                log.warning("tls_counts_dropped", day=day, domains=domains)

    def _plan(self, today: int) -> None:
        """Once a day, when its predecessor is complete."""
        day = today - 1
        self._planned = today
        self._tries = {}
        domains = self._tally.domains(day)
        self._due = [(due_at(self._settings, self._node, day, domain), domain) for domain in domains]
        heapify(self._due)
        if uncounted := self._tally.uncounted(day):
            log.warning("tls_sessions_uncounted", day=day, sessions=uncounted)

    def _later(self, day: int, domain: str, faults: list[str]) -> None:
        """Again, each time after twice as long, while there is time."""
        tries = self._tries[domain] = self._tries.get(domain, 0) + 1
        at = self._clock() + self._settings.retry_s * 2.0 ** (tries - 1)
        if at < (day + 2) * DAY_S:
            heappush(self._due, (at, domain))
            return
        log.warning("tls_report_dropped", domain=domain, day=day, tries=tries, faults=faults)
        self._tally.end(day, domain)

    # -- one domain ---------------------------------------------------------------------------------------------------

    async def _one(self, day: int, domain: str) -> None:
        try:
            await self._report(day, domain)
        finally:
            self._slots.release()

    async def _report(self, day: int, domain: str) -> None:
        answer = await self._texts(f"_smtp._tls.{domain}")
        if not isinstance(answer, tuple):
            self._later(day, domain, [answer.detail])
            return
        wanted = rua(answer)
        if wanted.refused:
            log.info("tls_report_refused", domain=domain, faults=wanted.refused)
        if not wanted.destinations:
            self._tally.end(day, domain)
            return
        made = report(self._settings, self._node, day, self._tally.counts(day, domain))
        told = self._tally.told(day, domain)
        faults = []
        for to in wanted.destinations:
            if to.uri in told:
                continue
            fault = await self._deliver(made, to)
            if fault:
                faults.append(f"{to.uri}: {fault}")
            else:
                self._tally.tell(day, domain, to.uri)
                log.info("tls_report_sent", domain=domain, day=day, report_id=made.id, to=to.uri)
        if faults:
            self._later(day, domain, faults)
        else:
            self._tally.end(day, domain)
        await self.save()

    async def _deliver(self, made: Report, to: Destination) -> str:
        """Why it did not go out; "" if it did."""
        if not isinstance(to, ByMail):
            return await self._post.send(to, made.body)
        outgoing = payload(made, self._settings, self._node, to, self._clock())
        try:
            await self._publish(outgoing.subject, outgoing.body, outgoing.msg_id)
        except JetStreamError as error:
            return str(error)
        return ""

    # -- what is kept -------------------------------------------------------------------------------------------------

    async def save(self) -> None:
        """Writes what has changed; a failure is told and made good by the next call."""
        async with self._writing:
            if not self._tally.is_changed:
                return
            self._tally.is_changed = False
            writing = asyncio.ensure_future(asyncio.to_thread(_write, self._path, self._tally.encode()))
            try:
                await asyncio.shield(writing)
            finally:
                await asyncio.wait([writing])  # also when cancelled: else the next one could be overtaken
                if fault := writing.result():
                    self._tally.is_changed = True
                    log.warning("tls_counts_not_kept", file=str(self._path), reason=fault)


def _write(path: Path, content: bytes) -> str:
    """Why it could not be; "" if it was."""
    try:
        write_whole(path, content)
    except OSError as error:
        return str(error)
    return ""
