"""B24: a server that does not offer 8BITMIME gets seven bits, or nothing."""

import base64

import pytest

from tests.fakes.rig import DOMAIN, Rig, check_copies

pytestmark = pytest.mark.asyncio(loop_scope="session")

BARE = ("PIPELINING",)


async def test_b24_what_we_compose_fits_through_seven_bits(rig: Rig) -> None:
    """8BITMIME: encoded before it is signed, so that the signature holds for what was sent."""
    text = "Grüße aus Köln, 北京 и Москва\n"
    async with rig.destination(offers=BARE) as place:
        told = await rig.deliver(
            rig.payload(place.to("ada"), content={"subject": "Grüße", "text": text, "html": f"<p>{text}</p>"})
        )
        check_copies(place, told)
        (received,) = place.of(place.to("ada"))
        assert received.body.isascii()
        assert rig.verifies(received)
        plain = place.mail(place.to("ada")).get_body(("plain",))  # type: ignore[attr-defined]
        assert plain.get_content().splitlines() == text.splitlines()


async def test_b24_what_was_built_with_eight_bits_is_bounced(rig: Rig) -> None:
    """Its bytes are the sender's; a server that takes them gets them, marked as such."""
    lines = (
        f"From: news@{DOMAIN}",
        "Subject: x",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
    )
    built = "\r\n".join((*lines, "Content-Transfer-Encoding: 8bit", "", "Grüße", "")).encode()
    content = {"rfc822": base64.b64encode(built).decode()}
    async with rig.destination(offers=BARE) as seven, rig.destination() as eight:
        told = await rig.deliver(rig.payload(seven.to("ada"), eight.to("bob"), content=content))
        assert told.types(seven.to("ada")) == ["bounced"]
        assert told.types(eight.to("bob")) == ["delivered"]
        assert not seven.mx.received
        assert any(b"BODY=8BITMIME" in line for _, line in eight.mx.lines)
        (received,) = eight.of(eight.to("bob"))
        assert "Grüße".encode() in received.body
        assert rig.verifies(received)
