"""Whoever reads by `conf/asyncapi.yaml` understands whatever a daemon writes. (Every event of every other story is held
against it, too: see `rig`.)"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mta.jetstream.layout import EVENTS, INDEX
from mta.jetstream.subjects import index_subject
from mta.model.ids import payload_key
from tests.fakes.contract import Reader, contract, of_message, schema, wrong
from tests.fakes.rig import Rig
from tests.fakes.smtp_server import On

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_YET = {"queued", "suppressed", "oob_bounced", "complained", "unsubscribed", "auto_replied"}
"""What no story here brings about."""


async def test_events_of_all_types(rig: Rig) -> None:
    """Each as its schema says."""
    unknown = On("rcpt", [b"550 5.1.1 no such user\r\n"])
    async with rig.destination(On("dot", [b"451 4.3.0 later\r\n"], times=1), unknown) as place:
        nobody = place.to("nobody")
        unknown.recipient = nobody
        soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
        payloads = [
            rig.payload(f"dora@{rig.dead_domain()}", expires_at=soon),
            rig.payload(place.to("ada"), nobody, "no address", metadata={"a": 1}, tags=["t"]),
            rig.payload(place.to("bob"), dry_run=True),
            rig.payload(place.to("cy"), content={"subject": "{{ x }}", "text": "x"}),
            rig.payload(place.to("eve"), content={}),
        ]
        told = [event for one in payloads for event in (await rig.deliver(one)).events]
    reader = Reader()
    for event in told:
        reader.read(event)
    assert not reader.mistakes
    types = {event["type"] for event in told}
    assert types == set(contract()["components"]["schemas"]["EventType"]["enum"]) - NOT_YET


async def test_headers_dead_letters_and_the_index(rig: Rig) -> None:
    """What lies beside the events."""
    async with rig.destination() as place:
        payload = rig.payload(place.to("ada"))
        assert not wrong(of_message("payload"), payload)
        await rig.deliver(payload)
    last = await rig.link.last_message(EVENTS, "mta.event.acme.delivered.>")
    assert last is not None
    assert not wrong(schema("EventHeaders"), last.headers)
    assert int(last.headers["Mta-Events"]) == len(last.data.splitlines())
    kept = await rig.link.last_message(INDEX, index_subject(payload_key("acme", payload["id"])))
    assert kept is not None
    assert not wrong(of_message("indexEntry"), json.loads(kept.data))
    broken = rig.payload(place.to("ada"), content={})
    assert wrong(of_message("payload"), broken)
    ack = await rig.publish(broken)
    await rig.saw(broken, "rejected")
    subject, _, headers = await rig.dead(ack.sequence)
    assert not wrong(schema("DeadHeaders"), headers)
    assert set(contract()["components"]["schemas"]["DeadHeaders"]["properties"]) <= headers.keys()
    assert subject.rpartition(".")[2] in contract()["channels"]["deadLetters"]["parameters"]["reason"]["enum"]
