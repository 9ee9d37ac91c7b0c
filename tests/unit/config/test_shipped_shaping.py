"""The facts of conf/shaping.toml."""

import re
import tomllib
from pathlib import Path

import pytest

from mta.classify.classifier import Classifier
from mta.config.automation import prove
from mta.config.load import shipped_rules
from mta.config.problems import Findings
from mta.config.shaping import shaping
from mta.pacing.action import ActionKind
from mta.pacing.rules import At, BreakerSettings
from mta.pacing.settings import Limits, PathSettings
from mta.pacing.shaping import Shaping
from mta.queue.settings import RateLimit

TEXT = (Path(__file__).parents[3] / "conf" / "shaping.toml").read_text()
TABLE = tomllib.loads(TEXT)


@pytest.fixture(scope="module")
def shipped() -> Shaping:
    found = Findings("s")
    read = shaping(TABLE, found)
    assert [str(one) for one in (*found.problems, *found.warnings)] == []
    return read


def test_its_defaults_are_those_of_the_code(shipped: Shaping) -> None:
    """Who deletes the file loses the providers, not the sense."""
    assert shipped.settings("", "other", ()) == PathSettings()
    assert shipped.breaker == BreakerSettings()


def test_each_suffix_has_an_example(shipped: Shaping) -> None:
    """Which the router's matching brings out at its provider."""
    suffixes = shipped.suffixes()
    for provider in shipped.providers:
        for suffix in provider.mx_suffixes:
            examples = [one for one in TABLE["providers"][provider.name]["examples"] if one.endswith(suffix)]
            assert examples, suffix
            assert {suffixes.owner(one) for one in examples} == {provider.name}


def test_there_are_enough_and_the_large_ones(shipped: Shaping) -> None:
    """At least 25, mailbox providers and gateways."""
    names = {provider.name for provider in shipped.providers}
    assert len(names) >= 25
    assert names >= {
        "google",
        "microsoft",
        "microsoft365",
        "yahoo",
        "apple",
        "gmx",
        "tonline",
        "orange",
        "comcast",
    }
    assert names >= {"mimecast", "proofpoint", "barracuda", "ironport", "messagelabs", "hornet"}


@pytest.mark.parametrize(
    ("provider", "connections", "whole", "messages"),
    [
        ("google", 5, 5, 50),
        ("microsoft", 5, 5, 50),
        ("microsoft365", 5, 5, 50),
        ("yahoo", 10, None, 20),
        ("yahoojp", 2, None, 20),
        ("apple", 10, 10, 5),
        ("comcast", 25, None, 1000),
        ("mimecast", 10, None, 100),
        ("gmx", 4, None, 20),
        ("qq", 4, None, 8),
        ("netease", 4, None, 7),
        ("orange", 2, 2, 100),
        ("barracuda", 10, None, 15),
        ("netvigator", 5, None, 10),
        ("kpn", 10, None, 10),
    ],
)
def test_limits_are_the_facts(
    shipped: Shaping, provider: str, connections: int, whole: int | None, messages: int
) -> None:
    """As the field ships them, over the whole provider where that is the fact."""
    settings = shipped.settings("", provider, ())
    assert (settings.connections, settings.messages_per_connection) == (connections, messages)
    assert settings.provider == Limits(connections=whole)


def test_each_provider_and_value_names_its_source() -> None:
    """A limit without a source is a rumour; each source has its date."""
    head = TEXT.partition("\n[default]\n")[0]
    legend = head.partition("# Sources. ")[2]
    known = set(re.findall(r"^#   \[(\w+)\] ", legend, re.MULTILINE))
    assert {"kumo", "mx", "google", "own"} <= known
    for line in legend.splitlines():
        if re.match(r"#   \[(?!rfc)\w+\] ", line):
            assert re.search(r"\b(August|November) 2026", line), line
    for line in TEXT.splitlines():
        if line.startswith("[providers."):
            assert "[mx]" in line, line
    for name, provider in TABLE["providers"].items():
        has_limits = set(provider) - {"mx", "examples"}
        block = TEXT.partition(f"[providers.{name}]")[2].partition("examples")[0]
        assert ("[kumo]" in block) is bool(has_limits), name
    for key in (
        "complaint_share",
        "spam_share",
        "unknown_share",
        "least_delivered",
        "least_outcomes",
        "window",
    ):
        (line,) = re.findall(rf"^{key} = .*", TEXT.partition("[breaker]")[2], re.MULTILINE)[:1]
        assert set(re.findall(r"\[(\w+)\]", line)) & known, line
    for rule in TABLE["automation"]:
        assert set(re.findall(r"\[(\w+)\]", rule["source"])) & known, rule["name"]


def test_automation_is_proved_by_its_replies(shipped: Shaping) -> None:
    """Each class, code and text comes out of our own bounce rules at that provider."""
    found = Findings("s")
    prove(shipped.automation, Classifier(shipped_rules()), found)
    assert [str(problem) for problem in found.problems] == []


def test_automation_is_there_for_the_large_providers(shipped: Shaping) -> None:
    """And for whomever."""
    of = {rule.provider for rule in shipped.automation}
    assert of >= {
        "",
        "google",
        "microsoft",
        "microsoft365",
        "yahoo",
        "apple",
        "comcast",
        "gmx",
        "orange",
        "qq",
        "netease",
    }


def test_googles_rule_is_the_reference(shipped: Shaping) -> None:
    """4.7.28: ten minutes of silence of the source at all of Google, by the first of them; a DKIM domain's rate is not
    the source's fault."""
    (rule,) = (one for one in shipped.automation if one.name == "google-rate")
    assert rule.count == 1
    action = rule.actions[0]
    assert (action.kind, action.at, action.for_s) == (ActionKind.SUSPEND, At.PROVIDER, 600.0)
    assert not {"dkim_domain", "spf_domain", "url_domain"} & rule.accused


def test_what_slows_others_does_not_fight_with_a_providers_own_rules(shipped: Shaping) -> None:
    """One message a minute for 90 minutes would undo the ten minutes that Google asks for."""
    (rule,) = (one for one in shipped.automation if one.name == "source-rate")
    assert rule.actions[0].message_rate == RateLimit(1, 60)
    own = {one.provider for one in shipped.automation if one.bounce_classes & rule.bounce_classes} - {""}
    assert own <= rule.excepted


def test_no_rule_for_all_stops_a_source_by_what_is_a_streams_fault(shipped: Shaping) -> None:
    """Others' mail goes on."""
    for rule in shipped.automation:
        if rule.provider == "" and not rule.accused:
            assert {action.at for action in rule.actions} == {At.STREAM}, rule.name


def test_the_warm_up_is_the_fields_29_steps(shipped: Shaping) -> None:
    """From 200 a day to ten million."""
    steps = shipped.plans["default"].steps
    assert (len(steps), steps[:4], steps[-1], sum(steps)) == (
        29,
        (200, 500, 1000, 2000),
        10_000_000,
        45_228_700,
    )
