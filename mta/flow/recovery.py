"""Going on with a source message that somebody has had in hand before: this node in an earlier life, or another.

Who is kept is skipped. Who ended or was stored and is not known to be kept is told of again, under the same event id.
Who was deferred waits as he did. The others are sent, those whose dot was on the wire included: nobody can know.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping

import structlog

from mta.flow.books import Books
from mta.flow.hand import Hand
from mta.flow.noted import note_of_last
from mta.flow.retries import StoredBefore, stored_before
from mta.flow.work import SourceKey, Work
from mta.intake.admission import Admitted
from mta.jetstream import schedule
from mta.jetstream.connection import Link
from mta.jetstream.layout import RETRY
from mta.jetstream.pull import Pulled
from mta.ledger.note import Note
from mta.ledger.snapshot import Entry
from mta.ledger.state import KEPT, RecipientState, Source
from mta.model.event import EventType
from mta.model.lane import Lane
from mta.model.payload import LastTry

_SURELY_NEW_S = 1.0
_AGAIN_S = 0.25
_OPEN, _DOT, _STORED = RecipientState.OPEN, RecipientState.DOT, RecipientState.STORED

log = structlog.get_logger()


class SourceNotDone(Exception):
    """A due payload came before its source was done with it, and may not wait here."""


def may_be_known(pulled: Pulled, is_claimed: bool, now: float) -> bool:
    """Whether it may have been in somebody's hands. `is_claimed`: it is in MTA_INDEX, which is written before the first
    dot. A message that is due has no such mark, and a server that was killed forgets its last deliveries (within 0.3 s,
    seen with 2.15.1), so there anything older than a moment counts; `now` is of the server's clock."""
    is_old = pulled.stream == RETRY and now - pulled.at_ns / 1e9 > _SURELY_NEW_S
    return is_claimed or is_old or pulled.num_delivered > 1


async def past_of(books: Books, link: Link, pulled: Pulled, admitted: Admitted) -> Entry | None:
    """What is known of its recipients, from the books of all nodes and from what lies in MTA_RETRY; None: nothing."""
    count = len(admitted.recipients)
    source = source_of(pulled)
    known = await books.past(source, count)
    stored = await stored_before(link, admitted, pulled)
    if known is None and not stored:
        return None
    states = bytearray(count) if known is None else bytearray(known.states)
    notes = {} if known is None else dict(known.notes)
    for position, recipient in enumerate(admitted.recipients):
        before = stored.get(recipient.index)
        byte = states[position]
        if before is not None and byte < KEPT:
            _note_stored(states, notes, position, before, recipient.attempt)
        elif byte == _DOT or (byte and byte < KEPT and position not in notes):
            states[position] = _OPEN
    log.info(
        "payload_known", stream=source.stream, sequence=source.sequence, kept=sum(b >= KEPT for b in states)
    )
    return Entry(source, bytes(states), notes)


def _note_stored(
    states: bytearray, notes: dict[int, Note], position: int, before: StoredBefore, attempts: int
) -> None:
    """`attempts` is how many he had made when this source message began."""
    recipient = before.recipient
    states[position] = _STORED
    if recipient.attempt <= attempts:  # parked: he has no event
        states[position] |= KEPT
        notes.pop(position, None)
    elif position not in notes or notes[position].kind is not EventType.DEFERRED:
        last = recipient.last or LastTry()
        notes[position] = note_of_last(last, recipient.attempt, time.time(), recipient.source)


async def until_source_is_done(
    link: Link, works: Mapping[SourceKey, Work], pulled: Pulled, admitted: Admitted, hand: Hand
) -> None:
    """A due payload begins only when the message it was deferred from is gone, or has told of these recipients and
    knows that it has stored them. If its owner died before he could say so, whoever gets that message again must find
    them here, and their attempts are told in order. Meanwhile it takes no room in hand, and
    SourceNotDone says that its place is needed: that message may need both."""
    key = schedule.source_of(pulled.headers) if pulled.stream == RETRY else None
    mine = {recipient.index for recipient in admitted.recipients}
    if key is None:
        return
    for wait_s in itertools.repeat(_AGAIN_S):
        if await _is_done(link, works.get(key), key, mine):
            return
        hand.leave_room(pulled, admitted.lane)
        if hand.is_crowded and admitted.lane is Lane.BULK:
            raise SourceNotDone
        await asyncio.sleep(wait_s)


async def _is_done(link: Link, source: Work | None, key: SourceKey, mine: set[int]) -> bool:
    if source is None:
        return await link.stored_message(*key) is None
    record = source.page.record
    recipients = enumerate(source.admitted.recipients)
    return all(record.is_kept(position) for position, one in recipients if one.index in mine)


def source_of(pulled: Pulled) -> Source:
    return Source(pulled.stream, pulled.stream_sequence, pulled.at_ns)
