"""Somebody who takes reports by HTTPS on loopback, as a test wants him to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trustme
from aiohttp import web
from msgspec import Struct

from tests.fakes.trust import server

HOST = "r.one.test"


class Got(Struct):
    path: str
    content_type: str
    body: bytes


class Receiver:
    """`answers` are the statuses of the next requests, then 201."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[int] = []
        self.port = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append(Got(request.path_qs, request.content_type, body))
        status = self.answers.pop(0) if self.answers else 201
        headers = {"Location": f"https://{HOST}:{self.port}/moved"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers, text="x" * 100_000)


@asynccontextmanager
async def receiving(authority: trustme.CA, name: str = HOST) -> AsyncIterator[Receiver]:
    """Serves under a certificate for `name`."""
    receiver = Receiver()
    application = web.Application(client_max_size=10_000_000)
    application.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server(authority, name))
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
