"""STARTTLS is taken when offered, and mail goes in clear where it is broken."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.rig import Rig, check_copies
from tests.fakes.smtp_server import CHUNKING, Cut, On, ToHello
from tests.fakes.trust import of_nobody

pytestmark = pytest.mark.asyncio(loop_scope="session")


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_offered_is_taken(rig: Rig) -> None:
    """The event says so: version, cipher, unverified, opportunistic; the message travelled inside."""
    async with rig.destination(context=of_nobody()) as place:
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
    async with rig.destination(broken, context=of_nobody()) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        assert told.types(place.to("ada")) == ["delivered"]
        assert "tls" not in told.end(place.to("ada"))


async def test_garbage_for_a_handshake_goes_in_clear(rig: Rig) -> None:
    """D2: what answers our hello is no TLS. It comes after the hello, or it would be an injection before TLS."""
    garbage = [ToHello(lambda _: b"this is no handshake\r\n" * 20), Cut.CLOSE]
    async with rig.destination(On("handshake", garbage), context=of_nobody()) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        assert told.types(place.to("ada")) == ["delivered"]
        assert "tls" not in told.end(place.to("ada"))


LAST = On("dot", [b"250 2.0.0 queued\r\n", Cut.CLOSE])
"""The next message needs a new connection."""


async def test_broken_is_remembered(rig: Rig) -> None:
    """T-03: for the second message nobody tries TLS there, so no connection is wasted."""
    broken = On("handshake", [Cut.CLOSE])
    async with rig.destination(broken, LAST, context=of_nobody()) as place:
        for name in ("ada", "bob"):
            told = await rig.deliver(rig.payload(place.to(name)))
            assert told.types(place.to(name)) == ["delivered"]
        said = [place.mx.commands(number) for number in range(place.mx.connections)]
        assert [b"STARTTLS\r\n" in lines for lines in said] == [True, False, False]
        assert [any(line.startswith(b"MAIL") for line in lines) for lines in said] == [False, True, True]


async def test_replies_injected_before_tls_are_none(rig: Rig) -> None:
    """T-01, D5: whoever adds plaintext to the 220 gets no mail by it, in clear or not: deferred, and delivered once he
    is gone."""
    injected = On("starttls", [b"220 go ahead\r\n250 x\r\n250 x\r\n354 x\r\n250 x\r\n"], times=1)
    async with rig.destination(injected, context=of_nobody()) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        first, last = told.of(place.to("ada"))
        assert (first["type"], first["smtp"]["stage"]) == ("deferred", "tls")
        assert not any(line.startswith(b"MAIL") for line in place.mx.commands(0))
        assert (last["type"], bool(last["tls"]["version"])) == ("delivered", True)


async def test_only_the_second_list_counts(rig: Rig) -> None:
    """D6, T-01: SIZE, CHUNKING and SMTPUTF8 of the EHLO in clear are nothing inside TLS, either way round."""
    large = ["PIPELINING", "SIZE 10000000"]
    async with (
        rig.destination(offers=("SIZE 7",), tls_offers=large, context=of_nobody()) as grown,
        rig.destination(
            offers=(*CHUNKING, "SMTPUTF8"), tls_offers=("SIZE 7",), context=of_nobody()
        ) as shrunk,
        rig.destination(
            offers=(*CHUNKING, "SMTPUTF8"), tls_offers=("8BITMIME",), context=of_nobody()
        ) as bare,
    ):
        sent = [grown.to("ada"), shrunk.to("ada"), bare.to("ada"), bare.to("αδα")]
        told = await rig.deliver(rig.payload(*sent))
        assert [told.end(one)["type"] for one in sent] == ["delivered", "bounced", "delivered", "bounced"]
        assert told.end(sent[1])["bounce"]["class"] == "message_too_large"
        assert told.end(sent[3])["bounce"]["class"] == "unsupported_feature"
        (mail,) = (line for line in grown.mx.commands(0) if line.startswith(b"MAIL"))
        assert b" SIZE=" in mail
        (received,) = bare.of(sent[2])
        assert received.verb == "DATA"
        assert not any(b" SIZE=" in line for _, line in bare.mx.lines)


async def test_an_offer_that_is_gone_is_told_to_operators(rig: Rig) -> None:
    """D4: STARTTLS that was there a moment ago: the mail goes in clear, and MTA_OPS has it once; mail that must not go
    so waits."""
    stripped = On("ehlo", [b"250-mx.test\r\n250 PIPELINING\r\n"])
    async with rig.destination(LAST, context=of_nobody()) as place:
        await rig.deliver(rig.payload(place.to("ada")))
        place.mx.rules = [LAST, stripped]
        told = await rig.deliver(rig.payload(place.to("bob")))
        assert "tls" not in told.end(place.to("bob"))
        await rig.deliver(rig.payload(place.to("cid")))
        event, *others = [
            event
            for event in await rig.operations("tls_downgrade")
            if event["site"] == f"127.0.0.1:{place.mx.port}"
        ]
        assert others == []
        assert (event["v"], event["node"], event["mx_host"], event["mx_ip"]) == (
            1,
            "rig",
            "127.0.0.1",
            "127.0.0.1",
        )
        payload = rig.payload(place.to("eve"), tls="require", expires_at=soon(2))
        told = await rig.deliver(payload)
        first, *_, last = told.of(place.to("eve"))
        assert (first["type"], first["bounce"]["class"]) == ("deferred", "tls_required")
        assert last["type"] == "expired"
        assert place.of(place.to("eve")) == []


async def test_none_is_obeyed(rig: Rig) -> None:
    """A payload that wants no TLS gets none."""
    async with rig.destination(context=of_nobody(), offers=CHUNKING) as place:
        told = await rig.deliver(rig.payload(place.to("ada"), tls="none"))
        assert "tls" not in told.end(place.to("ada"))
        assert b"STARTTLS" not in bytes(place.mx.wires[0])
