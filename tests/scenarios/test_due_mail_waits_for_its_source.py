"""What is due again waits until the message it was deferred from is done with it, however long that takes."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from mta.jetstream.consumers import consumer_state
from mta.jetstream.layout import DUE_CONSUMERS, PAYLOADS, RETRY
from mta.jetstream.schedule import retry, retry_number
from mta.model.ids import payload_key
from mta.model.lane import Lane
from tests.fakes.nats import eventually
from tests.fakes.rig import TENANT, Payload, Rig, check_copies, numbered

DUE_CONSUMER = DUE_CONSUMERS[Lane.BULK]


async def store_due(rig: Rig, payload: Payload, sequence: int, campaign: str) -> None:
    """All of its recipients, as a daemon has parked them that died before it could acknowledge their source."""
    now = datetime.now(UTC)
    at, end = now.isoformat(), (now + timedelta(minutes=10)).isoformat()
    recipients = [
        {"email": one["email"], "index": index, "queued_at": at}
        for index, one in enumerate(payload["recipients"])
    ]
    part = {
        "payload_id": payload["id"],
        "accepted_at": at,
        "first_at": at,
        "expires_at": end,
        "recipients_total": len(recipients),
    }
    key = payload_key(TENANT, payload["id"])
    number = retry_number(PAYLOADS, sequence, [(index, 0) for index in range(len(recipients))])
    message = retry(Lane.BULK, TENANT, campaign, key, number, now.timestamp())
    body = payload | {"recipients": recipients, "lane": "bulk", "retry": part}
    await rig.pump.publish_acked(
        message.subject, json.dumps(body).encode(), msg_id=message.msg_id, headers=message.headers
    )


@pytest.mark.parametrize(("payloads", "recipients"), [(3, 1000), (250, 1)])
async def test_what_waits_for_its_source_keeps_nobody_out(
    own_rig: Rig, payloads: int, recipients: int
) -> None:
    """A crash left the sources of many that are due unacknowledged, and nobody takes them up: their campaign is paused.
    Others are taken in meanwhile, be it that the waiting would fill the room for recipients or the places for payloads;
    when the sources are gone they are mailed, once."""
    await own_rig.start()
    async with own_rig.destination() as place:
        words = ("slow", "--tenant", TENANT, "--json")
        assert (await own_rig.mta("campaign", "pause", *words, "--reason", "later"))[0] == 0
        waiting = [own_rig.payload(*numbered(place.domain, recipients, f"w{at}-")) for at in range(payloads)]
        sources = [(await own_rig.publish(one, lane=Lane.BULK, campaign="slow")).sequence for one in waiting]
        for payload, sequence in zip(waiting, sources, strict=True):
            await store_due(own_rig, payload, sequence, "slow")

        async def all_are_taken_in() -> bool:
            state = await consumer_state(own_rig.link, RETRY, DUE_CONSUMER)
            return state is not None and state.ack_pending == len(waiting)

        await eventually(all_are_taken_in)
        quick = own_rig.payload(*numbered(place.domain, 20, "q"))
        beside = await own_rig.deliver(quick, lane=Lane.BULK, campaign="quick")
        assert beside.counts() == {"delivered": 20}
        assert sum(place.copies.values()) == 20
        for sequence in sources:  # as whoever has them does at last
            await own_rig.link.api(f"STREAM.MSG.DELETE.{PAYLOADS}", {"seq": sequence})
        assert (await own_rig.mta("campaign", "resume", *words))[0] == 0
        told = [await own_rig.finished(payload) for payload in waiting]
        check_copies(place, beside, *told)
        assert [one.counts() for one in told] == [{"delivered": recipients}] * payloads
