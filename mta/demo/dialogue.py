"""The server's side of an SMTP dialogue, without I/O: bytes in, replies out.

For the scripted destinations of the demo and the sink of the load test, which share their cores with the
daemon they receive from: so it reads no more of a message than it must to find its end. It is strict where
real servers are and where a client's mistake would otherwise stay unseen: MAIL inside a transaction is
refused (as by Postfix and Exim), octets of a refused BDAT are swallowed (RFC 3030 section 2), DATA ends at
CRLF.CRLF alone, input behind STARTTLS is dropped (RFC 3207 section 6). Replies come out in the order of the
commands, those of one `feed` as one piece of bytes.

What to refuse is the policy's business; sockets, TLS and closing are the receiver's.
"""

import re
from collections.abc import Callable
from typing import Final

from mta.demo.policy import CUT, RESET, STALL, Answer, Features, Pause, Policy, Received

# RFC 5321 section 4.5.3.1.4 asks for 512 octets; extensions add to it, real servers take 2 to 4 kB.
_MAX_LINE: Final = 4096

# Printable ASCII but <, > and the quote; or a quoted string. SMTPUTF8 is not offered, so nothing above 0x7e.
_ADDRESS = rb'((?:[!#-;=?-~]|"(?:[ !#-\[\]-~]|\\[ -~])*")*)'
# The second group is the ordinary SIZE=, the third whatever else stands there.
_MAIL = re.compile(
    rb"(?i:MAIL FROM:) ?<" + _ADDRESS + rb">(?: SIZE=(\d{1,15}))?(?: BODY=(?:8BITMIME|7BIT))?(?: ([!-~ ]*))?"
)
_RCPT = re.compile(rb"(?i:RCPT TO:) ?<" + _ADDRESS + rb">(?: ([!-~ ]*))?")
_BDAT = re.compile(rb"(?i:BDAT) (\d{1,12})((?i: LAST))? ?")

_OK: Final = b"250 2.0.0 ok\r\n"
_MAIL_OK: Final = b"250 2.1.0 sender ok\r\n"
_RCPT_OK: Final = b"250 2.1.5 recipient ok\r\n"
_MESSAGE_OK: Final = b"250 2.0.0 ok, message accepted\r\n"
_GO_AHEAD: Final = b"354 go ahead, end with CRLF.CRLF\r\n"
_BYE: Final = b"221 2.0.0 bye\r\n"
_START_TLS: Final = b"220 2.0.0 ready to start TLS\r\n"
_UNKNOWN: Final = b"500 5.5.1 command not recognised\r\n"
_SYNTAX: Final = b"501 5.5.4 syntax error in parameters\r\n"
_EHLO_FIRST: Final = b"503 5.5.1 say EHLO or HELO first\r\n"
_NESTED: Final = b"503 5.5.1 nested MAIL command\r\n"
_NEED_MAIL: Final = b"503 5.5.1 need MAIL first\r\n"
_MIXED: Final = b"503 5.5.1 DATA inside a BDAT sequence\r\n"
_NO_RECIPIENT: Final = b"554 5.5.1 no valid recipients\r\n"
_PARAMETER: Final = b"555 5.5.4 unsupported parameter\r\n"
_TOO_BIG: Final = b"552 5.3.4 message exceeds the maximum size\r\n"
_TOO_LONG: Final = b"500 5.5.2 line too long, closing connection\r\n"
_BAD_CHUNK: Final = b"501 5.5.4 syntax error in BDAT, closing connection\r\n"


class Dialogue:
    """One connection's worth of SMTP. After `is_over` nothing is read any more; after `wants_tls` nothing
    until `tls_started`; with `pause_s` nothing until `resume`, which is to be called after so many seconds."""

    def __init__(self, policy: Policy, features: Features, session: int = 0) -> None:
        self.is_over = False
        self.is_reset = False
        self.wants_tls = False
        self.pause_s = 0.0
        self._policy = policy
        self._features = features
        self._session = session
        self._is_tls = False
        self._is_stalled = False
        self._read: Callable[[bytes, int], int] = self._read_command
        self._replies: list[bytes] = []
        self._late: bytes | None = None
        self._rest = b""
        self._is_greeted = False
        self._sender: bytes | None = None
        self._recipients: list[bytes] = []
        self._chunks: list[bytes] = []
        self._size = 0
        self._left = 0
        self._is_last = False
        self._refusal = b""
        self._data = bytearray()
        self._is_body_begun = False

    def greeting(self) -> bytes:
        ordinary = f"220 {self._features.hostname} ESMTP\r\n".encode()
        self._say(self._paused(self._policy.on_connect()) or ordinary)
        return self._said()

    def tls_started(self) -> None:
        """All that was said before is forgotten (RFC 3207 section 4.2)."""
        self.wants_tls = False
        self._is_tls = True
        self._is_greeted = False
        self._reset()

    def feed(self, data: bytes) -> bytes:
        """The replies to all commands that are complete now."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        position, end = 0, len(data)
        while position < end and not (self.is_over or self.wants_tls or self._is_stalled or self.pause_s):
            position = self._read(data, position)
        if self.pause_s:
            self._rest = data[position:]
        return self._said()

    def resume(self) -> bytes:
        """The pause is over: what was kept back, and the replies to what has come meanwhile."""
        self.pause_s = 0.0
        late, self._late = self._late, None
        if late:
            self._say(late)
        return self.feed(b"")

    def _said(self) -> bytes:
        replies = self._replies
        if not replies:
            return b""
        said = replies[0] if len(replies) == 1 else b"".join(replies)
        replies.clear()
        return said

    def _paused(self, answer: Answer) -> bytes | None:
        """The reply in an answer; a pause begins here and keeps it back."""
        if isinstance(answer, Pause):
            self.pause_s = answer.seconds
            return answer.reply
        return answer

    def _say(self, reply: bytes) -> None:
        if self.pause_s:
            self._late = reply
        elif reply == STALL:
            self._is_stalled = True
        elif reply in (CUT, RESET):
            self.is_over = True
            self.is_reset = reply == RESET
        else:
            self.is_over = self.is_over or reply[:3] == b"421"
            self._replies.append(reply)

    def _read_command(self, data: bytes, position: int) -> int:
        eol = data.find(b"\r\n", position)
        if eol < 0 or eol - position > _MAX_LINE:
            if len(data) - position > _MAX_LINE:
                self._say(_TOO_LONG)
                self.is_over = True
            self._rest = data[position:]
            return len(data)
        line = data[position:eol]
        command = _COMMANDS.get(line[:4].upper())
        reply = command(self, line) if command is not None else _UNKNOWN
        if reply:
            self._say(reply)
        return eol + 2

    def _ehlo(self, line: bytes) -> bytes:
        if not line[5:].strip() or line[4:5] != b" ":
            return _SYNTAX
        own = self._paused(self._policy.on_ehlo())
        if own is not None:
            return own
        self._is_greeted = True
        self._reset()
        features = self._features
        if line[:4].upper() == b"HELO":
            return f"250 {features.hostname}\r\n".encode()
        lines = [features.hostname, f"SIZE {features.max_size_bytes}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        lines += ["PIPELINING"] * features.pipelining + ["CHUNKING"] * features.chunking
        lines += ["STARTTLS"] * (features.tls and not self._is_tls)
        return "".join(f"250{' ' if line is lines[-1] else '-'}{line}\r\n" for line in lines).encode()

    def _mail(self, line: bytes) -> bytes:
        match = _MAIL.fullmatch(line)
        if match is None:
            return _SYNTAX
        if not self._is_greeted:
            return _EHLO_FIRST
        if self._sender is not None:
            return _NESTED
        sender, size, parameters = match.groups()
        if size is not None and int(size) > self._features.max_size_bytes:
            return _TOO_BIG
        if parameters and (refusal := self._refuse(parameters)):
            return refusal
        reply = self._paused(self._policy.on_mail(sender)) or _MAIL_OK
        if reply[:1] == b"2":
            self._sender = sender
        return reply

    def _refuse(self, parameters: bytes) -> bytes:
        for parameter in parameters.split():
            keyword, _, value = parameter.partition(b"=")
            keyword = keyword.upper()
            if keyword == b"SIZE" and value.isdigit():
                if int(value[:20]) > self._features.max_size_bytes:
                    return _TOO_BIG
            elif keyword != b"BODY" or value.upper() not in (b"7BIT", b"8BITMIME"):
                return _PARAMETER
        return b""

    def _rcpt(self, line: bytes) -> bytes:
        match = _RCPT.fullmatch(line)
        if match is None or not match[1]:
            return _SYNTAX
        if self._sender is None or self._chunks:
            return _NEED_MAIL
        if match[2]:
            return _PARAMETER
        recipient = match[1]
        reply = self._paused(self._policy.on_rcpt(recipient)) or _RCPT_OK
        if reply[:1] == b"2":
            self._recipients.append(recipient)
        return reply

    def _start_data(self, line: bytes) -> bytes:
        if line[4:].strip():
            return _SYNTAX
        if self._sender is None:
            return _NEED_MAIL
        if self._chunks:
            return _MIXED
        if not self._recipients:
            return _NO_RECIPIENT
        reply = self._paused(self._policy.on_data(tuple(self._recipients))) or _GO_AHEAD
        if reply[:1] == b"3":
            self._data = bytearray(b"\r\n")
            self._size = 0
            self._read = self._read_data
        return reply

    def _begin_body(self) -> bool:
        """Whether its first octets may be read now."""
        if self._is_body_begun:
            return True
        self._is_body_begun = True
        answer = self._policy.on_body(tuple(self._recipients))
        if answer is None:
            return True
        reply = self._paused(answer)
        if reply:
            self._say(reply)
        return False

    def _read_data(self, data: bytes, position: int) -> int:
        if not self._begin_body():
            return position
        # The CRLF of the DATA line stands in front, so that a dot in the first line is found like any other.
        kept = self._data
        known = len(kept)
        kept += data[position:] if position else data
        found = kept.find(b"\r\n.\r\n", max(0, known - 4))
        if found < 0:
            self._size += len(kept) - known
            if self._size > self._features.max_size_bytes:
                del kept[:-4]
            return len(data)
        behind = len(kept) - found - 5
        self._size += len(kept) - known - behind
        self._read = self._read_command
        if self._size - 3 > self._features.max_size_bytes:
            reply = _TOO_BIG
            self._reset()
        else:
            body = bytes(kept[: found + 2])
            if b"\r\n." in body:
                body = body.replace(b"\r\n.", b"\r\n")
            reply = self._accept(body[2:])
        self._data = bytearray()
        self._say(reply)
        return len(data) - behind

    def _start_chunk(self, line: bytes) -> bytes:
        if not self._features.chunking:
            return _UNKNOWN
        match = _BDAT.fullmatch(line)
        if match is None:
            # How many octets follow is unknown, and they must not be read as commands.
            self.is_over = True
            return _BAD_CHUNK
        self._left = int(match[1])
        self._is_last = match[2] is not None
        self._size += self._left
        if self._sender is None:
            self._refusal = _NEED_MAIL
        elif not self._recipients:
            self._refusal = _NO_RECIPIENT
        elif self._size > self._features.max_size_bytes:
            self._refusal = _TOO_BIG
        elif not self._chunks:
            self._refusal = self._paused(self._policy.on_data(tuple(self._recipients))) or b""
        if not self._left:
            return self._end_chunk()
        self._read = self._read_chunk
        return b""

    def _read_chunk(self, data: bytes, position: int) -> int:
        if not self._refusal and not self._begin_body():
            return position
        end = position + self._left
        if end > len(data):
            self._left = end - len(data)
            end = len(data)
        else:
            self._left = 0
        if not self._refusal:
            self._chunks.append(data[position:end])
        if not self._left:
            self._read = self._read_command
            self._say(self._end_chunk())
        return end

    def _end_chunk(self) -> bytes:
        if self._refusal:
            # The transaction stays open, as with Exim: a client that does not say RSET shall be told so.
            refusal, self._refusal = self._refusal, b""
            self._chunks.clear()
            self._size = 0
            return refusal
        if not self._is_last:
            return _OK
        chunks = self._chunks
        return self._accept(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def _accept(self, body: bytes) -> bytes:
        received = Received(self._sender or b"", tuple(self._recipients), body, self._session)
        self._reset()
        reply = self._paused(self._policy.on_message(received)) or _MESSAGE_OK
        if reply[:1] == b"2" and not self.pause_s:
            self._say(reply)
            return self._paused(self._policy.behind_message(received)) or b""
        return reply

    def _reset(self) -> None:
        self._sender = None
        self._recipients.clear()
        self._chunks.clear()
        self._size = 0
        self._is_body_begun = False

    def _rset(self, line: bytes) -> bytes:
        self._reset()
        return _OK

    def _noop(self, line: bytes) -> bytes:
        return _OK

    def _quit(self, line: bytes) -> bytes:
        self.is_over = True
        return _BYE

    def _starttls(self, line: bytes) -> bytes:
        if line.upper() != b"STARTTLS" or not self._features.tls or self._is_tls:
            return _UNKNOWN
        self.wants_tls = True
        return _START_TLS


_COMMANDS: Final[dict[bytes, Callable[[Dialogue, bytes], bytes]]] = {
    b"EHLO": Dialogue._ehlo,
    b"HELO": Dialogue._ehlo,
    b"MAIL": Dialogue._mail,
    b"RCPT": Dialogue._rcpt,
    b"DATA": Dialogue._start_data,
    b"BDAT": Dialogue._start_chunk,
    b"RSET": Dialogue._rset,
    b"NOOP": Dialogue._noop,
    b"QUIT": Dialogue._quit,
    b"STAR": Dialogue._starttls,
}
