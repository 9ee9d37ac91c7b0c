"""A rehearsal does everything but the connection."""

import pytest

from tests.fakes.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_each_recipient_is_cancelled(rig: Rig) -> None:
    """`cancelled` with `dry_run`; who could not be composed fails as in earnest."""
    async with rig.destination() as place:
        people = [{"email": place.to("ada"), "data": {"x": 1}}, {"email": place.to("bob")}]
        told = await rig.deliver(
            rig.payload(*people, content={"subject": "{{ x }}", "text": "x"}, dry_run=True)
        )
        assert told.counts() == {"cancelled": 1, "failed": 1}
        assert all(event["dry_run"] for event in told.events)
        assert place.mx.connections == 0
