"""What a provider objects to is held back there, by a rule or by a person; all others' mail goes on; and it can be
seen, explained and taken back."""

import asyncio
import json

import pytest

from mta.model.lane import Lane
from tests.fakes.nats import eventually
from tests.fakes.rig import SHAPING, TENANTS, Event, Payload, Rig, check_copies, numbered
from tests.fakes.smtp_server import Hold, On

BETA = """\
[tenants.beta]
pools = ["default"]
return_path = "b.beta.test"
domains."beta.test" = { require_dkim = false }
"""
DKIM = (
    "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating\r\n"
    "421-4.7.28 from your DKIM domain [acme.test 35]. To protect our users from spam,\r\n"
    "421 4.7.28 mail has been temporarily rate limited. a1si2 - gsmtp\r\n"
)
SAID = DKIM.replace("\r\n", "\n").replace("421-", "").removesuffix("\n").replace("\n421 ", "\n")
UNUSUAL = "Gmail has detected an unusual rate of unsolicited mail originating from"
RULES = f"""
[providers.google]
mx = [".google.com"]

[[automation]]
name = "google-dkim-domain"
provider = "google"
class = "rate_limited"
accused = "dkim_domain"
count = 2
window = "1h"
actions = [
  {{ kind = "suspend", at = "stream", for = "1h" }},
  {{ kind = "alert", at = "stream", for = "1h" }},
]
source = "a test"
example = "end_of_data: 421 4.7.28 {UNUSUAL} your DKIM domain [acme.test 35]."
counter = "end_of_data: 421 4.7.28 {UNUSUAL} your IP address"
"""


@pytest.fixture
async def google(own_rig: Rig) -> Rig:
    """A daemon with two tenants, all of whose destinations are Google's."""
    own_rig.configure(tenants=TENANTS + BETA)
    text = own_rig.config.read_text().replace(
        '", tls = "opportunistic"', '", provider = "google", tls = "opportunistic"'
    )
    own_rig.config.write_text(text)
    (own_rig.directory / "shaping.toml").write_text(SHAPING.replace('dot = "3s"', 'dot = "20s"') + RULES)
    await own_rig.start()
    return own_rig


async def queue(rig: Rig, *words: str) -> list[Event]:
    """`mta queue …`, which must do as it is told."""
    code, out, err = await rig.mta("queue", *words, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


async def in_force(rig: Rig) -> list[Event]:
    """By kind; without the stream that its pace has slowed on top of it, which comes back by itself."""
    actions = [one for one in await queue(rig, "actions") if one["kind"] != "pace"]
    return sorted(actions, key=lambda action: action["kind"])


def beta(rig: Rig, *recipients: str) -> Payload:
    sender = {"email": "news@beta.test"}
    return rig.payload(*recipients, **{"tenant": "beta", "from": sender})


async def test_google_objects_to_one_domain(google: Rig) -> None:
    """4.7.28 for the DKIM domain of one tenant: its stream is held there, another tenant's mail there goes on. Let go,
    it goes out at once, in the attempt it was held in."""
    async with google.destination(On("dot", [DKIM.encode()], times=2)) as place:
        first = google.payload(place.to("a"), place.to("b"))
        await google.publish(first)
        await google.saw(first, "deferred", 2)
        await eventually(lambda: "stream_suspended" in google.log)

        second = google.payload(*numbered(place.domain, 5))
        await google.publish(second)
        await google.emptied_of_fresh(second)
        others = await google.deliver(beta(google, place.to("x"), place.to("y")))
        assert others.counts() == {"delivered": 2}
        assert set(place.copies) == {place.to("x"), place.to("y")}

        alert, held = await in_force(google)
        assert (alert["kind"], held["kind"]) == ("alert", "suspend")
        assert held["aim"] == {"provider": "google", "tenant": "acme", "from_domain": "acme.test"}
        assert (held["rule"], held["by"], held["count"]) == ("google-dkim-domain", "automation@rig", 2)
        assert held["class"] == "rate_limited"
        assert held["reply"] == f"421 {SAID}"
        assert not google.told(second).ended

        await queue(google, "release", held["id"][:6], "--reason", "the list was cleaned")
        for payload in (first, second):
            told = await google.finished(payload)
            assert set(told.counts()) == {"delivered"}
        assert not any(event["type"] == "deferred" for event in google.told(second).events)
        assert {event["attempt"] for event in google.told(second).events if "attempt" in event} == {1}
        check_copies(place, others, google.told(first), google.told(second))
        assert [one["kind"] for one in await in_force(google)] == ["alert"]
    (begun,) = await google.operations("stream_suspended")
    (ended,) = await google.operations("stream_resumed")
    (alerted,) = await google.operations("alert")
    assert begun["action"] == ended["action"] == held["id"]
    assert ended["reason"] == "the list was cleaned"
    assert alerted["rule"] == "google-dkim-domain"


async def test_a_person_holds_what_waits_already(google: Rig) -> None:
    """What is on the wire ends; the rest is parked without an attempt; others' mail and other ways go on."""
    go_on = asyncio.Event()
    taken = b"250 2.0.0 taken\r\n"
    async with google.destination(On("dot", [Hold(go_on), taken], times=20)) as place:
        payload = google.payload(*numbered(place.domain, 100))
        await google.publish(payload, lane=Lane.BULK, campaign="c")
        await place.mx.until(lambda: len(place.mx.received) >= 1)
        words = ("--tenant", "acme", "--campaign", "c", "--provider", "google")
        (made,) = await queue(google, "hold", *words, "--reason", "wrong price")
        assert made["aim"] == {"provider": "google", "tenant": "acme", "campaign": "c"}
        await eventually(lambda: google.told(payload) and _is_parked(google, payload))
        go_on.set()
        await google.emptied_of_fresh(payload)
        sent = sum(place.copies.values())
        assert 1 <= sent < 100
        other = await google.deliver(google.payload(place.to("other")))
        assert other.counts() == {"delivered": 1}
        await queue(google, "release", made["id"], "--reason", "right price")
        told = await google.finished(payload)
        assert told.counts() == {"delivered": 100}
        assert not any(event["type"] == "deferred" for event in told.events)
        check_copies(place, other, told)


@pytest.mark.parametrize("aim", [("--provider", "google"), ("--source", "one")])
async def test_a_path_that_was_held_is_let_go(google: Rig, aim: tuple[str, str]) -> None:
    """Whoever was parked for it is due at once, in both lanes, and nobody comes back as if it had refused."""
    async with google.destination() as place:
        (made,) = await queue(google, "hold", *aim, "--reason", "moving", "--for", "1h")
        bulk, quick = google.payload(*numbered(place.domain, 60, "b")), google.payload(place.to("q"))
        await google.publish(bulk, lane=Lane.BULK, campaign="c")
        await google.publish(quick)
        for payload in (bulk, quick):
            await google.emptied_of_fresh(payload)
        assert not place.copies
        await queue(google, "release", made["id"], "--reason", "moved")
        told = [await google.finished(payload) for payload in (bulk, quick)]
        check_copies(place, *told)
        assert [one.counts() for one in told] == [{"delivered": 60}, {"delivered": 1}]
        assert await queue(google, "actions") == []


async def _is_parked(rig: Rig, payload: Payload) -> bool:
    return await rig.messages("MTA_RETRY") > 0


async def test_holds_that_mean_nothing_are_refused(google: Rig) -> None:
    """Without an aim, a reason or an end; names that do not exist, with those that do; limits for senders."""
    why = ("--reason", "x")
    for code, words, said in (
        (64, ("hold", *why), "name what is to be held"),
        (64, ("hold", "--provider", "google"), "Missing option '--reason'"),
        (64, ("hold", "--provider", "gogle", *why), 'did you mean "google"?'),
        (64, ("hold", "--source", "on", *why), 'did you mean "one"?'),
        (64, ("hold", "--tenant", "acm", *why), 'did you mean "acme"?'),
        (
            64,
            ("hold", "--tenant", "acme", "--from-domain", "beta.test", *why),
            "there is no From domain beta.test",
        ),
        (64, ("hold", "--campaign", "c", *why), "--tenant is needed"),
        (64, ("hold", "--provider", "google", *why, "--for", "0"), "each action has an end"),
        (64, ("hold", "--provider", "google", *why, "--for", "soon"), "expected a time"),
        (64, ("hold", "--provider", "google", *why, "--rate", "fast"), "expected a rate"),
        (64, ("hold", "--tenant", "acme", *why, "--rate", "1/s"), "Senders can only be held"),
        (1, ("release", "abcdef", *why), "no action in force has the id abcdef"),
        (64, ("release", "abcdef"), "Missing option '--reason'"),
    ):
        found, _, err = await google.mta("queue", *words)
        assert found == code, (words, err)
        assert said in err.decode(), (words, err)
    assert await queue(google, "actions") == []


async def test_what_holds_is_explained_to_a_person(google: Rig) -> None:
    """At whom, since when, until when, how, why, by whom; and how to take it back."""
    code, out, err = await google.mta(
        "queue", "hold", "--source", "one", "--provider", "google", "--connections", "1", "--rate", "10/min",
        "--for", "2h", "--reason", "asked to",
    )  # fmt: skip
    assert code == 0
    assert out.startswith(b"Slowed to 1 connection, 10/min: all mail to google from source one, until ")
    assert b"mta queue release " in err
    code, out, _ = await google.mta("queue", "actions")
    assert code == 0
    lines = out.decode().splitlines()
    assert lines[0].split() == ["throttle", "source=one", "provider=google"]
    assert [line.split()[0] for line in lines[1:]] == ["until", "limit", "reason", "by", "id"]
    assert "in 120 min" in lines[1] or "in 2 h 0 min" in lines[1]
    assert (await google.operations("path_throttled"))[0]["message_rate"] == "10/60s"
