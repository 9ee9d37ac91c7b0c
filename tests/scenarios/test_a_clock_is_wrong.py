"""N12: a host whose clock is five minutes off does what it has to do when it is due, as the others do."""

import sys
from datetime import datetime

import pytest

from tests.fakes.rig import Rig, check_copies
from tests.fakes.smtp_server import On

GREYLISTED = b"451 4.7.1 Greylisted\r\n"


@pytest.mark.parametrize("ahead_s", [300.0, -300.0])
async def test_n12_a_retry_is_neither_late_nor_early(own_rig: Rig, ahead_s: float) -> None:
    """Its next attempt is 3 s after the first the message the same, and the log says what is
    wrong."""
    own_rig.configure(retry="3s")
    config = own_rig.config.read_text()
    own_rig.config.write_text(config.replace('greylist = "1s"', 'greylist = "3s"'))
    usual = own_rig.daemon.command
    own_rig.daemon.command = (sys.executable, "-m", "tests.fakes.wrong_clock", str(ahead_s), "run")
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [GREYLISTED], times=1)) as place:
        payload = own_rig.payload(place.to("ada"))
        await own_rig.publish(payload)
        await own_rig.saw(payload, "deferred")
        told = await own_rig.finished(payload)
        check_copies(place, told)
        deferred, delivered = told.of(place.to("ada"))
        assert delivered["attempt"] == 2
        tried = [datetime.fromisoformat(one["time"]) for one in (deferred, delivered)]
        assert 2.9 <= (tried[1] - tried[0]).total_seconds() <= 8.0
        await own_rig.until_logged("clock_differs")
    own_rig.daemon.command = usual
