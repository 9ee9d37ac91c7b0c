import pytest

from mta.admin.output import Output
from mta.admin.preflight.finding import Check, Finding, failed, passed, unknown
from mta.admin.preflight.show import Examined, as_object, show


def told(capsys: pytest.CaptureFixture[str], *findings: Finding) -> list[str]:
    show("acme", [Examined("acme.test", findings)], Output())
    return capsys.readouterr().out.splitlines()


def test_a_finding_says_what_to_do_below_it(capsys: pytest.CaptureFixture[str]) -> None:
    """With a space between one kind of checks and the next, and a last line that counts."""
    lines = told(
        capsys,
        passed(Check.SPF_RECORD, "b.acme.test", "v=spf1 -all"),
        failed(Check.SPF_SOURCE, "a1", "fail by -all", "add it"),
        unknown(Check.PTR, "a1", "timeout", "try again"),
    )
    assert lines[:9] == [
        "acme.test of tenant acme",
        "",
        "         check       found",
        "pass     spf-record  b.acme.test: v=spf1 -all",
        "FAIL     spf-source  a1: fail by -all",
        "                     → add it",
        "",
        "unknown  ptr         a1: timeout",
        "                     → try again",
    ]
    assert lines[-1] == "1 domain: 1 pass, 1 unknown, 1 fail"


def test_what_dns_holds_does_not_reach_the_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    """A record may hold anything."""
    lines = told(capsys, passed(Check.PTR, "a1", "\x1b[31m[bold]x"))
    assert not any("\x1b" in line for line in lines)
    assert any("[bold]x" in line for line in lines)


def test_every_check_can_be_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """None is left out of the groups."""
    lines = told(capsys, *(passed(check, "x", "y") for check in Check))
    assert [check for check in Check if not any(f" {check} " in line for line in lines)] == []


def test_the_object_has_one_entry_for_each_domain() -> None:
    """The shape that README.md promises."""
    one = as_object("acme", [Examined("acme.test", (failed(Check.PTR, "a1", "none", "set it"),))])
    (domain,) = one["domains"]
    assert (one["tenant"], domain["domain"]) == ("acme", "acme.test")
    assert domain["checks"] == [
        {"check": "ptr", "subject": "a1", "result": "fail", "detail": "none", "todo": "set it"}
    ]
    assert domain["providers"]["icloud"]["requirements"]["ptr"] == "fail"
