"""The ledger of this node: a page for each source message in work, and what it knows of those it may meet again.

A page is opened before the first dot of its message and closed when that is acknowledged. What was left behind by an
earlier life, or by a lease that ran out, is carried on until the message is acknowledged by somebody or begins here
anew: it stays in the arena, and in every snapshot, so that whoever gets the message next finds it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.pump import Pump
from mta.jetstream.settings import NatsSettings
from mta.ledger.arena import Found, Ledger
from mta.ledger.page import NoSlot, Page, Slot
from mta.ledger.progress import Progress
from mta.ledger.snapshot import Entry, Unreadable, unkept
from mta.ledger.state import Source

_ASK_EVERY_S = 60.0
_LOOK_EVERY_S = 10.0

log = structlog.get_logger()


def _nothing() -> None:
    """How what is known from snapshots only is let go of."""


class _Carried:
    """What was found, or the `page` where late outcomes may still come in."""

    __slots__ = ("_entry", "asked_at", "page", "release")

    def __init__(
        self, entry: Entry, asked_at: float, release: Callable[[], None] = _nothing, page: Page | None = None
    ) -> None:
        self._entry = entry
        self.page = page
        self.release = release
        self.asked_at = asked_at

    @property
    def entry(self) -> Entry:
        return self._entry if self.page is None else self.page.entry()

    def unite(self, other: Entry) -> None:
        self._entry = _united(self._entry, other)


class Books:
    """`open` before anything is pulled; `progress.run` beside the rest."""

    def __init__(self, directory: Path, link: Link, pump: Pump, node: str, settings: NatsSettings) -> None:
        self._link = link
        self._node = node
        self._lasts_s = settings.ack_wait_s
        self._ledger = Ledger(directory, lambda text: log.warning("ledger", text=text))
        self.progress = Progress(
            link,
            pump,
            node,
            self._entries,
            snapshot_s=settings.snapshot_s,
            hold_back_s=settings.hold_back_s,
        )
        self._pages: dict[Source, Page] = {}
        self._carried: dict[Source, _Carried] = {}

    async def open(self) -> None:
        """What an earlier life left in the arenas and in its last snapshot. `LedgerInUse` if it still goes on."""
        now = time.monotonic()
        for found in self._ledger.open():
            self._carry_found(found, now)
        for snapshot in await self.progress.read():
            if snapshot.node == self._node:
                for entry in snapshot.entries:
                    self._carry(entry, now)
        if self._carried:
            log.info("ledger_recovered", messages=len(self._carried))
            self.progress.note_change()

    def _carry_found(self, found: Found, now: float) -> None:
        entry = Entry(found.source, found.states, unkept(found.states, found.notes))
        if found.source in self._carried:
            # It died between taking a new slot and letting go of the old one.
            self._carried[found.source].unite(entry)
            found.slot.release()
        else:
            self._carried[found.source] = _Carried(entry, now, found.slot.release)

    def _carry(self, entry: Entry, now: float) -> None:
        if entry.source in self._carried:
            self._carried[entry.source].unite(entry)
        else:
            self._carried[entry.source] = _Carried(entry, now)

    def close(self) -> None:
        self._ledger.close()

    # -- pages --------------------------------------------------------------------------------------------------

    def begin(self, source: Source, payload_key: bytes, count: int, past: Entry | None) -> Page:
        """Before the first dot. `LedgerFull`: it must not begin."""
        slot: Slot = self._ledger.take(source, payload_key, count) if count else NoSlot()
        page = self._pages[source] = Page(source, past, count, slot, self.progress.note_change)
        carried = self._carried.pop(source, None)
        if carried is not None:
            carried.release()
        if past is not None:
            self.progress.note_change()
        return page

    def end(self, page: Page) -> None:
        """Its message is acknowledged."""
        del self._pages[page.source]
        page.release()
        self.progress.note_change()

    def lose(self, page: Page) -> None:
        """Its lease has ended: it is written on, and somebody else will want to know."""
        del self._pages[page.source]
        self._carried[page.source] = _Carried(page.entry(), time.monotonic(), page.release, page)

    def _entries(self) -> Iterator[Entry]:
        for page in self._pages.values():
            if not page.is_blank:
                yield page.entry()
        for carried in self._carried.values():
            yield carried.entry

    # -- what is known of a message -----------------------------------------------------------------------------

    async def past(self, source: Source, count: int) -> Entry | None:
        """What this node and all others know of it, united. Of messages that may have been in somebody's hands."""
        carried = self._carried.get(source)
        found = carried.entry if carried is not None else None
        for snapshot in await self.progress.read():
            for entry in snapshot.entries:
                if entry.source == source:
                    found = entry if found is None else _united(found, entry)
        if found is not None and len(found.states) != count:
            log.error("ledger_foreign", sequence=source.sequence, recipients=count, found=len(found.states))
            return None
        return found

    async def run(self) -> None:
        """Forgets what is gone, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self.forget_gone()

    async def forget_gone(self) -> None:
        """Ask the streams' leaders for what is carried, each message once a minute after its lease must have ended;
        what is gone was acknowledged."""
        now = time.monotonic()
        for source, carried in tuple(self._carried.items()):
            if carried.asked_at + max(self._lasts_s, _ASK_EVERY_S) > now:
                continue
            carried.asked_at = now
            try:
                is_there = await self._link.stored_message(source.stream, source.sequence) is not None
            except JetStreamError as error:
                log.debug("ledger_not_asked", error=str(error))
                return
            if not is_there and self._carried.get(source) is carried:
                carried.release()
                del self._carried[source]
                self.progress.note_change()


def _united(one: Entry, other: Entry) -> Entry:
    try:
        return one.united(other)
    except Unreadable as error:
        log.error("ledger_foreign", sequence=one.source.sequence, error=str(error))
        return one
