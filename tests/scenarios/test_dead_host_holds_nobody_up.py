"""A host that refuses connections delays its own mail and nobody else's."""

from datetime import UTC, datetime, timedelta

import pytest

from mta.jetstream.consumers import held_subjects
from mta.jetstream.layout import RETRY
from mta.model.ids import base32, payload_key
from mta.model.lane import Lane
from tests.fakes.rig import Rig, check_copies, numbered

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_others_go_on(rig: Rig) -> None:
    """Mixed in one payload: the healthy are delivered at once, the dead get no verdict but deferral and, in the end,
    one `expired` each, when the payload said."""
    dead = rig.dead_domain()
    expires_at = datetime.now(UTC) + timedelta(seconds=7)
    async with rig.destination() as place:
        lost, healthy = list(numbered(dead, 10)), list(numbered(place.domain, 10))
        mixed = [one for pair in zip(lost, healthy, strict=True) for one in pair]
        payload = rig.payload(*mixed, expires_at=expires_at.isoformat())
        await rig.publish(payload)
        await rig.saw(payload, "delivered", 10)
        assert datetime.now(UTC) < expires_at - timedelta(seconds=3)
        told = await rig.finished(payload, 20)
        check_copies(place, told)
        assert told.counts() == {"delivered": 10, "expired": 10}
        deferred = [event for event in told.events if event["type"] == "deferred"]
        assert deferred
        assert {event["bounce"]["class"] for event in deferred} == {"connect_failed"}
        assert {event["smtp"]["stage"] for event in deferred} == {"connect"}


async def test_who_is_parked_together_waits_in_one_message(rig: Rig) -> None:
    """Two hundred recipients of a dead host cost the stream a handful of messages, not two hundred."""
    payload = rig.payload(*numbered(rig.dead_domain(), 200))
    ack = await rig.publish(payload, lane=Lane.BULK, campaign="dead")
    await rig.emptied_of_fresh(payload)
    key = base32(payload_key(payload["tenant"], payload["id"]))
    subjects = [one for one in await held_subjects(rig.link, RETRY, "mta.retry.>") if key in one]
    assert 1 <= len(subjects) <= 6
    assert ack.sequence
