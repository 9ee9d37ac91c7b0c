"""Opens a connection up to the point where mail can be sent: TCP, banner, EHLO or HELO, STARTTLS, EHLO again, AUTH.

aiosmtplib does the dialogue; `Greeter`, its protocol with our reply reader in front, keeps from it what it
would take for a success: malformed replies, codes that differ within one reply, replies that nobody asked
for, bytes behind a reply. Any of these ends the connection, so its buffer is empty at each change of
protocol, and plaintext behind the 220 to STARTTLS never reaches the session inside TLS (T-01,
CVE-2021-38371). Where `Dial.tls` demands more than opportunism, nothing but a connection that meets it is returned.

Foreign exceptions stop here: what `open_transport` raises is a `ConnectFailed`. It leaves to its caller the
next address, the next host, what a domain's policy demands, and the fallback to clear text after `TlsFailed`
(T-02, T-03).
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import ClassVar, cast

from aiosmtplib import SMTP, SMTPException, SMTPHeloError, SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol
from msgspec import Struct
from msgspec.structs import replace

from mta.model.login import Login
from mta.model.outcome import Stage
from mta.model.path import EgressSource
from mta.model.reply import Reply
from mta.model.tls import Demand, Tlsa, TlsDoubt, TlsFailure
from mta.smtp import command, dane, extensions, tls
from mta.smtp.parser import ReplyReader
from mta.smtp.settings import Dsn, Pattern, Timeouts

_UNKNOWN_COMMAND = frozenset((500, 502, 504))
"""The refusals of EHLO after which HELO is tried (S-03)."""

_DEMANDED = frozenset((Demand.ENCRYPTED, Demand.VERIFIED, Demand.DANE))


class Dial(Struct, frozen=True, kw_only=True):
    """Whom to connect to, as whom, and how. `address` is an IP address of `host`; empty: resolve `host`.
    `tls_name` is the name that TLS is about where it is not `host`, `tlsa` are the records that `Demand.DANE` is about,
    `tls_policy` names who demands (for events), `tls_doubt` says what the peer is known to fall short of under a policy
    that only tests. `c_verdict` is what is known of pattern C on this host, `messages` the most to send on the
    connection. A `login` needs a demand for VERIFIED."""

    host: str
    port: int = 25
    address: str = ""
    source: EgressSource
    tls: Demand = Demand.OPPORTUNISTIC
    tls_name: str = ""
    tls_policy: str = "opportunistic"
    tls_broken: bool = False
    tls_doubt: TlsDoubt | None = None
    tlsa: tuple[Tlsa, ...] = ()
    timeouts: Timeouts = Timeouts()
    pattern: Pattern = Pattern.AUTO
    window: int = 4
    messages: int = 100
    c_verdict: bool | None = None
    dsn: Dsn = Dsn.OFF
    login: Login | None = None


class Opened(Struct, frozen=True):
    """An open transport whose protocol is still the `greeter`. `tls_refusal` is the reply of a peer that
    offered STARTTLS and then refused it; the connection went on in clear."""

    transport: asyncio.Transport
    greeter: "Greeter"
    banner: Reply
    offer: extensions.Extensions
    rtt_s: float
    tls_refusal: Reply | None = None


class ConnectFailed(Exception):
    """No connection that mail could be sent on. `reply` is the peer's, if it gave a well-formed one."""

    def __init__(self, stage: Stage, detail: str, reply: Reply | None = None) -> None:
        super().__init__(stage, detail, reply)
        self.stage = stage
        self.detail = detail
        self.reply = reply

    def __str__(self) -> str:
        return f"{self.stage}: {self.detail}"


class ConnectTimeout(ConnectFailed, TimeoutError):
    """A phase took longer than its limit."""


class ConnectLost(ConnectFailed, ConnectionError):
    """No TCP connection, or it was closed or reset."""


class Unreachable(ConnectLost):
    """No TCP connection at all, refused or in time: nobody has said anything."""


class ConnectRefused(ConnectFailed, ConnectionError):
    """A well-formed reply that says no."""


class Unserved(ConnectFailed):
    """Every host of a site has said that it does not serve what is to be sent: all of that is returned. `kind` is why,
    a word of the classifier."""

    kind: ClassVar[str]


class NoMailHere(Unserved, ConnectRefused):
    """Every host of a site greets with 521: it takes no mail at all (RFC 7504)."""

    kind = "no_mail"


class LacksRequireTls(ConnectFailed):
    """All is well with this host, but it does not promise TLS for the rest of the way."""


class NoRequireTls(Unserved):
    """No host of a site does (RFC 8689 section 4.2.1)."""

    kind = "requiretls"


class ConnectGarbled(ConnectFailed, ValueError):
    """The peer does not speak SMTP, or somebody else speaks too."""


class TlsFailed(ConnectFailed, ConnectionError):
    """No TLS, or not with whom it had to be. Another connection, in clear, may do better, if policy allows it."""

    def __init__(
        self,
        stage: Stage,
        detail: str,
        reply: Reply | None = None,
        failure: TlsFailure = TlsFailure.VALIDATION_FAILURE,
    ) -> None:
        super().__init__(stage, detail, reply)
        self.failure = failure


class Greeter(SMTPProtocol):
    """aiosmtplib's protocol, fed with whole, well-formed, expected replies only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._reader = ReplyReader()
        self._due = 0
        self.reply: Reply | None = None
        """The last one."""
        self.fault = ""

    @property
    def is_in_step(self) -> bool:
        """Nothing is due, nothing is left over, nothing was wrong."""
        return not self._due and self._reader.is_empty and not self.fault

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._due = 1

    def write(self, data: bytes) -> None:
        self._due += 1
        super().write(data)

    def data_received(self, data: bytes) -> None:
        if self.fault:
            return
        replies = self._reader.feed(data)
        if self._reader.fault:
            self._fail(self._reader.fault)
        elif not self._due:
            self._fail("bytes, and no reply was due")
        elif len(replies) > 1 or (replies and not self._reader.is_empty):
            self._fail("bytes behind the reply")
        elif replies:
            self._due -= 1
            self.reply = replies[0]
            super().data_received(_spelled(self.reply))

    def _fail(self, detail: str) -> None:
        self.fault = detail
        self.eof_received()
        self.abort()

    def abort(self) -> None:
        # A cast: uvloop's transports do not inherit asyncio's classes.
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()


def _spelled(reply: Reply) -> bytes:
    """The reply as one that any reader understands in the same way."""
    *lines, last = reply.lines
    text = "".join(f"{reply.code}-{line}\r\n" for line in lines) + f"{reply.code} {last}\r\n"
    return text.encode("latin-1")


@contextmanager
def _border(stage: Stage, greeter: Greeter, lost: type[ConnectFailed] | None = None) -> Iterator[None]:
    try:
        yield
    except ConnectFailed:
        raise
    except (OSError, SMTPException) as error:
        detail = str(error) or type(error).__name__
        if greeter.fault:
            raise ConnectGarbled(stage, greeter.fault) from error
        if lost is not None:
            raise lost(stage, detail) from error
        if isinstance(error, TimeoutError):
            raise ConnectTimeout(stage, detail) from error
        raise ConnectLost(stage, detail) from error


async def open_transport(dial: Dial) -> Opened:
    """Raises `ConnectFailed`. On return nothing is due and nothing left over; keep it so until the protocol
    is set."""
    loop = asyncio.get_running_loop()
    greeter = Greeter(loop)
    try:
        transport = await _connect_tcp(dial, greeter)
        banner = await _read_banner(dial, greeter)
        smtp = SMTP(hostname=dial.host, local_hostname=command.host_name(dial.source.ehlo), start_tls=False)
        smtp.loop, smtp.protocol, smtp.transport = loop, greeter, transport
        began = loop.time()
        offer = await _greet(dial, smtp, greeter)
        rtt_s = loop.time() - began
        refusal = None
        is_secured = False
        if offer.starttls and dial.tls is not Demand.NONE and not dial.tls_broken:
            refusal = await _start_tls(dial, smtp, greeter)
            if refusal is None:
                is_secured = True
                offer = await _greet(dial, smtp, greeter)
        elif dial.tls in _DEMANDED:
            raise TlsFailed(Stage.TLS, "STARTTLS is not offered", failure=TlsFailure.STARTTLS_NOT_SUPPORTED)
        if not is_secured:
            offer = replace(offer, requiretls=False)  # RFC 8689 section 2: promised inside TLS only
        if dial.login is not None:
            await _log_in(dial, dial.login, smtp, greeter, offer)
        if not greeter.is_in_step or smtp.transport is None:
            raise ConnectGarbled(Stage.HELO, greeter.fault or "bytes, and no reply was due")
        if not greeter.is_connected:  # the end can come in one piece with the last reply
            raise ConnectLost(Stage.HELO, "closed by the peer behind its reply")
        return Opened(smtp.transport, greeter, banner, offer, rtt_s, refusal)
    except BaseException:
        greeter.abort()
        raise


async def _connect_tcp(dial: Dial, greeter: Greeter) -> asyncio.Transport:
    local = (dial.source.address, 0) if dial.source.address else None
    with _border(Stage.CONNECT, greeter, Unreachable):
        async with asyncio.timeout(dial.timeouts.connect_s):
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: greeter, dial.address or dial.host, dial.port, local_addr=local
            )
        return transport


async def _read_banner(dial: Dial, greeter: Greeter) -> Reply:
    with _border(Stage.CONNECT, greeter):
        await greeter.read_response(timeout=dial.timeouts.greeting_s)
    return _expect(greeter, 220, Stage.CONNECT)


async def _greet(dial: Dial, smtp: SMTP, greeter: Greeter) -> extensions.Extensions:
    name, limit = dial.source.ehlo, dial.timeouts.ehlo_s
    with _border(Stage.HELO, greeter):
        try:
            await smtp.ehlo(hostname=name, timeout=limit)
            return extensions.parse(_expect(greeter, 250, Stage.HELO).lines)
        except SMTPHeloError:
            if greeter.reply is None or greeter.reply.code not in _UNKNOWN_COMMAND:
                _expect(greeter, 250, Stage.HELO)
        try:
            await smtp.helo(hostname=name, timeout=limit)
        except SMTPHeloError:
            _expect(greeter, 250, Stage.HELO)
        return extensions.NONE


async def _start_tls(dial: Dial, smtp: SMTP, greeter: Greeter) -> Reply | None:
    """None: the connection is inside TLS now, with whom it has to be. A reply: the peer refused, that is nothing to
    insist on, and the connection is as it was."""
    context = tls.verified() if dial.tls is Demand.VERIFIED else tls.opportunistic()
    name = dial.tls_name or dial.host
    with _border(Stage.TLS, greeter, TlsFailed):
        try:
            await smtp.starttls(server_hostname=name, tls_context=context, timeout=dial.timeouts.tls_s)
        except SMTPResponseException:
            return _refused_tls(dial, greeter)
        except ssl.SSLError as error:
            failure, detail = tls.failure(error)
            raise TlsFailed(Stage.TLS, detail, failure=failure) from error
        except ValueError as error:  # a name in it is no text; or the host's is none for TLS
            raise TlsFailed(Stage.TLS, f"the certificate cannot be read: {error}") from error
    if dial.tls is Demand.DANE and smtp.transport is not None:
        fault = dane.fault(dial.tlsa, tls.chain(smtp.transport), (name,), datetime.now(UTC))
        if fault:
            raise TlsFailed(Stage.TLS, fault)
    return None


def _refused_tls(dial: Dial, greeter: Greeter) -> Reply | None:
    reply = greeter.reply
    if reply is None or reply.code == 421 or not (reply.is_transient or reply.is_permanent):
        _expect(greeter, 220, Stage.TLS)
    elif dial.tls in _DEMANDED:
        detail = f"STARTTLS is refused: {reply.code} {reply.text}"
        raise TlsFailed(Stage.TLS, detail, reply, TlsFailure.STARTTLS_NOT_SUPPORTED)
    return reply


async def _log_in(
    dial: Dial, login: Login, smtp: SMTP, greeter: Greeter, offer: extensions.Extensions
) -> None:
    """RFC 4954. Nothing of what the peer says here is told but the codes: it may repeat what it was shown."""
    ways = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login, "CRAM-MD5": smtp.auth_crammd5}
    if not offer.logins:
        raise ConnectFailed(
            Stage.LOCAL, "a login is configured, and the peer offers none of PLAIN, LOGIN, CRAM-MD5"
        )
    name = offer.logins[0]
    with _border(Stage.AUTH, greeter):
        # D13: asked of the connection itself, right before the write.
        if smtp.transport is None or not tls.is_verified(smtp.transport):
            raise ConnectFailed(Stage.LOCAL, "no verified TLS: the password is not sent")
        try:
            await ways[name](login.user, login.password, timeout=dial.timeouts.auth_s)
        except SMTPResponseException:
            reply = greeter.reply
            if reply is None or not (reply.is_transient or reply.is_permanent):
                raise ConnectGarbled(Stage.AUTH, f"no 235 to AUTH {name}, and no refusal") from None
            codes = f"{reply.code} {reply.enhanced}".strip()
            said = Reply(reply.code, (), reply.enhanced)
            raise ConnectRefused(Stage.AUTH, f"{codes} to AUTH {name}", said) from None
        except SMTPException:
            if greeter.fault:
                raise ConnectGarbled(Stage.AUTH, f"no well-formed reply to AUTH {name}") from None
            raise


def _expect(greeter: Greeter, code: int, stage: Stage) -> Reply:
    reply = greeter.reply
    if reply is None:
        raise ConnectGarbled(stage, greeter.fault or "no reply")
    if reply.is_transient or reply.is_permanent:
        raise ConnectRefused(stage, f"{reply.code} {reply.text}", reply)
    if reply.code != code:
        raise ConnectGarbled(stage, f"{reply.code} where {code} was due", reply)
    return reply
