"""A4: kill -9 at each seam on the way of one message; the next life brings it to its one end."""

import sys
from pathlib import Path

import pytest

from mta.demo.process import DaemonFailed
from mta.jetstream.connection import open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from tests.fakes.failpoints import POINTS
from tests.fakes.nats import NatsServer
from tests.fakes.rig import Rig

pytestmark = pytest.mark.begun_first

ACK_WAIT_S = 2.0
MAY_REPEAT = {"after_dot", "after_250_read"}
"""The dot was on the wire, or its 250 not yet in the ledger."""


@pytest.mark.parametrize("point", POINTS)
async def test_a4_one_end_and_no_copy_too_many(point: str, tmp_path: Path, nats_server: NatsServer) -> None:
    """Whatever the moment: one terminal event, nothing left in the streams, and a second copy only where nobody could
    know of the first."""
    link = await open_link(nats_server.settings(), name="setup", report=lambda _: None)
    await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=ACK_WAIT_S)
    await link.close()
    rig = Rig(tmp_path, server=nats_server.url, ack_wait_s=ACK_WAIT_S)
    usual = rig.daemon.command
    rig.daemon.command = (sys.executable, "-m", "tests.fakes.failpoints", point, "run")
    try:
        await rig.start()
        async with rig.destination() as place:
            payload = rig.payload(place.to("ada"))
            await rig.publish(payload)
            with pytest.raises(DaemonFailed, match="-9"):
                await rig.daemon.watch()
            rig.daemon.command = usual
            await rig.daemon.start()
            told = await rig.finished(payload)
            assert told.counts() == {"delivered": 1}
            copies = place.copies[place.to("ada")]
            assert copies == 1 or (copies == 2 and point in MAY_REPEAT)
            assert "Traceback" not in rig.log
    finally:
        await rig.close()
