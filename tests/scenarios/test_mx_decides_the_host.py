"""Where no route is set, DNS says where mail goes, or that it does not."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.dns_server import Answer, FakeDns, a, mx
from tests.fakes.rig import Place, Rig, check_copies
from tests.fakes.smtp_server import CHUNKING, FakeMX, On

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_null_mx_bounces_unasked(rig: Rig, zones: FakeDns) -> None:
    """C6: 5.1.10 without a connection; and NXDOMAIN, C4, 5.1.2."""
    zones.records(mx("none.example.test", 0, "."))
    told = await rig.deliver(rig.payload("a@none.example.test", "a@nowhere.example.test"))
    null, missing = told.end("a@none.example.test"), told.end("a@nowhere.example.test")
    assert (null["type"], missing["type"]) == ("bounced", "bounced")
    assert (null["smtp"]["stage"], missing["smtp"]["stage"]) == ("dns", "dns")
    assert {null["bounce"]["class"], missing["bounce"]["class"]} == {"invalid_domain"}
    assert (null["smtp"]["enhanced"], missing["smtp"]["enhanced"]) == ("5.1.10", "5.1.2")
    assert "code" not in null["smtp"]
    assert "mx_host" not in null


async def test_servfail_defers(rig: Rig, zones: FakeDns) -> None:
    """C1: no verdict on the domain: deferred, and expired when its time is over, never bounced."""
    zones.script("sick.example.test", "MX", Answer(rcode="SERVFAIL"))
    expires_at = datetime.now(UTC) + timedelta(seconds=3)
    told = await rig.deliver(rig.payload("a@sick.example.test", expires_at=expires_at.isoformat()))
    first, *_, last = told.of("a@sick.example.test")
    assert (first["type"], first["bounce"]["class"], first["smtp"]["stage"]) == (
        "deferred",
        "dns_failure",
        "dns",
    )
    assert (last["type"], last["bounce"]["last_class"]) == ("expired", "dns_failure")


async def test_a_private_address_is_not_connected_to(rig: Rig, zones: FakeDns) -> None:
    """C10: an MX that points at a private network is deferred, and the event says why."""
    zones.records(
        mx("inside.example.test", 10, "host.inside.example.test"), a("host.inside.example.test", "10.0.0.1")
    )
    payload = rig.payload(
        "a@inside.example.test", expires_at=(datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    )
    told = await rig.deliver(payload)
    first = told.of("a@inside.example.test")[0]
    assert first["bounce"]["class"] == "dns_failure"
    assert "10.0.0.1" in first["bounce"]["detail"]


async def test_preferred_host_is_tried_first(rig: Rig, zones: FakeDns) -> None:
    """The lower number takes the mail; where it fails before MAIL the next does, and both domains are one site."""
    try:
        sockets = [_bound("127.0.7.1"), _bound("127.0.7.2")]
    except OSError as error:
        pytest.skip(f"PORT 25 CANNOT BE BOUND HERE, SO MX DELIVERY IS NOT TESTED: {error}")
    for domain in ("one.example.test", "two.example.test"):
        zones.records(mx(domain, 20, "second.example.test"), mx(domain, 10, "first.example.test"))
    zones.records(a("first.example.test", "127.0.7.1"), a("second.example.test", "127.0.7.2"))
    first = FakeMX(offers=CHUNKING, rules=[On("banner", [b"554 5.3.2 not today\r\n"], times=1)])
    second = FakeMX(offers=CHUNKING)
    async with first.serving(sockets[0]), second.serving(sockets[1]):
        told = await rig.deliver(rig.payload("a@one.example.test"))
        assert told.types("a@one.example.test") == ["delivered"]
        event = told.end("a@one.example.test")
        assert (event["mx_host"], event["mx_ip"]) == ("second.example.test", "127.0.7.2")
        check_copies(Place(second, "one.example.test"), told)
        again = await rig.deliver(rig.payload("a@two.example.test"))
        assert again.end("a@two.example.test")["site"] == event["site"]


def _bound(address: str) -> socket.socket:
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, 25))
    except OSError:
        one.close()
        raise
    return one
