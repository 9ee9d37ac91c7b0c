"""How many dots the ledger of a dead daemon holds: sent, or about to be, and not answered as far as it knows.

Read from the files as their format says, by no code of the daemon's: arenas of 8 MB named `<recipients>-<number>.arena`
of equal slots; 64 octets of header (magic, and the number of recipients at 12), 128 a recipient, whose first is the
state: 1 is DOT.
"""

from pathlib import Path

_MAGIC = b"MTALEDG1"
_HEADER, _RECORD, _COUNT_AT = 64, 128, 12
_DOT = 1


def open_dots(directory: Path) -> int:
    return sum(map(_dots_of, directory.glob("*-*.arena")))


def _dots_of(path: Path) -> int:
    slot = _HEADER + int(path.name.partition("-")[0]) * _RECORD
    octets = path.read_bytes()
    dots = 0
    for start in range(0, len(octets) - slot + 1, slot):
        if octets[start : start + len(_MAGIC)] == _MAGIC:
            count = int.from_bytes(octets[start + _COUNT_AT : start + _COUNT_AT + 2], "little")
            first = start + _HEADER
            dots += octets[first : first + count * _RECORD : _RECORD].count(_DOT)
    return dots
