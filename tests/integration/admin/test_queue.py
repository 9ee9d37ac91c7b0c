"""`mta.admin.queue` beyond what the stories tell: ids, and what lies in the bucket beside actions."""

import json
import time
from datetime import datetime
from typing import Any

import pytest

from mta.admin.control import LIMITS, RELEASE, NodeControl
from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.output import Output
from mta.admin.queue import actions, release
from mta.admin.slowed import Pacing, release_slowed, slowed
from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.config.settings import Config
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL, OPS
from mta.jetstream.service import Endpoint, NodeService
from mta.model.outcome import Stage
from mta.model.reply import Reply
from mta.model.sender import Sender
from mta.pacing.action import Action, ActionKind, Aim, encode_action
from mta.pacing.actions import Actions
from mta.pacing.governor import Why
from mta.pacing.governors import Governors
from mta.pacing.settings import PathSettings
from mta.queue.settings import RateLimit


def action(until: float, **aim: str) -> Action:
    kind = ActionKind.SUSPEND
    return Action(kind=kind, aim=Aim(**aim), since=time.time(), until=until, rule="r", reply="421 \x1b[31mno")


async def test_only_what_is_in_force_is_listed(
    link: Link, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next end first; what ended, what cannot be read and other keys are left out; a reply moves no cursor."""
    bucket, now = Bucket(link, CONTROL), time.time()
    late, soon, ended = (
        action(now + 900, source="a"),
        action(now + 60, source="b"),
        action(now - 1, source="c"),
    )
    for one in (late, soon, ended):
        await bucket.put(one.key, encode_action(one))
    await bucket.put("action.torn", b"{")
    await bucket.put("pause.tenant.acme", b"{}")
    assert await actions(config, {}, Output(True)) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["id"] for one in listed] == [soon.id, late.id]
    assert await actions(config, {}, Output(), late.id[:8]) == 0
    said = capsys.readouterr().out
    assert "suspend  source=a" in said
    assert "\x1b" not in said
    assert "source=b" not in said


async def test_an_id_must_mean_one_action(link: Link, config: Config) -> None:
    """Its beginning will do if it is no other's; nothing is taken back unless each id is known."""
    bucket, now = Bucket(link, CONTROL), time.time()
    known = action(now + 60, source="a")
    await bucket.put(known.key, encode_action(known))
    for ids in ([known.id[:3]], ["ffffffff"], [known.id, "ffffffff"]):
        with pytest.raises(WrongInput):
            await release(config, {}, Output(True), ids, "why")
    with pytest.raises(WrongUsage):
        await release(config, {}, Output(True), [known.id], "")
    assert await bucket.get(known.key, leader=True) is not None
    assert await release(config, {}, Output(True), [known.id, known.id[:6]], "why") == 0
    assert await bucket.get(known.key, leader=True) is None
    stored = await link.stored_message(OPS, 1)
    assert stored is not None
    event = json.loads(stored.data)
    assert (event["type"], event["reason"], event["source"]) == ("source_resumed", "why", "a")
    marker = await link.last_message(f"KV_{CONTROL}", f"$KV.{CONTROL}.{known.key}")
    assert marker is not None
    assert marker.headers["Nats-TTL"] == "86400s"


class Nobody:
    def wake(self) -> None:
        """Nobody waits here."""


class Idle:
    """A node that has nothing in hand."""

    def __init__(self) -> None:
        self.in_work: dict[Any, Any] = {}

    def standings(self) -> list[Any]:
        return []


async def test_what_a_node_has_learned_is_listed_and_taken_back(
    link: Link, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside actions: whom it slows, by which reply, at what rate of what; released by id, like an action."""
    governors = Governors(Actions(), time.time)
    settings = PathSettings(message_rate=RateLimit(10, 1.0))
    passage = governors.passage("a1", "mx.test", "google", settings, Nobody())
    now, refused = time.monotonic(), Reply(421, ("4.7.28 unusual rate from your IP address",), "4.7.28")
    for _ in range(20):
        passage.note_accepted(now)
    verdict = Classifier(shipped_rules()).classify(Stage.END_OF_DATA, refused, provider="google")
    why = Why(time.time(), "421 4.7.28 unusual rate", verdict.bounce_class)
    passage.note_refused(verdict, Sender("acme"), "mx.test", 1, now, why)
    opened: list[str] = []
    node = NodeControl(link, "n1", Pacing("n1", governors, opened.append))
    await node.open(Idle(), Idle())  # type: ignore[arg-type]
    assert await actions(config, {}, Output(True)) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["kind"], row["node"], row["aim"]) == ("pace", "n1", {"source": "a1", "provider": "google"})
    assert datetime.fromisoformat(row["since"]).tzinfo is not None  # as those of actions
    assert await actions(config, {}, Output(), row["id"][:8]) == 0
    said = capsys.readouterr().out
    assert "source=a1 provider=google on n1" in said
    assert "421 4.7.28 unusual rate" in said
    assert await release(config, {}, Output(True), [row["id"][:8]], "talked to them") == 0
    assert governors.list(time.monotonic()) == []
    assert opened == ["google"]  # what was parked meanwhile is let go
    with pytest.raises(WrongInput):
        await release(config, {}, Output(True), [row["id"]], "again")
    await node.close()


def says(body: bytes) -> Endpoint:
    async def answer(_: bytes) -> bytes:
        return body

    return answer


@pytest.mark.parametrize(
    "changed", [{"since": 1e300}, {"until": 1e18}, {"connections": -1}, {"rate": -0.5}, {"since": "soon"}]
)
async def test_a_node_that_answers_nonsense_is_left_out(
    link: Link, config: Config, capsys: pytest.CaptureFixture[str], changed: dict[str, Any]
) -> None:
    """It may be of another version, or no node at all; a row that is right is listed as ever."""
    right = {"node": "n1", "aim": {"source": "a1"}, "state": "paced", "since": time.time(), "rate": 1.0}
    right["until"] = 1_795_000_000.0
    good = NodeService(link, "n1", {LIMITS: says(json.dumps([right]).encode())})
    bad = NodeService(link, "n2", {LIMITS: says(json.dumps([right | {"node": "n2"} | changed]).encode())})
    for one in (good, bad):
        await one.open()
    assert await actions(config, {}, Output(True)) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["node"], row["until"]) == ("n1", "2026-11-18T11:06:40.000000Z")
    for one in (good, bad):
        await one.close()


async def test_a_release_that_is_answered_with_nonsense_says_so(link: Link, config: Config) -> None:
    """Nobody knows whether it was done."""
    row = {"node": "n1", "aim": {"source": "a1"}, "state": "paced", "since": time.time()}
    node = NodeService(link, "n1", {LIMITS: says(json.dumps([row]).encode()), RELEASE: says(b"\xff?")})
    await node.open()
    (listed,) = await slowed(link)
    with pytest.raises(JetStreamError, match="another version"):
        await release_slowed(link, listed)
    await node.close()
