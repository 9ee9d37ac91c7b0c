"""A payload in work: one source message, its recipients, and what is still owed for it.

A work is over when every recipient has been settled, every event of it was acknowledged by the stream, and every
recipient that waits was stored in MTA_RETRY. Only then may the source message be acknowledged.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from mta.compose.spec import SpecBlob
from mta.delivery.reference import Reference
from mta.events.encode import CommonFields
from mta.intake.admission import Admitted
from mta.intake.decode import Rejected
from mta.jetstream.pull import Pulled
from mta.ledger.note import Note
from mta.ledger.page import Page
from mta.model.lane import Lane
from mta.model.outcome import Failed
from mta.model.payload import LastTry, StoredContent
from mta.model.sender import Sender
from mta.queue.deferred import Entry

_EARLIEST = 0.5  # of the time that somebody was to wait
_GATHER_S = 5.0
_AHEAD_S = 1.5
"""For how long those who wait are gathered, and how long before they are due at the latest they are stored: one slow
recipient must not keep the others of his payload from their next attempt."""

SourceKey = tuple[str, int]
Ref: TypeAlias = "Reference[Work]"


class PayloadRefused(Exception):
    """The payload as a whole cannot be processed."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.detail)
        self.rejected = rejected


class Lease:
    """What makes a message in hand ours: `until` (monotonic seconds, 0.0: no more) and the subject that renews it.
    `asked_at` is when it was last asked for."""

    __slots__ = ("asked_at", "reply", "until")

    def __init__(self, reply: str, asked_at: float, until: float) -> None:
        self.reply = reply
        self.asked_at = asked_at
        self.until = until


class Gate(Protocol):
    """The part of `mta.flow.gate.Gate` that is needed here."""

    def permits(self, until: float) -> bool: ...


class Cancellable(Protocol):
    def cancel(self) -> object: ...


class Arriving:
    """A delivery on its way to becoming a work."""

    __slots__ = ("lane", "lease", "pulled", "task")

    def __init__(self, pulled: Pulled, lane: Lane, lease: Lease) -> None:
        self.pulled = pulled
        self.lane = lane
        self.lease = lease
        self.task: Cancellable | None = None


class Waiting(NamedTuple):
    """One recipient that is to be stored for later: after how many attempts, and what the last one met. `expires_at`
    where that comes earlier than the payload's; `parked_for` is why he waits without another one."""

    ref: Ref
    attempt: int
    source: str
    last: LastTry | None
    is_paused: bool = False
    expires_at: float = 0.0
    parked_for: str = ""


class Received(NamedTuple):
    """What a payload's messages are made of. `failure`, if set, is what becomes of all of them; `is_claimed`: it was
    accepted before, and this is that very message again."""

    content: StoredContent
    spec: SpecBlob
    failure: Failed | None = None
    is_claimed: bool = False


class Work:
    """`open` counts recipients not settled, `unkept` events not yet acknowledged by the stream; `owed` those of each
    recipient. `waiting` groups what is to be stored by its due time; `is_let_go`: it is to be due at once when it is.
    `failure`, if set, is what becomes of all. `tasks` are those that act for it, to be ended when it is lost."""

    __slots__ = (
        "_due_at",
        "_gate",
        "admitted",
        "common",
        "content",
        "expiry",
        "failure",
        "is_acking",
        "is_done",
        "is_let_go",
        "is_lost",
        "is_storing",
        "key",
        "lease",
        "open",
        "owed",
        "page",
        "pulled",
        "references",
        "sender",
        "spec",
        "tasks",
        "unkept",
        "waiting",
        "waiting_since",
    )

    def __init__(
        self,
        pulled: Pulled,
        admitted: Admitted,
        received: Received,
        common: CommonFields,
        page: Page,
        lease: Lease,
        gate: Gate,
    ) -> None:
        self.key: SourceKey = (pulled.stream, pulled.stream_sequence)
        self.pulled = pulled
        self.admitted = admitted
        self.sender = Sender(admitted.tenant, admitted.campaign, admitted.stream, admitted.from_domain)
        self.content = received.content
        self.spec = received.spec
        self.failure = received.failure
        self.common = common
        self.page = page
        self.lease = lease
        self._gate = gate
        self.references: list[Ref] = []
        self.open = len(admitted.recipients)
        self.owed = bytearray(self.open)
        self.unkept = 0
        self.waiting: dict[float, list[Waiting]] = {}
        self.waiting_since = 0.0
        self._due_at: dict[tuple[int, str], float] = {}
        self.expiry: Entry[Work] | None = None
        self.tasks: set[Cancellable] = set()
        self.is_storing = False
        self.is_acking = False
        self.is_done = False
        self.is_let_go = False
        self.is_lost = False

    def permit(self, position: int) -> bool:
        """Whether the dot of a recipient may be written now: if so, the books have it."""
        if not self._gate.permits(self.lease.until):
            return False
        self.page.dot(position)
        return True

    # -- what waits ---------------------------------------------------------------------------------------------

    def due_together(self, due_at: float, attempt: int, reason: str, now: float) -> float:
        """Those who wait after the same attempt and for the same reason are due together, in one message: unless that
        would be far too early for the later ones."""
        known = self._due_at.get((attempt, reason), 0.0)
        if known >= now + (due_at - now) * _EARLIEST:
            return known
        self._due_at[attempt, reason] = due_at
        return due_at

    def wait(self, due_at: float, waiting: Waiting, now: float) -> None:
        if not self.waiting:
            self.waiting_since = now
        self.waiting.setdefault(due_at, []).append(waiting)

    @property
    def waits(self) -> bool:
        """Somebody of it is to be stored, or is being stored now."""
        return bool(self.waiting) or self.is_storing

    # -- what is owed -------------------------------------------------------------------------------------------

    def note_told(self, position: int | None) -> None:
        self.unkept += 1
        if position is not None:
            self.owed[position] += 1

    def note_kept(self, position: int | None) -> None:
        self.unkept -= 1
        if position is not None:
            self.owed[position] -= 1
            self._keep(position)

    def note_stored(self, position: int, at: float) -> None:
        attempts = self.admitted.recipients[position].attempt
        self.page.store(position, Note(None, attempts, at))
        self._keep(position)

    def _keep(self, position: int) -> None:
        """A recipient is kept when its last state is final and every event of it is in the stream."""
        if not self.owed[position] and self.page.record.is_final(position):
            self.page.keep(position)

    def end(self) -> None:
        """The source message is acknowledged. Lets go of the references, which hold their owner: the collector of
        cycles comes round far too seldom for 500 of them a payload."""
        self.is_done = True
        self.references.clear()

    def lose(self) -> None:
        """The lease has ended: nothing is done for it any more. What is still on the wire goes into the books only."""
        self.is_lost = True
        self.references.clear()
        self.waiting.clear()
        for task in self.tasks:
            task.cancel()

    @property
    def has_begun(self) -> bool:
        """Something has become of a recipient: whoever gets the message again would do it again."""
        return self.open < len(self.page.record)

    def may_store(self, now: float) -> bool:
        """Something waits, and the pass is over, or too slow to wait for its end."""
        if not self.waiting or self.is_storing:
            return False
        is_late = now - self.waiting_since > _GATHER_S or min(self.waiting) - now < _AHEAD_S
        return not self.open or is_late

    @property
    def may_ack(self) -> bool:
        is_busy = self.is_storing or self.is_acking or self.is_done
        return not (self.open or self.unkept or self.waiting or is_busy) and self.page.record.is_finished


class Owed(NamedTuple):
    """An event on its way into the stream: of a work, and of the recipient at `position` (None: of the payload)."""

    work: Work
    position: int | None
