"""SIGTERM under load finishes what is on the wire and hands the rest back; what comes next goes on from there."""

import asyncio
import signal

import pytest

from mta.demo.process import DaemonFailed
from mta.model.lane import Lane
from tests.fakes.rig import Rig, check_copies, numbered, signalled
from tests.fakes.smtp_server import CHUNKING, Hold, On


async def exited(rig: Rig, code: int, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        with pytest.raises(DaemonFailed, match=f"exit code {code}$"):
            await rig.daemon.watch()


async def test_stop_under_load_loses_and_repeats_nothing(own_rig: Rig) -> None:
    """A5: exit 0 in time, no traceback; after a restart every recipient has one end and one copy."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payloads = [
            own_rig.payload(*numbered(place.domain, 100, f"p{part}-"), campaign="spring") for part in range(8)
        ]
        for payload in payloads:
            await own_rig.publish(payload, lane=Lane.BULK, campaign="spring")
        await own_rig.until(lambda: place.copies.total() >= 200)
        signalled(own_rig.daemon, signal.SIGTERM)
        await exited(own_rig, 0, 10)
        assert "Traceback" not in own_rig.log
        assert place.copies.total() < 800
        await own_rig.restart()
        told = [await own_rig.finished(payload) for payload in payloads]
        check_copies(place, *told)


async def test_a_dot_on_the_wire_is_waited_for(own_rig: Rig) -> None:
    """S-15: the reply that comes while draining counts: delivered, once, and not again after a restart; then QUIT."""
    answering = asyncio.Event()
    await own_rig.start()
    async with own_rig.destination(On("dot", [Hold(answering), b"250 2.0.0 queued\r\n"], times=1)) as place:
        payload = own_rig.payload(place.to("ada"))
        await own_rig.publish(payload)
        await place.mx.until(lambda: bool(place.mx.received))
        signalled(own_rig.daemon, signal.SIGTERM)
        answering.set()
        await exited(own_rig, 0, 10)
        assert place.mx.commands(0)[-1] == b"QUIT\r\n"
        told = await own_rig.finished(payload)
        check_copies(place, told)
        await own_rig.restart()
        await own_rig.deliver(own_rig.payload(place.to("bob")))
        assert place.copies == {place.to("ada"): 1, place.to("bob"): 1}


async def test_second_signal_ends_it_at_once(own_rig: Rig) -> None:
    """A7: a peer that never answers holds the drain up; a second SIGTERM does not wait for it. What was open is sent
    after a restart."""
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [Hold(asyncio.Event())], times=1), offers=CHUNKING) as place:
        payload = own_rig.payload(place.to("ada"))
        await own_rig.publish(payload)
        await place.mx.until(lambda: any(line.startswith(b"RCPT") for _, line in place.mx.lines))
        signalled(own_rig.daemon, signal.SIGTERM)
        await own_rig.until_logged("node_draining")
        signalled(own_rig.daemon, signal.SIGTERM)
        await exited(own_rig, 1, 5)
        assert not place.copies


async def test_hangup_is_survived(own_rig: Rig) -> None:
    """SIGHUP, idle or in mid-work, ends nothing."""
    await own_rig.start()
    async with own_rig.destination() as place:
        signalled(own_rig.daemon, signal.SIGHUP)
        payload = own_rig.payload(*numbered(place.domain, 50))
        await own_rig.publish(payload)
        signalled(own_rig.daemon, signal.SIGHUP)
        check_copies(place, await own_rig.finished(payload))


async def test_a_stop_does_not_wait_for_quarantine(own_rig: Rig) -> None:
    """It ends in time; who was held there is neither lost nor failed, and goes on after a restart."""
    own_rig.configure(timeout="5s")
    await own_rig.start()
    loops = "{% for a in range(9999) %}" * 4 + "{% endfor %}" * 4
    content = {"subject": "Hi", "text": "{% if n %}" + loops + "{% endif %}x\n"}
    async with own_rig.destination() as place:
        guilty = [{"email": one, "data": {"n": 1}} for one in numbered(place.domain, 3, "guilty")]
        same = [{"email": one, "data": {"n": 0}} for one in numbered(place.domain, 30, "same")]
        payload = own_rig.payload(*guilty, *same, content=content)
        await own_rig.publish(payload)
        await own_rig.saw(payload, "delivered", 1)
        signalled(own_rig.daemon, signal.SIGTERM)
        await exited(own_rig, 0, 8)
        assert "failed" not in own_rig.told(payload).counts()
        await own_rig.restart(timeout="1s")
        told = await own_rig.finished(payload, 40)
        assert told.counts() == {"delivered": 30, "failed": 3}
        check_copies(place, told)
