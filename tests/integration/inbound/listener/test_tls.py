"""STARTTLS, and that whatever goes wrong with it ends that connection alone."""

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from mta.inbound.tls import Unusable, expired, server_context
from tests.fakes.nats import eventually
from tests.fakes.trust import server as presenting
from tests.integration.inbound.listener.peer import greeted, peer, served


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    return presenting(trustme.CA(), "mx.acme.test")


async def test_h16_a_report_is_taken_in_encrypted(context: ssl.SSLContext) -> None:
    """All is forgotten at the change, STARTTLS is offered once, and nobody can log in."""
    async with served(context=context) as server, greeted(server) as one:
        assert "STARTTLS" in await one.say("EHLO peer.test")
        assert (await one.say("STARTTLS")).startswith("220")
        await one.start_tls()
        assert (await one.say("MAIL FROM:<>")).startswith("503")
        features = await one.say("EHLO peer.test")
        assert "STARTTLS" not in features
        assert "AUTH" not in features
        assert (await one.deliver()).startswith("250")
        assert (await one.say("STARTTLS")).startswith("500")
        assert (await one.say("QUIT")).startswith("221")
        assert len(server.messages) == 1


async def test_h16_lines_end_in_crlf_behind_tls_as_well(context: ssl.SSLContext) -> None:
    async with served(context=context) as server, greeted(server) as one:
        await one.say("STARTTLS")
        await one.start_tls()
        await one.say("EHLO peer.test")
        await one.until_data()
        await one.send(b"Subject: x\r\n\r\ny\n.\nMAIL FROM:<>\r\n")
        assert (await one.reply()).startswith("500 5.5.2")
        assert server.messages == []


async def test_h16_nothing_in_the_clear_survives_starttls(context: ssl.SSLContext) -> None:
    """CVE-2024-34083: commands in the packet of STARTTLS are not obeyed, neither before nor behind the handshake."""
    async with served(context=context) as server, greeted(server) as one:
        await one.send(b"STARTTLS\r\nMAIL FROM:<evil@example.test>\r\n")
        assert (await one.rest()).startswith("503 5.5.0")
        assert server.counters.tls_failed == 0


@pytest.mark.parametrize("garbage", [b"EHLO peer.test\r\n", b"\x16\x03\x01\x00\x05hello", b""])
async def test_h16_a_handshake_that_fails_ends_alone(context: ssl.SSLContext, garbage: bytes) -> None:
    """Clear text, rubbish or silence where a handshake is due; plain service goes on beside it."""
    async with served(context=context, idle_s=1.0, linger_s=0.2) as server, greeted(server) as one:
        await one.say("STARTTLS")
        await one.send(garbage)
        await one.rest()
        async with greeted(server) as good:
            assert (await good.deliver()).startswith("250")
        await one.close()
        await eventually(lambda: server.listener.connections == 0)


async def test_h16_a_client_hello_at_the_greeting_is_no_command(context: ssl.SSLContext) -> None:
    """TLS on a plain port."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\n"
    async with served(context=context) as server, peer(server) as one:
        await one.reply()
        await one.send(hello)
        assert (await one.reply()).startswith("500")
        assert await one.reply() == ""


async def test_h16_any_server_name_will_do(context: ssl.SSLContext) -> None:
    """Whom the peer takes us for is its own affair."""
    async with served(context=context) as server, greeted(server) as one:
        await one.say("STARTTLS")
        await one.start_tls(name="whoever.example.test")
        assert (await one.say("EHLO peer.test")).startswith("250")


def test_h16_a_certificate_that_cannot_be_used(tmp_path: Path) -> None:
    """Each reason is said; nothing is raised."""
    leaf = trustme.CA().issue_cert("mx.acme.test", not_after=datetime.now(UTC) + timedelta(days=30))
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(str(certificate))

    def reason() -> str:
        made = server_context(str(certificate), str(key))
        return made.reason if isinstance(made, Unusable) else ""

    assert "No such file" in reason()
    key.touch(mode=0o644)
    assert "others may read" in reason()
    key.chmod(0o600)
    assert "do not go together" in reason()
    trustme.CA().issue_cert("mx.acme.test").private_key_pem.write_to_path(str(key))
    assert "do not go together" in reason()
    leaf.private_key_pem.write_to_path(str(key))
    assert reason() == ""
    assert expired(str(certificate), time.time()) == ""
    assert expired(str(certificate), time.time() + 31 * 86400) != ""
    certificate.write_text("nonsense")
    assert "do not go together" in reason()
