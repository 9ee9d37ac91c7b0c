"""`mta bounces top|unknown` against a real stream."""

import json
from typing import Any

import pytest
from msgspec import structs

from mta.admin.errors import WrongUsage
from mta.admin.output import Output
from mta.admin.refusals import top, unknown
from mta.admin.tail import Filters
from mta.config.settings import Config
from mta.intake.settings import TenantPolicy
from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound

LATELY = Filters(since_s=600)


async def publish(link: Link, kind: str, *events: dict[str, Any], provider: str = "google") -> None:
    """One batch."""
    body = b"".join(
        json.dumps({"type": kind, "provider": provider, **one}).encode() + b"\n" for one in events
    )
    await link.request(f"mta.event.acme.{kind}.{provider}.spring", body)


def refused(bounce_class: str, kind: str, code: int, text: str, rule: str = "generic:x") -> dict[str, Any]:
    return {
        "time": "2026-11-22T07:22:45.448483Z",
        "recipient_domain": "example.test",
        "bounce": {"class": bounce_class, "type": kind, "rule": rule},
        "smtp": {"stage": "rcpt", "code": code, "text": text},
    }


UNKNOWN = refused("invalid_recipient", "hard", 550, "no such user")
FULL = refused("mailbox_full", "soft", 452, "full")
ODD = [refused("undetermined", "undetermined", 550, f"computer says no, id 8f21a7c3d9e{n}") for n in range(3)]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_the_most_frequent_comes_first(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of all types that tell of a refusal, and of no other."""
    await publish(link, "bounced", *[UNKNOWN] * 3)
    await publish(link, "deferred", FULL, FULL)
    await publish(link, "delivered", {"time": "x"})
    await publish(link, "oob_bounced", UNKNOWN, provider="yahoo")
    assert await top(config, {}, Output(True), LATELY) == 0
    first, second = lines(capsys)
    assert (first["class"], first["count"], first["share"]) == ("invalid_recipient", 4, 0.6667)
    assert second["example"]["reply"] == "452 full"
    await top(config, {}, Output(True), Filters(provider="yahoo", since_s=600), by="domain")
    assert [(row["domain"], row["count"]) for row in lines(capsys)] == [("example.test", 1)]
    await top(config, {}, Output(True), Filters(type="deferred", since_s=600), by="code")
    assert [(row["code"], row["count"]) for row in lines(capsys)] == [("452", 2)]


async def test_texts_that_mean_the_same_are_one(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever ids they carry."""
    await publish(link, "bounced", *ODD)
    await top(config, {}, Output(True), LATELY, by="text")
    (row,) = lines(capsys)
    assert (row["text"], row["count"]) == ("computer says no, id", 3)


async def test_people_get_a_table(config: Config, link: Link, capsys: pytest.CaptureFixture[str]) -> None:
    """And a sum."""
    await publish(link, "bounced", UNKNOWN, *ODD)
    await top(config, {}, Output(), LATELY, limit=1)
    told = capsys.readouterr()
    assert told.out.splitlines()[0].split() == ["count", "share", "class", "type", "example"]
    assert told.out.splitlines()[1].split()[:5] == ["3", "75.0", "%", "undetermined", "undetermined"]
    assert "4 refusals in 1 group; 1 more group: --limit" in told.err


async def test_unknown_replies_are_shown_by_provider(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no rule understood, and what only the basic code did; with how to teach it."""
    basic = refused("remote_temporary", "soft", 451, "try later, my friend", rule="basic:later")
    silent = {"bounce": {"class": "undetermined", "type": "undetermined"}}
    await publish(link, "bounced", UNKNOWN, *ODD, silent)
    await publish(link, "deferred", basic, provider="yahoo")
    assert await unknown(config, {}, Output(True), LATELY) == 0
    first, second = lines(capsys)
    assert (first["provider"], first["stage"], first["count"]) == ("google", "rcpt", 3)
    assert first["first"] == first["last"] == "2026-11-22T07:22:45.448483Z"
    assert (second["provider"], second["text"]) == ("yahoo", "try later, my friend")
    await unknown(config, {}, Output(), Filters(provider="yahoo", since_s=600))
    told = capsys.readouterr()
    assert "451 try later, my friend" in told.out
    assert "1 of 1 refusal were understood" in told.err
    assert "mta bounces explain" in told.err


async def test_nothing_to_show_is_said(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sentence, not by an empty table."""
    await top(config, {}, Output(), LATELY)
    assert "Nothing was refused" in capsys.readouterr().out
    await publish(link, "bounced", UNKNOWN)
    await unknown(config, {}, Output(), LATELY)
    assert "Every reply was understood: 1 refusal" in capsys.readouterr().out


async def test_what_cannot_be_read_is_said(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest is counted."""
    await link.request(
        "mta.event.acme.bounced.google.spring", b"{\n\xff\n" + json.dumps(UNKNOWN).encode() + b"\n"
    )
    await top(config, {}, Output(True), LATELY)
    told = capsys.readouterr()
    assert "3 events could not be read" in told.err  # UNKNOWN has no type here
    assert told.out == ""


async def test_wrong_usage(config: Config) -> None:
    """Said before anything is asked."""
    with pytest.raises(WrongUsage, match="--by nope: expected one of class, "):
        await top(config, {}, Output(), LATELY, "nope")


async def test_without_streams_it_says_what_to_do(config: Config) -> None:
    """As every verb."""
    with pytest.raises(NotFound, match="there is no stream MTA_EVENTS"):
        await top(config, {}, Output(), LATELY)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [(Filters(provider="gogle", since_s=600), "google"), (Filters(tenant="acmee", since_s=600), "acme")],
)
async def test_who_is_not_configured_has_no_refusals(config: Config, chosen: Filters, told: str) -> None:
    """A misspelt name would look like peace; tenants are looked for where there are some."""
    named = structs.replace(config, tenants={"acme": TenantPolicy("acme", (), "", {})})
    with pytest.raises(WrongUsage, match=f'did you mean "{told}"'):
        await top(named, {}, Output(), chosen)


async def test_who_has_no_provider_and_whose_tenants_are_unknown_may_be_asked_about(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """`_` is nobody's name; without tenants in the configuration any may be meant."""
    await top(config, {}, Output(), Filters(provider="_", tenant="acme", since_s=600))
    await unknown(config, {}, Output(), Filters(provider="other", since_s=600))
    assert capsys.readouterr().out.count("in that time") == 2
