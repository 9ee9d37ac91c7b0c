"""A payload is accepted, sent, signed, told of and forgotten, in either lane."""

import pytest

from mta.model.lane import Lane
from tests.fakes.rig import DOMAIN, Rig, check_copies, numbered

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("lane", Lane)
async def test_every_recipient_gets_one_signed_copy(rig: Rig, lane: Lane) -> None:
    """Forty recipients: one `delivered` event, one verifiable copy and one return path each."""
    async with rig.destination() as place:
        payload = rig.payload(*numbered(place.domain, 40), lane=lane, campaign="spring")
        told = await rig.deliver(payload, lane=lane, campaign="spring")
        check_copies(place, told)
        assert told.counts() == {"delivered": 40}
        assert all(rig.verifies(received) for received in place.mx.received)
        assert len({received.sender for received in place.mx.received}) == 40
    (accepted,) = told.whole
    assert accepted["counts"] == {"recipients": 40, "rejected": 0}
    event = told.end(place.to("r7"))
    assert (event["lane"], event["campaign"], event["tenant"]) == (lane, "spring", "acme")
    assert (event["attempt"], event["source"], event["source_ip"]) == (1, "one", "127.0.0.1")
    assert (event["dkim_domains"], event["smtp"]["code"], event["smtp"]["stage"]) == (
        [DOMAIN],
        250,
        "end_of_data",
    )
    (received,) = place.of(place.to("r7"))
    assert event["size_bytes"] == len(received.body)
    assert event["rfc_message_id"] in received.body.decode()
    assert event["sender"] == received.sender


async def test_tags_and_metadata_come_back(rig: Rig) -> None:
    """What the sender wrote on payload and recipient stands in the event, merged."""
    async with rig.destination() as place:
        payload = rig.payload(
            {"email": place.to("ada"), "id": "c9", "metadata": {"segment": "vip"}, "tags": ["vip"]},
            tags=["spring"],
            metadata={"batch": 7},
        )
        event = (await rig.deliver(payload)).end(place.to("ada"))
    assert event["recipient_id"] == "c9"
    assert sorted(event["tags"]) == ["spring", "vip"]
    assert event["metadata"] == {"batch": 7, "segment": "vip"}
