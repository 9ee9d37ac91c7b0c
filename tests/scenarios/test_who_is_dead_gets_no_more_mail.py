"""A recipient whose server says he does not exist is suppressed; the next payload does not try him."""

import json
import sys
from typing import Any

import pytest

from mta.demo.process import DaemonFailed
from mta.jetstream.connection import open_link
from mta.jetstream.consumers import consumer_state, create_consumer
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import EVENTS, STRIKES, SUPPRESSION, SUPPRESSOR_CONSUMER, fixed_consumers
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import render
from mta.suppression.key import mark_key
from mta.suppression.store import MarkStore
from tests.fakes.nats import NatsServer, eventually
from tests.fakes.rig import TENANTS, Place, Rig, numbered
from tests.fakes.smtp_server import On

UNKNOWN = b"550 5.1.1 no such user\r\n"
NOW = 1_795_000_000.0


def store(rig: Rig) -> MarkStore:
    return MarkStore(Bucket(rig.link, SUPPRESSION))


async def marked(rig: Rig, address: str, stream: str = "") -> Any:
    """The mark of an address, once it is there."""
    key = mark_key("acme", address, stream)

    async def is_there() -> bool:
        return await store(rig).get(key) is not None

    await eventually(is_there)
    kept = await store(rig).get(key)
    assert kept is not None
    return kept.mark


async def mark(rig: Rig, address: str, reason: str, stream: str = "") -> None:
    """By somebody else; the daemon knows when its own answer says so."""
    mark = Mark(SuppressReason(reason), render(NOW))
    await store(rig).add(mark_key("acme", address, stream), mark, NOW)


async def mark_all(rig: Rig, *marks: tuple[str, ...]) -> None:
    """The last one is known when it works."""
    for one in marks:
        await mark(rig, *one)
    probe = marks[-1]

    async def is_known() -> bool:
        told = await rig.deliver(rig.payload(probe[0], stream=probe[2] if len(probe) > 2 else ""))
        return told.counts() == {"suppressed": 1}

    await eventually(is_known)


def tries(place: Place, address: str) -> int:
    return sum(line.startswith(b"RCPT TO:<" + address.encode()) for _, line in place.mx.lines)


async def test_a_hard_bounce_suppresses(own_rig: Rig) -> None:
    """The next payload ends for him with `suppressed`, before any connection; his neighbour gets his mail."""
    await own_rig.start()
    async with own_rig.destination() as place:
        gone, here = place.to("gone"), place.to("here")
        place.mx.rules = [On("rcpt", [UNKNOWN], recipient=gone)]
        first = await own_rig.deliver(own_rig.payload(gone, here))
        assert first.counts() == {"bounced": 1, "delivered": 1}
        kept = await marked(own_rig, gone)
        assert (kept.reason, kept.source, kept.address) == ("invalid_recipient", first.end(gone)["id"], gone)
        second = await own_rig.deliver(own_rig.payload(gone, here))
        end = second.end(gone)
        assert (end["type"], end["bounce"]["class"], end["bounce"]["detail"]) == (
            "suppressed",
            "local",
            "invalid_recipient",
        )
        assert second.counts() == {"suppressed": 1, "delivered": 1}
        rehearsed = await own_rig.deliver(own_rig.payload(gone, here, dry_run=True))
        assert rehearsed.counts() == {"suppressed": 1, "cancelled": 1}
        assert rehearsed.end(gone)["dry_run"] is True
        assert tries(place, gone) == 1


@pytest.mark.parametrize("point", ["before_mark", "after_mark"])
async def test_it_is_marked_though_the_daemon_dies_after_the_event(
    own_rig: Rig, nats_server: NatsServer, point: str
) -> None:
    """Whoever reads the event next makes the mark, once, also where the event does not tell the address."""
    await impatient(nats_server)
    configuration = own_rig.config.read_text()
    own_rig.config.write_text(configuration + '\n[events]\nrecipient = "domain"\n')
    usual = own_rig.daemon.command
    own_rig.daemon.command = (sys.executable, "-m", "tests.fakes.failpoints", point, "run")
    await own_rig.start()
    async with own_rig.destination() as place:
        gone = place.to("gone")
        place.mx.rules = [On("rcpt", [UNKNOWN], recipient=gone)]
        await own_rig.publish(own_rig.payload(gone))
        with pytest.raises(DaemonFailed, match="-9"):
            await own_rig.daemon.watch()
        own_rig.daemon.command = usual
        await own_rig.daemon.start()
        assert (await marked(own_rig, gone)).address == gone
        await eventually(lambda: idle(own_rig))
        assert await own_rig.messages(f"KV_{SUPPRESSION}") == 1
        events = [event for told in own_rig.events.values() for event in told]
        assert all(gone not in json.dumps(event) for event in events)
        assert [event["type"] for event in events if "sealed_recipient" in event] == ["bounced"]
        await own_rig.publish(own_rig.payload(gone, id="again"))
        await own_rig.until(lambda: "suppressed" in [event["type"] for event in own_rig.events["again"]])
        assert tries(place, gone) == 1


async def impatient(server: NatsServer) -> None:
    """What a dead daemon had in hand is given out again after two seconds."""
    link = await open_link(server.settings(), name="setup", report=lambda _: None)
    for consumer in fixed_consumers(2.0):
        await create_consumer(link, consumer)
    await link.close()


async def idle(rig: Rig) -> bool:
    """Every event that may suppress was dealt with."""
    state = await consumer_state(rig.link, EVENTS, SUPPRESSOR_CONSUMER)
    return state is not None and not state.pending and not state.ack_pending


async def test_a_stream_that_was_left_leaves_the_others(own_rig: Rig) -> None:
    """Receipts go on after the newsletter; after a complaint nothing goes on. A complaint is skipped for nobody."""
    own_rig.configure(tenants=TENANTS.replace("pools =", "skip_suppression = true\npools =", 1))
    await own_rig.start()
    way_out = {"mailto": "unsub@acme.test"}
    async with own_rig.destination() as place:
        left, complained, dead = (place.to(name) for name in ("left", "complained", "dead"))
        everybody = (left, complained, dead)
        await mark_all(
            own_rig,
            (dead, "invalid_recipient"),
            (left, "unsubscribed", "newsletter"),
            (complained, "complained"),
        )
        letter = {"stream": "newsletter", "unsubscribe": way_out}
        news = await own_rig.deliver(own_rig.payload(*everybody, **letter))
        assert [news.end(one)["type"] for one in everybody] == ["suppressed"] * 3
        receipt = await own_rig.deliver(own_rig.payload(*everybody, stream="receipts"))
        assert [receipt.end(one)["type"] for one in everybody] == ["delivered", "suppressed", "suppressed"]
        urgent = await own_rig.deliver(own_rig.payload(*everybody, skip_suppression=True, **letter))
        assert [urgent.end(one)["type"] for one in everybody] == ["delivered", "suppressed", "delivered"]
        assert urgent.end(complained)["bounce"]["detail"] == "complained"


async def test_nobody_skips_who_may_not(own_rig: Rig) -> None:
    """The payload is refused, and says why."""
    await own_rig.start()
    told = await own_rig.deliver(own_rig.payload("a@d0.test", skip_suppression=True))
    (event,) = told.events
    assert (event["type"], event["error"]["code"]) == ("rejected", "unsupported")
    assert "not allowed to this tenant" in event["error"]["text"]


async def test_who_waits_for_a_retry_is_looked_up_again(own_rig: Rig) -> None:
    """Suppressed while deferred, he is not tried a second time."""
    own_rig.configure(retry="2s")
    await own_rig.start()
    async with own_rig.destination() as place:
        slow = place.to("slow")
        place.mx.rules = [On("rcpt", [b"450 4.2.1 later\r\n"], recipient=slow)]
        payload = own_rig.payload(slow)
        await own_rig.publish(payload)
        await own_rig.saw(payload, "deferred")
        await mark(own_rig, slow, "complained")
        told = await own_rig.finished(payload)
        assert told.types(slow)[-1] == "suppressed"
        assert told.end(slow)["attempt"] == tries(place, slow)


async def test_a_domain_that_knows_nobody_any_more_is_guarded(own_rig: Rig) -> None:
    """The first ones of a broken directory are suppressed, then no more; operators are told once."""
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [UNKNOWN])) as place:
        told = await own_rig.deliver(own_rig.payload(*numbered(place.domain, 60)))
        assert told.counts() == {"bounced": 60}
        bounces = [told.end(one)["bounce"] for one in numbered(place.domain, 60)]
        guarded = [bounce for bounce in bounces if bounce.get("detail") == "domain_guard"]
        assert len(guarded) == 41
        assert {(one["confidence"], *one["actions"]) for one in guarded} == {("low", "fail")}
        await eventually(lambda: idle(own_rig))
        assert await own_rig.messages(f"KV_{SUPPRESSION}") == 19
        assert await own_rig.messages(f"KV_{STRIKES}") == 0
        (event,) = await own_rig.operations("domain_guard")
        assert (event["domain"], event["invalid"]) == (place.domain, "20 of 20")


async def test_suppressed_is_told_once_through_a_crash(own_rig: Rig, nats_server: NatsServer) -> None:
    """As any other end of a recipient."""
    await impatient(nats_server)
    own_rig.configure(ack_wait_s=2.0)
    usual = own_rig.daemon.command
    await own_rig.start()
    async with own_rig.destination() as place:
        gone, here = place.to("gone"), place.to("here")
        await mark_all(own_rig, (gone, "manual"))
        await own_rig.daemon.stop()
        own_rig.daemon.command = (sys.executable, "-m", "tests.fakes.failpoints", "after_event_kept", "run")
        await own_rig.daemon.start()
        payload = own_rig.payload(gone, here)
        await own_rig.publish(payload)
        with pytest.raises(DaemonFailed, match="-9"):
            await own_rig.daemon.watch()
        own_rig.daemon.command = usual
        await own_rig.daemon.start()
        told = await own_rig.finished(payload)
        assert told.counts() == {"suppressed": 1, "delivered": 1}
