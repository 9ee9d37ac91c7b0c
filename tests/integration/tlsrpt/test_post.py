"""Posting to strangers: whose certificate holds, at an address that may be connected to, and nowhere else."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from mta.dns.nameservers import StubNameservers
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.https import verifying
from mta.tlsrpt.post import HttpsPost
from mta.tlsrpt.rua import ByPost, rua
from tests.fakes.dns_server import Answer, FakeDns, a
from tests.fakes.nats import free_port
from tests.fakes.policy_host import RawHost
from tests.fakes.trust import trusting, unreadable
from tests.integration.tlsrpt.receiver import HOST, receiving

AUTHORITY = trustme.CA()


def to(uri: str) -> ByPost:
    (one,) = rua([f"v=TLSRPTv1;rua={uri}"]).destinations
    assert isinstance(one, ByPost)
    return one


@asynccontextmanager
async def posting(
    dns: FakeDns,
    port: int,
    *,
    allow: tuple[str, ...] = ("127.0.0.0/8",),
    context: ssl.SSLContext | None = None,
    timeout_s: float = 30.0,
) -> AsyncIterator[HttpsPost]:
    settings = DnsSettings(servers=(dns.address,), allow=allow, timeout_s=0.25, tries=1)
    nameservers = StubNameservers(settings)
    nameservers.start()
    resolver = Resolver(nameservers, settings, ipv6=False)
    resolver.start()
    post = HttpsPost(
        resolver.addresses, context=context or trusting(AUTHORITY), port=port, timeout_s=timeout_s
    )
    post.start()
    try:
        yield post
    finally:
        await post.close()
        await nameservers.close()
        await resolver.close()


async def test_t11_a_report_arrives_as_it_is() -> None:
    """T-11, RFC 8460 section 5.4: POST, its media type, its bytes, and the target of the URI to the letter."""
    async with FakeDns() as dns, receiving(AUTHORITY) as receiver:
        dns.records(a(HOST, "127.0.0.1"))
        async with posting(dns, receiver.port) as post:
            assert await post.send(to(f"https://{HOST}/v1/%7Ea%2Cb?x=%2f1"), b"\0report") == ""
            assert await post.send(to(f"https://{HOST}:{receiver.port}"), b"2") == ""
    assert [(one.path, one.body) for one in receiver.got] == [
        ("/v1/%7Ea%2Cb?x=%2f1", b"\0report"),
        ("/", b"2"),
    ]
    assert {one.content_type for one in receiver.got} == {"application/tlsrpt+gzip"}


@pytest.mark.parametrize("status", [302, 307, 308, 400, 404, 500, 503])
async def test_whatever_is_no_success_is_none(status: int) -> None:
    """A redirect, too: it is not followed."""
    async with FakeDns() as dns, receiving(AUTHORITY) as receiver:
        dns.records(a(HOST, "127.0.0.1"))
        receiver.answers = [status]
        async with posting(dns, receiver.port) as post:
            assert await post.send(to(f"https://{HOST}/"), b"x") == f"status {status}"
    assert len(receiver.got) == 1


async def test_an_address_that_may_not_be_connected_to_is_not() -> None:
    """S-09: a stranger's zone that points at this host reaches nothing."""
    async with FakeDns() as dns, receiving(AUTHORITY) as receiver:
        dns.records(a(HOST, "127.0.0.1"))
        async with posting(dns, receiver.port, allow=()) as post:
            fault = await post.send(to(f"https://{HOST}/"), b"x")
    assert "127.0.0.1 (loopback) may not be connected to" in fault
    assert receiver.got == []


async def test_a_certificate_must_hold() -> None:
    """Of an authority that is trusted, for the host of the URI."""
    async with FakeDns() as dns, receiving(AUTHORITY) as receiver:
        dns.records(a(HOST, "127.0.0.1"), a("other.test", "127.0.0.1"))
        async with posting(dns, receiver.port) as post:
            wrong_name = await post.send(to("https://other.test/"), b"x")
        async with posting(dns, receiver.port, context=verifying()) as post:
            unknown = await post.send(to(f"https://{HOST}/"), b"x")
    assert "mismatch" in wrong_name
    assert "CERTIFICATE_VERIFY_FAILED" in unknown
    assert receiver.got == []


async def test_a_certificate_that_cannot_be_read() -> None:
    """D3: its chain and its name are good, and another name in it is no text."""
    async with FakeDns() as dns, RawHost(tls=unreadable(AUTHORITY, HOST)) as host:
        dns.records(a(HOST, "127.0.0.1"))
        async with posting(dns, host.port) as post:
            assert "UnicodeDecodeError" in await post.send(to(f"https://{HOST}/"), b"x")


async def test_what_dns_does_not_know_is_said() -> None:
    """No such name, and a server that fails."""
    async with FakeDns() as dns:
        dns.script("sick.test", "A", Answer(rcode="SERVFAIL"))
        async with posting(dns, 9) as post:
            assert f"{HOST} does not exist" in await post.send(to(f"https://{HOST}/"), b"x")
            assert "A of sick.test" in await post.send(to("https://sick.test/"), b"x")


async def test_nobody_there_is_a_fault() -> None:
    """Nor is anybody sent to by a poster that is closed."""
    async with FakeDns() as dns:
        dns.records(a(HOST, "127.0.0.1"))
        async with posting(dns, free_port()) as post:
            assert "ConnectionRefusedError" in await post.send(to(f"https://{HOST}/"), b"x")
            await post.close()
            assert await post.send(to(f"https://{HOST}/"), b"x") == "not running"


async def test_silence_ends_after_a_while() -> None:
    """Of somebody who takes the connection and says nothing."""
    async with FakeDns() as dns:
        dns.records(a(HOST, "127.0.0.1"))
        async with posting(dns, int(dns.address.rpartition(":")[2]), timeout_s=0.1) as post:
            assert await post.send(to(f"https://{HOST}/"), b"x") == "no whole answer within 0.1 s"
