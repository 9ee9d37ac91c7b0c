"""STARTTLS is taken when offered, and mail goes in clear where it is broken."""

import asyncio
import ssl

import pytest
import trustme

from tests.fakes.nats import eventually
from tests.fakes.rig import Rig, check_copies
from tests.fakes.smtp_server import CHUNKING, Cut, Hold, On

pytestmark = pytest.mark.asyncio(loop_scope="session")


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("mx.test").configure_cert(context)
    return context


async def test_offered_is_taken(rig: Rig) -> None:
    """The event says so: version, cipher, unverified, opportunistic; the message travelled inside."""
    async with rig.destination(context=server_context()) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        tls = told.end(place.to("ada"))["tls"]
        assert tls["version"].startswith("TLSv1.")
        assert (tls["verified"], tls["policy"]) == ("none", "opportunistic")
        assert tls["cipher"]
        assert b"MAIL FROM" not in bytes(place.mx.wires[0]).split(b"STARTTLS")[0]


@pytest.mark.parametrize(
    "broken",
    [
        On("starttls", [b"454 4.7.0 TLS not available\r\n"]),
        On("handshake", [Cut.CLOSE]),
    ],
    ids=["refused", "closed"],
)
async def test_broken_goes_in_clear(rig: Rig, broken: On) -> None:
    """D1, D2: delivered without TLS at the first attempt, and remembered for the next."""
    async with rig.destination(broken, context=server_context()) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        assert told.types(place.to("ada")) == ["delivered"]
        assert "tls" not in told.end(place.to("ada"))


async def test_garbage_for_a_handshake_goes_in_clear(rig: Rig) -> None:
    """D2: what answers our hello is no TLS. It comes after the hello, or it would be an injection before TLS."""
    greeted = asyncio.Event()
    garbage = [Hold(greeted), b"this is no handshake\r\n" * 20, Cut.CLOSE]
    async with rig.destination(On("handshake", garbage), context=server_context()) as place:
        payload = rig.payload(place.to("ada"))
        await rig.publish(payload)
        await eventually(lambda: place.mx.wires and b"STARTTLS\r\n\x16\x03" in place.mx.wires[0])
        greeted.set()
        told = await rig.finished(payload)
        check_copies(place, told)
        assert told.types(place.to("ada")) == ["delivered"]
        assert "tls" not in told.end(place.to("ada"))


async def test_none_is_obeyed(rig: Rig) -> None:
    """A payload that wants no TLS gets none."""
    async with rig.destination(context=server_context(), offers=CHUNKING) as place:
        told = await rig.deliver(rig.payload(place.to("ada"), tls="none"))
        assert "tls" not in told.end(place.to("ada"))
        assert b"STARTTLS" not in bytes(place.mx.wires[0])
