import asyncio
import contextlib
import time
from pathlib import Path
from urllib.parse import urlparse

import pytest
import uvloop
from nats.aio.client import Srv

from mta.jetstream.client import TamedClient
from mta.jetstream.connection import Link, open_link
from mta.jetstream.errors import (
    JetStreamUnavailable,
    NotFound,
    PermissionMissing,
    Refused,
    TooLarge,
    Unconfirmed,
)
from mta.jetstream.layout import PAYLOADS
from mta.jetstream.pull import Pulled, Puller
from mta.jetstream.settings import NatsSettings
from mta.model.login import Login
from tests.fakes.nats import NatsServer, eventually, free_port, running
from tests.fakes.nats_jwt import trust


async def test_no_server_is_one_clear_line() -> None:
    """It names the server, without its password, and comes when the time is over."""
    settings = NatsSettings(servers=(f"nats://u:s3cret@127.0.0.1:{free_port()}",), connect_timeout_s=0.3)
    with pytest.raises(
        JetStreamUnavailable, match=r"no NATS server at nats://127\.0\.0\.1:\d+ after 0\.3 s"
    ) as caught:
        await open_link(settings, name="test", report=lambda _: None)
    assert "s3cret" not in str(caught.value)


async def test_a_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    """Until the time for connecting is over."""
    server = NatsServer(tmp_path)
    opening = asyncio.ensure_future(open_link(server.settings(), name="test", report=lambda _: None))
    await server.start()
    link = await opening
    assert link.is_connected
    await link.close()
    server.stop()


async def test_a_pong_for_nobody_ends_nothing(nats_server: NatsServer) -> None:
    """Who waited for it was cancelled meanwhile, as at the end of a daemon; those behind him get theirs."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    for _ in range(3):
        gone, next_ = (asyncio.ensure_future(link._client.flush()) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        async with asyncio.timeout(10):
            await next_
    assert link.is_connected
    await link.close()


async def test_refused_credentials_end_the_start_at_once(tmp_path: Path) -> None:
    """A wrong password does not get better by waiting."""
    server = NatsServer(tmp_path, extra_config='authorization { user: "mta", password: "right" }')
    await server.start()
    settings = server.settings(servers=(f"nats://mta:wrong@127.0.0.1:{server.port}",), connect_timeout_s=30.0)
    started = time.monotonic()
    with pytest.raises(PermissionMissing, match="refuses our credentials"):
        await open_link(settings, name="test", report=lambda _: None)
    assert time.monotonic() - started < 10
    server.stop()


async def test_a_login_opens_the_door(tmp_path: Path) -> None:
    """User and password of a file, beside addresses that hold none."""
    server = NatsServer(tmp_path, extra_config='authorization { user: "mta", password: "right" }')
    await server.start()
    link = await open_link(server.settings(login=Login("mta", "right")), name="t", report=lambda _: None)
    assert link.is_connected
    await link.close()
    server.stop()


async def test_a_credentials_file_opens_the_door(tmp_path: Path) -> None:
    """Its seed signs what the server asks to have signed."""
    trusted = trust()
    (tmp_path / "mta.creds").write_text(trusted.creds)
    server = NatsServer(tmp_path, extra_config=trusted.config, with_jetstream=False)
    await server.start()
    settings = server.settings(credentials=str(tmp_path / "mta.creds"))
    link = await open_link(settings, name="test", report=lambda _: None)
    assert link.is_connected
    await link.close()
    (tmp_path / "mta.creds").write_text(trust().creds)
    with pytest.raises(PermissionMissing, match="refuses our credentials"):
        await open_link(settings, name="test", report=lambda _: None)
    server.stop()


def limited(tmp_path: Path, rights: str) -> NatsServer:
    """A server whose only user has these rights."""
    users = f'{{ user: "mta", password: "x", permissions: {{ {rights} }} }}'
    return NatsServer(tmp_path, extra_config=f"authorization {{ users: [ {users} ] }}")


async def test_a_forbidden_request_fails_at_once(tmp_path: Path) -> None:
    """By its subject, as it was written; others go on."""
    server = limited(tmp_path, 'publish: { deny: ["$JS.API.STREAM.CREATE.>", "$JS.API.CONSUMER.>"] }')
    await server.start()
    link = await open_link(server.settings(login=Login("mta", "x")), name="test", report=lambda _: None)
    asking = asyncio.ensure_future(link.api("INFO"))
    async with asyncio.timeout(4):
        with pytest.raises(PermissionMissing, match=r"may not publish to \$JS\.API\.STREAM\.CREATE\.X"):
            await link.api("STREAM.CREATE.X", {"name": "X"})
    await asking
    puller = Puller(link, PAYLOADS, "transactional", lambda _: None)
    await puller.open()
    async with asyncio.timeout(4):
        with pytest.raises(PermissionMissing, match=r"MSG\.NEXT\.MTA_PAYLOADS\.transactional"):
            await puller.pull(1, expires_s=30.0)
    await puller.close()
    await link.close()
    server.stop()


async def test_who_may_not_hear_answers_is_told_at_the_start(tmp_path: Path) -> None:
    """Every request would wait for nothing."""
    server = limited(tmp_path, 'subscribe: { deny: ["_INBOX.>"] }')
    await server.start()
    with pytest.raises(PermissionMissing, match='for subscription to "_inbox'):
        await open_link(server.settings(login=Login("mta", "x")), name="test", report=lambda _: None)
    server.stop()


async def test_a_forbidden_subscription_ends_watch(tmp_path: Path) -> None:
    """Nothing would ever come, and nobody would know why."""
    server = limited(tmp_path, 'subscribe: { deny: ["mta.>"] }')
    await server.start()
    link = await open_link(server.settings(login=Login("mta", "x")), name="test", report=lambda _: None)
    await link.subscribe("mta.test", lambda _: None)
    with pytest.raises(PermissionMissing, match=r'for subscription to "mta\.test"'):
        await asyncio.wait_for(link.watch(), 4)
    await link.close()
    server.stop()


async def test_the_server_is_known(link: Link) -> None:
    """Its version and its largest message."""
    assert link.server_version.startswith("2.")
    assert link.max_payload == 8 << 20


async def test_api_errors_become_ours(link: Link) -> None:
    """A stream that is not there, and a subject that nobody serves."""
    with pytest.raises(NotFound):
        await link.api("STREAM.INFO.NOTHING")
    with pytest.raises(JetStreamUnavailable, match="nobody answers"):
        await link.request("nobody.there")


async def test_no_answer_is_unconfirmed(link: Link) -> None:
    """Somebody listens, but says nothing."""
    await link.subscribe("silent", lambda _: None)
    with pytest.raises(Unconfirmed):
        await link.request("silent", timeout_s=0.05)


async def test_what_would_cut_the_connection_is_not_sent(link: Link) -> None:
    """The server counts headers too; a subject with a blank is no subject."""
    with pytest.raises(TooLarge):
        await link.publish("mta.dead.x", b"x" * (link.max_payload - 10), headers={"A": "b"})
    with pytest.raises(Refused):
        await link.publish("mta.dead.x y")
    assert link.is_connected
    await link.api("INFO")


async def test_stored_messages_are_read_from_leader_and_replica(link: Link) -> None:
    """Last on a subject, by sequence, and nothing where nothing is."""
    await link.call("mta.dead.schema", b"one", headers={"Why": "because"})
    answer = await link.call("mta.dead.schema", b"two")
    for leader in (True, False):
        last = await link.last_message("MTA_DEAD", "mta.dead.schema", leader=leader)
        assert last is not None
        assert (last.subject, last.data, last.sequence) == ("mta.dead.schema", b"two", answer["seq"])
        assert await link.last_message("MTA_DEAD", "mta.dead.other", leader=leader) is None
    first = await link.stored_message("MTA_DEAD", 1)
    assert first is not None
    assert first.headers["Why"] == "because"
    assert await link.stored_message("MTA_DEAD", 99) is None
    with pytest.raises(NotFound):
        await link.last_message("NOTHING", "x")


async def test_while_disconnected_nothing_is_taken_and_answers_fail_at_once(
    link: Link, nats_server: NatsServer
) -> None:
    """A request under way fails when the connection breaks, long before its time; afterwards none is
    accepted."""
    await link.subscribe("silent", lambda _: None)
    states: list[bool] = []
    link.on_connection(states.append)
    asking = asyncio.ensure_future(link.request("silent", timeout_s=60.0))
    await link.api("INFO")
    nats_server.kill()
    with pytest.raises(Unconfirmed, match="connection broke"):
        await asyncio.wait_for(asking, 10)
    assert states == [False]
    with pytest.raises(JetStreamUnavailable, match="not connected"):
        await link.publish("mta.dead.x", b"late")
    with pytest.raises(JetStreamUnavailable, match="not connected"):
        await link.request("mta.dead.x", b"late")
    await nats_server.start()
    await asyncio.wait_for(link.until_connected(), 10)
    await eventually(lambda: states == [False, True])
    state = (await link.api("STREAM.INFO.MTA_DEAD"))["state"]
    assert state["messages"] == 0


def test_n2_what_is_sent_as_the_connection_ends_fails_at_once(tmp_path: Path) -> None:
    """In the one turn of the loop in which uvloop has closed the socket and the library has not heard of it."""

    async def send_too_late() -> None:
        server = NatsServer(tmp_path)
        await server.start()
        link = await open_link(server.settings(), name="test", report=lambda _: None)
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def send() -> None:
            assert link.is_connected
            try:
                link.publish("a", b"x").send(None)
            except Exception as error:
                sent.set_exception(error)

        link._client._transport._bare_io_writer.transport.abort()
        asyncio.get_running_loop().call_soon(send)
        with pytest.raises(JetStreamUnavailable):
            await sent
        await eventually(lambda: link.is_connected)
        await link.publish("a", b"y")
        await link.close()
        server.stop()

    uvloop.run(send_too_late())


async def test_a_frozen_server_is_noticed_and_left(nats_server: NatsServer) -> None:
    """Pings get no answer: the connection is given up although the server's socket stays open and takes no
    bytes."""
    link = await open_link(nats_server.settings(ping_s=0.1), name="test", report=lambda _: None)
    states: list[bool] = []
    link.on_connection(states.append)
    nats_server.freeze()
    for _ in range(8):
        await link.publish("mta.dead.x", b"x" * (1 << 20))
    await eventually(lambda: states == [False], 10)
    nats_server.thaw()
    await asyncio.wait_for(link.until_connected(), 20)
    await link.close()


async def test_subscriptions_survive_a_restart(link: Link, nats_server: NatsServer) -> None:
    """What comes after the reconnect is delivered as before."""
    got: list[bytes] = []
    await link.subscribe("mta.test", lambda message: got.append(message.data))
    nats_server.stop()
    await nats_server.start()
    await asyncio.wait_for(link.until_connected(), 10)
    await link.publish("mta.test", b"after")
    await eventually(lambda: got == [b"after"])


async def test_a_failing_callback_ends_watch(link: Link) -> None:
    """It has nobody else to raise to."""

    def fail(_: object) -> None:
        raise LookupError("in a callback")

    await link.subscribe("mta.test", fail)
    await link.publish("mta.test")
    with pytest.raises(LookupError, match="in a callback"):
        await asyncio.wait_for(link.watch(), 5)


async def test_close_ends_watch_quietly(nats_server: NatsServer) -> None:
    """Closing is no failure, and closed is closed."""
    link = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    async with running(link.watch()):
        await link.close()
    with pytest.raises(JetStreamUnavailable):
        await link.publish("mta.test")
    with pytest.raises(JetStreamUnavailable):
        await link.until_connected()


async def test_closed_for_good_ends_watch(link: Link) -> None:
    """Something the server answers by cutting us off for ever is told to the daemon."""
    link._client._transport.write(b"NONSENSE\r\n")  # type: ignore[union-attr]
    with pytest.raises(JetStreamUnavailable, match="closed for good"):
        await asyncio.wait_for(link.watch(), 10)


async def test_acks_of_all_kinds(link: Link) -> None:
    """nak brings it again, +WPI keeps it, term and ack remove it."""
    got: list[Pulled] = []
    puller = Puller(link, PAYLOADS, "transactional", got.append)
    await puller.open()
    await link.call("mta.payload.transactional.acme._", b"one")
    await puller.pull(1, expires_s=2.0)
    before = time.monotonic()
    assert before <= await link.progress(got[0].reply) <= time.monotonic()
    await link.nak(got[0].reply)
    await puller.pull(1, expires_s=2.0)
    await link.nak(got[1].reply, delay_s=0.1)
    await puller.pull(1, expires_s=2.0)
    assert [pulled.num_delivered for pulled in got] == [1, 2, 3]
    await link.ack_sync(got[2].reply)
    assert await link.stored_message(PAYLOADS, got[2].stream_sequence) is None
    await link.call("mta.payload.transactional.acme._", b"two")
    await puller.pull(1, expires_s=2.0)
    terminated: list[bytes] = []
    await link.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>", lambda m: terminated.append(m.data))
    await link.term(got[3].reply, "not for us")
    await eventually(lambda: terminated and b"not for us" in terminated[0])
    await puller.close()


async def test_n2_an_attempt_without_an_answer_leaves_no_socket_open() -> None:
    """A server that is stopped takes connections and says nothing: the next attempt ends the one before."""
    ended: asyncio.Queue[bytes] = asyncio.Queue()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.put_nowait(b"")
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = TamedClient()
    client.options = {"connect_timeout": 2}
    for _ in range(2):
        await client._connect_to_server(Srv(urlparse(f"nats://127.0.0.1:{port}")))
    async with asyncio.timeout(4):
        await ended.get()
        assert ended.empty()
        client._abort_writer()
        await ended.get()
    server.close()
