"""One SMTP conversation with whoever brings reports: aiosmtpd's server, with its octets and its patience taken over.

aiosmtpd knows the commands and their order. What it would take in, and for how long, is decided here: its own reader
takes a lone LF for the end of a command, starts its timer anew at commands it knows and at no others, reads a message
that is too large line by line to its end, and calls no 5xx a fault but that for an unknown word. So lines and messages
come from `Wire`, every wait has a deadline that no octet puts off, and TLS is begun by the loop, with nothing unread.

Invariants: at most one recipient, which must be admitted; one message in work; after anything unexpected, one last
reply and the end. Nothing a peer says is repeated to it or logged.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Protocol, cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope

from mta.inbound.admission import Addressee, Admission
from mta.inbound.counters import Counters
from mta.inbound.settings import InboundSettings
from mta.inbound.wire import Fault, Room, Wire, WireLimits

_MOST_PENDING = 1 << 16
_MOST_SWALLOWED = 1 << 20
_MAIL_BYTES = 64
"""What parameters add to the longest MAIL: SIZE (RFC 1870), BODY (RFC 6152) and SMTPUTF8 (RFC 6531)."""
_ONWARD = frozenset(("MAIL", "RCPT", "DATA", "QUIT", "STARTTLS"))
_ANSWERED = _ONWARD | {"EHLO", "HELO", "RSET", "NOOP", "VRFY", "EXPN", "HELP"}

REFUSED = "550 5.7.1 Not accepted here"
NULL_SENDER = "<>"
_NULL_RETURN_PATH = b"Return-Path: <>\r\n"
_FAULTS = {
    Fault.TOO_LONG: "500 5.5.2 Line too long",
    Fault.TOO_LARGE: "552 5.3.4 Message too large",
    Fault.NO_ROOM: "452 4.3.1 No room for it now, come again",
}

log = structlog.get_logger()

Receive = Callable[[Addressee, bytes], Awaitable[str]]
"""Addressee and message to the reply that ends the transaction."""


class Host(Protocol):
    """What all conversations of a listener share."""

    settings: InboundSettings
    hostname: str
    context: ssl.SSLContext | None
    admission: Admission
    receive: Receive
    room: Room
    counters: Counters

    def ended(self, dialogue: "Dialogue") -> None: ...


class _Over(Exception):
    """The conversation has ended; the last reply is on its way."""


class _Hooks:
    """Where aiosmtpd asks."""

    async def handle_RCPT(
        self, server: "Dialogue", session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        return server.admit(envelope, address)


_HOOKS = _Hooks()


class Dialogue(SMTP):
    """Connected by its listener. It ends by itself; `leave` asks it to."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        settings = host.settings
        super().__init__(
            _HOOKS,
            data_size_limit=settings.max_message_bytes,
            enable_SMTPUTF8=True,
            hostname=host.hostname,
            ident="ESMTP",
            tls_context=host.context,
            timeout=settings.idle_s,
            loop=loop,
        )
        self._host = host
        self._settings = settings
        limits = WireLimits(
            settings.max_command_bytes + _MAIL_BYTES, settings.max_line_bytes, settings.max_message_bytes
        )
        self._wire = Wire(limits, host.room)
        self._news = asyncio.Event()
        self._is_paused = False
        self._is_sealed = False
        self._is_leaving = False
        self._is_over = False
        self._is_lost = False
        self._is_deaf = False
        self._swallowed = 0
        self._faults = 0
        self._idle_commands = 0
        self._addressee: Addressee | None = None
        self.is_busy = False
        """From DATA to its answer."""

    # -- octets -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            self._swallow(len(data))
            return
        self._wire.feed(data)
        self._news.set()
        if self._wire.pending_bytes > _MOST_PENDING and not self._is_paused:
            self._is_paused = True
            self._stream().pause_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_over = self._is_lost = True
        super().connection_lost(error)
        self._host.ended(self)

    def eof_received(self) -> bool | None:
        """Whoever has no more to say gets no answer any more."""
        if self._is_over:
            self.abort()
            return None
        self._is_deaf = True
        return super().eof_received()

    async def push(self, status: str | bytes) -> None:
        if self._is_over:  # the last word was said while this was found
            raise _Over
        text = status if isinstance(status, str) else status.decode("ascii")
        self._faults += text[0] in "45"
        self._stream().write(text.encode("ascii", "replace") + b"\r\n")
        await self._writer.drain()

    def _stream(self) -> asyncio.Transport:
        """aiosmtpd has None here once the connection is lost."""
        if self.transport is None:
            raise _Over
        return cast(asyncio.Transport, self.transport)

    async def _next(self, look: Callable[[], bytes | Fault | None]) -> bytes | Fault:
        """What `look` finds, as soon as there is something."""
        while True:
            found = look()
            if self._is_paused and self._wire.pending_bytes <= _MOST_PENDING:
                self._is_paused = False
                self._stream().resume_reading()
            if found is Fault.BARE:
                self._host.counters.refused["bare"] += 1
                self._end("500 5.5.2 Lines end in CR and LF together, and in nothing else")
            if found is not None:
                return found
            self._news.clear()
            await self._news.wait()

    # -- the conversation ---------------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        """The border where a conversation ends, whatever ended it."""
        try:
            await self.push(f"220 {self.hostname} ESMTP")
            while True:
                await self._converse()
        except (_Over, ConnectionError):
            pass
        except ssl.SSLError:
            self._host.counters.tls_failed += 1
        except Exception:
            log.exception("inbound_failed")
            self._part("421 4.3.0 Something is wrong here, come again")
        finally:
            self._close()
            if self._is_sealed:  # of a connection that ends in its handshake the loop tells nobody
                self.abort()
                self.connection_lost(None)

    async def _converse(self) -> None:
        """One command."""
        line = await self._next(self._wire.next_line)
        self._reset_timeout()
        if isinstance(line, Fault):
            await self.push(_FAULTS[line])
        else:
            await self._obey(line)
        if self._faults >= self._settings.max_faults:
            self._end("421 4.7.0 Too many errors")
        if self._idle_commands >= self._settings.max_idle_commands:
            self._end("421 4.7.0 Too many commands without a message")
        if self._is_leaving:
            self._end("421 4.3.2 Going down, come again")

    async def _obey(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        command = word.decode("ascii", "replace").upper()
        self._idle_commands += command not in _ONWARD
        if len(line) + 2 > self._settings.max_command_bytes and command != "MAIL":
            await self.push(_FAULTS[Fault.TOO_LONG])
        elif command == "BDAT":
            # Its octets would be read as commands: nothing that comes after it is looked at (H7).
            self._end("502 5.5.1 BDAT is not offered")
        elif command not in _ANSWERED or (command == "STARTTLS" and self.tls_context is None):
            await self.push("500 5.5.1 Unknown command")
        else:
            argument = rest.strip().decode("utf-8", "surrogateescape")
            await getattr(self, f"smtp_{command}")(argument or None)

    async def smtp_VRFY(self, arg: str | None) -> None:
        await self.push("252 2.5.0 Send some mail, and see")

    async def smtp_EXPN(self, arg: str | None) -> None:
        await self.push("502 5.5.1 Not here")

    async def smtp_HELP(self, arg: str | None) -> None:
        await self.push("214 2.0.0 Reports on mail that was sent from here, to their return path")

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The path between angle brackets, not judged, and the parameters. aiosmtpd takes the address parser of the
        email package, which repairs what it reads and costs ten times as much."""
        path, bracket, parameters = arg.removeprefix("<").rpartition(">")
        if not arg.startswith("<") or not bracket or (parameters and not parameters.startswith(" ")):
            return None, None
        return path or NULL_SENDER, parameters

    def admit(self, envelope: Envelope, address: str) -> str:
        """One recipient a transaction: a report has no more."""
        if envelope.rcpt_tos:
            return "452 4.5.3 One recipient at a time"
        addressee = self._host.admission.judge(address)
        if addressee is None:
            self._host.counters.refused["recipient"] += 1
            return REFUSED
        self._addressee = addressee
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def smtp_DATA(self, arg: str | None) -> None:
        if arg or self.envelope is None or not self.envelope.rcpt_tos or self._addressee is None:
            await self.push("503 5.5.1 A recipient first")
            return
        if self._wire.pending_bytes:
            self._end("503 5.5.0 Nothing may follow DATA before its answer")
        self.is_busy = True
        try:
            self._reset_timeout(self._settings.data_s)
            self._wire.begin_body()
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            body = await self._next(self._wire.next_body)
            self._reset_timeout(self._settings.answer_s)
            answer = await self._answer(self._addressee, body)
        finally:
            self.is_busy = False
            self._wire.end_body()
        self._set_rset_state()
        self._reset_timeout()
        await self.push(answer)

    async def _answer(self, addressee: Addressee, body: bytes | Fault) -> str:
        if isinstance(body, Fault):
            self._host.counters.refused[body.name.lower()] += 1
            return _FAULTS[body]
        self._idle_commands = 0
        # RFC 5321 section 4.4: a report without a sender is told from a person's mail by that.
        is_null = self.envelope is not None and self.envelope.mail_from == NULL_SENDER
        return await self._host.receive(addressee, _NULL_RETURN_PATH + body if is_null else body)

    # -- TLS ----------------------------------------------------------------------------------------------------

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        """Nothing in the clear is behind it (CVE-2024-34083), and nothing is read until TLS reads it."""
        context = self.tls_context
        if arg or context is None or self.session is None:
            await self.push("501 5.5.4 STARTTLS takes no argument")
            return
        if self._wire.pending_bytes:
            self._end("503 5.5.0 Nothing may follow STARTTLS in the clear")
        self._stream().pause_reading()
        self._stream().write(b"220 2.0.0 Go ahead\r\n")
        self._is_sealed = True
        await self._writer.start_tls(context, ssl_handshake_timeout=self._settings.idle_s)
        if self._is_over or self._writer.transport.is_closing():
            raise _Over
        self._is_sealed = False
        self.transport = self._writer.transport
        self.tls_context = None  # offered once
        self.session.ssl = {}  # what tells aiosmtpd that an end of input is the end
        self.session.host_name = None  # RFC 3207 section 4.2: all is forgotten
        self._set_rset_state()

    # -- the end ------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """At once where nothing is on the way, else after the answer to the message that is."""
        self._is_leaving = True
        if not self.is_busy:
            self._part("421 4.3.2 Going down, come again")

    def _timeout_cb(self) -> None:
        self._part("421 4.4.2 The time is over")

    def _end(self, reply: str) -> NoReturn:
        self._part(reply)
        raise _Over

    def _part(self, reply: str) -> None:
        """A last word, if it can still be said: during a handshake it cannot."""
        if not self._is_over and not self._is_sealed and self.transport is not None:
            self._stream().write(reply.encode("ascii") + b"\r\n")
        self._close()

    def _close(self) -> None:
        """The last reply would be lost where octets of the peer's are left unread: they are, for a moment."""
        if self._is_over or self.transport is None:
            return
        self._is_over = True
        stream = self._stream()
        if self._is_deaf or not stream.can_write_eof():
            stream.close()
        else:
            try:
                stream.write_eof()
                stream.resume_reading()
            except OSError:  # the peer has gone, and the loop not noticed yet
                stream.abort()
        self.loop.call_later(self._settings.linger_s, self.abort)

    def _swallow(self, size: int) -> None:
        self._swallowed += size
        if self._swallowed > _MOST_SWALLOWED:
            self.abort()

    def abort(self) -> None:
        if self.transport is not None:
            self._stream().abort()

    def _set_rset_state(self) -> None:
        self._addressee = None
        super()._set_rset_state()  # type: ignore[no-untyped-call]
