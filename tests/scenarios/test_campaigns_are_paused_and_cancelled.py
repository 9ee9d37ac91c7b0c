"""An operator holds a campaign back, lets it go, or withdraws it, from any node and through restarts."""

import asyncio
import json

import pytest

from mta.jetstream.layout import OPS
from mta.model.lane import Lane
from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import Hold, On

TAKEN = b"250 2.0.0 taken\r\n"


async def order(rig: Rig, *words: str) -> dict[str, object]:
    """`mta campaign …`, which must do as it is told."""
    code, out, err = await rig.mta("campaign", *words, "--json")
    assert code == 0, err
    return json.loads(out or b"{}")  # type: ignore[no-any-return]


async def test_paused_before_it_comes_it_waits_in_the_stream(own_rig: Rig) -> None:
    """Its neighbour goes out; resumed it goes out too, once."""
    await own_rig.start()
    async with own_rig.destination() as place:
        await order(own_rig, "pause", "slow", "--tenant", "acme", "--reason", "too many complaints")
        slow, quick = (own_rig.payload(*numbered(place.domain, 20, name)) for name in ("s", "q"))
        await own_rig.publish(slow, lane=Lane.BULK, campaign="slow")
        beside = await own_rig.deliver(quick, lane=Lane.BULK, campaign="quick")
        assert beside.counts() == {"delivered": 20}
        assert not own_rig.told(slow).events
        code, out, _ = await own_rig.mta("campaign", "ls", "--json")
        assert code == 0
        (row,) = (json.loads(line) for line in out.splitlines())
        assert (row["campaign"], row["payloads"], row["state"]) == ("slow", 1, "paused")
        assert row["reason"] == "too many complaints"
        await order(own_rig, "resume", "slow", "--tenant", "acme")
        told = await own_rig.finished(slow)
        check_copies(place, beside, told)
        assert told.counts() == {"delivered": 20}
        assert await own_rig.messages(OPS) == 2


async def test_paused_in_mid_work_the_rest_is_parked(own_rig: Rig) -> None:
    """What is on the wire ends; the others wait in the stream until it is resumed, their payload is acknowledged."""
    go_on = asyncio.Event()
    await own_rig.start()
    async with own_rig.destination(On("dot", [Hold(go_on), TAKEN], times=20)) as place:
        payload = own_rig.payload(*numbered(place.domain, 200))
        await own_rig.publish(payload, lane=Lane.BULK, campaign="c")
        await place.mx.until(lambda: len(place.mx.received) >= 1)
        await order(own_rig, "pause", "c", "--tenant", "acme", "--reason", "why not")
        go_on.set()
        await own_rig.emptied_of_fresh(payload)
        sent = sum(place.copies.values())
        assert 1 <= sent < 200
        await order(own_rig, "resume", "c", "--tenant", "acme")
        told = await own_rig.finished(payload)
        check_copies(place, told)
        assert told.counts() == {"delivered": 200}
        assert not any(event["type"] == "deferred" for event in told.events)


@pytest.mark.parametrize(("verb", "end"), [("resume", "delivered"), ("cancel", "cancelled")])
async def test_the_parked_are_let_go_before_they_are_stored(own_rig: Rig, verb: str, end: str) -> None:
    """Their payload is still at work when the pause ends: they are not left to what was meant for a pause."""
    go_on = asyncio.Event()
    await own_rig.start()
    async with own_rig.destination(On("dot", [Hold(go_on), TAKEN], times=20)) as place:
        payload = own_rig.payload(*numbered(place.domain, 200))
        await own_rig.publish(payload, lane=Lane.BULK, campaign="c")
        await place.mx.until(lambda: len(place.mx.received) >= 1)
        for what in ("pause", verb):
            reason = ("--reason", "why not") if what != "resume" else ()
            await order(own_rig, what, "c", "--tenant", "acme", *reason)
        go_on.set()
        told = await own_rig.finished(payload)
        check_copies(place, told)
        assert told.counts()[end] >= (200 if verb == "resume" else 1)
        assert told.counts().total() == 200
        assert not any(event["type"] == "deferred" for event in told.events)


async def test_cancelled_everybody_gets_his_event(own_rig: Rig) -> None:
    """Those who wait for a retry, those in work, and those who come later; nothing is left anywhere."""
    own_rig.configure(retry="10m")
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [b"450 4.2.1 later\r\n"], times=10)) as place:
        waiting, fresh = (own_rig.payload(*numbered(place.domain, 10, name)) for name in ("w", "f"))
        await own_rig.publish(waiting, lane=Lane.BULK, campaign="c")
        await own_rig.saw(waiting, "deferred", 10)
        await own_rig.emptied_of_fresh(waiting)
        said = await order(own_rig, "cancel", "c", "--tenant", "acme", "--reason", "wrong price")
        assert said["waiting"] == 1
        told = await own_rig.finished(waiting)
        assert told.counts() == {"cancelled": 10}
        assert all(
            told.end(one["email"])["bounce"]["detail"] == "wrong price" for one in waiting["recipients"]
        )
        await own_rig.daemon.stop()
        await own_rig.restart(retry="10m")
        await own_rig.publish(fresh, lane=Lane.BULK, campaign="c")
        assert (await own_rig.finished(fresh)).counts() == {"cancelled": 10}
        assert not place.copies


async def test_a_tenant_and_a_lane_can_be_paused(own_rig: Rig) -> None:
    """Transactional mail of a paused tenant is taken in and parked; that of a paused lane stays in the stream."""
    await own_rig.start()
    async with own_rig.destination() as place:
        await order(own_rig, "pause", "--tenant", "acme", "--reason", "unpaid", "--for", "2s")
        first = own_rig.payload(place.to("first"))
        assert (await own_rig.deliver(first)).counts() == {"delivered": 1}
        await order(own_rig, "pause", "--lane", "transactional", "--reason", "moving")
        second = own_rig.payload(place.to("second"))
        await own_rig.publish(second)
        bulk = own_rig.payload(place.to("bulk"))
        assert (await own_rig.deliver(bulk, lane=Lane.BULK, campaign="b")).counts() == {"delivered": 1}
        assert not own_rig.told(second).ended
        await order(own_rig, "resume", "--lane", "transactional")
        assert (await own_rig.finished(second)).counts() == {"delivered": 1}
        assert set(place.copies.values()) == {1}


async def test_orders_that_mean_nothing_are_refused(own_rig: Rig) -> None:
    """Without a target, without a reason, with two targets, and taking back what was never given."""
    await own_rig.start()
    for code, words in (
        (64, ("pause", "--reason", "x")),
        (64, ("pause", "c", "--tenant", "acme")),
        (64, ("pause", "c", "--tenant", "acme", "--lane", "bulk", "--reason", "x")),
        (64, ("pause", "c", "--tenant", "acme", "--reason", "x", "--for", "soon")),
        (1, ("resume", "c", "--tenant", "acme")),
    ):
        found, _, err = await own_rig.mta("campaign", *words)
        assert found == code, (words, err)
        assert b"Traceback" not in err
