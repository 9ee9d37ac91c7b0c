import asyncio
import json
import os
from pathlib import Path

import pytest
from msgspec import structs

from mta.admin.errors import MissingInput, WrongInput
from mta.admin.mailing import Mailing
from mta.admin.output import Output
from mta.admin.send import send_mailing, send_payload
from mta.config.settings import Config
from mta.intake.settings import DomainPolicy, TenantPolicy
from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound, StreamFull, Unreachable
from mta.jetstream.layout import PAYLOADS
from tests.fakes.nats import NatsServer

MAILING = Mailing(tenant="acme", sender="news@acme.test", subject="Hi", html="<p>{{ x }}", campaign="spring")
Said = pytest.CaptureFixture[bytes]


async def stored(link: Link) -> int:
    """How many payloads wait in the stream."""
    state = (await link.api(f"STREAM.INFO.{PAYLOADS}"))["state"]
    return int(state["messages"])


def write_list(path: Path, count: int) -> Path:
    path.write_text("email,x\n" + "".join(f"r{n}@x.test,{n}\n" for n in range(count)))
    return path


async def test_a_payload_is_stored_as_it_is(
    config: Config, link: Link, tmp_path: Path, capsysbinary: Said
) -> None:
    """Its bytes, on its subject, once for its id."""
    body = json.dumps(
        {"v": 1, "id": "o1", "tenant": "acme", "from": {"email": "a@acme.test"}, "recipients": [{"email": "b@x.test"}],
         "content": {"text": "t"}, "lane": "transactional"}, indent=3,
    ).encode()  # fmt: skip
    (tmp_path / "p.json").write_bytes(body)
    for duplicates in (0, 1):
        assert await send_payload(config, {}, Output(as_json=True), str(tmp_path / "p.json"), None) == 0
        said = json.loads(capsysbinary.readouterr().out)
        assert (said["duplicates"], said["sequence"]) == (duplicates, 1)
    message = await link.last_message(PAYLOADS, "mta.payload.transactional.acme._")
    assert message is not None
    assert message.data == body
    assert message.headers["Nats-Msg-Id"] == "acme/o1"
    assert await stored(link) == 1


async def test_a_mailing_is_cut_and_sent_once(
    config: Config, link: Link, tmp_path: Path, capsysbinary: Said
) -> None:
    """The same command again sends nothing twice."""
    people = write_list(tmp_path / "l.csv", 1201)
    for duplicates in (0, 3):
        assert await send_mailing(config, {}, Output(as_json=True), MAILING, people, "") == 0
        said = json.loads(capsysbinary.readouterr().out)
        assert (said["payloads"], said["recipients"], said["duplicates"]) == (3, 1201, duplicates)
    assert await stored(link) == 3


async def test_a_list_with_a_bad_row_sends_nothing(
    config: Config, link: Link, tmp_path: Path, capsysbinary: Said
) -> None:
    """The row is named by its line."""
    people = write_list(tmp_path / "l.csv", 600)
    people.write_text(people.read_text() + "nobody,1\n")
    with pytest.raises(WrongInput, match="1 bad row; nothing was sent"):
        await send_mailing(config, {}, Output(), MAILING, people, "")
    assert b"line 602 'nobody' is no address" in capsysbinary.readouterr().err
    assert await stored(link) == 0


@pytest.mark.parametrize(
    ("content", "said"), [("email\n", "holds no recipients"), ("mail\nx\n", "no column `email`")]
)
async def test_a_list_of_nobody_is_refused(config: Config, tmp_path: Path, content: str, said: str) -> None:
    """Before NATS is asked."""
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(WrongInput, match=said):
        await send_mailing(config, {}, Output(), MAILING, tmp_path / "l.csv", "")


async def test_a_list_in_another_encoding_is_refused(config: Config, tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "l.csv").write_bytes("email,n\na@x.test,Jürgen\n".encode("latin-1"))
    with pytest.raises(WrongInput, match="is not UTF-8; save it as UTF-8"):
        await send_mailing(config, {}, Output(), MAILING, tmp_path / "l.csv", "")


async def test_json_lines_are_told_by_their_name(config: Config, link: Link, tmp_path: Path) -> None:
    """`.ndjson` is one object a line."""
    (tmp_path / "l.ndjson").write_text('{"email": "a@x.test"}\n')
    assert await send_mailing(config, {}, Output(), MAILING, tmp_path / "l.ndjson", "") == 0
    assert await stored(link) == 1


@pytest.fixture
def judging(config: Config) -> Config:
    """A configuration that knows the tenant."""
    acme = TenantPolicy("acme", ("default",), "b.acme.test", {"acme.test": DomainPolicy("acme.test")})
    return structs.replace(config, tenants={"acme": acme})


async def test_what_would_be_rejected_is_not_sent(
    judging: Config, link: Link, tmp_path: Path, capsysbinary: Said
) -> None:
    """Neither as a payload nor as a mailing; what would be rejected in part is told by its line."""
    (tmp_path / "p.json").write_text(
        '{"v": 1, "tenant": "acme", "from": {"email": "a@acme.test"}, "content": {"text": "t"}, "pool": "warm",'
        ' "recipients": [{"email": "b@x.test"}]}'
    )
    with pytest.raises(WrongInput, match=r"would be rejected \(pool_not_allowed\): `warm` is no pool"):
        await send_payload(judging, {}, Output(), str(tmp_path / "p.json"), None)
    people = write_list(tmp_path / "l.csv", 600)
    mailing = structs.replace(MAILING, sender="a@other.test")
    with pytest.raises(WrongInput, match=r"\(from_not_allowed\): .*; nothing was sent"):
        await send_mailing(judging, {}, Output(), mailing, people, "")
    people.write_text(people.read_text() + "a..b@x.test,1\n")
    with pytest.raises(WrongInput, match="1 bad row; nothing was sent"):
        await send_mailing(judging, {}, Output(), MAILING, people, "")
    assert b"line 602 would be rejected (bad_address): " in capsysbinary.readouterr().err
    assert await stored(link) == 0


async def test_a_payload_of_nobody_is_not_sent(judging: Config, link: Link, tmp_path: Path) -> None:
    """All of its recipients would be rejected."""
    (tmp_path / "p.json").write_text(
        '{"v": 1, "tenant": "acme", "from": {"email": "a@acme.test"}, "content": {"text": "t"},'
        ' "recipients": [{"email": "nobody"}]}'
    )
    with pytest.raises(WrongInput, match=r"every recipient would be rejected; nothing was sent.*bad_address"):
        await send_payload(judging, {}, Output(), str(tmp_path / "p.json"), None)
    assert await stored(link) == 0


@pytest.mark.parametrize("given", [b"email,x\na@x.test,1\n", b'\n{"email": "a@x.test", "data": {"x": 1}}\n'])
async def test_recipients_may_come_by_standard_input(
    config: Config, link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bytes
) -> None:
    """CSV or NDJSON, told by the first character."""
    (tmp_path / "in").write_bytes(given)
    with (tmp_path / "in").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert await send_mailing(config, {}, Output(), MAILING, Path("-"), "") == 0
    message = await link.stored_message(PAYLOADS, 1)
    assert message is not None
    (recipient,) = json.loads(message.data)["recipients"]
    assert recipient["email"] == "a@x.test"
    assert str(recipient["data"]["x"]) == "1"


async def test_recipients_may_come_by_a_pipe(config: Config, link: Link, tmp_path: Path) -> None:
    """As a shell's `<(…)`: what has been looked through can still be sent."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = asyncio.create_task(asyncio.to_thread(write_list, pipe, 2))
    # The other end of the pipe blocks in open(), so this cannot be on the loop.
    assert await asyncio.to_thread(asyncio.run, send_mailing(config, {}, Output(), MAILING, pipe, "")) == 0
    await writer
    assert await stored(link) == 1


async def test_a_directory_of_recipients_is_refused(config: Config, tmp_path: Path) -> None:
    """As a file that is missing."""
    with pytest.raises(MissingInput, match="Is a directory"):
        await send_mailing(config, {}, Output(), MAILING, tmp_path, "")


async def test_templates_too_large_are_refused(config: Config, tmp_path: Path) -> None:
    """By a line, not as a failure of ours."""
    people = write_list(tmp_path / "l.csv", 1)
    mailing = structs.replace(MAILING, html="x" * 1_000_000)
    with pytest.raises(WrongInput, match=r"the templates are too large: .*; nothing was sent"):
        await send_mailing(config, {}, Output(), mailing, people, "")


async def test_a_full_stream_says_how_far_it_came(
    config: Config, link: Link, tmp_path: Path, capsysbinary: Said
) -> None:
    """And the rest can be sent by the same command."""
    full = (await link.api(f"STREAM.INFO.{PAYLOADS}"))["config"] | {"max_msgs": 1}
    await link.api(f"STREAM.UPDATE.{PAYLOADS}", full)
    people = write_list(tmp_path / "l.csv", 1001)
    with pytest.raises(StreamFull):
        await send_mailing(config, {}, Output(), MAILING, people, "")
    assert b"of 3 payloads were stored before that" in capsysbinary.readouterr().err
    await link.api(f"STREAM.UPDATE.{PAYLOADS}", full | {"max_msgs": -1})
    await send_mailing(config, {}, Output(), MAILING, people, "")
    assert await stored(link) == 3


async def test_without_streams_nothing_is_lost_in_silence(config: Config, tmp_path: Path) -> None:
    """Nobody there takes the payload: an error, not a hang."""
    people = write_list(tmp_path / "l.csv", 1)
    with pytest.raises(NotFound, match="there is no stream MTA_PAYLOADS"):
        await send_mailing(config, {}, Output(), MAILING, people, "")


async def test_a_server_that_is_down_is_said(config: Config, nats_server: NatsServer, tmp_path: Path) -> None:
    """Within seconds."""
    nats_server.stop()
    people = write_list(tmp_path / "l.csv", 1)
    with pytest.raises(Unreachable, match="no NATS server at"):
        await send_mailing(config, {}, Output(), MAILING, people, "")
