"""Whoever asks what waits is told how much it is, what keeps it, and when it will be done."""

import json
from typing import Any

from mta.flow.release import release_waiting
from mta.intake.orders import Target
from mta.jetstream.consumers import held_subjects
from mta.jetstream.layout import RETRY
from mta.jetstream.schedule import Held, description
from mta.model.lane import Lane
from tests.fakes.rig import Rig, numbered

Told = dict[str, dict[str, Any]]


async def backlog(rig: Rig, *words: str) -> Told:
    code, out, err = await rig.mta("explain", "backlog", *words, "--json")
    assert code == 0, err
    return {row["row"]: row for row in map(json.loads, out.splitlines())}


def binds(row: dict[str, Any]) -> list[str]:
    return [bind["kind"] for bind in row["binds"]]


async def test_a_message_rate_binds(own_rig: Rig) -> None:
    """It is named, with whom it is of; the rate is measured as it was set, and the end follows from it."""
    shaping = own_rig.directory / "shaping.toml"
    shaping.write_text(shaping.read_text().replace('message_rate = "100000/s"', 'message_rate = "2/s"'))
    await own_rig.start()
    async with own_rig.destination() as place:
        payload = own_rig.payload(*numbered(place.domain, 60))
        await own_rig.publish(payload, lane=Lane.BULK, campaign="c")
        await own_rig.saw(payload, "delivered", 4)
        told = (await backlog(own_rig))["other"]
        assert binds(told)[0] == "message_rate"
        assert "message rate 2/s: one to " in told["binds"][0]["text"]
        assert 30 <= told["now"] <= 58
        assert not told["is_estimate"]
        assert told["eta"] == "at"
        assert 0.5 <= told["rate"] <= 4
        of_campaign = (await backlog(own_rig, "--campaign", "c"))["acme/c"]
        assert binds(of_campaign)[0] == "message_rate"
        code, out, _ = await own_rig.mta("explain", "backlog", "--provider", "other")
        assert code == 0
        assert b"message rate 2/s" in out
        (node,) = await nodes(own_rig)
        assert (node["node"], node["payloads"], node["is_broker"]) == ("rig", 1, False)


async def nodes(rig: Rig) -> list[dict[str, Any]]:
    _, out, _ = await rig.mta("nodes", "--json")
    return [json.loads(line) for line in out.splitlines()]


async def test_a_dead_host_binds(own_rig: Rig) -> None:
    """Who waits for it is counted from headers, with why and until when; a message that has fired says it too."""
    own_rig.configure(hold="2s", retry="10m", shaping='[providers.google]\nmx = [".google.test"]\n')
    await own_rig.start()
    payload = own_rig.payload(*numbered(own_rig.dead_domain(), 50))
    await own_rig.publish(payload, lane=Lane.BULK, campaign="dead")
    await own_rig.emptied_of_fresh(payload)
    told = (await backlog(own_rig))["other"]
    assert (told["now"], told["later"]) == (0, 50)
    assert told["reasons"].keys() == {"connect_failed", "backed_off"}
    assert told["eta"] == "not_before"
    assert told["next_due"]
    assert told["binds"][0]["text"] == "parked: the destination could not be reached"
    only = await backlog(own_rig, "--provider", "google")
    assert only.keys() == {"total"}
    assert only["total"]["now"] == only["total"]["later"] == 0
    await order(own_rig, "cancel", "dead")
    await own_rig.finished(payload)


async def test_while_it_is_tried_the_failure_is_named(own_rig: Rig) -> None:
    """In hand, because it may wait so long: backed off until then, after that answer."""
    await own_rig.start()
    payload = own_rig.payload(*numbered(own_rig.dead_domain(), 20))
    await own_rig.publish(payload, lane=Lane.BULK, campaign="dead")
    await own_rig.saw(payload, "deferred", 3)
    told = (await backlog(own_rig))["other"]
    (bind,) = (bind for bind in told["binds"] if bind["kind"] in ("backed_off", "connecting"))
    assert "one to " in bind["text"]
    assert "connect: " in bind["text"]
    assert told["in_hand"] > 0


async def test_a_pause_binds(own_rig: Rig) -> None:
    """What is fresh is estimated from the payloads, and is not done before somebody lets it go."""
    await own_rig.start()
    await order(own_rig, "pause", "c", "--for", "0")
    async with own_rig.destination() as place:
        payloads = [own_rig.payload(*numbered(place.domain, 10, f"r{n}-")) for n in range(3)]
        for payload in payloads:
            await own_rig.publish(payload, lane=Lane.BULK, campaign="c")
        told = await backlog(own_rig)
        row = told[""]
        assert (row["now"], row["is_estimate"], row["held"], row["eta"]) == (30, False, 30, "not_before")
        assert binds(row) == ["paused"]
        assert "campaign acme/c paused until it is resumed" in row["binds"][0]["text"]
        assert "wrong price" in row["binds"][0]["text"]
        code, out, _ = await own_rig.mta("explain", "backlog", "--tenant", "acme")
        assert code == 0
        assert b"when it is resumed" in out
        await order(own_rig, "resume", "c")
        for payload in payloads:
            await own_rig.finished(payload)
        assert (await backlog(own_rig))["total"]["now"] == 0


async def order(rig: Rig, verb: str, campaign: str, *words: str) -> None:
    reason = () if verb == "resume" else ("--reason", "wrong price")
    code, _, err = await rig.mta("campaign", verb, campaign, "--tenant", "acme", *reason, *words)
    assert code == 0, err


async def test_no_node_binds(own_rig: Rig) -> None:
    """What waits is counted all the same; `mta nodes` says that there is none."""
    await own_rig.start()
    await own_rig.daemon.stop()
    payload = own_rig.payload(*numbered(own_rig.dead_domain(), 10))
    await own_rig.publish(payload, lane=Lane.BULK, campaign="c")
    told = await backlog(own_rig)
    assert (told["total"]["now"], told["total"]["eta"]) == (10, "stuck")
    assert binds(told[""]) == ["no_node"]
    code, out, _ = await own_rig.mta("explain", "backlog")
    assert code == 0
    assert b"no node is running" in out
    assert (await own_rig.mta("nodes"))[0] == 1


async def test_what_was_released_early_still_says_what_it_holds(own_rig: Rig) -> None:
    """A message that was parked for a pause and is due again before its time."""
    await own_rig.start()
    await order(own_rig, "pause", "c")
    async with own_rig.destination() as place:
        payload = own_rig.payload(*numbered(place.domain, 10))
        await own_rig.publish(payload, campaign="c")
        await own_rig.emptied_of_fresh(payload)
        await own_rig.daemon.stop()
        schedules = await held_subjects(own_rig.link, RETRY, "mta.retry.>")
        (subject,) = schedules
        stored = await own_rig.link.last_message(RETRY, subject)
        assert stored is not None
        assert description(stored.headers) == Held(10, {"": 10}, "paused")
        target = Target("acme", "c")
        await release_waiting(own_rig.link, target, only_paused=True)
        (due,) = await held_subjects(own_rig.link, RETRY, "mta.due.>")
        fired = await own_rig.link.last_message(RETRY, due)
        assert fired is not None
        assert description(fired.headers) == Held(10, {"": 10}, "paused")
        assert (await backlog(own_rig))[""]["now"] == 10
