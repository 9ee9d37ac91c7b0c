"""A domain in its own script is mailed as its A-label."""

import pytest

from tests.fakes.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_domain_goes_out_as_a_label(rig: Rig) -> None:
    """The event shows the address as submitted and the domain as A-label; the envelope holds the A-label."""
    async with rig.destination() as place:
        address = f"ada@Bücher.{place.domain}"
        told = await rig.deliver(rig.payload(address))
        event = told.end(address)
        assert event["type"] == "delivered"
        assert event["recipient_domain"] == f"xn--bcher-kva.{place.domain}"
        assert [received.recipient for received in place.mx.accepted] == [f"ada@xn--bcher-kva.{place.domain}"]
        assert rig.verifies(place.mx.received[0])
