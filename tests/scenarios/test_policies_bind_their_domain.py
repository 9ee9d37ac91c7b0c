"""What a domain publishes about TLS binds its own mail and nobody else's: MTA-STS, DANE, and what a sender asks for.

A daemon with hosts on port 25 of loopback addresses, a policy host on port 443 of another, and a resolver that says
where DNSSEC holds. All certificates are by one authority, which the daemon trusts.
"""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.fakes.dns_server import Answer, FakeDns, a, mx, tlsa, txt
from tests.fakes.rig import Event, Rig
from tests.fakes.smtp_server import CHUNKING, FakeMX
from tests.fakes.trust import self_signed, server

pytestmark = pytest.mark.asyncio(loop_scope="module")

MX, OTHER_MX, DANE_MX, POLICIES = "127.0.8.1", "127.0.8.2", "127.0.8.3", "127.0.8.4"


class World:
    """`mx` has a good certificate, `other` one by nobody, `dane` a key that its TLSA record names."""

    def __init__(self, rig: Rig, zones: FakeDns, mx: FakeMX, other: FakeMX, dane: FakeMX) -> None:
        self.rig = rig
        self.zones = zones
        self.mx = mx
        self.other = other
        self.dane = dane
        self.policies: dict[str, str] = {}

    def domain(self, name: str, host: str, address: str, policy: str = "") -> None:
        self.zones.records(mx(name, 10, host))
        self.zones.script(host, "A", Answer((a(host, address),)))
        if policy:
            self.policies[f"mta-sts.{name}"] = policy
            self.zones.records(txt(f"_mta-sts.{name}", "v=STSv1; id=1;"), a(f"mta-sts.{name}", POLICIES))

    async def sent(self, address: str, **changes: Any) -> list[Event]:
        """What was told of one message that is given two seconds."""
        until = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        told = await self.rig.deliver(self.rig.payload(address, expires_at=until, **changes))
        return told.of(address)


def sts(mode: str, *hosts: str) -> str:
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), "max_age: 86400"]
    return "\r\n".join(lines) + "\r\n"


def bound(address: str, port: int) -> socket.socket:
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
    except OSError as error:
        one.close()
        pytest.skip(f"PORT {port} CANNOT BE BOUND HERE, SO TLS POLICIES ARE NOT TESTED: {error}")
    return one


@asynccontextmanager
async def policy_host(ca: trustme.CA, policies: dict[str, str]) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.Response:
        text = policies.get(request.host)
        return web.Response(status=404) if text is None else web.Response(text=text)

    app = web.Application()
    app.router.add_get("/.well-known/mta-sts.txt", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    context = server(
        ca, "mta-sts.good.test", "mta-sts.wrong.test", "mta-sts.testing.test", "mta-sts.both.test"
    )
    await web.SockSite(runner, bound(POLICIES, 443), ssl_context=context).start()
    try:
        yield
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    directory: Path = tmp_path_factory.mktemp("policies")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(directory / "roots.pem"))
    leaf = trustme.CA().issue_cert("whatever.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    leaf.configure_cert(context)
    key = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    async with AsyncExitStack() as stack:
        hosts = [
            FakeMX(offers=CHUNKING, tls_offers=(*CHUNKING, "REQUIRETLS"), context=server(ca, "mx.good.test")),
            FakeMX(offers=CHUNKING, context=self_signed("mx.bad.test")),
            FakeMX(offers=CHUNKING, context=context),
        ]
        for host, address in zip(hosts, (MX, OTHER_MX, DANE_MX), strict=True):
            await stack.enter_async_context(host.serving(bound(address, 25)))
        zones = await stack.enter_async_context(FakeDns())
        zones.records(tlsa("_25._tcp.mx.dane.test", 3, 1, 1, sha256(spki).digest()))
        zones.records(tlsa("_25._tcp.mx.both.test", 3, 1, 1, bytes(32)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SSL_CERT_FILE", str(directory / "roots.pem"))
        rig = Rig(directory, slots=1, dns=zones.address, validating=zones.address, hold="2s")
        found = World(rig, zones, *hosts)
        await stack.enter_async_context(policy_host(ca, found.policies))
        stack.push_async_callback(rig.close)
        await rig.start()
        yield found
        assert "Traceback" not in rig.log
        assert "never retrieved" not in rig.log


async def test_an_enforced_policy_is_kept(world: World) -> None:
    """T-06: the certificate is the host's, and the event says who vouches."""
    world.domain("good.test", "mx.good.test", MX, sts("enforce", "mx.good.test"))
    (event,) = await world.sent("ada@good.test")
    assert event["type"] == "delivered"
    assert (event["tls"]["verified"], event["tls"]["policy"]) == ("sts", "sts")


async def test_an_enforced_policy_keeps_mail_from_strangers(world: World) -> None:
    """T-06, D3, D10: deferred and never bounced; nothing was said to the host; a domain without a policy by the same
    hosts is served."""
    world.domain("wrong.test", "mx.bad.test", OTHER_MX, sts("enforce", "mx.bad.test"))
    world.domain("free.test", "mx.bad.test", OTHER_MX)
    first, *_, last = await world.sent("ada@wrong.test")
    assert (first["type"], first["bounce"]["class"], first["smtp"]["stage"]) == (
        "deferred",
        "tls_required",
        "tls",
    )
    assert "certificate" in first["bounce"]["detail"]
    assert (last["type"], last["bounce"]["last_class"]) == ("expired", "tls_required")
    (event,) = await world.sent("ada@free.test")
    assert event["type"] == "delivered"
    assert event["site"] == first["site"]
    assert event["tls"]["verified"] == "none"
    assert not any(b"wrong.test" in line for _, line in world.other.lines)


async def test_a_testing_policy_keeps_nothing_back(world: World) -> None:
    """T-06: delivered to whom enforcing would have kept it from."""
    world.domain("testing.test", "mx.bad.test", OTHER_MX, sts("testing", "mx.good.test"))
    (event,) = await world.sent("ada@testing.test")
    assert (event["type"], event["tls"]["verified"]) == ("delivered", "none")


async def test_dane_vouches_for_the_key(world: World) -> None:
    """T-07: an unknown authority and another name mean nothing where the record names the key."""
    world.domain("dane.test", "mx.dane.test", DANE_MX)
    world.zones.secure("dane.test", "mx.dane.test", "_25._tcp.mx.dane.test")
    (event,) = await world.sent("ada@dane.test")
    assert event["type"] == "delivered"
    assert (event["tls"]["verified"], event["tls"]["policy"]) == ("dane", "dane")


async def test_a_good_policy_does_not_mend_bad_dane(world: World) -> None:
    """T-08: MTA-STS would let it pass; the records say that it is somebody else."""
    world.domain("both.test", "mx.both.test", MX, sts("enforce", "mx.both.test"))
    world.zones.secure("both.test", "mx.both.test", "_25._tcp.mx.both.test")
    before = world.mx.connections
    first, *_ = await world.sent("ada@both.test")
    assert (first["type"], first["bounce"]["class"]) == ("deferred", "tls_required")
    assert world.mx.connections > before
    assert not any(b"both.test" in line for _, line in world.mx.lines)


async def test_a_bogus_answer_defers(world: World) -> None:
    """T-07: a TLSA question that fails may be an attack: the host is not used."""
    world.domain("bogus.test", "mx.bogus.test", DANE_MX)
    world.zones.secure("bogus.test", "mx.bogus.test")
    world.zones.script("_25._tcp.mx.bogus.test", "TLSA", Answer(rcode="SERVFAIL"))
    first, *_ = await world.sent("ada@bogus.test")
    assert (first["type"], first["bounce"]["class"]) == ("deferred", "tls_required")
    assert not any(b"bogus.test" in line for _, line in world.dane.lines)


@pytest.mark.parametrize(("option", "verified"), [("require", "none"), ("verify", "pkix")])
async def test_a_sender_may_ask_for_more(world: World, option: str, verified: str) -> None:
    """T-10: encrypted, or verified too; where the host cannot, the mail waits."""
    world.domain("plain.test", "mx.good.test", MX)
    world.domain("selfmade.test", "mx.bad.test", OTHER_MX)
    (event,) = await world.sent("ada@plain.test", tls=option)
    assert (event["type"], event["tls"]["verified"], event["tls"]["policy"]) == (
        "delivered",
        verified,
        option,
    )
    first, *_ = await world.sent("ada@selfmade.test", tls=option)
    assert first["type"] == ("delivered" if option == "require" else "deferred")


async def test_who_waives_tls_is_delivered(world: World) -> None:
    """T-10, RFC 8689 section 3: `TLS-Required: No` is for mail about TLS that fails."""
    world.domain("wrong.test", "mx.bad.test", OTHER_MX, sts("enforce", "mx.bad.test"))
    (event,) = await world.sent("eve@wrong.test", headers={"TLS-Required": "No"})
    assert (event["type"], event["tls"]["policy"]) == ("delivered", "opportunistic")


async def test_requiretls_is_passed_on_or_given_back(world: World) -> None:
    """T-10, RFC 8689 section 4.2: the promise stands in MAIL; where nobody can give it the sender hears 5.7.30."""
    world.domain("good.test", "mx.good.test", MX, sts("enforce", "mx.good.test"))
    world.domain("open.test", "mx.good.test", MX)
    (event,) = await world.sent("eva@good.test", tls="requiretls")
    assert event["type"] == "delivered"
    mails = [line for _, line in world.mx.lines if line.startswith(b"MAIL")]
    assert b" REQUIRETLS" in mails[-1]
    (event,) = await world.sent("eva@open.test", tls="requiretls")
    assert (event["type"], event["bounce"]["class"]) == ("bounced", "tls_required")
    world.domain("dane.test", "mx.dane.test", DANE_MX)
    (event,) = await world.sent("eva@dane.test", tls="requiretls")
    assert (event["type"], event["bounce"]["class"]) == ("bounced", "tls_required")
    assert "5.7.30" in event["bounce"]["detail"]
