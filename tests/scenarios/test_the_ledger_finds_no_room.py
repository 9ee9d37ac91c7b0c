"""A14: no room on the disk for the ledger: nothing is sent that could not be written down, and it goes on by itself."""

import resource
import sys

from tests.fakes.rig import Rig, check_copies, numbered


async def test_a14_intake_stops_and_goes_on(own_rig: Rig) -> None:
    """A limit on the size of files stands for the full disk; when it is lifted the payload goes out, once."""
    usual = rig_command(own_rig, "ulimit -S -f 100")
    await own_rig.start()
    async with own_rig.destination() as place:
        payload = own_rig.payload(*numbered(place.domain, 20))
        await own_rig.publish(payload)
        await own_rig.until_logged("payload_left")
        assert not place.mx.received
        assert not own_rig.told(payload).events
        _, hard = resource.prlimit(own_rig.daemon.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(own_rig.daemon.pid, resource.RLIMIT_FSIZE, (hard, hard))
        told = await own_rig.finished(payload)
        check_copies(place, told)
        assert told.counts() == {"delivered": 20}
    own_rig.daemon.command = usual


def rig_command(rig: Rig, first: str) -> tuple[str, ...]:
    """The daemon begins with a line of shell; returns its usual command."""
    usual = rig.daemon.command
    rig.daemon.command = ("/bin/sh", "-c", f'{first}; exec "$0" "$@"', sys.executable, "-m", "mta.cli", "run")
    return usual
