"""The socket under a session: reads, feeds, writes, keeps one timer. All cleverness is in `mta.smtp.session`.

Everything is synchronous and called by the loop: no task and no future per message. Facts are handed to the
owner one by one as they come; what the owner submits meanwhile goes out with the next write. A connection
on which anything unexpected happened is closed at once and never used again. `on_closed` is called once,
last.
"""

import asyncio
import fcntl
import secrets
import socket
import sys
import termios
from collections import deque
from collections.abc import Callable, Iterable

from mta.model.reply import Reply
from mta.smtp import tls
from mta.smtp.fact import Accepted, Fact, Lost, Refused, Transaction
from mta.smtp.opening import Dial, Opened, open_transport
from mta.smtp.plan import Plan, choose
from mta.smtp.session import Session
from mta.smtp.settings import Pattern

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""Linux only. Without it Postfix answers 22 messages a second with pattern D (its replies wait for our
delayed ACK). Patterns C and CB have no such stall and are spared the call."""

_CAN_ASK_UNACKED = sys.platform == "linux"
_NOTHING = bytes(4)

_ATTEMPTS = (Accepted, Refused, Lost)


_READ = memoryview(bytearray(65536))
"""Where every connection's input lands: it is taken out in the same call. Without a buffer of ours TLS makes one of
256 kB for each read, which the allocator may well map and unmap (17 us)."""


class Connection(asyncio.BufferedProtocol):
    """Times are of the loop's clock."""

    def __init__(
        self,
        dial: Dial,
        opened: Opened,
        on_fact: "Callable[[Connection, Fact], None]",
        on_closed: "Callable[[Connection], None]",
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._transport = opened.transport
        self._on_fact = on_fact
        self._on_closed: Callable[[Connection], None] | None = on_closed
        self._quit_s = dial.timeouts.quit_s
        self.opened_at = loop.time()
        self._session = Session(opened.offer, _plan(dial, opened), self.opened_at)
        self._inbox: deque[Fact] = deque()
        self._is_delivering = False
        self._is_paused = False
        self._is_closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        # Our own object for the descriptor, as each call on uvloop's stand-in makes one; detached at the end.
        self._socket = socket.socket(fileno=opened.transport.get_extra_info("socket").fileno())
        self._descriptor = self._socket.fileno()
        self.id = secrets.token_hex(8)
        self.host = dial.host
        self.port = dial.port
        self.source = dial.source
        self.banner: Reply = opened.banner
        self.offer = opened.offer
        self.peer_ip: str = (opened.transport.get_extra_info("peername") or ("",))[0]
        self.local_ip: str = (opened.transport.get_extra_info("sockname") or ("",))[0]
        self.tls_version, self.tls_cipher = tls.described(opened.transport)
        self.tls_demand = dial.tls
        self.tls_policy = dial.tls_policy
        self.tls_doubt = dial.tls_doubt
        # More than TLS adds to the records of a flight.
        self._tls_octets = 1024 if self.tls_version else 0
        self.tls_refusal = opened.tls_refusal
        self.served = 0
        """Attempts settled, the one being reported included: its number in this session."""

    @property
    def room(self) -> int:
        """How many more transactions to submit now; keep it filled."""
        return 0 if self._is_closing else self._session.room

    @property
    def is_usable(self) -> bool:
        """Takes further transactions, now or later."""
        return not self._is_closing and self._session.is_open

    @property
    def is_idle(self) -> bool:
        return self._session.is_idle

    @property
    def pattern(self) -> Pattern:
        return self._session.pattern

    def submit(self, transaction: Transaction) -> None:
        facts = self._session.submit(transaction)
        if facts or not self._is_delivering:
            self._deliver(facts)

    def resume(self) -> None:
        """What was held back may be permitted now."""
        if not self._is_delivering:
            self._flush()

    def quit(self) -> None:
        """Finish what has begun, say QUIT, close."""
        self._deliver(self._session.quit())

    def abort(self, detail: str) -> None:
        """Close now. What was under way is lost."""
        self._deliver(self._session.lost(detail, self._loop.time(), by_peer=False))

    # The loop's side.

    def attach(self) -> None:
        """Take over from the greeter; TCP_NODELAY is the loop's default for every stream socket, yet not
        promised."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_protocol(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(_READ[:nbytes])
        session = self._session
        pattern = session.pattern
        unacked = 0
        if self._is_closing:
            pass
        elif pattern is Pattern.CB:
            unacked = self._unacked()
        elif pattern is not Pattern.C and _QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            if pattern is Pattern.E:
                unacked = self._unacked()
        self._deliver(session.feed(data, self._loop.time(), unacked=unacked))

    def _unacked(self) -> int:
        """Octets that the peer's host had not received when it sent the last segment we read. A reply acknowledges
        what it is a reply to; where all replies may be 250 (CB and E) nothing else tells one that set out before
        its command had arrived (B12)."""
        if not _CAN_ASK_UNACKED:
            return 0
        waiting = fcntl.ioctl(self._descriptor, termios.TIOCOUTQ, _NOTHING)
        if waiting == _NOTHING:
            return 0
        return max(0, int.from_bytes(waiting, sys.byteorder) - self._tls_octets)

    def eof_received(self) -> bool:
        self._deliver(self._session.lost("connection closed by the peer", self._loop.time()))
        return False

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._socket.detach()
        self._deliver(self._session.lost(str(exc or "connection lost"), self._loop.time()))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._on_closed is not None:
            on_closed, self._on_closed = self._on_closed, None
            on_closed(self)

    def _deliver(self, facts: Iterable[Fact]) -> None:
        """Hand over facts in order, then write once. The owner may call back into us from each fact."""
        inbox = self._inbox
        inbox.extend(facts)
        if self._is_delivering:
            return
        if inbox:
            self._is_delivering = True
            try:
                while inbox:
                    fact = inbox.popleft()
                    if isinstance(fact, _ATTEMPTS):
                        self.served += 1
                    self._on_fact(self, fact)
            finally:
                self._is_delivering = False
        self._flush()

    def _flush(self) -> None:
        session = self._session
        now = self._loop.time()
        while not self._is_paused and not self._is_closing:
            chunks = session.outgoing(now)
            if not chunks:
                break
            if self.tls_version:
                # One record and one call of OpenSSL for all of them; each by itself costs 3 us at either end.
                self._transport.write(b"".join(chunks))
            else:
                self._transport.writelines(chunks)
            # A transport that has lost its peer takes everything and sends nothing: the rest stays unwritten.
            if not session.has_more or self._transport.is_closing():
                break
        if session.is_over:
            self._close()
        elif self._timer is None or session.is_idle or self._timer_at > now + session.least_wait_s:
            self._arm()

    def _close(self) -> None:
        """Politely when all is said; a TLS closing that the peer does not answer is cut short."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._session.is_clean and not self._transport.get_write_buffer_size():
            self._transport.close()
            self._set_timer(self._loop.time() + self._quit_s)
        else:
            self._transport.abort()

    def _arm(self) -> None:
        """One timer, moved only when something is due earlier: most commands cost none."""
        due = self._session.deadline()
        if due is not None and (self._timer is None or due[1] < self._timer_at):
            self._set_timer(due[1])

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._is_closing:
            self._transport.abort()
            return
        self._deliver(self._session.expire(self._loop.time()))


def _plan(dial: Dial, opened: Opened) -> Plan:
    return Plan(
        pattern=choose(dial.pattern, opened.offer, dial.c_verdict, opened.banner.text),
        verdict=dial.c_verdict,
        window=dial.window,
        messages=dial.messages,
        timeouts=dial.timeouts,
        rtt_s=opened.rtt_s,
        dsn=dial.dsn,
    )


async def connect(
    dial: Dial,
    *,
    on_fact: Callable[[Connection, Fact], None],
    on_closed: Callable[[Connection], None],
) -> Connection:
    """A connection ready for transactions, or `mta.smtp.opening.ConnectFailed`.

    `on_fact` and `on_closed` are never called before this has returned, unless the owner aborts.
    """
    opened = await open_transport(dial)
    connection = Connection(dial, opened, on_fact, on_closed)
    # No await since `open_transport` looked: nothing can have come in between.
    connection.attach()
    return connection
