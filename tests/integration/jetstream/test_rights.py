"""N10: which subjects our user may not publish to, found without leaving anything behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mta.jetstream.connection import Link, open_link
from mta.jetstream.layout import Capacity, fixed_consumers
from mta.jetstream.rights import asked, missing_rights, stored, unanswered
from mta.jetstream.setup import setup
from mta.model.login import Login
from tests.fakes.nats import NatsServer

SUBJECTS = [*stored("n1", "acme"), *asked(), *unanswered()]


@asynccontextmanager
async def limited(tmp_path: Path, denied: str) -> AsyncIterator[Link]:
    """A server with its streams, and the link of a user who may do all but that."""
    rights = f'permissions: {{ publish: {{ deny: ["{denied}"] }} }}'
    users = f'{{ user: "root", password: "x" }}, {{ user: "mta", password: "x", {rights} }}'
    server = NatsServer(tmp_path, extra_config=f"authorization {{ users: [ {users} ] }}")
    await server.start()
    try:
        root = await open_link(server.settings(login=Login("root", "x")), name="root", report=print)
        await setup(root, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
        link = await open_link(server.settings(login=Login("mta", "x")), name="test", report=print)
        yield link
        for consumer in fixed_consumers(30.0):
            info = await root.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
            assert (info["num_waiting"], info["delivered"]["consumer_seq"]) == (0, 0)
        for stream in (await root.api("STREAM.LIST"))["streams"]:
            assert (stream["config"]["name"], stream["state"]["messages"]) == (stream["config"]["name"], 0)
        await link.close()
        await root.close()
    finally:
        server.stop()


async def test_with_all_rights_none_is_missing(tmp_path: Path) -> None:
    async with limited(tmp_path, "somewhere.else") as link, asyncio.timeout(20):
        assert await missing_rights(link, node="n1", tenant="acme") == []


@pytest.mark.parametrize("denied", SUBJECTS)
async def test_n10_any_one_that_is_missing_is_named(tmp_path: Path, denied: str) -> None:
    """And only that one."""
    async with limited(tmp_path, denied) as link:
        assert await missing_rights(link, node="n1", tenant="acme") == [denied]


async def test_n10_what_only_some_daemons_write_is_asked_of_them(tmp_path: Path) -> None:
    """TLS reports go where senders publish; who makes none needs no such right."""
    subject = "mta.payload.transactional.acme.tls-reports"
    async with limited(tmp_path, "mta.payload.transactional.>") as link:
        assert await missing_rights(link, node="n1", tenant="acme", also=[subject]) == [subject]
        assert await missing_rights(link, node="n1", tenant="acme") == []


async def test_n10_all_are_named_at_once(tmp_path: Path) -> None:
    """Whoever mends the rights does it once."""
    async with limited(tmp_path, "mta.>") as link:
        missing = await missing_rights(link, node="n1", tenant="acme")
        assert missing == [one for one in SUBJECTS if one.startswith("mta.")]
