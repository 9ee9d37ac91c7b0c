import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import OPS, STRIKES, SUPPRESSION
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import render
from mta.suppression.key import mark_key
from mta.suppression.store import MarkStore
from tests.fakes.nats import NatsServer
from tests.fakes.verbs import verb

CONFIG = """\
[node]
state_dir = "{directory}/state"
[nats]
embedded = false
servers = ["{server}"]
connect_timeout = "2s"
[suppression]
addresses = "{addresses}"
[tenants.acme]
return_path = "b.acme.test"
"""


@pytest.fixture
def config(tmp_path: Path, nats_server: NatsServer, link: Link) -> Path:
    path = tmp_path / "mta.toml"
    path.write_text(CONFIG.format(directory=tmp_path, server=nats_server.url, addresses="full"))
    return path


async def said(config: Path, *words: str, code: int = 0, stdin: bytes = b"") -> list[Any]:
    """What the verb says as JSON."""
    found, out, err = await verb("suppress", *words, "--json", "--config", str(config), stdin=stdin)
    assert found == code, err
    assert b"Traceback" not in err
    return [json.loads(line) for line in out.splitlines()]


async def test_added_shown_and_removed(link: Link, config: Path) -> None:
    """With who did it and why; told to operators without the address; strikes are forgotten, too."""
    await Bucket(link, STRIKES).put(mark_key("acme", "bob@example.test"), b"[]")
    assert await said(config, "ls") == []
    (added,) = await said(config, "add", "Bob@Example.test", "--expires", "90d", "--detail", "asked for it")
    assert added == {"address": "bob@example.test", "new": True, "reason": "manual"}
    (shown,) = await said(config, "ls", "BOB@example.test")
    assert (shown["address"], shown["reason"], shown["detail"]) == (
        "bob@example.test",
        "manual",
        "asked for it",
    )
    assert "@" in shown["source"]
    assert shown["expires"][:10] == render(time.time() + 90 * 86_400)[:10]
    assert await said(config, "ls", "--reason", "complained") == []
    await said(config, "rm", "bob@example.test", code=64)
    await said(config, "rm", "bob@example.test", "--reason", "wants it again")
    assert await said(config, "ls") == []
    assert await Bucket(link, STRIKES).get(mark_key("acme", "bob@example.test"), leader=True) is None
    await said(config, "rm", "bob@example.test", "--reason", "again", code=1)
    last = await link.last_message(OPS, "mta.ops.*.suppression_changed")
    assert last is not None
    told = json.loads(last.data)
    assert (told["verb"], told["reason"], told["tenant"]) == ("rm", "wants it again", "acme")
    assert b"bob" not in last.data


async def test_who_complained_stays(config: Path, link: Link) -> None:
    """Neither another mark nor a removal changes that, unless it is forced."""
    await said(config, "add", "eve@example.test", "--reason", "complained")
    (again,) = await said(config, "add", "eve@example.test")
    assert again == {"address": "eve@example.test", "new": False, "reason": "complained"}
    await said(config, "rm", "eve@example.test", "--reason", "x", code=1)
    await said(config, "rm", "eve@example.test", "--reason", "x", "--force")


async def test_streams_and_domains(config: Path, link: Link) -> None:
    """One stream is removed by its name; where that is left out it is said which there are."""
    await said(config, "add", "@gone.test", "--reason", "invalid_domain")
    await said(config, "add", "bob@example.test", "--stream", "news", "--reason", "unsubscribed")
    assert [one["address"] for one in await said(config, "ls", "@gone.test")] == ["@gone.test"]
    # Who is stopped by the mark of his domain is not said to be free.
    assert [one["address"] for one in await said(config, "ls", "ann@Gone.test")] == ["@gone.test"]
    assert [one["stream"] for one in await said(config, "ls", "bob@example.test")] == ["news"]
    code, _, err = await verb("suppress", "rm", "bob@example.test", "--reason", "x", "--config", str(config))
    assert code == 1
    assert b"name one with --stream, as news" in err
    await said(config, "rm", "bob@example.test", "--stream", "news", "--reason", "x")
    assert len(await said(config, "ls", "--tenant", "acme")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("add", "a@example.test", "--reason", "whim"),
        ("add", "a@example.test", "--expires", "soon"),
        ("add", "a@example.test", "--expires", "2001-01-01T00:00:00Z"),
        ("ls", "--reason", "whim"),
    ],
)
async def test_what_means_nothing_is_refused(config: Path, words: tuple[str, ...]) -> None:
    """Before anything is done."""
    await said(config, *words, code=64)


@pytest.mark.parametrize(
    "words",
    [("--tenant", "acmee"), ("--stream", "News")],
    ids=["tenant", "stream"],
)
async def test_nobody_is_suppressed_for_mail_that_cannot_be(
    config: Path, link: Link, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A misspelt tenant would be told that all is well, and go on mailing."""
    (tmp_path / "list.csv").write_text("email\neve@example.test\n")
    await said(config, "add", "eve@example.test", *words, code=64)
    await said(config, "import", str(tmp_path / "list.csv"), *words, code=64)
    assert await said(config, "ls") == []


@pytest.mark.parametrize(
    "words",
    [
        ("ls",),
        ("ls", "eve@example.test"),
        ("export",),
        ("rm", "eve@example.test", "--reason", "wants it again"),
    ],
    ids=" ".join,
)
async def test_a_misspelt_tenant_is_no_empty_list(config: Path, link: Link, words: tuple[str, ...]) -> None:
    """That nobody is suppressed there would look as if all were well; it is said who there is."""
    code, out, err = await verb("suppress", *words, "--tenant", "acmee", "--config", str(config))
    assert (code, out) == (64, b"")
    assert b"--tenant acmee: expected one of acme" in err


async def test_what_is_no_address_is_refused(config: Path) -> None:
    """Whole: the good one beside it is not added either."""
    await said(config, "add", "a@example.test", "nobody", code=1)
    assert await said(config, "ls") == []


async def test_a_list_goes_in_and_comes_out(config: Path, link: Link, tmp_path: Path) -> None:
    """Bad lines are named by their number and the rest is in; what goes out goes in again and changes nothing."""
    end = render(time.time() + 86_400)
    source = tmp_path / "list.csv"
    source.write_text(
        "email,reason,expires,detail,stream\n"
        "a@example.test,complained,,by hand,\n"
        "nobody,,,,\n"
        "a@example.test,manual,,,\n"
        f"b@example.test,unsubscribed,{end},,news\n"
        "c@example.test,,1h,,\n"
        "d@example.test,whim,,,\n"
        '"@gone.test",,,,\n'
        "p@example.test,,2020-01-01T00:00:00Z,,\n"
    )
    code, out, err = await verb("suppress", "import", str(source), "--json", "--config", str(config))
    assert code == 1
    assert json.loads(out) == {"read": 8, "new": 4, "known": 1, "bad": 3}
    assert b"line 3: there is no @" in err
    assert b"line 7: `reason` is none of" in err
    assert b"line 9: `expires`: that time has passed" in err
    stored = await link.last_message(
        f"KV_{SUPPRESSION}", f"$KV.{SUPPRESSION}.{mark_key('acme', 'c@example.test')}"
    )
    assert stored is not None
    assert 3590 <= int(stored.headers["Nats-TTL"].rstrip("s")) <= 3601  # rounded up
    target = tmp_path / "out.csv"
    code, _, _ = await verb("suppress", "export", str(target), "--config", str(config))
    assert code == 0
    lines = target.read_text().splitlines()
    assert lines[0] == "email,hash,reason,expires,detail,stream,at,source"
    assert sorted(line.split(",")[0] for line in lines[1:]) == [
        "'@gone.test",
        "a@example.test",
        "b@example.test",
        "c@example.test",
    ]
    assert await said(config, "import", str(target)) == [{"read": 4, "new": 0, "known": 4, "bad": 0}]
    assert len(await said(config, "export")) == 4


@pytest.fixture
def hashing(config: Path) -> Path:
    """Only hashes are kept."""
    config.write_text(config.read_text().replace('"full"', '"hash"'))
    return config


async def test_lists_of_other_forms(hashing: Path, link: Link) -> None:
    """An address a line from standard input, and hashes where no address is kept."""
    config = hashing
    plain = b"a@example.test\n\nb@example.test\na@example.test\n"
    (counts,) = await said(config, "import", "-", "--reason", "unsubscribed", stdin=plain)
    assert counts == {"read": 3, "new": 2, "known": 1, "bad": 0}
    rows = await said(config, "export")
    assert all("address" not in row for row in rows)
    code, out, _ = await verb("suppress", "export", "--config", str(config))
    assert code == 0
    await said(config, "rm", rows[0]["hash"], "--reason", "x")
    (counts,) = await said(config, "import", "-", stdin=out)
    assert counts == {"read": 2, "new": 1, "known": 1, "bad": 0}
    assert await MarkStore(Bucket(link, SUPPRESSION)).get(mark_key("acme", "a@example.test")) is not None


async def test_a_heavier_mark_that_was_there_stays(config: Path, link: Link, tmp_path: Path) -> None:
    """Of a batch in which one key is taken the others go in, too; short file or long."""
    store = MarkStore(Bucket(link, SUPPRESSION))
    now = time.time()
    await store.add(mark_key("acme", "r7@example.test"), Mark(SuppressReason.COMPLAINED, render(now)), now)
    await store.add(mark_key("acme", "r8@example.test"), Mark(SuppressReason.MAILBOX_FULL, render(now)), now)
    for count, new in ((2_000, 1_999), (6_000, 4_000)):
        source = tmp_path / f"{count}.txt"
        source.write_text("".join(f"r{n}@example.test\n" for n in range(count)))
        (counts,) = await said(config, "import", str(source))
        assert counts == {"read": count, "new": new, "known": count - new, "bad": 0}
    for name, reason in (("r7", "complained"), ("r8", "manual"), ("r5999", "manual")):
        kept = await store.get(mark_key("acme", f"{name}@example.test"))
        assert kept is not None
        assert kept.mark.reason == reason


async def test_a_list_comes_back_as_it_went_out(config: Path, link: Link, tmp_path: Path) -> None:
    """Either form of it, with notes of several lines."""
    stream = "news"
    await said(config, "add", "eve@example.test", "--stream", stream, "--detail", "asked\nby phone")
    before = await said(config, "ls")
    assert before[0]["detail"] == "asked by phone"
    _, rows, _ = await verb("suppress", "export", "--config", str(config))
    (tmp_path / "list.csv").write_bytes(rows)
    _, lines, _ = await verb("suppress", "export", "--json", "--config", str(config))
    (tmp_path / "list.ndjson").write_bytes(lines)
    for name in ("list.csv", "list.ndjson"):
        (there,) = await said(config, "import", str(tmp_path / name))
        assert (there["new"], there["known"], there["bad"]) == (0, 1, 0)
        await said(config, "rm", "eve@example.test", "--stream", before[0]["stream"], "--reason", "test")
        (back,) = await said(config, "import", str(tmp_path / name))
        assert (back["new"], back["bad"]) == (1, 0)
        after = await said(config, "ls")
        assert [(one["address"], one["stream"]) for one in after] == [
            (one["address"], one["stream"]) for one in before
        ]


async def test_a_stranger_s_words_are_no_formula(config: Path, link: Link) -> None:
    """What a complaint says of its kind ends up in a cell of whoever opens the list."""
    mark = Mark(SuppressReason.COMPLAINED, render(1e9), detail='=hyperlink("http://evil.test")')
    await MarkStore(Bucket(link, SUPPRESSION)).add(mark_key("acme", "eve@example.test"), mark, 1e9)
    _, out, _ = await verb("suppress", "export", "--config", str(config))
    assert ",\"'=hyperlink(" in out.decode()


async def test_no_address_is_a_formula(config: Path, link: Link, tmp_path: Path) -> None:
    """Whoever opens the list runs nothing that a stranger signed up with, and it comes back as it went out."""
    addresses = ["=1+1@example.test", "+1@example.test", "-1@example.test", "'=1@example.test", "@gone.test"]
    await said(config, "import", "-", "--stream=-news", stdin="\n".join(addresses).encode())
    _, out, _ = await verb("suppress", "export", "--config", str(config))
    cells = [cell for row in csv.reader(out.decode().splitlines()) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    (tmp_path / "list.csv").write_bytes(out)
    keys = [mark_key("acme", one, "-news") for one in addresses]
    for key in keys:
        await Bucket(link, SUPPRESSION).delete(key)
    (counts,) = await said(config, "import", str(tmp_path / "list.csv"))
    assert (counts["new"], counts["bad"]) == (5, 0)
    assert sorted(await Bucket(link, SUPPRESSION).keys()) == sorted(keys)
    after = await said(config, "ls")
    assert {(one["address"], one["stream"]) for one in after} == {(one, "-news") for one in addresses}


async def test_a_list_in_another_encoding_says_what_to_do(config: Path, link: Link, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("email\nmüller@example.test\n".encode("latin-1"))
    code, _, errors = await verb("suppress", "import", str(tmp_path / "list.csv"), "--config", str(config))
    assert (code, b"UTF-8" in errors, b"iconv" in errors) == (1, True, True)
