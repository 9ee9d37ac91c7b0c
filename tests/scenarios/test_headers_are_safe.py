"""Headers say what was asked for and nothing that data smuggles in."""

import pytest

from tests.fakes.rig import Rig, check_copies

pytestmark = pytest.mark.asyncio(loop_scope="session")


NASTY = {
    "line": "x\r\nBcc: evil@other.test",
    "bare": "x\nBcc: evil@other.test",
    "word": "=?utf-8?q?x=0D=0ABcc:_evil=40other.test?=",
    "separator": "x\u2028Bcc: evil@other.test",
    "nul": "x\x00Bcc: evil@other.test",
}


async def test_headers_and_unsubscribe_are_written(rig: Rig) -> None:
    """The sender's fields, templated; Reply-To; the list headers; each once."""
    async with rig.destination() as place:
        payload = rig.payload(
            {"email": place.to("ada"), "name": "Ada Ö", "data": {"ref": "r-1"}},
            headers={"X-Acme-Ref": "{{ ref }}"},
            reply_to=[{"email": "help@acme.test", "name": "Help"}],
            stream="marketing",
            unsubscribe={"mailto": "leave@acme.test", "list_id": "letter.acme.test"},
            **{"from": {"email": "news@acme.test", "name": "Acme & Söhne"}},
        )
        await rig.deliver(payload)
        mail = place.mail(place.to("ada"))
        assert mail["X-Acme-Ref"] == "r-1"
        assert mail["Reply-To"] == "Help <help@acme.test>"
        assert mail["From"].addresses[0].display_name == "Acme & Söhne"
        assert "mailto:leave@acme.test" in mail["List-Unsubscribe"]
        assert "letter.acme.test" in mail["List-Id"]
        names = [name.lower() for name in mail.keys()]  # noqa: SIM118 - a message is no mapping
        for single in ("from", "to", "subject", "date", "message-id", "mime-version", "x-acme-ref"):
            assert names.count(single) == 1


async def test_data_cannot_add_a_header(rig: Rig) -> None:
    """F-06: each attack ends as `failed` or as plain text of its own field, beside a neighbour that gets its mail."""
    async with rig.destination() as place:
        people = [{"email": place.to(key), "data": {"x": value}} for key, value in NASTY.items()]
        payload = rig.payload(
            *people,
            {"email": place.to("good"), "data": {"x": "fine"}},
            content={"subject": "Hi {{ x }}", "text": "{{ x }}\n"},
            headers={"X-Ref": "{{ x }}"},
        )
        told = await rig.deliver(payload)
        check_copies(place, told)
        assert told.end(place.to("good"))["type"] == "delivered"
        assert [told.end(place.to(key))["type"] for key in ("line", "bare", "separator", "nul")] == [
            "failed"
        ] * 4
        for received in place.mx.received:
            assert b"\r\nbcc:" not in received.body.lower()
        word = told.end(place.to("word"))
        if word["type"] == "delivered":
            mail = place.mail(place.to("word"))
            assert mail["Bcc"] is None
            assert mail["X-Ref"] == NASTY["word"]


async def test_addresses_cannot_add_a_command(rig: Rig) -> None:
    """Such recipients are rejected alone; on the wire stand the expected commands only."""
    bad = [
        "x@{}\r\nRSET",
        "x@{}> SIZE=1",
        "a b@{}",
        "<x@{}>",
        "x@{}\x00",
        '"x\r\n"@{}',
        "@{}",
        "x@",
        "x@y@{}",
        "é\r\nRSET@{}",
        "é> SIZE=1@{}",
    ]
    async with rig.destination() as place:
        asked = [form.format(place.domain) for form in bad]
        told = await rig.deliver(rig.payload(place.to("good"), *asked))
        check_copies(place, told)
        assert told.counts() == {"delivered": 1, "rejected": len(bad)}
        assert {told.end(address)["error"]["code"] for address in asked} == {"bad_address"}
        verbs = [line.split(b" ")[0].split(b":")[0].strip() for _, line in place.mx.lines]
        assert verbs.count(b"MAIL") == verbs.count(b"RCPT") == 1
        assert b"SIZE=1\r" not in b"".join(line for _, line in place.mx.lines)


async def test_quoted_at_sign_goes_to_the_right_domain(rig: Rig) -> None:
    """The domain is behind the last @ outside quotes, for the envelope as for the route."""
    async with rig.destination() as place, rig.destination() as other:
        address = f'"x@{other.domain}"@{place.domain}'
        told = await rig.deliver(rig.payload(address))
        if told.end(address)["type"] == "delivered":
            assert [received.recipient for received in place.mx.accepted] == [address]
        assert not other.mx.received
