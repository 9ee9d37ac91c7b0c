"""What is kept of a recipient beside its state: enough to tell of it again after a crash. Pure.

A record is 128 octets, little endian:

      0  state, with the flag KEPT         10  bounce class      16  time, seconds since the epoch
      1  kind of event, 0: no note         11  stage             24  provider, source, error, enhanced code and text,
      2  attempt                           12  flags                 NUL between them, cut at the end of the record
      4  check: CRC-32 of all other octets, with the state but without KEPT, seeded by that of the slot
      8  code of the reply                 13  zeros

Without a note all but the state is zero, and only OPEN and DOT may have none. So what another message left behind, or
what was written in part only, is never taken for a recipient of this one that needs no mail.
"""

import struct
import zlib

from msgspec import Struct

from mta.ledger.state import KEPT, RecipientState
from mta.model.event import EventType
from mta.model.outcome import BounceClass, Stage

RECORD = struct.Struct("<BBHIHBBB3xd104s")
# Numbers on disk are places here: only ever append.
_KINDS = (
    EventType.DELIVERED,
    EventType.BOUNCED,
    EventType.DEFERRED,
    EventType.EXPIRED,
    EventType.FAILED,
    EventType.CANCELLED,
    EventType.SUPPRESSED,
)
_KIND_CODES: dict[EventType | None, int] = {kind: number for number, kind in enumerate(_KINDS, 1)}
_KIND_CODES[None] = 0xFF
_KIND_OF_CODE = {number: kind for kind, number in _KIND_CODES.items()}
_CLASSES: tuple[str, ...] = ("", *BounceClass)
_CLASS_CODES = {name: number for number, name in enumerate(_CLASSES)}
_STAGES: tuple[str, ...] = ("", *Stage)
_STAGE_CODES = {name: number for number, name in enumerate(_STAGES)}
_AMBIGUOUS = 1
_MOST_ATTEMPTS = 0xFFFF
_TEXT_BYTES = 104
_STATES = frozenset(map(int, RecipientState))


class Note(Struct, frozen=True, array_like=True, gc=False):
    """The last event of a recipient; without a `kind` it was parked, which has none. `source` is set where the next
    attempt must use the same one; `error` is the code of a `failed` or `cancelled` event, `text` the peer's words or
    ours, possibly cut."""

    kind: EventType | None
    attempt: int
    at: float
    provider: str = ""
    bounce_class: str = ""
    stage: str = ""
    code: int = 0
    enhanced: str = ""
    text: str = ""
    source: str = ""
    error: str = ""
    is_ambiguous: bool = False


class Torn(ValueError):
    """Not a record of this slot, or not a whole one."""


def pack(state: int, note: Note, seed: int) -> bytes:
    """The record, its state byte included."""
    words = (note.provider, note.source, note.error, note.enhanced, note.text.replace("\0", " "))
    fields = (
        _KIND_CODES[note.kind],
        min(note.attempt, _MOST_ATTEMPTS),
        note.code,
        _CLASS_CODES.get(note.bounce_class, 0),
        _STAGE_CODES.get(note.stage, 0),
        _AMBIGUOUS if note.is_ambiguous else 0,
        note.at,
        "\0".join(words).encode("utf-8", "replace")[:_TEXT_BYTES],
    )
    kind, attempt, *rest = fields
    record = RECORD.pack(state & ~KEPT, kind, attempt, 0, *rest)
    check = zlib.crc32(record, seed)
    return b"%c%b%b%b" % (state, record[1:4], check.to_bytes(4, "little"), record[8:])


def unpack(record: bytes, seed: int) -> tuple[int, Note | None]:
    """The state byte, and the note if there is one; `Torn` if it cannot be believed."""
    state = record[0]
    if state & ~KEPT not in _STATES:
        raise Torn(f"no such state: {state:#x}")
    kind, attempt, check, code, bounce_class, stage, flags, at, blob = RECORD.unpack(record)[1:]
    if not kind:
        if state > RecipientState.DOT or any(record[1:]):
            raise Torn("a record without a note that says more than it may")
        return state, None
    if zlib.crc32(b"%c%b\0\0\0\0%b" % (state & ~KEPT, record[1:4], record[8:]), seed) != check:
        raise Torn("the check of a record does not hold")
    words = blob.rstrip(b"\0").decode("utf-8", "ignore").split("\0", 4)
    provider, source, error, enhanced, text = words + [""] * (5 - len(words))
    note = Note(
        kind=_KIND_OF_CODE[kind],
        attempt=attempt,
        at=at,
        provider=provider,
        bounce_class=_CLASSES[bounce_class],
        stage=_STAGES[stage],
        code=code,
        enhanced=enhanced,
        text=text,
        source=source,
        error=error,
        is_ambiguous=bool(flags & _AMBIGUOUS),
    )
    return state, note
