"""Against a scripted server: which host and address is tried, and what is learned of it."""

import time
from random import Random

import pytest

from mta.delivery.hosts import HostMemory
from mta.delivery.opening import Opener
from mta.model.path import MxHost, Site
from mta.smtp.connection import Connection
from mta.smtp.opening import ConnectFailed
from tests.fakes.nats import free_port
from tests.fakes.smtp_server import PIPELINING, Cut, FakeMX, On
from tests.integration.smtp.owner import server_context
from tests.unit.delivery.refs import QUICK, SOURCE


def opener(
    *hosts: MxHost, memory: HostMemory | None = None, is_static: bool = True, tls: str = "opportunistic"
) -> Opener:
    site = Site("site", "other", hosts, is_static=is_static)
    return Opener(site, SOURCE, QUICK, tls, memory or HostMemory(), Random(1))


async def opened(one: Opener) -> Connection:
    connection = await one.open(lambda *_: None, lambda _: None)
    connection.quit()
    return connection


def local(port: int, preference: int = 0) -> MxHost:
    return MxHost("mx.test", port, ("127.0.0.1",), preference)


async def test_the_next_host_is_tried() -> None:
    """S-16, B6: a host that refuses, or says 554 for a greeting, is left for the next."""
    rude = FakeMX(rules=[On("banner", [b"554 5.3.2 no\r\n", Cut.CLOSE])])
    async with rude.serving(), FakeMX(offers=PIPELINING).serving() as kind:
        connection = await opened(opener(local(free_port()), local(rude.port), local(kind.port)))
        assert connection.port == kind.port
        assert (rude.connections, kind.connections) == (1, 1)


async def test_each_address_of_a_host_is_tried() -> None:
    """The second address is tried where the first refuses."""
    async with FakeMX(offers=PIPELINING).serving() as mx:
        host = MxHost("mx.test", mx.port, ("127.0.0.77", "127.0.0.1"))
        assert (await opened(opener(host))).peer_ip == "127.0.0.1"


async def test_preference_is_kept() -> None:
    """Hosts of DNS are shuffled within one preference only."""
    async with FakeMX(offers=PIPELINING).serving() as near, FakeMX(offers=PIPELINING).serving() as far:
        hosts = (local(near.port, 10), local(far.port, 20))
        ports = {(await opened(opener(*hosts, is_static=False))).port for _ in range(5)}
        assert ports == {near.port}


async def test_the_last_failure_is_raised() -> None:
    """When no host is left, what happened last is told."""
    rude = FakeMX(rules=[On("banner", [b"421 4.3.2 later\r\n", Cut.CLOSE])])
    async with rude.serving():
        with pytest.raises(ConnectFailed, match="421"):
            await opened(opener(local(free_port()), local(rude.port)))


async def test_a_site_without_hosts_fails() -> None:
    """Never a silent wait."""
    with pytest.raises(ConnectFailed, match="no host"):
        await opened(opener())


async def test_broken_tls_is_remembered() -> None:
    """T-03: in clear on a new connection, and from then on without asking for TLS at that host."""
    memory = HostMemory()
    mx = FakeMX(offers=PIPELINING, context=server_context(), rules=[On("handshake", [Cut.CLOSE])])
    async with mx.serving():
        assert not (await opened(opener(local(mx.port), memory=memory))).tls_version
        assert memory.is_tls_broken(f"mx.test:{mx.port}", time.time())
        assert mx.connections == 2
        await opened(opener(local(mx.port), memory=memory))
        assert mx.connections == 3
        assert b"STARTTLS\r\n" not in mx.commands(2)


async def test_tls_none_does_not_ask() -> None:
    """A path without TLS never says STARTTLS."""
    async with FakeMX(offers=PIPELINING, context=server_context()).serving() as mx:
        assert not (await opened(opener(local(mx.port), tls="none"))).tls_version
        assert b"STARTTLS\r\n" not in mx.commands(0)
