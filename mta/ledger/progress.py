"""Snapshots of this node into MTA_PROGRESS, and those of all nodes out of it.

One is on its way at a time, so that an older one never replaces a newer; the next is taken when that is confirmed and
something has changed since, at most every `snapshot_s`. While one stays unconfirmed for `hold_back_s` nothing new may
be sent (`is_late`): this bounds what a node that is cut off repeats on another's side.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from mta.jetstream.connection import Link
from mta.jetstream.consumers import held_subjects
from mta.jetstream.layout import PROGRESS
from mta.jetstream.pump import PubAck, PublishFailed, Pump
from mta.jetstream.subjects import progress_subject
from mta.ledger.snapshot import Entry, Snapshot, Unreadable, decode, encode

_SERVES_S = 1.0
_LEAST_TICK_S = 0.01
_REST_S = 1.0
_EARLY = 0.9
"""Of the interval: a tick that comes a little too soon counts."""

log = structlog.get_logger()


class Progress:
    """`run` in the owner's task group, after the node's own last snapshot was read. `entries` gives what is to go into
    the next one; `note_change` says that there will be something new."""

    def __init__(
        self,
        link: Link,
        pump: Pump,
        node: str,
        entries: Callable[[], Iterable[Entry]],
        *,
        snapshot_s: float,
        hold_back_s: float,
    ) -> None:
        self._link = link
        self._pump = pump
        self._node = node
        self._entries = entries
        self._snapshot_s = max(snapshot_s, _LEAST_TICK_S)
        self._hold_back_s = hold_back_s
        self._subject = progress_subject(node)
        self._boot = time.time_ns()
        self._number = 0
        self._sent_at: float | None = None
        self._changed_at: float | None = None
        self._not_before = 0.0
        self._read_at = float("-inf")
        self._found: list[Snapshot] = []
        self._reading = asyncio.Lock()
        self._calm = asyncio.Event()
        self._calm.set()

    def note_change(self) -> None:
        if self._changed_at is None:
            self._changed_at = time.monotonic()
            self._calm.clear()

    @property
    def is_late(self) -> bool:
        """What has happened since is unconfirmed for too long."""
        since = self._sent_at if self._sent_at is not None else self._changed_at
        return since is not None and time.monotonic() - since > self._hold_back_s + self._snapshot_s

    async def run(self, after: Callable[[], None]) -> None:
        """Until cancelled; `after` is called at each tick."""
        while True:
            await asyncio.sleep(self._snapshot_s)
            self._publish_if_due()
            after()

    async def flush(self) -> None:
        """Returns when the stream has everything."""
        await self._calm.wait()

    def _publish_if_due(self) -> None:
        is_due = self._changed_at is not None and self._sent_at is None
        if is_due and time.monotonic() >= self._not_before:
            self._publish()

    def _publish(self) -> None:
        now = time.monotonic()
        body = encode(self._node, time.time(), self._entries())
        try:
            self._pump.publish(
                self._subject,
                body,
                msg_id=f"{self._subject}.{self._boot}.{self._number}",
                on_done=self._done,
            )
        except BufferError:
            return  # there is no room before other publishes are confirmed: at the next tick
        self._number += 1
        self._sent_at, self._changed_at = self._changed_at, None
        self._not_before = now + self._snapshot_s * _EARLY

    def _done(self, result: PubAck | PublishFailed) -> None:
        if isinstance(result, PublishFailed):
            log.warning("snapshot_refused", error=result.text)
            self._changed_at = self._sent_at
            self._not_before = time.monotonic() + _REST_S
        self._sent_at = None
        if self._changed_at is None:
            self._calm.set()
        else:  # it was late: the next does not wait for another tick
            self._publish_if_due()

    # -- reading ------------------------------------------------------------------------------------------------

    async def read(self) -> list[Snapshot]:
        """The last snapshot of every node, as the stream's leader has it. One read serves all who ask within a
        second: who gets a message again gets it long after its former owner's last word."""
        async with self._reading:
            if time.monotonic() - self._read_at > _SERVES_S:
                asked_at = time.monotonic()
                self._found = await self._read()
                self._read_at = asked_at
            return self._found

    async def _read(self) -> list[Snapshot]:
        found: list[Snapshot] = []
        for subject in await held_subjects(self._link, PROGRESS, ">"):
            stored = await self._link.last_message(PROGRESS, subject, leader=True)
            if stored is None:
                continue
            try:
                found.append(decode(stored.data))
            except Unreadable as error:
                log.error("snapshot_unreadable", subject=subject, error=str(error))
        return found
