"""A connection that ends costs nobody a message, whenever it happens."""

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from mta.jetstream.layout import OBJECTS
from mta.jetstream.objects import ObjectStore
from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import CHUNKING, PIPELINING, Cut, Hold, On

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("offers", [CHUNKING, PIPELINING, ()], ids=["chunking", "pipelining", "lock-step"])
async def test_server_that_closes_after_some_messages(rig: Rig, offers: tuple[str, ...]) -> None:
    """S-19: twenty messages a connection, then it closes: all arrive at the first attempt, nothing is deferred."""
    async with rig.destination(On("mail", [Cut.CLOSE], number=21), offers=offers) as place:
        told = await rig.deliver(rig.payload(*numbered(place.domain, 300)))
        check_copies(place, told)
        assert {event["type"] for event in told.events} == {"accepted", "delivered"}
        assert place.mx.connections >= 15
        most = Counter(received.connection for received in place.mx.accepted)
        assert max(most.values()) == 20


async def test_421_after_some_messages(rig: Rig) -> None:
    """The same, said aloud."""
    async with rig.destination(
        On("mail", [b"421 4.7.0 enough for one session\r\n", Cut.CLOSE], number=4)
    ) as place:
        told = await rig.deliver(rig.payload(*numbered(place.domain, 12)))
        check_copies(place, told)
        assert {event["type"] for event in told.events} == {"accepted", "delivered"}


@pytest.mark.parametrize("phase", ["banner", "ehlo", "mail", "rcpt", "dot"])
async def test_421_at_any_stage(rig: Rig, phase: str) -> None:
    """S-06: once at each stage: nobody bounces, everybody gets his message once."""
    busy = On(phase, [b"421 4.3.2 busy\r\n", Cut.CLOSE], times=1)
    async with rig.destination(busy) as place:
        told = await rig.deliver(rig.payload(*numbered(place.domain, 5)))
        check_copies(place, told)
        assert told.counts() == {"delivered": 5}


async def test_hosts_that_take_no_mail(rig: Rig) -> None:
    """521/556 (RFC 7504): 521 for a greeting ends all recipients of the domain at the first try, as its own fault."""
    async with rig.destination(On("banner", [b"521 5.3.2 no mail here\r\n", Cut.CLOSE])) as place:
        asked = list(numbered(place.domain, 5))
        told = await rig.deliver(rig.payload(*asked))
        assert {tuple(told.types(one)) for one in asked} == {("bounced",)}
        event = told.end(asked[0])
        assert (event["smtp"]["stage"], event["smtp"]["code"]) == ("connect", 521)
        assert event["bounce"]["class"] == "invalid_domain"
        assert place.mx.connections <= 2


@pytest.mark.parametrize("cut", [Cut.CLOSE, Cut.RESET], ids=["fin", "rst"])
async def test_cut_at_rcpt(rig: Rig, cut: Cut) -> None:
    """Nothing can have been taken: deferred or sent again, not ambiguous, and delivered once."""
    async with rig.destination(On("rcpt", [cut], times=1), offers=PIPELINING) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        assert told.types(place.to("ada"))[-1] == "delivered"
        assert not any(event.get("ambiguous") for event in told.events)


async def test_cut_in_the_middle_of_a_body(rig: Rig) -> None:
    """While most of a large message is still with us: deferred in DATA, not ambiguous."""
    await ObjectStore(rig.link, OBJECTS).put("large.bin", bytes(9_000_000))
    large = {"name": "large.bin", "type": "application/octet-stream", "ref": "obj://large.bin"}
    domain, bound = rig.bare()
    server = await asyncio.start_server(_cut_in_the_body, sock=bound, limit=4096)
    expires_at = datetime.now(UTC) + timedelta(seconds=3)
    async with server:
        payload = rig.payload(f"ada@{domain}", attachments=[large], expires_at=expires_at.isoformat())
        told = await rig.deliver(payload)
    first = told.of(f"ada@{domain}")[0]
    assert (first["type"], first["smtp"]["stage"]) == ("deferred", "data")
    assert not any(event.get("ambiguous") for event in told.events)


async def _cut_in_the_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes one message's first 64 kB and resets the connection."""
    writer.write(b"220 mx.test\r\n")
    while line := await reader.readline():
        writer.write(b"354 go on\r\n" if line == b"DATA\r\n" else b"250 ok\r\n")
        if line == b"DATA\r\n":
            await reader.readexactly(64_000)
            break
    writer.transport.abort()


@pytest.mark.parametrize("cut", [Cut.CLOSE, Cut.RESET], ids=["fin", "rst"])
async def test_cut_after_the_dot_is_ambiguous(rig: Rig, cut: Cut) -> None:
    """S-14: it may have arrived. Deferred with `ambiguous`, sent again under the same Message-ID."""
    async with rig.destination(On("dot", [cut], times=1)) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        deferred, delivered = told.of(place.to("ada"))
        assert (deferred["type"], deferred["ambiguous"]) == ("deferred", True)
        assert (delivered["type"], delivered["attempt"]) == ("delivered", 2)
        assert "ambiguous" not in delivered
        first, second = (re.search(rb"(?m)^Message-ID:.*$", one.body) for one in place.of(place.to("ada")))
        assert first
        assert second
        assert first[0] == second[0]


async def test_silence_after_the_dot_ends(rig: Rig) -> None:
    """B1: at the limit for a dot it is given up as ambiguous, and nobody waits for ever."""
    async with rig.destination(On("dot", [Cut.SILENCE], times=1)) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        deferred, delivered = told.of(place.to("ada"))
        assert (deferred["ambiguous"], delivered["type"]) == (True, "delivered")


async def test_a_pause_is_waited_for(rig: Rig) -> None:
    """A peer that stops answering for a while and goes on gets its message once."""
    going_on = asyncio.Event()
    async with rig.destination(On("body", [Hold(going_on)])) as place:
        payload = rig.payload(
            place.to("ada"), content={"subject": "x", "text": "x" * 70 + "\n" + "y\n" * 100_000}
        )
        await rig.publish(payload)
        await place.mx.until(lambda: any(line.startswith((b"DATA", b"BDAT")) for _, line in place.mx.lines))
        going_on.set()
        told = await rig.finished(payload)
        check_copies(place, told)
        assert told.types(place.to("ada")) == ["delivered"]


async def test_extra_reply_is_no_delivery(rig: Rig) -> None:
    """B12: a stray 250 in the flight must not make `delivered` of a refused message."""
    async with rig.destination(
        On("rcpt", [b"250 2.1.5 ok\r\n250 2.0.0 stray\r\n"], times=1),
        On("dot", [b"554 5.7.1 refused\r\n"], times=1),
        offers=PIPELINING,
    ) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        assert told.types(place.to("ada"))[0] == "deferred"
