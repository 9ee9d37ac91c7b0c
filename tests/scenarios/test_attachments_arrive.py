"""Attachments come whole, from the payload or from the object store, and a body of its own is kept."""

import base64

import pytest

from mta.jetstream.layout import OBJECTS
from mta.jetstream.objects import ObjectStore
from tests.fakes.rig import Rig, check_copies

pytestmark = pytest.mark.asyncio(loop_scope="session")


DATA = bytes(range(256)) * 1000


async def test_inline_data_and_stored_object(rig: Rig) -> None:
    """The same octets arrive under the name that was given, whichever way they came."""
    await ObjectStore(rig.link, OBJECTS).put("terms/2026.bin", DATA)
    attachments = [
        {"name": "Verträge 2026.pdf", "type": "application/pdf", "data": base64.b64encode(DATA).decode()},
        {"name": "terms.bin", "type": "application/octet-stream", "ref": "obj://terms/2026.bin"},
    ]
    async with rig.destination() as place:
        told = await rig.deliver(rig.payload(place.to("ada"), place.to("bob"), attachments=attachments))
        check_copies(place, told)
        for local in ("ada", "bob"):
            parts = [part for part in place.mail(place.to(local)).walk() if part.get_filename()]
            assert [part.get_filename() for part in parts] == ["Verträge 2026.pdf", "terms.bin"]
            assert [part.get_payload(decode=True) for part in parts] == [DATA, DATA]
        assert all(rig.verifies(received) for received in place.mx.received)


async def test_inline_image_is_related(rig: Rig) -> None:
    """An image named by cid stands beside the HTML that shows it."""
    image = {
        "name": "logo.png",
        "type": "image/png",
        "data": base64.b64encode(DATA[:500]).decode(),
        "inline": True,
        "cid": "logo@acme.test",
    }
    async with rig.destination() as place:
        content = {"subject": "x", "html": '<img src="cid:logo@acme.test">', "text": "x"}
        await rig.deliver(rig.payload(place.to("ada"), content=content, attachments=[image]))
        mail = place.mail(place.to("ada"))
        assert mail.get_content_type() == "multipart/alternative"
        (picture,) = (part for part in mail.walk() if part.get_content_type() == "image/png")
        assert picture["Content-ID"] == "<logo@acme.test>"


async def test_rfc822_content_keeps_its_octets(rig: Rig) -> None:
    """What the sender composed is signed and sent as it is, dots and all."""
    body = b"first\r\n.\r\n..two\r\nlast line without end"
    raw = b"From: news@acme.test\r\nSubject: mine\r\nX-Own: 1\r\nMIME-Version: 1.0\r\n\r\n" + body
    async with rig.destination() as place:
        content = {"rfc822": base64.b64encode(raw).decode()}
        told = await rig.deliver(rig.payload(place.to("ada"), content=content))
        check_copies(place, told)
        (received,) = place.mx.received
        assert received.body.endswith(b"\r\n\r\n" + body + b"\r\n")
        assert b"Subject: mine\r\nX-Own: 1\r\n" in received.body
        assert rig.verifies(received)
