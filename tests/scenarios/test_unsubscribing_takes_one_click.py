"""A message's own link unsubscribes its recipient, from the stream it came by and from no other."""

import re
import time

import aiohttp

from tests.fakes.nats import NatsServer, eventually, free_port
from tests.fakes.rig import TENANTS, Rig
from tests.fakes.verbs import program

FORM = {"List-Unsubscribe": "One-Click"}


async def ask(method: str, url: str, data: dict[str, str] | None = None) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, data=data) as response:
        return response.status, await response.text()


async def test_l03_a_click_ends_a_stream_within_seconds(own_rig: Rig) -> None:
    """From the header of the mail that arrived to the event and the suppression; L-03 allows 60 s. Once it is 200 the
    next newsletter is not sent, and a receipt is. The link is signed, and has a mailto of ours beside it."""
    port = free_port()
    own_rig.configure(
        http=f'listen = "127.0.0.1:{port}"\npublic_url = "https://u.acme.test"',
        advertise=True,
        tenants=TENANTS.replace("pools", 'title = "Acme & Sons"\npools', 1),
    )
    await own_rig.start()
    async with own_rig.destination() as place:
        ada = place.to("ada")
        payload = own_rig.payload(ada, stream="marketing", unsubscribe={"one_click": True})
        told = await own_rig.deliver(payload)
        assert own_rig.verifies(place.mx.received[0])
        mail = place.mail(ada)
        header = str(mail["List-Unsubscribe"])
        assert re.search(r"<mailto:u\+k1[a-z2-7]{55}@b\.acme\.test>", header)
        assert str(mail["CFBL-Address"]).startswith("f+k1")
        found = re.search(r"<https://u\.acme\.test(/o/[\w-]+)>", header)
        assert found is not None
        url = f"http://127.0.0.1:{port}{found[1]}"

        status, page = await ask("GET", url)
        assert (status, "Acme &amp; Sons" in page, ada in page) == (200, True, True)
        assert own_rig.events[""] == []

        began = time.monotonic()
        status, page = await ask("POST", url, FORM)
        assert (status, "You are unsubscribed" in page) == (200, True)
        more = own_rig.payload(ada, stream="marketing", unsubscribe={"one_click": True})
        assert (await own_rig.deliver(more)).end(ada)["type"] == "suppressed"
        await eventually(lambda: own_rig.events[""])
        assert time.monotonic() - began < 60
        receipt = own_rig.payload(ada, stream="receipts")
        assert (await own_rig.deliver(receipt)).end(ada)["type"] == "delivered"

    assert (await ask("POST", url, FORM))[0] == 200
    assert (await ask("POST", url[:-1], FORM))[0] == 404
    [event] = own_rig.events[""]
    assert (event["type"], event["recipient"], event["stream"]) == ("unsubscribed", ada, "marketing")
    assert event["message_id"] == told.end(ada)["message_id"]


async def test_l03_without_the_stream_it_is_not_done(own_rig: Rig, nats_server: NatsServer) -> None:
    """503 while NATS is away; 200, and one event, when it is back."""
    port = free_port()
    own_rig.configure(http=f'listen = "127.0.0.1:{port}"\npublic_url = "https://u.acme.test"')
    await own_rig.start()
    async with own_rig.destination() as place:
        await own_rig.deliver(own_rig.payload(place.to("ada"), unsubscribe={"one_click": True}))
        found = re.search(r"(/o/[\w-]+)>", str(place.mail(place.to("ada"))["List-Unsubscribe"]))
    assert found is not None
    url = f"http://127.0.0.1:{port}{found[1]}"
    nats_server.kill()
    status, page = await ask("POST", url, FORM)
    assert (status, "try again" in page) == (503, True)
    await nats_server.start()

    async def is_done() -> bool:
        return (await ask("POST", url, FORM))[0] == 200

    await eventually(is_done, 60)
    await eventually(lambda: own_rig.events[""])
    assert len(own_rig.events[""]) == 1


async def test_a_port_that_is_taken_ends_the_start(own_rig: Rig) -> None:
    """69, and it says which."""
    own_rig.configure(http='listen = "192.0.2.1:9925"\npublic_url = "https://u.acme.test"')
    code, _, errors = await program("run", "--config", str(own_rig.config))
    assert code == 69
    assert b"http.listen" in errors
