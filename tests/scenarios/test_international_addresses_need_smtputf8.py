"""A local part beyond ASCII goes to who takes it, as it is, and to nobody else in any other form."""

import pytest

from tests.fakes.rig import Rig
from tests.fakes.smtp_server import CHUNKING

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMTPUTF8 = ("PIPELINING", "SIZE 100000", "8BITMIME", "SMTPUTF8")


@pytest.mark.parametrize("offers", [SMTPUTF8, (*CHUNKING, "8BITMIME", "SMTPUTF8")])
async def test_it_is_delivered_where_smtputf8_is_offered(rig: Rig, offers: tuple[str, ...]) -> None:
    """RFC 6531: the parameter on MAIL, the address to the letter in RCPT and in To, the domain as A-label; signed."""
    async with rig.destination(offers=offers) as place:
        address = f"δοκιμή@Straße.{place.domain}"
        wanted = f"δοκιμή@xn--strae-oqa.{place.domain}"
        event = (await rig.deliver(rig.payload(address))).end(address)
        assert (event["type"], event["recipient_domain"]) == ("delivered", f"xn--strae-oqa.{place.domain}")
        [received] = place.mx.received
        assert received.recipient == wanted
        assert received.sender.isascii()
        [mail] = [line for line in place.mx.commands(received.connection) if line.startswith(b"MAIL")]
        assert mail.split()[-2:] == [b"BODY=8BITMIME", b"SMTPUTF8"]
        assert f"\r\nTo: {wanted}\r\n".encode() in received.body
        assert rig.verifies(received)


@pytest.mark.parametrize("offers", [(), ("PIPELINING", "8BITMIME")])
async def test_it_bounces_alone_where_it_is_not(rig: Rig, offers: tuple[str, ...]) -> None:
    """RFC 6531 section 3.2: permanent, no downgrade, and not a word of it to the server; the others get theirs."""
    async with rig.destination(offers=offers) as place:
        address = place.to("δοκιμή")
        payload = rig.payload(address, place.to("ada"))
        told = await rig.deliver(payload)
        event = told.end(address)
        assert (event["type"], event["bounce"]["class"]) == ("bounced", "unsupported_feature")
        assert told.end(place.to("ada"))["type"] == "delivered"
        assert [received.recipient for received in place.mx.received] == [place.to("ada")]
        assert all(line.isascii() for _, line in place.mx.lines)


async def test_an_international_domain_alone_needs_nothing(rig: Rig) -> None:
    """No SMTPUTF8 is asked of anybody for a domain in A-labels."""
    async with rig.destination(offers=SMTPUTF8) as place:
        address = f"user@straße.{place.domain}"
        assert (await rig.deliver(rig.payload(address))).end(address)["type"] == "delivered"
        [received] = place.mx.received
        assert received.recipient == f"user@xn--strae-oqa.{place.domain}"
        assert not any(b"SMTPUTF8" in line for line in place.mx.commands(received.connection))
        assert received.body.isascii()


async def test_what_is_not_in_nfc_is_refused(rig: Rig) -> None:
    """F-12: composed and decomposed are two mailboxes to one server and one to another."""
    async with rig.destination(offers=SMTPUTF8) as place:
        composed, decomposed = place.to("zo\u00eb"), place.to("zoe\u0308")
        told = await rig.deliver(rig.payload(composed, decomposed))
        assert told.end(composed)["type"] == "delivered"
        event = told.end(decomposed)
        assert (event["type"], event["error"]["code"]) == ("rejected", "bad_address")
        assert [received.recipient for received in place.mx.received] == [composed]
