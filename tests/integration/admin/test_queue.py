"""`mta.admin.queue` beyond what the stories tell: ids, and what lies in the bucket beside actions."""

import json
import time

import pytest

from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.output import Output
from mta.admin.queue import actions, release
from mta.config.settings import Config
from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL, OPS
from mta.pacing.action import Action, ActionKind, Aim, encode_action


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
