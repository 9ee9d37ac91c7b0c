"""How many dots the ledger of a dead daemon holds: sent, or about to be, and not answered as far as it knows.

Read from the files as their format says, by no code of the daemon's: arenas of 8 MB named `<recipients>-<number>.arena`
of equal slots; 64 octets of header (magic, the number of recipients at 12, at 24 when its message was stored, in
nanoseconds), 128 a recipient, whose first is the state: 1 is DOT.
"""

from pathlib import Path

_MAGIC = b"MTALEDG1"
_HEADER, _RECORD, _COUNT_AT, _STORED_AT = 64, 128, 12, 24
_DOT = 1


def open_dots(directory: Path, since_ns: int) -> int:
    """Of messages stored since then: of older ones a node keeps in its books what another has brought to its end."""
    return sum(_dots_of(path, since_ns) for path in directory.glob("*-*.arena"))


def _dots_of(path: Path, since_ns: int) -> int:
    slot = _HEADER + int(path.name.partition("-")[0]) * _RECORD
    octets = path.read_bytes()
    dots = 0
    for start in range(0, len(octets) - slot + 1, slot):
        stored_ns = int.from_bytes(octets[start + _STORED_AT : start + _STORED_AT + 8], "little")
        if octets[start : start + len(_MAGIC)] == _MAGIC and stored_ns >= since_ns:
            count = int.from_bytes(octets[start + _COUNT_AT : start + _COUNT_AT + 2], "little")
            first = start + _HEADER
            dots += octets[first : first + count * _RECORD : _RECORD].count(_DOT)
    return dots
