"""How many may be connected, for how long, and how all of them end."""

import asyncio
import resource
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest
from structlog.testing import capture_logs

from tests.fakes.nats import eventually
from tests.integration.inbound.listener.peer import TOKEN, greeted, peer, served


async def test_h3_one_address_has_its_share() -> None:
    """421 to the one above it, service for others, and for it again once one of its own has left."""
    async with served(max_per_address=3) as server, AsyncExitStack() as stack:
        held = [await stack.enter_async_context(greeted(server)) for _ in range(3)]
        async with peer(server) as late:
            assert await late.rest() == "421 4.7.0 Too many connections, come again\r\n"
        async with greeted(server, "127.0.0.2") as other:
            assert (await other.deliver()).startswith("250")
        await held[0].say("QUIT")
        await held[0].close()
        await eventually(lambda: server.listener.connections == 2)
        async with greeted(server) as again:
            assert (await again.say("NOOP")).startswith("250")
        assert server.counters.turned_away == 1


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """So many, or a word on why not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"{count} open files are needed, {hard} are allowed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("count", "idle_s"), [(1_000, 8.0), pytest.param(10_000, 20.0, marks=pytest.mark.long)]
)
async def test_h3_idle_ones_keep_nobody_out_for_long(count: int, idle_s: float) -> None:
    """One each of a thousand or ten thousand addresses: those above the limit, which is half of them, hear 421, and
    once the idle ones had their time a good peer is served. Nothing is left of them."""
    half = count // 2
    async with AsyncExitStack() as stack:
        stack.enter_context(open_files(2 * count))
        server = await stack.enter_async_context(served(max_connections=half, idle_s=idle_s, linger_s=0.5))
        for number in range(count):
            one = stack.enter_context(socket.socket())
            one.bind((f"127.0.{number // 250 + 1}.{number % 250 + 1}", 0))
            one.setblocking(False)
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", server.port))
        await eventually(lambda: server.counters.turned_away == half)
        assert server.listener.connections == half
        async with peer(server) as late:
            assert (await late.reply()).startswith("421")
        await eventually(lambda: server.listener.connections == 0, timeout_s=2 * idle_s + 10.0)
        async with greeted(server) as good:
            assert (await good.deliver()).startswith("250")


async def test_h3_octets_put_nothing_off() -> None:
    """Slowloris on a command: a new octet every moment, and the time is over all the same; a good peer beside it is
    served."""
    async with served(idle_s=0.5) as server, greeted(server) as slow:

        async def drip() -> None:
            while True:
                await slow.send(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        async with greeted(server) as good:
            assert (await good.deliver()).startswith("250")
        assert (await slow.reply()).startswith("421 4.4.2")
        dripping.cancel()


async def test_h3_a_message_has_its_time() -> None:
    """Slowloris on DATA: what was sent is given up, and the room with it."""
    async with served(idle_s=300.0, data_s=0.5) as server, greeted(server) as slow:
        await slow.until_data()

        async def drip() -> None:
            while True:
                await slow.send(b"Subject: x\r\n")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert (await slow.reply()).startswith("421 4.4.2")
        dripping.cancel()
        await slow.close()
        await eventually(lambda: server.listener.room.taken_bytes == 0)
        assert server.messages == []


async def test_an_answer_that_comes_too_late_is_none() -> None:
    """The peer has heard 421 and comes again; nothing more is said, and it is no error of ours."""
    done = asyncio.Event()

    async def late() -> str:
        await done.wait()
        return "250 2.0.0 Ok"

    with capture_logs() as logged:
        async with served(answer_s=0.1, linger_s=30.0) as server, greeted(server) as one:
            server.answer = late
            assert (await one.deliver()).startswith("421 4.4.2")
            done.set()
            assert await one.reply() == ""
            await eventually(lambda: not server.listener.room.taken_bytes)
    assert [entry["event"] for entry in logged] == ["inbound_listening"]


async def test_h3_who_reads_no_replies_is_let_go() -> None:
    """His commands wait in his own buffers: ours are bounded, and his time is."""
    async with served(idle_s=0.5, linger_s=0.2, max_idle_commands=10**9) as server:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", server.port))
        flood = asyncio.create_task(asyncio.get_running_loop().sock_sendall(deaf, b"HELP\r\n" * 1_000_000))
        await eventually(lambda: server.listener.connections == 1)
        await eventually(lambda: server.listener.connections == 0)
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        deaf.close()


async def test_a_drain_finishes_what_is_on_the_way() -> None:
    """Whoever sends a message gets its answer; the idle hear 421; nobody comes in any more."""
    go_on = asyncio.Event()

    async def later() -> str:
        await go_on.wait()
        return "250 2.0.0 Ok"

    async with (
        served() as server,
        greeted(server) as idle,
        greeted(server) as busy,
        greeted(server) as sending,
    ):
        server.answer = later
        await busy.until_data()
        await busy.send(b"Subject: x\r\n\r\ny\r\n.\r\n")
        await sending.until_data()
        await sending.send(b"Subject: x\r\n")
        await eventually(lambda: len(server.messages) == 1)
        drained = asyncio.create_task(server.listener.drain(10.0))
        assert (await idle.reply()).startswith("421 4.3.2")
        assert await idle.reply() == ""
        await idle.close()
        await sending.send(b"\r\nz\r\n.\r\n")
        await eventually(lambda: len(server.messages) == 2)
        go_on.set()
        for one in (busy, sending):
            assert (await one.reply()).startswith("250")
            assert (await one.reply()).startswith("421 4.3.2")
            await one.close()
        await drained
        try:
            async with peer(server) as late:
                assert await late.rest() == ""
        except ConnectionError:
            pass


async def test_a_drain_ends_in_time() -> None:
    """Whoever does not finish is cut, without an answer."""
    async with served() as server, greeted(server) as one:
        await one.until_data()
        await server.listener.drain(0.2)
        assert not (await one.reply()).startswith("250")
        assert server.messages == []


async def test_many_messages_come_by_one_connection() -> None:
    """Faults and idle commands do not add up over good ones."""
    async with served() as server, greeted(server) as one:
        for _ in range(100):
            assert (await one.deliver()).startswith("250")
            assert (await one.say("RSET")).startswith("250")
        assert (await one.say(f"VRFY {TOKEN}")).startswith("252")
        assert len(server.messages) == 100
