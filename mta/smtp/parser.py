"""Reads replies from bytes, as strictly as RFC 5321 section 4.2 lets a client be without losing real servers.

A reply is well formed when each of its lines starts with exactly three ASCII digits, 200-599, the same on
every line, followed by a space, a hyphen (more lines follow) or the end of the line. Lines end with LF, the
CR before it may be missing; text is kept byte for byte as latin-1. Whatever is not well formed is a fault,
and a fault is final: whoever owns the reader closes the connection. Both caps bound what a peer can make us
keep (B8).

It leaves to `mta.smtp.session` which command a reply answers, and whether any was due.
"""

import re

from mta.model.reply import Reply

MAX_LINE = 8192
"""Octets of one line with its end; the RFC's 512 (section 4.5.3.1.5) is widely exceeded by EHLO and refusal
texts."""
MAX_REPLY = 32768
"""Octets of all lines of one reply."""
KNOWN = 16
"""One-line replies remembered: those to MAIL, RCPT and DATA are the same for message after message."""

_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?= |$)")
_CLASSES = b"2345"


class ReplyReader:
    """Feed it what was read; it returns the replies completed by it, in order, up to the first fault."""

    __slots__ = ("_buffer", "_code", "_known", "_lines", "_size", "fault")

    def __init__(self) -> None:
        self._buffer = b""
        self._code = b""
        self._lines: list[str] = []
        self._size = 0
        self._known: dict[bytes, Reply] = {}
        self.fault = ""
        """Why nothing more can be read here; empty while all is well."""

    @property
    def is_empty(self) -> bool:
        """Nothing of an unfinished reply is held."""
        return not self._buffer and not self._code

    def feed(self, data: bytes) -> list[Reply]:
        replies: list[Reply] = []
        if self.fault:
            return replies
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        known = self._known
        start = 0
        while (end := data.find(b"\n", start) + 1) > 0:
            line = data[start:end]
            start = end
            reply = known.get(line) if not self._code else None
            if reply is None:
                reply = self._take_line(line)
                if reply is None:
                    if self.fault:
                        return replies
                    continue
            replies.append(reply)
        if start < len(data):
            self._keep(data[start:])
        return replies

    def _keep(self, rest: bytes) -> None:
        self._buffer = rest
        if len(rest) >= MAX_LINE:
            self.fault = "reply line too long"
        elif self._size + len(rest) > MAX_REPLY:
            self.fault = "reply too long"

    def _take_line(self, line: bytes) -> Reply | None:
        self._size += len(line)
        if len(line) > MAX_LINE:
            self.fault = "reply line too long"
            return None
        if self._size > MAX_REPLY:
            self.fault = "reply too long"
            return None
        content = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        code, mark = content[:3], content[3:4]
        # bytes.isdigit() knows ASCII digits only; int() would take b"25 ", b"2_5" and b"+25".
        if len(code) != 3 or not code.isdigit() or code[0] not in _CLASSES or mark not in (b" ", b"-", b""):
            self.fault = f"malformed reply line {content[:80]!r}"
            return None
        if self._code and code != self._code:
            self.fault = f"codes {self._code.decode()} and {code.decode()} in one reply"
            return None
        text = content[4:].decode("latin-1")
        if mark == b"-":
            self._code = code
            self._lines.append(text)
            return None
        reply = self._complete(int(code), text)
        if len(reply.lines) == 1 and len(self._known) < KNOWN:
            self._known[line] = reply
        return reply

    def _complete(self, code: int, text: str) -> Reply:
        lines = (*self._lines, text)
        self._lines = []
        self._code = b""
        self._size = 0
        # S-18: only right after the code; a class that contradicts the code is kept as said.
        match = _ENHANCED.match(lines[0])
        return Reply(code, lines, match[1] if match else "")
