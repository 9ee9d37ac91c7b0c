"""The same payload twice, however it comes, mails everybody once."""

import pytest

from tests.fakes.rig import Rig, check_copies, numbered

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_second_publish_is_rejected(rig: Rig) -> None:
    """The same id under another Nats-Msg-Id: `rejected`, `duplicate`, with an event id of its own."""
    async with rig.destination() as place:
        payload = rig.payload(*numbered(place.domain, 5))
        first = await rig.deliver(payload)
        again = await rig.publish(payload, msg_id="another")
        await rig.saw(payload, "rejected")
        await rig.emptied(payload)
        told = rig.told(payload)
        assert first.counts() == {"delivered": 5}
        assert told.counts() == {"delivered": 5}
        assert set(place.copies.values()) == {1}
        (rejected,) = (event for event in told.whole if event["type"] == "rejected")
        assert rejected["error"]["code"] == "duplicate"
        assert rejected["id"].endswith(f".rejected.{again.sequence}")
        subject, _, headers = await rig.dead(again.sequence)
        assert subject == "mta.dead.duplicate"
        assert headers["Mta-Reason"] == "duplicate"


CHANGES = {
    "expired": {"expires_at": "2020-01-01T00:00:00Z"},
    "pool": {"pool": "other"},
    "template": {"content": {"template": {"name": "nowhere"}}},
    "schema": {"surprise": 1},
}


@pytest.mark.parametrize("what", CHANGES)
async def test_another_payload_under_its_id_is_a_duplicate(rig: Rig, what: str) -> None:
    """Whatever is wrong with it: nothing is told that could be taken for the end of the one accepted."""
    async with rig.destination() as place:
        payload = rig.payload(place.to("ada"))
        await rig.deliver(payload)
        again = await rig.publish(payload | CHANGES[what], msg_id=f"another-{what}")
        await rig.saw(payload, "rejected")
        await rig.emptied(payload)
        (rejected,) = (event for event in rig.told(payload).whole if event["type"] == "rejected")
        assert rejected["error"]["code"] == "duplicate"
        assert rejected["id"].endswith(f".rejected.{again.sequence}")
        assert rig.told(payload).counts() == {"delivered": 1}


async def test_stream_drops_a_second_message_id(rig: Rig) -> None:
    """The sender's Nats-Msg-Id is enough within the dedupe window: nobody even sees the second."""
    async with rig.destination() as place:
        payload = rig.payload(place.to("ada"))
        assert not (await rig.publish(payload)).is_duplicate
        assert (await rig.publish(payload)).is_duplicate
        told = await rig.finished(payload)
        check_copies(place, told)


async def test_one_address_twice_in_a_payload(rig: Rig) -> None:
    """After normalisation it is one: the first is sent to, the second rejected; likewise an id twice."""
    async with rig.destination() as place:
        same = [{"email": place.to("ada"), "id": "1"}, {"email": f"ada@{place.domain.upper()}", "id": "2"}]
        told = await rig.deliver(rig.payload(*same, {"email": place.to("bob"), "id": "1"}))
        assert told.counts() == {"delivered": 1, "rejected": 2}
        assert {e["error"]["code"] for e in told.events if e["type"] == "rejected"} == {"duplicate"}
        assert place.copies == {place.to("ada"): 1}
