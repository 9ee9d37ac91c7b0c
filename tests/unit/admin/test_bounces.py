import json
from pathlib import Path
from typing import Any

import pytest

from mta.admin.bounces import explain, provider_named, rules_of, stage_named
from mta.admin.errors import WrongUsage
from mta.admin.output import Output
from mta.config.load import load, shipped_rules
from mta.model.outcome import Stage


@pytest.fixture
def told(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    def tell(reply: str, provider: str = "other", stage: str = "rcpt", code: int = 0) -> dict[str, Any]:
        assert explain(shipped_rules(), Output(as_json=True), reply, provider, stage_named(stage), code) == 0
        told: dict[str, Any] = json.loads(capsysbinary.readouterr().out)
        return told

    return tell


def test_a_refusal_is_explained(told: Any) -> None:
    """With all that follows, and where it comes from."""
    got = told("550-5.1.1 <bob@b.test>: Recipient address\n550 5.1.1 rejected: User unknown")
    assert got == {
        "class": "invalid_recipient",
        "category": "recipient",
        "type": "hard",
        "scope": "recipient",
        "backs_off": "recipient",
        "actions": ["suppress", "fail"],
        "is_final": True,
        "rule": "generic:unknown",
        "layer": "generic text",
        "why": 'generic text: the words "<ADDR>: recipient address rejected: user unknown"',
        "matched": "<ADDR>: recipient address rejected: user unknown",
        "confidence": "high",
        "provider_code": "",
        "detail": "",
        "code": 550,
        "enhanced": "5.1.1",
        "normalised": "<ADDR>: recipient address rejected: user unknown",
        "is_code_assumed": False,
    }


def test_provider_and_stage_matter(told: Any) -> None:
    """The same words mean different things."""
    assert told("550 Requested action not taken: mailbox unavailable")["class"] == "recipient_refused"
    assert told("550 Requested action not taken: mailbox unavailable", "gmx")["class"] == "invalid_recipient"
    assert told("550 user unknown", stage="mail")["class"] == "sender_rejected"
    assert told("550 user unknown", stage="")["class"] == "invalid_recipient"


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("421 [TSS04] deferred", "provider code: TSS04"),
        ("550 5.1.1 zzz", "enhanced code 5.1.1; no rule knows the words"),
        ("550 zzz", "basic code 550; no rule knows the words"),
    ],
)
def test_why_it_is_so(told: Any, reply: str, why: str) -> None:
    """By words, by a code of the provider's, by the codes alone."""
    assert told(reply)["why"] == why


def test_a_person_reads_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    """One thing a line, and what each action means."""
    explain(shipped_rules(), Output(), "452 4.2.2 mailbox full", "other", None)
    said = capsys.readouterr().out
    assert said.startswith("class       mailbox_full  (recipient, soft)\n")
    assert "then        retry_long: tried again on the long schedule\n" in said
    assert "--stage rcpt says more" in said


@pytest.mark.parametrize("reply", ["250 ok", "", "  ", "354 go ahead"])
def test_what_refuses_nothing_is_wrong_usage(reply: str) -> None:
    """There is nothing to explain."""
    with pytest.raises(WrongUsage, match="refuses nothing"):
        explain(shipped_rules(), Output(), reply, "other", None)


def test_an_unknown_stage_is_wrong_usage() -> None:
    """It names those there are."""
    with pytest.raises(WrongUsage, match="end_of_data"):
        stage_named("quit")
    assert stage_named("greeting") is Stage.CONNECT
    assert stage_named("") is None


def test_the_configured_rules_are_used(tmp_path: Path) -> None:
    """Else the shipped ones."""
    config = tmp_path / "mta.toml"
    config.write_text("")
    (tmp_path / "bounces.toml").write_text(
        "[generic.a]\nclass = 'policy'\ntext = ['xyz']\nsince = '2026-11'\nsource = 's'\n"
        "example = ['550 xyz']\ncounter = ['550 x']\n"
    )
    configured = load(config, {})
    assert [rule.name for rule in rules_of(configured).operator] == ["generic.a"]
    assert rules_of(None) is shipped_rules()


@pytest.mark.parametrize(("words", "code"), [("mailbox is full", 550), ("mailbox is full, try later", 450)])
def test_a_code_that_nobody_said_is_assumed(told: Any, words: str, code: int) -> None:
    """Unless it is said by itself."""
    assert (told(words)["code"], told(words)["is_code_assumed"]) == (code, True)
    got = told(words, code=452)
    assert (got["code"], got["is_code_assumed"], got["class"]) == (452, False, "mailbox_full")


def test_a_person_is_told_that_a_code_is_assumed(capsys: pytest.CaptureFixture[str]) -> None:
    """Plainly, and what to do about it; not where it was said, before the words or beside them."""
    explain(shipped_rules(), Output(), "mailbox is full", "other", None)
    assert "code        550 is assumed, because the words come without one: " in capsys.readouterr().out
    for said, by_itself in (("552 mailbox is full", 0), ("mailbox is full", 552)):
        explain(shipped_rules(), Output(), said, "other", None, by_itself)
        assert "assumed" not in capsys.readouterr().out


def test_two_codes_are_one_too_many(told: Any) -> None:
    """The same one twice is not."""
    with pytest.raises(WrongUsage, match="the reply itself says 550"):
        told("550 no", code=450)
    assert told("550 no", code=550)["code"] == 550


def test_a_provider_that_nobody_knows_is_wrong_usage(tmp_path: Path) -> None:
    """With the name that may have been meant; those of the configuration are known, or without one the shipped."""
    assert provider_named(None, " Google ") == "google"
    assert [provider_named(None, word) for word in ("", "other", "gmx")] == ["other", "other", "gmx"]
    with pytest.raises(WrongUsage, match='there is no provider gogle; did you mean "google"'):
        provider_named(None, "gogle")
    (tmp_path / "mta.toml").write_text("")
    (tmp_path / "shaping.toml").write_text('[default]\n[providers.ours]\nmx = [".ours.test"]\n')
    configured = load(tmp_path / "mta.toml", {})
    assert [provider_named(configured, word) for word in ("ours", "google")] == ["ours", "google"]
    with pytest.raises(WrongUsage, match="no provider theirs"):
        provider_named(configured, "theirs")
