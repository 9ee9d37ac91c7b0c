"""The one-click endpoint over real sockets: what it answers, what it stores, and what strangers can do to it."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from mta.inbound.errors import CannotListen
from mta.inbound.fact import Fact
from mta.inbound.page import POLICY
from mta.inbound.web import OneClickServer, WebSettings
from mta.jetstream.errors import JetStreamUnavailable
from mta.model.event import EventType
from mta.model.token import TokenKey, TokenMint, TokenReader
from tests.fakes.nats import eventually

SECRET = bytes(range(32))
MESSAGE = UUID("0199c9f0-7f10-7abc-8def-0123456789ab")
TOKEN = TokenMint("k1", SECRET).one_click("acme", "spring", "news", "bob+<b>@example.test", MESSAGE.bytes)
SETTINGS = WebSettings("https://u.acme.test", "127.0.0.1", 0, {"acme": "Acme & Sons"})
FORM = "application/x-www-form-urlencoded"
CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'


class Answer(Struct):
    status: int
    headers: dict[str, str]
    body: str


class Ledger:
    """Takes facts as the recorder does; refuses while it is told to, and waits while `open` is not set."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.is_down = False
        self.open = asyncio.Event()
        self.open.set()

    async def record(self, fact: Fact) -> bool:
        await self.open.wait()
        if self.is_down:
            raise JetStreamUnavailable("down")
        is_new = all(fact.message_id != known.message_id for known in self.facts)
        if is_new:
            self.facts.append(fact)
        return is_new


@asynccontextmanager
async def serving(
    ledger: Ledger,
    settings: WebSettings = SETTINGS,
    sockets: tuple[socket.socket, ...] = (),
    has_left: Callable[[str, str, str], bool] = lambda tenant, recipient, stream: False,
) -> AsyncIterator[OneClickServer]:
    reader = TokenReader([TokenKey("k1", SECRET)])
    server = OneClickServer(
        reader, ledger.record, settings, sockets, clock=lambda: 1_795_000_000.0, has_left=has_left
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def connect(server: OneClickServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.ports[0])


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: u.acme.test", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def read_answer(reader: asyncio.StreamReader, *, is_head: bool = False) -> Answer:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode()
    first, *lines = head.rstrip().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = b"" if is_head else await reader.readexactly(int(headers.get("Content-Length", 0)))
    return Answer(int(first.split()[1]), headers, body.decode())


async def ask(server: OneClickServer, raw: bytes, *, is_head: bool = False) -> Answer:
    reader, writer = await connect(server)
    writer.write(raw)
    answer = await read_answer(reader, is_head=is_head)
    writer.close()
    return answer


async def click(
    server: OneClickServer, body: bytes = CLICK, content_type: str = FORM, token: str = TOKEN
) -> Answer:
    return await ask(server, request("POST", f"/o/{token}", body, Content_Type=content_type))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() is not None
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("content_type", "body"),
    [(FORM, CLICK), ("multipart/form-data; boundary=x", MULTIPART), ("", CLICK)],
)
async def test_l02_a_click_is_stored_before_it_is_answered(content_type: str, body: bytes) -> None:
    """RFC 8058: urlencoded or multipart, without cookies or redirects; 200 says that it was done."""
    ledger = Ledger()
    async with serving(ledger) as server:
        ledger.open.clear()
        waiting = asyncio.create_task(click(server, body, content_type))
        await asyncio.wait([waiting], timeout=0.2)
        assert not waiting.done()
        ledger.open.set()
        answer = await waiting
    assert (answer.status, "Set-Cookie" in answer.headers, "Location" in answer.headers) == (
        200,
        False,
        False,
    )
    assert "You are unsubscribed" in answer.body
    assert ledger.facts == [
        Fact(
            kind=EventType.UNSUBSCRIBED,
            tenant="acme",
            message_id=str(MESSAGE),
            recipient="bob+<b>@example.test",
            at=1_795_000_000.0,
            campaign="spring",
            stream="news",
            detail="one_click",
        )
    ]


async def test_l02_a_second_click_is_one_event() -> None:
    """And the same answer: whoever clicks twice is no less unsubscribed."""
    ledger = Ledger()
    async with serving(ledger) as server:
        assert [(await click(server)).status for _ in range(3)] == [200] * 3
        assert (server.counts["unsubscribed"], server.counts["again"]) == (1, 2)
    assert len(ledger.facts) == 1


async def test_l02_a_get_changes_nothing() -> None:
    """Scanners follow links: they see a page with a button. It says who and what, every character of it as text."""
    ledger = Ledger()
    async with serving(ledger) as server:
        answer = await ask(server, request("GET", f"/o/{TOKEN}", Accept_Language="de-AT,en;q=0.5"))
        head = await ask(server, request("HEAD", f"/o/{TOKEN}"), is_head=True)
    assert (answer.status, head.status, head.body) == (200, 200, "")
    assert ledger.facts == []
    assert '<form method="post">' in answer.body
    assert '<html lang="de">' in answer.body
    assert "bob+&lt;b&gt;@example.test" in answer.body
    assert "Acme &amp; Sons" in answer.body
    assert answer.headers["Content-Language"] == "de"


async def test_the_log_says_where_it_listens() -> None:
    """Once, at the start: with port 0 or a socket of the service manager's nothing else does."""
    with capture_logs() as lines:
        async with serving(Ledger()) as server:
            port = server.ports[0]
    told = [line for line in lines if line["event"] == "one_click_listening"]
    assert [(line["at"], line["public_url"]) for line in told] == [
        ([("127.0.0.1", port)], "https://u.acme.test")
    ]


async def test_who_has_left_is_not_asked_again() -> None:
    """The page says that it is done, and has no button; a click, as of a provider, is taken all the same."""
    ledger = Ledger()
    left: list[tuple[str, str, str]] = [("acme", "bob+<b>@example.test", "news")]

    def has_left(*asked: str) -> bool:
        return asked in left

    async with serving(ledger, has_left=has_left) as server:
        before = await ask(server, request("GET", f"/o/{TOKEN}"))
        assert (await click(server)).status == 200
        left.clear()
        after = await ask(server, request("GET", f"/o/{TOKEN}"))
    assert ("Already unsubscribed" in before.body, "<button" in before.body) == (True, False)
    assert len(ledger.facts) == 1
    assert ("Already unsubscribed" in after.body, "<button" in after.body) == (False, True)


async def test_what_cannot_be_stored_is_not_confirmed() -> None:
    """L-03: a 200 is our word. The person is told, and so is the mailbox provider, who tries again."""
    ledger = Ledger()
    async with serving(ledger) as server:
        ledger.is_down = True
        answer = await click(server)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
        assert "try again" in answer.body
        ledger.is_down = False
        assert (await click(server)).status == 200
    assert len(ledger.facts) == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, b""),
        (FORM, b"List-Unsubscribe=Two-Clicks"),
        (FORM, b"\xff\x00%%%"),
        ("multipart/form-data; boundary=y", MULTIPART),
        ("multipart/form-data", MULTIPART),
    ],
)
async def test_l02_another_body_unsubscribes_nobody(content_type: str, body: bytes) -> None:
    """400; a person still finds the button."""
    ledger = Ledger()
    async with serving(ledger) as server:
        answer = await click(server, body, content_type)
    assert (answer.status, ledger.facts) == (400, [])
    assert "<button" in answer.body


@pytest.mark.parametrize(
    "path", [f"/o/{TOKEN[:-1]}", f"/o/{TOKEN}x", f"/o/k2{TOKEN[2:]}", "/o/", "/", f"/x/o/{TOKEN}"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_link_that_is_not_ours_says_nothing(method: str, path: str) -> None:
    """404 and the same page for each fault: who forges learns nothing."""
    ledger = Ledger()
    async with serving(ledger) as server:
        answer = await ask(server, request(method, path, CLICK, Content_Type=FORM))
        other = await ask(server, request("GET", "/nothing"))
        assert server.counts["forged"] == 2
    assert (answer.status, answer.body, ledger.facts) == (404, other.body, [])


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_other_methods_are_refused(method: str) -> None:
    async with serving(Ledger()) as server:
        answer = await ask(server, request(method, f"/o/{TOKEN}"))
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, POST")


async def test_pages_stay_in_no_cache_and_tell_nobody_the_link() -> None:
    """Whoever has the link can unsubscribe: it goes into no Referer, no frame, no search machine."""
    async with serving(Ledger()) as server:
        for answer in (
            await ask(server, request("GET", f"/o/{TOKEN}")),
            await click(server),
            await click(server, b""),
        ):
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Robots-Tag"] == "noindex"
            assert answer.headers["Server"] == "mta"


async def test_the_path_of_the_public_url_may_be_kept() -> None:
    """By a proxy that serves other things beside it, or taken off."""
    ledger = Ledger()
    async with serving(ledger, WebSettings("https://acme.test/mail/", "127.0.0.1")) as server:
        for path in (f"/mail/o/{TOKEN}", f"/o/{TOKEN}?utm_source=x"):
            assert (await ask(server, request("GET", path))).status == 200


async def test_it_takes_a_socket_that_is_bound_already() -> None:
    """As systemd hands one over."""
    bound = socket.create_server(("127.0.0.1", 0))
    async with serving(Ledger(), sockets=(bound,)) as server:
        assert server.ports == [bound.getsockname()[1]]
        assert (await ask(server, request("GET", f"/o/{TOKEN}"))).status == 200


async def test_an_address_that_is_not_here_is_one_error() -> None:
    reader = TokenReader([TokenKey("k1", SECRET)])
    server = OneClickServer(reader, Ledger().record, WebSettings("https://u.test", "192.0.2.1", 1))
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:1"):
        await server.start()


async def test_a_large_body_is_refused_unread() -> None:
    """By its announced length, and by what comes."""
    ledger = Ledger()
    async with serving(ledger) as server:
        announced = f"POST /o/{TOKEN} HTTP/1.1\r\nHost: u\r\nContent-Length: 100000000\r\n\r\n".encode()
        assert (await ask(server, announced)).status == 413
        chunks = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        chunked = (
            f"POST /o/{TOKEN} HTTP/1.1\r\nHost: u\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunks * 3
        )
        assert (await ask(server, chunked)).status == 413
    assert ledger.facts == []


BROKEN = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no_http": b"EHLO mx.example.test\r\n\r\n",
    "no_method": b"FOO / HTTP/1.1\r\nHost: u\r\n\r\n",
    "long_line": b"GET /o/" + b"x" * 20_000,
    "long_field": b"GET / HTTP/1.1\r\nHost: u\r\nCookie: " + b"x" * 20_000,
    "many_fields": b"GET / HTTP/1.1\r\nHost: u\r\n"
    + b"".join(b"X-%d: y\r\n" % n for n in range(500))
    + b"\r\n",
    "two_lengths": b"POST /o/x HTTP/1.1\r\nHost: u\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "bad_chunk": f"POST /o/{TOKEN} HTTP/1.1\r\nHost: u\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
    "length_and_chunks": (
        f"POST /o/{TOKEN} HTTP/1.1\r\nHost: u\r\nContent-Length: 26\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    + CLICK,
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_no_request_ends_its_connection(what: str) -> None:
    """400, no line in the log for each, nothing stored, and others are served."""
    ledger = Ledger()
    async with serving(ledger) as server:
        with capture_logs() as lines:
            reader, writer = await connect(server)
            writer.write(BROKEN[what])
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert re.match(rb"HTTP/1\.[01] 400 ", answer)
        assert lines == []
        assert server.counts["malformed"] == 1
        assert (await ask(server, request("GET", f"/o/{TOKEN}"))).status == 200
    assert ledger.facts == []


async def test_who_leaves_in_the_middle_is_not_logged() -> None:
    """Of the head or of the body."""
    ledger = Ledger()
    async with serving(ledger) as server:
        with capture_logs() as lines:
            for part in (request("POST", f"/o/{TOKEN}", CLICK)[:-5], b"GET /o"):
                _, writer = await connect(server)
                writer.write(part)
                await writer.drain()
                writer.transport.abort()
            await eventually(lambda: server._doors is not None and not server._doors._inside)
        assert lines == []
        assert (await click(server)).status == 200
    assert len(ledger.facts) == 1


@pytest.mark.parametrize(
    "sent", [b"", b"GET /o/x HTTP/1.1\r\nHost: u\r\n", request("POST", f"/o/{TOKEN}", bytes(5000))[:-4999]]
)
async def test_h3_slow_clients_are_let_go(sent: bytes) -> None:
    """Who says nothing, and who trickles a head or a body: each byte does not begin the time anew."""
    settings = WebSettings("https://u.test", "127.0.0.1", idle_s=0.4, request_s=0.4)
    async with serving(Ledger(), settings) as server:
        reader, writer = await connect(server)
        writer.write(sent)
        closed = asyncio.create_task(is_closed(reader))
        for _ in range(60):
            done, _pending = await asyncio.wait([closed], timeout=0.1)
            if done:
                break
            if sent:
                writer.write(b"x")
        assert closed.done()
        writer.close()


async def test_h3_a_connection_that_is_not_read_ends() -> None:
    """Answers are asked for and never fetched."""
    settings = WebSettings("https://u.test", "127.0.0.1", life_s=0.8)
    async with serving(Ledger(), settings) as server:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", server.ports[0]))
        _, writer = await asyncio.open_connection(sock=one)
        writer.transport.pause_reading()
        for _ in range(3000):
            writer.write(request("GET", f"/o/{TOKEN}"))
        await eventually(lambda: server._doors is not None and server._doors._inside)
        await eventually(lambda: server._doors is not None and not server._doors._inside, 8)
        assert server.counts["asked"] < 3000
        writer.transport.abort()


async def test_a_connection_serves_several_and_ends_when_it_is_old() -> None:
    """The proxy keeps it; after `turn_s` the answer says that it closes, so no request is lost at its end."""
    async with serving(Ledger(), WebSettings("https://u.test", "127.0.0.1", turn_s=30.0)) as server:
        reader, writer = await connect(server)
        for _ in range(3):
            writer.write(request("GET", f"/o/{TOKEN}"))
            assert "Connection" not in (await read_answer(reader)).headers
        writer.close()
    async with serving(Ledger(), WebSettings("https://u.test", "127.0.0.1", turn_s=0.0)) as server:
        reader, writer = await connect(server)
        writer.write(request("GET", f"/o/{TOKEN}"))
        assert (await read_answer(reader)).headers["Connection"] == "close"
        assert await reader.read() == b""
        writer.close()


async def test_h3_there_is_room_for_so_many() -> None:
    """Whoever is above is turned away at once, and let in when there is room again."""
    settings = WebSettings("https://u.test", "127.0.0.1", most_connections=5, most_per_address=2)
    async with serving(Ledger(), settings) as server:
        inside = [await connect(server) for _ in range(5)]  # the proxy's own address has no bound of its own
        await eventually(lambda: server._doors is not None and len(server._doors._inside) == 5)
        reader, writer = await connect(server)
        assert await asyncio.wait_for(is_closed(reader), 5)
        assert server.counts["turned_away"] == 1
        for _, one in (*inside, (reader, writer)):
            one.close()
        await eventually(lambda: server._doors is not None and not server._doors._inside)
        assert (await ask(server, request("GET", f"/o/{TOKEN}"))).status == 200


async def test_what_is_being_stored_ends_before_it_stops() -> None:
    """Who clicked gets an answer."""
    ledger = Ledger()
    async with serving(ledger) as server:
        ledger.open.clear()
        waiting = asyncio.create_task(click(server))
        await eventually(lambda: server._doors is not None and server._doors.requests_count)
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        ledger.open.set()
        assert (await waiting).status == 200
        await closing
    assert len(ledger.facts) == 1


async def test_a_body_may_be_announced_first() -> None:
    """RFC 9110 section 10.1.1: who sends Expect gets an answer within his patience."""
    ledger = Ledger()
    async with serving(ledger) as server:
        reader, writer = await connect(server)
        whole = request("POST", f"/o/{TOKEN}", CLICK, Content_Type=FORM, Expect="100-continue")
        writer.write(whole[: -len(CLICK)])
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100 ")
        writer.write(CLICK)
        assert (await read_answer(reader)).status == 200
        writer.close()
