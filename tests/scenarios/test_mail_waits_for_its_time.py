"""`send_at`: not before, by the same means as a retry, and withdrawn as any other."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from mta.jetstream.layout import RETRY
from mta.model.lane import Lane
from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import On

GREYLISTED = b"451 4.7.1 Greylisted\r\n"


def soon(seconds: float) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


async def test_it_goes_out_when_it_is_due(own_rig: Rig) -> None:
    """In both lanes: accepted at once, nothing else said of it; it waits in MTA_RETRY with all it needs, through a
    restart. Its Date is the time asked for; a retry after that is one like any other."""
    await own_rig.start()
    first, second = (On("rcpt", [GREYLISTED], times=1) for _ in Lane)
    async with own_rig.destination(first) as one, own_rig.destination(second) as other:
        at = soon(8)
        waiting = []
        for lane, place in zip(Lane, (one, other), strict=True):
            payload = own_rig.payload(*numbered(place.domain, 3), send_at=at.isoformat())
            await own_rig.publish(payload, lane=lane, campaign="c")
            await own_rig.emptied_of_fresh(payload)
            waiting.append((payload, place))
        assert await own_rig.messages("KV_MTA_CONTENT") == 0
        await own_rig.daemon.stop()
        await own_rig.restart()
        for payload, place in waiting:
            assert [event["type"] for event in own_rig.told(payload).events] == ["accepted"]
            assert not place.mx.received
        for payload, place in waiting:
            told = await own_rig.finished(payload)
            check_copies(place, told)
            assert told.counts() == {"delivered": 3}
            assert sum(event["type"] == "deferred" for event in told.events) == 1
            ended = [event["time"] for event in told.events if event["type"] != "accepted"]
            assert min(map(datetime.fromisoformat, ended)) >= at
            for address in numbered(place.domain, 3):
                assert parsedate_to_datetime(place.mail(address)["Date"]) == at


async def test_cancelled_before_its_time(own_rig: Rig) -> None:
    """Told at once, and never sent."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payload = own_rig.payload(*numbered(place.domain, 5), send_at=soon(86_400 * 29).isoformat())
        await own_rig.publish(payload, lane=Lane.BULK, campaign="spring")
        await own_rig.emptied_of_fresh(payload)
        assert await own_rig.messages(RETRY) == 1
        code, _, errors = await own_rig.mta(
            "campaign", "cancel", "spring", "--tenant", "acme", "--reason", "wrong"
        )
        assert code == 0, errors
        told = await own_rig.finished(payload)
        assert told.counts() == {"cancelled": 5}
        assert not place.mx.received
