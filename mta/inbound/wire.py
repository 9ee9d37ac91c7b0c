"""The octets of one connection, cut into command lines and messages: no socket, no clock.

CR and LF count as a line end together and as nothing apart: whoever sends one without the other is not understood any
further (H6). A server that takes less for the end of a message can be made to see two where its peer saw one. What
comes before that octet still counts, however the octets are cut into pieces.

Memory: a command line is kept up to its limit and a message up to its own, and all connections share one `Room`. What
is too long is still read to its end, so that the next command is one.
"""

import re
from enum import Enum, auto

from msgspec import Struct

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_LINE_END = b"\r\n"
_END_OF_DATA = b"\r\n.\r\n"
_BEGUN_END = 2
"""Octets behind the last line that may turn out to be its dot and a CR."""


class Fault(Enum):
    """What came instead of a line or a message."""

    BARE = auto()
    """CR without LF or LF without CR. Nothing comes after it."""
    TOO_LONG = auto()
    """A line, of a command or in a message."""
    TOO_LARGE = auto()
    """A message."""
    NO_ROOM = auto()
    """The memory for messages is used up by others."""


class WireLimits(Struct, frozen=True):
    """In octets, with line ends."""

    command: int = 512
    line: int = 1000
    message: int = 1 << 20


class Room:
    """The memory that messages of all connections share."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.taken_bytes = 0

    def take(self, size: int) -> bool:
        """Whether there was that much."""
        if self.taken_bytes + size > self._most_bytes:
            return False
        self.taken_bytes += size
        return True

    def give_back(self, size: int) -> None:
        self.taken_bytes -= size


class Wire:
    def __init__(self, limits: WireLimits, room: Room) -> None:
        self._limits = limits
        self._room = room
        self._pending = bytearray()
        self._is_bare = False
        self._ends_in_cr = False
        self._is_overlong = False
        self._body: _Body | None = None
        self._held = 0
        self._too_long = re.compile(rb"\n[^\n]{%d}" % (limits.line + 1))

    @property
    def pending_bytes(self) -> int:
        """Not asked for yet: whoever reads the socket stops while these are many."""
        return len(self._pending)

    def feed(self, data: bytes) -> None:
        if self._is_bare or not data:
            return
        data = self._up_to_bare(data)
        if self._body is not None and not self._body.is_whole:
            self._continue_body(data)
            return
        self._pending += data
        self._skip_overlong()

    def next_line(self) -> bytes | Fault | None:
        """Without its line end; None: not here yet."""
        end = self._pending.find(_LINE_END)
        if end < 0:
            return Fault.BARE if self._is_bare else None
        line = bytes(self._pending[:end])
        del self._pending[: end + 2]
        if self._is_overlong or end + 2 > self._limits.command:
            self._is_overlong = False
            self._skip_overlong()
            return Fault.TOO_LONG
        return line

    def begin_body(self) -> None:
        """What comes next is a message, up to its end. Whether anything came too early is to be looked at before."""
        self._body = _Body(self._too_long, self._limits.message)
        pending = bytes(self._pending)
        self._pending.clear()
        self._continue_body(pending)

    def next_body(self) -> bytes | Fault | None:
        """The message begun, as it was before its dots were doubled; None: not here yet. Its room is taken until
        `end_body`."""
        body = self._body
        if body is None or not body.is_whole:
            return Fault.BARE if self._is_bare else None
        return body.fault or body.content()

    def end_body(self) -> None:
        """The message is done with, or never will be."""
        self._body = None
        self._room.give_back(self._held)
        self._held = 0

    def _up_to_bare(self, data: bytes) -> bytes:
        """Counting is quick, and almost always enough."""
        begins_in_lf = data.startswith(b"\n")
        pairs = data.count(_LINE_END)
        lone_lf = data.count(b"\n") - pairs - (self._ends_in_cr and begins_in_lf)
        ends_in_cr = data.endswith(b"\r")
        lone_cr = data.count(b"\r") - pairs - ends_in_cr
        if self._ends_in_cr and not begins_in_lf:
            data = b""
            self._is_bare = True
        elif lone_lf or lone_cr:
            joined = b"\r" + data if self._ends_in_cr else data
            found = _BARE.search(joined)
            assert found is not None
            data = data[: found.start() - self._ends_in_cr]
            self._is_bare = True
        self._ends_in_cr = ends_in_cr
        return data

    def _skip_overlong(self) -> None:
        """Of a command line without end only that it was too long is kept, and a CR whose LF may follow."""
        if len(self._pending) > self._limits.command and _LINE_END not in self._pending:
            self._is_overlong = True
            del self._pending[: -1 if self._pending.endswith(b"\r") else len(self._pending)]

    def _continue_body(self, data: bytes) -> None:
        assert self._body is not None
        rest = self._body.feed(data)
        self._settle_room(self._body)
        if rest is not None:
            self._pending += rest
            self._skip_overlong()

    def _settle_room(self, body: "_Body") -> None:
        more = body.size - self._held
        if more > 0 and not self._room.take(more):
            body.give_up(Fault.NO_ROOM)
            more = body.size - self._held
        if more < 0:
            self._room.give_back(-more)
        self._held = max(0, self._held + more)


class _Body:
    """A message, with the CRLF in front of it that its first line begins after."""

    def __init__(self, too_long: re.Pattern[bytes], most: int) -> None:
        self._content = bytearray(_LINE_END)
        self._line_at = 2
        self._too_long = too_long
        self._most = most
        self.fault: Fault | None = None
        self.is_whole = False

    @property
    def size(self) -> int:
        """What it takes of the room."""
        return 0 if self.fault is not None else len(self._content)

    def feed(self, data: bytes) -> bytes | None:
        """What comes after its end; None: that is not here yet."""
        looked_at = max(0, len(self._content) - 4)
        self._content += data
        end = self._content.find(_END_OF_DATA, looked_at)
        rest = None
        if end >= 0:
            rest = bytes(self._content[end + len(_END_OF_DATA) :])
            del self._content[end + 2 :]
            self.is_whole = True
        self._judge()
        return rest

    def content(self) -> bytes:
        """RFC 5321 section 4.5.2."""
        return bytes(self._content.replace(b"\r\n.", _LINE_END)[2:])

    def give_up(self, fault: Fault) -> None:
        """Only where it ends is of interest any more."""
        self.fault = self.fault or fault
        del self._content[:-4]

    def _judge(self) -> None:
        if self.fault is not None:
            self.give_up(self.fault)
            return
        if self._too_long.search(self._content, self._line_at - 1):
            self.give_up(Fault.TOO_LONG)
            return
        self._line_at = max(self._line_at, self._content.rfind(b"\n") + 1)
        if len(self._content) - 2 > self._most + (0 if self.is_whole else _BEGUN_END):
            self.give_up(Fault.TOO_LARGE)
