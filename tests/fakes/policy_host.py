"""An HTTPS server on loopback that serves one MTA-STS policy, or whatever else it is told."""

import asyncio
import ssl
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import trustme
from aiohttp import web

from tests.fakes.trust import presenting

PATH = "/.well-known/mta-sts.txt"


@dataclass(frozen=True)
class Reply:
    """`endless` goes on after the body and never ends; `silent` does not answer."""

    body: bytes
    status: int = 200
    content_type: str | None = "text/plain; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    silent: bool = False


def policy(mode: str = "enforce", mx: str = "mx.acme.test", max_age_s: int = 86400) -> Reply:
    return Reply(f"version: STSv1\r\nmode: {mode}\r\nmx: {mx}\r\nmax_age: {max_age_s}\r\n".encode())


class PolicyHost:
    """`async with PolicyHost(authority, "mta-sts.acme.test") as host:` serves `host.reply` on `host.port` with a
    certificate for these names, or with `certificate`. `asked` counts requests by host name, `requests` keeps their
    headers, `most_at_once` is the largest number that was being answered. Scripts may change while it serves; `silent`
    replies end when it stops."""

    def __init__(
        self, authority: trustme.CA, *names: str, certificate: trustme.LeafCert | None = None
    ) -> None:
        self.reply = policy()
        self.asked: Counter[str] = Counter()
        self.requests: list[dict[str, str]] = []
        self.most_at_once = 0
        self.port = 0
        self._at_once = 0
        self._tls = presenting(certificate or authority.issue_cert(*names))
        self._runner: web.ServerRunner | None = None
        self._seen = asyncio.Event()

    async def was_asked(self, times: int) -> None:
        """Wait until that many requests have come."""
        while self.asked.total() < times:
            self._seen.clear()
            await self._seen.wait()

    async def __aenter__(self) -> Self:
        # Handlers are cancelled with their connections, so that a silent one does not hold up the end.
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        _, self.port = self._runner.addresses[0][:2]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Die: from now on the port refuses."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked[request.host.partition(":")[0]] += 1
        self.requests.append({"path": request.path, **request.headers})
        self._seen.set()
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answer(request)
        finally:
            self._at_once -= 1

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        reply = self.reply
        if reply.silent:
            await asyncio.Event().wait()
        if request.path != PATH:
            return web.Response(status=404)
        headers = dict(reply.headers)
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        if not reply.endless:
            return web.Response(body=reply.body, status=reply.status, headers=headers)
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(request)
        await response.write(reply.body)
        await asyncio.Event().wait()
        return response


class RawHost:
    """Answers every connection with these bytes, in TLS or not, and closes it; `connections` counts them as they are
    accepted."""

    def __init__(self, answer: bytes = b"", tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.port = 0
        self._answer = answer
        self._tls = tls
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await reader.read(1)
            writer.write(self._answer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()
