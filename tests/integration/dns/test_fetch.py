"""T-05, D10: one fetch of a policy file against an HTTPS server on loopback that does all that hosts do."""

import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trustme

from mta.dns.fetch import FetchFailed, PolicyHosts
from mta.dns.mx import HostAddresses
from mta.dns.policy import MOST_BODY_BYTES
from mta.dns.record import DnsTrouble
from mta.model.tls import TlsFailure
from tests.fakes.policy_host import PolicyHost, RawHost, Reply, policy
from tests.fakes.trust import server, trusting

HOST = "mta-sts.acme.test"
AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def running(
    port: int, known: HostAddresses | None = None, *, fetch_s: float = 20.0
) -> AsyncIterator[PolicyHosts]:
    async def addresses(name: str) -> HostAddresses:
        assert name == HOST
        return known if known is not None else HostAddresses(("127.0.0.1",))

    hosts = PolicyHosts(addresses, port=port, context=trusting(AUTHORITY), fetch_s=fetch_s)
    hosts.start()
    try:
        yield hosts
    finally:
        await hosts.close()


async def failure_of(hosts: PolicyHosts) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await hosts.get(HOST)
    assert caught.value.detail
    assert caught.value.detail.isprintable()
    return caught.value


async def test_a_file_is_fetched() -> None:
    """One plain GET: identity coding only, no cookies, no port but the one it is, and nothing is kept for a second."""
    async with PolicyHost(AUTHORITY, HOST) as host, running(host.port) as hosts:
        host.reply = Reply(b"abc", headers={"Set-Cookie": "a=b; Path=/"})
        assert [await hosts.get(HOST), await hosts.get(HOST)] == [b"abc", b"abc"]
        assert [request["path"] for request in host.requests] == ["/.well-known/mta-sts.txt"] * 2
        assert host.requests[1]["Accept-Encoding"] == "identity"
        assert "Cookie" not in host.requests[1]
        assert host.asked == {HOST: 2}


@pytest.mark.parametrize("content_type", ["text/plain", "Text/Plain", "text/plain;charset=us-ascii"])
async def test_plain_text_may_have_parameters(content_type: str) -> None:
    """T-05: the media type counts, not how it is written."""
    async with PolicyHost(AUTHORITY, HOST) as host, running(host.port) as hosts:
        host.reply = Reply(b"abc", content_type=content_type)
        assert await hosts.get(HOST) == b"abc"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(b"", status=404), "404"),
        (Reply(policy().body, status=404), "404"),
        (Reply(policy().body, status=206), "206"),
        (Reply(b"", status=500), "500"),
        (Reply(b"", status=429), "429"),
        (Reply(policy().body, content_type="text/html"), "text/html"),
        (Reply(policy().body, content_type="text/plainer"), "text/plainer"),
        (Reply(policy().body, content_type="garbage"), "garbage"),
        (Reply(policy().body, content_type="application/octet-stream"), "octet-stream"),
        (Reply(gzip.compress(policy().body), headers={"Content-Encoding": "gzip"}), "gzip"),
        (Reply(policy().body, headers={"Content-Encoding": "br"}), "br"),
        (Reply(b"x" * (MOST_BODY_BYTES + 1)), "longer than"),
        (Reply(b"x" * (MOST_BODY_BYTES + 1), endless=True), "longer than"),
        (Reply(b"", headers={"X-Long": "x" * 9000}), "ClientResponseError"),
        (Reply(b"", headers={f"X-{number}": "x" for number in range(200)}), "ClientResponseError"),
    ],
)
async def test_any_other_answer_is_a_fetch_error(reply: Reply, why: str) -> None:
    """T-05, D10: only a short 200 in plain text is a file; the rest is told apart, and no fetch hangs on it."""
    async with PolicyHost(AUTHORITY, HOST) as host, running(host.port) as hosts:
        host.reply = reply
        failed = await failure_of(hosts)
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR
    assert why in failed.detail


async def test_the_largest_file_is_taken() -> None:
    """64 kB are allowed."""
    async with PolicyHost(AUTHORITY, HOST) as host, running(host.port) as hosts:
        host.reply = Reply(b"x" * MOST_BODY_BYTES)
        assert len(await hosts.get(HOST)) == MOST_BODY_BYTES


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    """T-05, D10: not even to where it would work."""
    async with PolicyHost(AUTHORITY, HOST) as host, running(host.port) as hosts:
        target = f"https://{HOST}:{host.port}/.well-known/mta-sts.txt"
        host.reply = Reply(b"", status=status, headers={"Location": target})
        failed = await failure_of(hosts)
        assert host.asked.total() == 1
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR
    assert str(status) in failed.detail


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        (AUTHORITY.issue_cert("acme.test", "mta-sts.other.test"), HOST),
        (AUTHORITY.issue_cert("127.0.0.1", common_name=HOST), HOST),
        (
            AUTHORITY.issue_cert(HOST, not_before=LONG_AGO, not_after=datetime(2002, 1, 1, tzinfo=UTC)),
            "expired",
        ),
        (STRANGER.issue_cert(HOST), "unable to get"),
        (trustme.LeafCert(STRANGER.private_key_pem.bytes(), STRANGER.cert_pem.bytes(), []), "self-signed"),
    ],
    ids=["wrong name", "common name alone", "expired", "unknown root", "self-signed"],
)
async def test_a_host_must_show_who_it_is(certificate: trustme.LeafCert, why: str) -> None:
    """T-05, D10: wrong name, expired, from nobody we trust: nothing is asked of such a host."""
    async with PolicyHost(AUTHORITY, certificate=certificate) as host, running(host.port) as hosts:
        failed = await failure_of(hosts)
        assert host.asked.total() == 0
    assert failed.failure is TlsFailure.STS_WEBPKI_INVALID
    assert why in failed.detail


async def test_a_certificate_for_all_neighbours_is_valid() -> None:
    """One left label may be a wildcard, as hosters have it (RFC 8461 section 3.3)."""
    async with PolicyHost(AUTHORITY, "*.acme.test") as host, running(host.port) as hosts:
        assert await hosts.get(HOST) == host.reply.body


async def test_old_tls_is_not_spoken() -> None:
    """TLS 1.1 is banned (RFC 8996); it is no certificate's fault."""
    tls = server(AUTHORITY, HOST)
    tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    async with RawHost(b"", tls) as host, running(host.port) as hosts:
        failed = await failure_of(hosts)
        assert host.connections == 0
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR


@pytest.mark.parametrize(
    "reply", [Reply(b"", silent=True), Reply(b"version: STSv1\n", endless=True)], ids=["silent", "half"]
)
async def test_a_slow_host_has_its_time_and_no_more(reply: Reply) -> None:
    """T-05, D10: the limit is for all of it."""
    async with PolicyHost(AUTHORITY, HOST) as host, running(host.port, fetch_s=0.2) as hosts:
        host.reply = reply
        failed = await failure_of(hosts)
        assert host.asked.total() == 1
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR
    assert "0.2 s" in failed.detail


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff\n" * 100,
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/\xff\x1b[31m\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 100_000,
    ],
)
async def test_garbage_is_a_fetch_error(answer: bytes) -> None:
    """Whatever a host says instead of HTTP ends here, and its words come out printable."""
    async with (
        RawHost(answer, server(AUTHORITY, HOST)) as host,
        running(host.port) as hosts,
    ):
        failed = await failure_of(hosts)
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_host_without_tls_is_a_fetch_error(answer: bytes) -> None:
    """It is not asked in clear."""
    async with RawHost(answer) as host, running(host.port) as hosts:
        failed = await failure_of(hosts)
        assert host.connections == 1
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR


async def test_a_dead_host_is_a_fetch_error() -> None:
    """Nobody listens."""
    async with RawHost() as host:
        port = host.port
    async with running(port) as hosts:
        failed = await failure_of(hosts)
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR


@pytest.mark.parametrize(
    ("known", "why"),
    [
        (HostAddresses(refused=("127.0.0.1 (loopback)",)), "loopback"),
        (HostAddresses(trouble=DnsTrouble("servfail", "A of x: SERVFAIL")), "SERVFAIL"),
        (HostAddresses(is_missing=True), "does not exist"),
        (HostAddresses(), "no address"),
    ],
)
async def test_only_allowed_addresses_are_connected_to(known: HostAddresses, why: str) -> None:
    """SSRF: where the guard leaves no address there is no connection, and the reason is told."""
    async with RawHost() as host, running(host.port, known) as hosts:
        failed = await failure_of(hosts)
        assert host.connections == 0
    assert failed.failure is TlsFailure.STS_POLICY_FETCH_ERROR
    assert why in failed.detail


async def test_the_next_address_is_tried() -> None:
    """A host whose first address is dead is reached by its second."""
    async with (
        PolicyHost(AUTHORITY, HOST) as host,
        running(host.port, HostAddresses(("127.0.0.2", "127.0.0.1"))) as hosts,
    ):
        assert await hosts.get(HOST) == host.reply.body


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """SSRF: the environment does not decide where we connect to."""
    async with PolicyHost(AUTHORITY, HOST) as host, RawHost() as proxy, running(host.port) as hosts:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await hosts.get(HOST) == host.reply.body
        assert proxy.connections == 0


async def test_hosts_that_are_not_asked_any_more_say_so() -> None:
    """After close there is a reason and no socket."""
    async with running(1) as hosts:
        pass
    assert (await failure_of(hosts)).detail == "not running"
