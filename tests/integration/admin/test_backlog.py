"""`mta explain backlog` and `mta nodes` against a real server: what streams hold, several nodes, missing rights."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from mta.admin.backlog import Chosen, explain_backlog
from mta.admin.control import BACKLOG, NODE
from mta.admin.errors import WrongUsage
from mta.admin.nodes import list_nodes
from mta.admin.output import Output
from mta.admin.view import FreshRow, HandRow, HandView, NodeView, PathRow
from mta.admin.waiting import Later, Scope, due, fresh, later
from mta.config.load import load
from mta.config.settings import Config
from mta.delivery.binding import Bind, Binding
from mta.jetstream.connection import Link, open_link
from mta.jetstream.consumers import held_subjects, list_consumers
from mta.jetstream.errors import PermissionMissing
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL, DUE_CONSUMERS, RETRY, Capacity
from mta.jetstream.pull import Pulled, Puller
from mta.jetstream.schedule import Held, described, retry
from mta.jetstream.service import Endpoint, NodeService
from mta.jetstream.setup import setup
from mta.jetstream.subjects import payload_subject
from mta.model.lane import Lane
from mta.model.login import Login
from mta.queue.settings import RateLimit
from tests.fakes.nats import NatsServer

QUIET = Output(as_json=True)


async def payload(link: Link, campaign: str, recipients: int, tenant: str = "acme") -> None:
    body = json.dumps({"recipients": [{"email": f"r{n}@d.test"} for n in range(recipients)]}).encode()
    await link.call(payload_subject(Lane.BULK, tenant, campaign), body)


async def stored(
    link: Link, number: int, held: Held | None, due_at: float, campaign: str = "c", tenant: str = "acme"
) -> None:
    message = retry(Lane.BULK, tenant, campaign, number.to_bytes(16, "big"), f"p{number}-00", due_at)
    headers = message.headers | (described(held) if held is not None else {})
    await link.call(message.subject, b"{}" + b" " * 10_000, headers=headers)


@asynccontextmanager
async def node(link: Link, name: str, answers: Mapping[str, bytes]) -> AsyncIterator[None]:
    def endpoint(answer: bytes) -> Endpoint:
        async def answered(_: bytes) -> bytes:
            return answer

        return answered

    service = NodeService(link, name, {verb: endpoint(answer) for verb, answer in answers.items()})
    await service.open()
    yield
    await service.close()


async def rows(config: Config, capsysbinary: pytest.CaptureFixture[bytes], chosen: Chosen) -> dict[str, dict]:  # type: ignore[type-arg]
    assert await explain_backlog(config, {}, QUIET, chosen) == 0
    return {row["row"]: row for row in map(json.loads, capsysbinary.readouterr().out.splitlines())}


async def test_what_is_of_no_provider_may_be_asked_about(link: Link, config: Config) -> None:
    """It has a name of its own, which no file gives it."""
    assert await explain_backlog(config, {}, QUIET, Chosen("other")) == 0


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (Chosen("gogle"), 'there is no provider gogle; did you mean "google"?'),
        (Chosen(tenant="nix"), "there is no tenant nix; known here: acme"),
        (Chosen("google", "c", "acmee"), 'there is no tenant acmee; did you mean "acme"?'),
    ],
)
async def test_who_is_not_configured_is_refused(tmp_path: Path, chosen: Chosen, said: str) -> None:
    """That nothing of his waits would look as if all had gone. Before anybody is asked: there is no server here."""
    path = tmp_path / "mta.toml"
    path.write_text(
        '[nats]\nembedded = false\nservers = ["nats://127.0.0.1:1"]\n[tenants.acme]\nreturn_path = "b.acme.test"\n'
    )
    with pytest.raises(WrongUsage) as refused:
        await explain_backlog(load(path, {}), {}, QUIET, chosen)
    assert str(refused.value) == said


async def test_retries_are_counted_from_headers(link: Link) -> None:
    """By the campaign, when it is due, and what it holds; nothing is taken away, no consumer is left, and a message
    that does not say it counts as one."""
    due_at = time.time() + 600
    held = Held(5, {"google": 3, "other": 2}, "greylisted")
    for number in range(3):
        await stored(link, number, held, due_at)
    await stored(link, 7, None, due_at, tenant="other")
    found: list[Later] = []
    assert await later(link, Scope(), found.append, QUIET) == 1
    assert [one.held for one in found] == [held] * 3 + [Held(1, {"": 1})]
    assert {one.at for one in found} == {float(-(-due_at // 1))}
    assert {(one.lane, one.tenant, one.campaign) for one in found} == {
        ("bulk", "acme", "c"),
        ("bulk", "other", "c"),
    }
    only: list[Later] = []
    assert await later(link, Scope("acme", "c"), only.append, QUIET) == 0
    assert len(only) == 3
    assert await later(link, Scope("acme", ""), only.append, QUIET) == 0
    assert len(only) == 3
    assert len(await held_subjects(link, RETRY, "mta.retry.>")) == 4
    assert not [one for one in await list_consumers(link, RETRY) if one.name.startswith("backlog-")]


async def test_readers_wait_for_each_other(link: Link) -> None:
    """A work queue lets one in at a time; each of four sees everything."""
    for number in range(20):
        await stored(link, number, Held(1, {"google": 1}), time.time() + 600)
    found: list[list[Later]] = [[] for _ in range(4)]
    await asyncio.gather(*(later(link, Scope(), one.append, QUIET) for one in found))
    assert [len(one) for one in found] == [20] * 4


async def test_what_has_fired_still_says_what_it_holds(link: Link) -> None:
    """The server leaves our headers on it. What a node has in hand is left out, as are other tenants."""
    held = Held(5, {"google": 3, "other": 2}, "greylisted")
    await stored(link, 1, held, time.time() - 1)
    await stored(link, 2, held, time.time() - 1, tenant="other")

    pulled: list[Pulled] = []
    puller = Puller(link, RETRY, DUE_CONSUMERS[Lane.BULK], pulled.append)
    await puller.open()
    end = await puller.pull(2, expires_s=10.0)
    assert end.received == 2
    await puller.close()
    found, unread = await due(link, Scope(), ())
    assert (sorted(one.tenant for one in found), unread) == (["acme", "other"], 0)
    assert [(one.at, one.held) for one in found] == [(0.0, held)] * 2
    (mine,), _ = await due(link, Scope("acme"), ())
    assert mine.tenant == "acme"
    in_work = [one.stream_sequence for one in pulled]
    assert await due(link, Scope(), in_work) == ([], 0)


async def test_fresh_recipients_are_estimated_from_a_sample(link: Link) -> None:
    """Of few payloads all are read; of many the mean of twenty from all over the stream is taken, and what is no
    payload has no recipients."""
    for number in range(60):
        await payload(link, "many", 100 if number % 2 else 300)
    for number in (1, 2, 3):
        await payload(link, "few", number)
    await link.call(payload_subject(Lane.BULK, "acme", "broken"), b"nonsense")
    found = {one.campaign: one for one in await fresh(link, Scope())}
    assert (found["few"].payloads, found["few"].mean, found["few"].is_exact) == (3, 2.0, True)
    assert found["many"].payloads == 60
    assert not found["many"].is_exact
    assert 140 <= found["many"].mean <= 260
    assert (found["broken"].mean, found["broken"].is_exact) == (0.0, True)
    assert [one.campaign for one in await fresh(link, Scope("acme", "few"))] == ["few"]
    assert await fresh(link, Scope("nobody")) == []


async def test_several_nodes_are_put_together(
    link: Link, config: Config, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Counts and rates add up, what they have in hand is not counted in the stream as well, and one that talks
    nonsense is named while the others are told of."""
    for _ in range(4):
        await payload(link, "c", 10)
    rate = Binding(Bind.MESSAGE_RATE, "provider", RateLimit(20, 60.0))
    views = [
        HandView(
            name,
            time.time(),
            (HandRow("bulk", "acme", "c", "google", 7, 1, 1, 0, 30, 3.0, time.time() - 5),),
            (FreshRow("bulk", "acme", "c", 1),),
            (),
            (PathRow("a1", "mx.google.test", "google", 8, 2, rate),),
        )
        for name in ("n1", "n2")
    ]
    answers = [{BACKLOG: msgspec.json.encode(view)} for view in views]
    async with node(link, "n1", answers[0]), node(link, "n2", answers[1]), node(link, "n3", {BACKLOG: b"!"}):
        assert await explain_backlog(config, {}, QUIET, Chosen()) == 0
        shown = capsysbinary.readouterr()
        found = {row["row"]: row for row in map(json.loads, shown.out.splitlines())}
        assert b"n3 did not answer" in shown.err
        assert (found["google"]["now"], found["google"]["rate"], found["google"]["eta"]) == (18, 6.0, "at")
        assert [(bind["text"], bind["count"]) for bind in found["google"]["binds"]] == [
            ("message rate 20/min: a1 to all of google", 18)
        ]
        assert (found[""]["now"], found[""]["is_estimate"]) == (20, True)
        assert (found["total"]["now"], found["total"]["eta"]) == (38, "at")
        of_google = await rows(config, capsysbinary, Chosen(provider="google"))
        assert of_google["total"]["now"] == 18
        assert (await rows(config, capsysbinary, Chosen(tenant="acme")))["acme/c"]["eta"] == "at"


async def test_nodes_are_listed(
    link: Link, config: Config, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Each with how it is, and which of them divides limits; one that cannot be read is in the list as well."""
    await Bucket(link, CONTROL).put("broker", b'{"node":"n2"}')
    view = NodeView("n2", "0.1.0", time.time() - 60, 3, 12.5)
    async with node(link, "n2", {NODE: msgspec.json.encode(view)}), node(link, "n1", {NODE: b"!"}):
        assert await list_nodes(config, {}, QUIET) == 0
    first, second = map(json.loads, capsysbinary.readouterr().out.splitlines())
    assert first["node"] == "n1"
    assert "cannot be read" in first["error"]
    assert (second["node"], second["payloads"], second["rate"], second["is_broker"]) == ("n2", 3, 12.5, True)


@asynccontextmanager
async def limited(tmp_path: Path, denied: str) -> AsyncIterator[Config]:
    """The configuration of a user who may do all but that."""
    rights = f'permissions: {{ publish: {{ deny: ["{denied}"] }} }}'
    users = f'{{ user: "root", password: "x" }}, {{ user: "staff", password: "x", {rights} }}'
    server = NatsServer(tmp_path, extra_config=f"authorization {{ users: [ {users} ] }}")
    await server.start()
    try:
        root = await open_link(server.settings(login=Login("root", "x")), name="root", report=print)
        await setup(root, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
        await payload(root, "c", 10)
        await root.close()
        (tmp_path / "login").touch(mode=0o600)
        (tmp_path / "login").write_text("staff:x\n")
        (tmp_path / "mta.toml").write_text(
            f'[node]\nname = "n1"\nstate_dir = "{tmp_path}/state"\n[nats]\nembedded = false\n'
            f'servers = ["{server.url}"]\ncredentials = "login"\n'
        )
        yield load(tmp_path / "mta.toml", {})
    finally:
        server.stop()


async def test_who_may_not_ask_the_nodes_is_told_what_streams_hold(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """And what is not shown for want of which right; no node is said to be missing."""
    async with limited(tmp_path, "$SRV.>") as config:
        assert await explain_backlog(config, {}, QUIET, Chosen()) == 0
        shown = capsysbinary.readouterr()
        assert b"This user may not publish to $SRV.PING.mta" in shown.err
        (row, total) = map(json.loads, shown.out.splitlines())
        assert (row["now"], total["now"], row["eta"]) == (10, 10, "unknown")
        assert row["binds"] == []


async def test_who_may_not_read_the_streams_is_told_so(tmp_path: Path) -> None:
    """By the subject that is forbidden."""
    async with limited(tmp_path, "$JS.API.CONSUMER.CREATE.MTA_RETRY.>") as config:
        with pytest.raises(PermissionMissing, match=r"CREATE\.MTA_RETRY"):
            await explain_backlog(config, {}, QUIET, Chosen())
