"""What an operator types works beside the running daemon."""

import json

import pytest

from tests.fakes.rig import DOMAIN, Rig
from tests.fakes.smtp_server import On

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_send_a_payload_file_and_tail(rig: Rig) -> None:
    """`mta send FILE` publishes under the contract's id, so the same file twice mails once; `mta tail` shows it."""
    async with rig.destination() as place:
        payload = rig.payload(place.to("ada"), campaign="typed", lane="transactional")
        path = rig.directory / "payload.json"
        path.write_text(json.dumps(payload))
        for _ in range(2):
            code, output, errors = await rig.mta("send", str(path), "--json")
            assert code == 0, errors
            json.loads(output)
        told = await rig.finished(payload)
        assert told.types(place.to("ada")) == ["delivered"]
        assert place.copies == {place.to("ada"): 1}
    code, output, errors = await rig.mta(
        "tail", "--json", "--since", "5m", "--campaign", "typed", "--count", "2"
    )
    assert code == 0, errors
    assert [json.loads(line)["type"] for line in output.splitlines()] == ["accepted", "delivered"]


async def test_send_a_mailing(rig: Rig) -> None:
    """A template and a CSV become payloads; each row is personal."""
    html, rows = rig.directory / "offer.html", rig.directory / "rows.csv"
    html.write_text("<p>{{ first_name }}</p>")
    async with rig.destination() as place:
        rows.write_text(f"email,first_name\n{place.to('ada')},Ada\n{place.to('bob')},Bob\n")
        code, _, errors = await rig.mta(
            *("send", "--template", str(html), "--recipients", str(rows), "--from", f"Acme <news@{DOMAIN}>"),
            *("--subject", "For {{ first_name }}", "--campaign", "typed-mailing", "--lane", "transactional"),
        )
        assert code == 0, errors
        await rig.until(lambda: place.copies.total() == 2)
        assert [place.mail(place.to(who))["Subject"] for who in ("ada", "bob")] == ["For Ada", "For Bob"]


async def test_what_became_of_a_message(rig: Rig) -> None:
    """`mta msg` tells a deferral, the delivery after it and nothing else; `mta bounces` counts what was refused."""
    later = On("dot", [b"451 4.7.1 Computer says no today\r\n"], times=1)
    async with rig.destination(later) as place:
        payload = rig.payload(place.to("ada"), campaign="told")
        told = await rig.deliver(payload, campaign="told")
    deferred, delivered = told.of(place.to("ada"))
    for asked in (place.to("ada"), delivered["message_id"], deferred["id"], delivered["rfc_message_id"]):
        code, output, errors = await rig.mta("msg", asked, "--json")
        assert code == 0, errors
        (case,) = (json.loads(line) for line in output.splitlines())
        assert [event["id"] for event in case["events"]] == [deferred["id"], delivered["id"]]
        assert (case["state"], case["payload_id"]) == ("delivered", payload["id"])
    code, output, errors = await rig.mta("bounces", "top", "--campaign", "told", "--by", "text", "--json")
    assert code == 0, errors
    (row,) = (json.loads(line) for line in output.splitlines())
    assert (row["count"], row["classes"]) == (1, {deferred["bounce"]["class"]: 1})
    assert row["example"]["reply"] == "451 4.7.1 Computer says no today"
    code, _, errors = await rig.mta("bounces", "unknown", "--json")
    assert code == 0, errors
    code, output, errors = await rig.mta("msg", "nobody@nowhere.test")
    assert (code, output) == (1, b"")
    assert b"No event about it" in errors


async def test_check_and_setup(rig: Rig) -> None:
    """The configuration in use holds; `setup` beside a running daemon changes nothing and disturbs nobody."""
    code, _, errors = await rig.mta("check")
    assert code == 0, errors
    code, output, errors = await rig.mta("setup", "--json")
    assert code == 0, errors
    json.loads(output)
    async with rig.destination() as place:
        assert (await rig.deliver(rig.payload(place.to("ada")))).counts() == {"delivered": 1}
