"""One-click unsubscribe over HTTP (RFC 8058, L-02, L-03), behind a proxy that speaks TLS.

    POST <public_url>/o/<token>   `List-Unsubscribe=One-Click`: event and suppression are stored, then 200
    GET  the same                 a page with a button, and without one for who has left; it changes nothing, because
                                  scanners of links come here, too

A mailbox provider that hears 200 has our word: what cannot be stored is 503, to be tried again. A link that is not
ours is 404 whatever is wrong with it. Nothing is redirected, no cookie is set or read, nobody's address is logged, and
what a proxy says of its client is not believed.

Everybody can come here, so all is bounded: connections in all and from one address (but for those from this host,
which are the proxy's), their life, head and body of a request, and the time for each. The only module that serves by
aiohttp.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from msgspec import Struct

from mta.inbound.errors import CannotListen
from mta.inbound.fact import Fact
from mta.inbound.form import MAX_BODY, is_one_click
from mta.inbound.page import POLICY, About, State, language, render
from mta.jetstream.errors import JetStreamError
from mta.model.event import EventType
from mta.model.token import OneClick, TokenReader

_AGAIN_S = 60
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",  # the link is the right to unsubscribe
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    "Vary": "Accept-Language",
    "Server": "mta",
}
_METHODS = "GET, HEAD, POST"
_PATH = "/o/"
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
"""RFC 9110 section 10.1.1. aiohttp leaves it to whoever serves without its router."""

log = structlog.get_logger()


class WebSettings(Struct, frozen=True):
    """`senders` are what people know tenants by. The body of a request must be there within `request_s`, its head
    within `idle_s`, which also ends a connection that says nothing; one older than `turn_s` ends after its next answer,
    and at `life_s` in any case."""

    public_url: str
    host: str = ""
    port: int = 0
    senders: Mapping[str, str] = {}
    most_connections: int = 1000
    most_per_address: int = 50
    idle_s: float = 10.0
    request_s: float = 10.0
    turn_s: float = 30.0
    life_s: float = 75.0
    stop_s: float = 5.0


class OneClickServer:
    """Listens on `sockets` where there are some, else on the address of `settings`. `has_left` says of a
    tenant, a recipient and a stream whether he is unsubscribed as things stand. `counts` is by what became of requests:
    unsubscribed, again, asked, forged, malformed, unstored; and of connections: turned_away."""

    def __init__(
        self,
        reader: TokenReader,
        record: Callable[[Fact], Awaitable[bool]],
        settings: WebSettings,
        sockets: Sequence[socket.socket] = (),
        clock: Callable[[], float] = time.time,
        has_left: Callable[[str, str, str], bool] = lambda tenant, recipient, stream: False,
    ) -> None:
        self._reader = reader
        self._record = record
        self._settings = settings
        self._sockets = tuple(sockets)
        self._clock = clock
        self._has_left = has_left
        self._prefixes = {_PATH, f"{urlsplit(settings.public_url).path.rstrip('/')}{_PATH}"}
        self._doors: _Doors | None = None
        self._listening: list[asyncio.Server] = []
        self.counts: Counter[str] = Counter()

    @property
    def ports(self) -> list[int]:
        return [one.getsockname()[1] for server in self._listening for one in server.sockets]

    async def start(self) -> None:
        """CannotListen if it cannot. Several daemons of one host share a port: any of them may be asked."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        doors = self._doors = _Doors(self._answer, settings, self.counts)
        try:
            for one in self._sockets:
                self._listening.append(await loop.create_server(doors, sock=one))
            if not self._sockets:
                self._listening.append(
                    await loop.create_server(doors, settings.host, settings.port, reuse_port=True)
                )
        except OSError as error:
            await self.close()
            raise CannotListen(f"cannot listen on {settings.host}:{settings.port}: {error}") from error
        listening = [one.getsockname()[:2] for server in self._listening for one in server.sockets]
        log.info("one_click_listening", at=listening, public_url=settings.public_url)

    async def close(self) -> None:
        """Takes no more, and lets what is being stored end."""
        for server in self._listening:
            server.close()
        self._listening = []
        doors, self._doors = self._doors, None
        if doors is not None:
            doors.pre_shutdown()
            await doors.shutdown(self._settings.stop_s)
            log.info("one_click_stopped", **self.counts)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        clicked = self._clicked(request.path)
        name = language(request.headers.get("Accept-Language", ""))
        if clicked is None:
            self.counts["forged"] += 1
            response = _page(404, State.LOST, name, About())
        elif request.method in ("GET", "HEAD"):
            self.counts["asked"] += 1
            has_left = self._has_left(clicked.tenant, clicked.recipient, clicked.stream)
            state = State.ALREADY if has_left else State.ASK
            response = _page(200, state, name, self._about(clicked))
        elif request.method == "POST":
            response = await self._unsubscribe(request, clicked, name)
        else:
            response = _plain(405, "Method not allowed\n")
            response.headers["Allow"] = _METHODS
        if self._doors is not None and self._doors.is_old(request.protocol):
            response.force_close()
        return response

    async def _unsubscribe(self, request: web.BaseRequest, clicked: OneClick, name: str) -> web.Response:
        about = self._about(clicked)
        try:
            async with asyncio.timeout(self._settings.request_s):
                if (
                    request.headers.get("Expect", "").lower() == "100-continue"
                    and request.transport is not None
                ):
                    request.transport.write(_GO_ON)
                body = await _body(request)
        except TimeoutError:
            return _closing(_plain(408, "The request took too long\n"))
        except (web.RequestPayloadError, PayloadEncodingError, ConnectionError):
            self.counts["malformed"] += 1
            return _closing(_plain(400, "Bad request\n"))
        if body is None:
            self.counts["malformed"] += 1
            return _closing(_plain(413, f"At most {MAX_BODY} octets\n"))
        if not is_one_click(request.headers.get("Content-Type", ""), body):
            self.counts["malformed"] += 1
            return _page(400, State.ASK, name, about)
        fact = Fact(
            kind=EventType.UNSUBSCRIBED,
            tenant=clicked.tenant,
            campaign=clicked.campaign,
            stream=clicked.stream,
            message_id=str(UUID(bytes=clicked.message_id)),
            recipient=clicked.recipient,
            at=self._clock(),
            detail="one_click",
        )
        try:
            is_new = await self._record(fact)
        except JetStreamError as error:
            self.counts["unstored"] += 1
            log.warning(
                "unsubscribe_unstored", tenant=fact.tenant, message_id=fact.message_id, error=str(error)
            )
            response = _page(503, State.LATER, name, about)
            response.headers["Retry-After"] = str(_AGAIN_S)
            return response
        self.counts["unsubscribed" if is_new else "again"] += 1
        return _page(200, State.DONE, name, about)

    def _clicked(self, path: str) -> OneClick | None:
        """A proxy may keep the path of `public_url` or take it off."""
        for prefix in self._prefixes:
            if path.startswith(prefix):
                return self._reader.one_click(path[len(prefix) :])
        return None

    def _about(self, clicked: OneClick) -> About:
        sender = self._settings.senders.get(clicked.tenant, clicked.tenant)
        return About(clicked.recipient, sender, clicked.stream)


class _Doors(web.Server):
    """Who comes in, and for how long."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        settings: WebSettings,
        counts: Counter[str],
    ) -> None:
        super().__init__(
            handler,
            keepalive_timeout=settings.idle_s,  # also how long the head of a request may take
            access_log=None,
            max_headers=64,
            lingering_time=1.0,
            auto_decompress=False,
        )
        self._settings = settings
        self._counts = counts
        self._inside: dict[web.RequestHandler, tuple[str, float, asyncio.TimerHandle]] = {}
        self._from: Counter[str] = Counter()

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        settings = self._settings
        address = _address(transport)
        is_full = len(self._inside) >= settings.most_connections
        if is_full or (address and self._from[address] >= settings.most_per_address):
            self._counts["turned_away"] += 1
            transport.abort()
            return
        timer = self._loop.call_later(settings.life_s, transport.abort)
        self._inside[handler] = (address, self._loop.time(), timer)
        self._from[address] += 1

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        inside = self._inside.pop(handler, None)
        if inside is not None:
            address, _, timer = inside
            timer.cancel()
            self._from[address] -= 1
            if not self._from[address]:
                del self._from[address]

    def is_old(self, handler: web.RequestHandler) -> bool:
        inside = self._inside.get(handler)
        return inside is None or self._loop.time() - inside[1] >= self._settings.turn_s

    def count(self, what: str) -> None:
        self._counts[what] += 1


class _Connection(web.RequestHandler):
    """Strangers' nonsense is answered without a line in the log for each."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status == 500:
            log.error("request_failed", exc_info=exc)
        elif isinstance(self._manager, _Doors):
            self._manager.count("malformed")
        return _closing(_plain(status, "Bad request\n" if status < 500 else "Internal error\n"))


async def _body(request: web.BaseRequest) -> bytes | None:
    """None if it is larger than allowed. What breaks off ends as the connection does."""
    if (request.content_length or 0) > MAX_BODY:
        return None
    body = b""
    while data := await request.content.readany():
        body += data
        if len(body) > MAX_BODY:
            return None
    return body


def _address(transport: asyncio.Transport) -> str:
    """Empty for this host itself, whose connections are the proxy's."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return ""
    address = ip_address(str(peer[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return "" if mapped.is_loopback else str(mapped)


def _page(status: int, state: State, name: str, about: About) -> web.Response:
    headers = {**_HEADERS, "Content-Language": name, "Content-Type": "text/html; charset=utf-8"}
    return web.Response(status=status, body=render(state, name, about), headers=headers)


def _plain(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers=_HEADERS)


def _closing(response: web.Response) -> web.Response:
    response.force_close()
    return response
