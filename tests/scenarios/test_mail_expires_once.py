"""What cannot be delivered in time ends with one `expired` event that says why."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.rig import Rig, check_copies
from tests.fakes.smtp_server import Cut, On

pytestmark = pytest.mark.asyncio(loop_scope="session")


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_last_class_is_told(rig: Rig) -> None:
    """Deferred again and again until `expires_at`; then expired on time, and never tried after it."""
    async with rig.destination(On("rcpt", [b"452 4.2.2 mailbox full\r\n"])) as place:
        expires_at = soon(3)
        told = await rig.deliver(rig.payload(place.to("ada"), expires_at=expires_at))
        assert told.types(place.to("ada"))[-1] == "expired"
        assert "deferred" in told.types(place.to("ada"))
        event = told.end(place.to("ada"))
        assert event["bounce"]["last_class"] == "mailbox_full"
        late = datetime.fromisoformat(event["time"]) - datetime.fromisoformat(expires_at)
        assert timedelta(0) <= late < timedelta(seconds=3)
        assert not place.copies


async def test_a_stalled_connection_does_not_hold_expiry_back(rig: Rig) -> None:
    """Those that wait behind a silent peer expire on time; the one on the wire is settled once, by its connection."""
    async with rig.destination(On("rcpt", [Cut.SILENCE]), On("banner", [Cut.SILENCE], connection=1)) as place:
        asked = [place.to(f"r{number}") for number in range(3)]
        told = await rig.deliver(rig.payload(*asked, expires_at=soon(2)))
        check_copies(place, told)
        assert told.counts() == {"expired": 3}
