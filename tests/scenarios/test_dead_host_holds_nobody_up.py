"""A host that refuses connections delays its own mail and nobody else's."""

from datetime import UTC, datetime, timedelta

import pytest

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
