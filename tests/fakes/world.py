"""A daemon among hosts and domains that publish what they want of TLS.

Hosts serve on port 25 of loopback addresses, policy hosts on port 443 of another one, a name server says what is where
and where DNSSEC holds. All good certificates are by one authority, which the daemon trusts. The addresses are drawn by
lot, so that two runs beside each other do not meet.
"""

import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from tests.fakes.dns_server import Answer, FakeDns, a, mx, tlsa, txt
from tests.fakes.rig import Event, Rig, Told
from tests.fakes.smtp_server import CHUNKING, FakeMX
from tests.fakes.trust import server


class World:
    """`rig` is not started yet. `hosts` are by name, `policies` the files of policy hosts by the name of those."""

    def __init__(self, rig: Rig, zones: FakeDns, ca: trustme.CA, stack: AsyncExitStack) -> None:
        self.rig = rig
        self.zones = zones
        self.ca = ca
        self.policies: dict[str, str] = {}
        self._stack = stack
        self._net = f"127.{secrets.randbelow(250) + 2}.{secrets.randbelow(256)}"
        self.hosts: dict[str, FakeMX] = {}
        self._addresses = 0
        self._policy_host: web.AppRunner | None = None

    async def start(self) -> None:
        """The daemon, for the first time or again."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(self.rig.directory / "roots.pem"))
            patch.delenv("SSL_CERT_DIR", raising=False)
            await (self.rig.start() if not hasattr(self.rig, "link") else self.rig.restart())

    # -- what is where ------------------------------------------------------------------------------------------

    async def host(
        self, *names: str, context: ssl.SSLContext | None, offers: Iterable[str] = CHUNKING, **script: Any
    ) -> FakeMX:
        """Serves under all of these names."""
        self._addresses += 1
        address = f"{self._net}.{self._addresses}"
        one = FakeMX(offers=tuple(offers), context=context, host=address, **script)
        await self._stack.enter_async_context(one.serving(bound(address, 25)))
        for name in names:
            self.alias(name, one)
        return one

    def alias(self, name: str, host: FakeMX) -> str:
        """One more name for it."""
        self.hosts[name] = host
        self.zones.script(name, "A", Answer((a(name, host.host),)))
        return name

    def domain(self, name: str, *hosts: str, policy: str = "", id: str = "1") -> str:
        """Its hosts in this order, and the file of its policy if it has one."""
        records = tuple(mx(name, 10 * place, host) for place, host in enumerate(hosts, 1))
        self.zones.script(name, "MX", Answer(records))
        if policy:
            record, at = f"_mta-sts.{name}", f"mta-sts.{name}"
            self.policies[at] = policy
            self.zones.script(record, "TXT", Answer((txt(record, f"v=STSv1; id={id};"),)))
            self.zones.script(at, "A", Answer((a(at, f"{self._net}.254"),)))
        return name

    def signed(self, domain: str, *hosts: str) -> None:
        """DNSSEC holds for the domain and for these hosts."""
        self.zones.secure(domain, *hosts, *(f"_25._tcp.{host}" for host in hosts))

    def named(self, host: str, digest: bytes, usage: int = 3) -> None:
        """A TLSA record of the host names the key with this digest."""
        name = f"_25._tcp.{host}"
        self.zones.script(name, "TLSA", Answer((tlsa(name, usage, 1, 1, digest),)))

    # -- policy hosts -------------------------------------------------------------------------------------------

    async def serve_policies(self) -> None:
        """One server for all of them, with a certificate for whichever is asked for."""
        app = web.Application()
        app.router.add_get("/.well-known/mta-sts.txt", self._policy)
        runner = self._policy_host = web.AppRunner(app)
        await runner.setup()
        await web.SockSite(runner, bound(f"{self._net}.254", 443), ssl_context=for_any_name(self.ca)).start()

    async def stop_policies(self) -> None:
        """From now on the port refuses."""
        runner, self._policy_host = self._policy_host, None
        if runner is not None:
            await runner.cleanup()

    async def _policy(self, request: web.Request) -> web.Response:
        text = self.policies.get(request.host)
        return web.Response(status=404) if text is None else web.Response(text=text)

    # -- mail ---------------------------------------------------------------------------------------------------

    async def sent(self, address: str, **changes: Any) -> list[Event]:
        """What was told of one message that is given two seconds."""
        return (await self.all_sent(address, **changes)).of(address)

    async def all_sent(self, *addresses: str, **changes: Any) -> Told:
        until = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        return await self.rig.deliver(self.rig.payload(*addresses, expires_at=until, **changes))


@asynccontextmanager
async def world(directory: Path, **settings: Any) -> AsyncIterator[World]:
    """With its name server and its policy hosts; hosts and domains are to be added, then the daemon started."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(directory / "roots.pem"))
    async with AsyncExitStack() as stack:
        zones = await stack.enter_async_context(FakeDns())
        rig = Rig(directory, slots=1, dns=zones.address, validating=zones.address, hold="2s", **settings)
        one = World(rig, zones, ca, stack)
        await one.serve_policies()
        stack.push_async_callback(one.stop_policies)
        stack.push_async_callback(rig.close)
        yield one
        assert "Traceback" not in rig.log
        assert "never retrieved" not in rig.log


def sts(mode: str, *hosts: str) -> str:
    """The file of a policy."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), "max_age: 86400"]
    return "\r\n".join(lines) + "\r\n"


def for_any_name(ca: trustme.CA) -> ssl.SSLContext:
    """A server that is whoever it is taken for."""
    of = cache(lambda name: server(ca, name))

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name:
            connection.context = of(name)

    context = server(ca, "nobody.test")
    context.sni_callback = choose
    return context


def bound(address: str, port: int) -> socket.socket:
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
    except OSError as error:
        one.close()
        pytest.skip(f"PORT {port} CANNOT BE BOUND HERE, SO TLS POLICIES ARE NOT TESTED: {error}")
    return one
