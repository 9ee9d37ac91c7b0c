"""What is kept of a recipient beside its state: enough to tell of it again after a crash. Pure.

A record is 128 octets, little endian:

      0  state, with the flag KEPT        6  bounce class      9  time, seconds since the epoch
      1  kind of event, 0: no note        7  stage            17  provider, source, error, enhanced code and text, with
      2  attempt                          8  flags                NUL between them, cut where the check begins
      4  code of the reply                                   124  check: CRC-32 of 1 to 123, seeded by that of the slot
                                                                  plus the state without KEPT

Without a note all but the state is zero, and only OPEN and DOT may have none. So what another message left behind, or
what was written in part only, is never taken for a recipient of this one that needs no mail.
"""

import struct
import zlib

from msgspec import Struct

from mta.ledger.state import KEPT, RecipientState
from mta.model.event import EventType
from mta.model.outcome import BounceClass, Stage

RECORD_BYTES = 128
_BODY = struct.Struct("<BHHBBBd107s")
_CHECK_AT = RECORD_BYTES - 4
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
_TEXT_BYTES = 107
_32_BITS = 0xFFFF_FFFF
_STATES = frozenset(map(int, RecipientState))


class Note(Struct, frozen=True, array_like=True, gc=False):
    """The last event of a recipient; without a `kind` it was parked, which has none. `source` is set where the next
    attempt must use the same one; `error` is the code of a `failed` or `cancelled` event, or says of a refusal
    why it is doubted; `text` the peer's words or ours, possibly cut."""

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
    """The record without its first octet, which is the state."""
    text = note.text.replace("\0", " ") if "\0" in note.text else note.text
    words = f"{note.provider}\0{note.source}\0{note.error}\0{note.enhanced}\0{text}"
    body = _BODY.pack(
        _KIND_CODES[note.kind],
        min(note.attempt, _MOST_ATTEMPTS),
        note.code,
        _CLASS_CODES.get(note.bounce_class, 0),
        _STAGE_CODES.get(note.stage, 0),
        _AMBIGUOUS if note.is_ambiguous else 0,
        note.at,
        words.encode("utf-8", "replace")[:_TEXT_BYTES],
    )
    return body + _check(state, body, seed).to_bytes(4, "little")


def _check(state: int, body: bytes, seed: int) -> int:
    return zlib.crc32(body, (seed + (state & ~KEPT)) & _32_BITS)


def unpack(record: bytes, seed: int) -> tuple[int, Note | None]:
    """The state byte, and the note if there is one; `Torn` if it cannot be believed."""
    state, body = record[0], record[1:_CHECK_AT]
    if state & ~KEPT not in _STATES:
        raise Torn(f"no such state: {state:#x}")
    if not body[0]:
        if state > RecipientState.DOT or any(record[1:]):
            raise Torn("a record without a note that says more than it may")
        return state, None
    if _check(state, body, seed) != int.from_bytes(record[_CHECK_AT:], "little"):
        raise Torn("the check of a record does not hold")
    kind, attempt, code, bounce_class, stage, flags, at, blob = _BODY.unpack(body)
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
