import tomllib
from typing import Any

import pytest

from mta.classify.classifier import Classifier
from mta.config.automation import prove, rules
from mta.config.load import shipped_rules
from mta.config.problems import Findings
from mta.model.outcome import BounceClass
from mta.pacing.action import ActionKind
from mta.pacing.rules import At, AutomaticAction, AutomationRule
from mta.queue.settings import RateLimit

CLASSIFIER = Classifier(shipped_rules())
PROVIDERS = {"google", "yahoo", "other"}
RULE = """
    name = "r"
    provider = "google"
    class = "rate_limited"
    text = ["4\\\\.7\\\\.28"]
    source = "s"
    actions = [{ kind = "suspend", at = "provider", for = "10m" }]
    example = "end_of_data: 421 4.7.28 unusual rate of unsolicited mail originating from your IP address"
    counter = "end_of_data: 550 5.7.1 likely unsolicited mail"
"""


def made(text: str) -> tuple[tuple[AutomationRule, ...], list[str]]:
    """The rules, and what is found in reading them, else in proving them."""
    found = Findings("s")
    tables: Any = tomllib.loads(text)["automation"]
    read = rules(tuple(tables), PROVIDERS, found)
    if not found.problems:
        prove(read, CLASSIFIER, found)
    return read, [str(problem) for problem in found.problems]


def changed(old: str, new: str) -> list[str]:
    assert old in RULE
    return made("[[automation]]" + RULE.replace(old, new))[1]


def test_a_rule_is_read_and_holds() -> None:
    """One string stands for a list of one; codes are compared in lower case."""
    text = """[[automation]]
        name = "y"
        provider = "yahoo"
        provider_code = ["TSS04"]
        count = 3
        window = "2h"
        source = "s"
        actions = [
            { kind = "throttle", at = "path", connections = 1, message_rate = "10/min", for = "30m" },
            { kind = "alert", at = "stream" },
        ]
        example = "connect: 421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred"
        counter = ["connect: 421 4.7.0 [TS02] Messages from 192.0.2.1 temporarily deferred"]"""
    (rule,), problems = made(text)
    assert problems == []
    assert rule == AutomationRule(
        name="y",
        provider="yahoo",
        provider_codes=frozenset({"tss04"}),
        count=3,
        window_s=7200.0,
        actions=(
            AutomaticAction(ActionKind.THROTTLE, At.PATH, 1800.0, 1, RateLimit(10, 60)),
            AutomaticAction(ActionKind.ALERT, At.STREAM, 3600.0),
        ),
        source="s",
        examples=("connect: 421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",),
        counters=("connect: 421 4.7.0 [TS02] Messages from 192.0.2.1 temporarily deferred",),
    )
    assert made("[[automation]]" + RULE)[0][0].bounce_classes == {BounceClass.RATE_LIMITED}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"google"', '"gmail"', "automation.r.provider: unknown provider; known here: google, other, yahoo"),
        (
            '"rate_limited"',
            '"rate_limitd"',
            'automation.r.class[0]: unknown class; did you mean "rate_limited"?',
        ),
        ('"rate_limited"', '"rate_limited"\naccused = "ip"', "automation.r.accused[0]: nobody accuses that"),
        (
            '"provider", for',
            '"everywhere", for',
            'automation.r.actions[0].at: expected one of "path", "provider"',
        ),
        (', for = "10m"', "", 'automation.r.actions[0].for: is missing: each action ends, as in for = "10m"'),
        ('"10m"', '"8d"', 'automation.r.actions[0].for: expected "1s" to "7d"'),
        ('"10m"', "10", "automation.r.actions[0].for: expected a time such as"),
        (
            '"suspend"',
            '"throttle"',
            "automation.r.actions[0]: a throttle needs connections, message_rate or both",
        ),
        ('"10m"', '"10m", connections = 1', 'automation.r.actions[0]: kind = "suspend" has no connections'),
        (
            'kind = "suspend", at = "provider"',
            'kind = "throttle", connections = 1, at = "stream"',
            "automation.r.actions[0].at: a throttle is of a way",
        ),
        (
            'kind = "suspend"',
            'kind = "throttle", connections = 0',
            "automation.r.actions[0].connections: expected 1 to 10000, found 0",
        ),
        ('source = "s"', 'source = " "', "automation.r.source: says nothing"),
        ('source = "s"', 'source = "s"\ncount = 0', "automation.r.count: expected 1 to 100000, found 0"),
        ('source = "s"', 'source = "s"\nwindow = "30d"', 'automation.r.window: expected "1s" to "7d"'),
        ('source = "s"', 'source = "s"\nfor = "1h"', "automation.r.for: unknown key"),
        ('source = "s"', "", "automation.r.source: is missing"),
        ('"4\\\\.7\\\\.28"', '"(?=4)"', "automation.r.text[0]: "),
        ('"4\\\\.7\\\\.28"', '"4\\\\.7\\\\.28", "["', "automation.r.text[1]: is no regular expression"),
        (
            'provider = "google"',
            'provider = "google"\nexcept = "yahoo"',
            "automation.r.except: has no effect",
        ),
        ('provider = "google"', 'except = "gmail"', "automation.r.except[0]: unknown provider"),
    ],
)
def test_what_a_rule_cannot_be_is_said_with_its_path(old: str, new: str, said: str) -> None:
    """What can be seen without the classifier, first."""
    assert changed(old, new)[0].startswith(f"s: {said}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            '"rate_limited"',
            '["rate_limited", "greylisted"]',
            'automation.r.class: no example shows that "greylisted" can come out: add one',
        ),
        (
            '"rate_limited"',
            '"ip_blocked"',
            "automation.r.example[0]: the classifier makes it rate_limited (by generic:unusual-rate), "
            "which the rule does not name",
        ),
        (
            'class = "rate_limited"',
            'provider_code = "TSS04"',
            "automation.r.example[0]: the classifier finds no code in it, and the rule names tss04",
        ),
        (
            '"rate_limited"',
            '"rate_limited"\naccused = "dkim_domain"',
            "automation.r.example[0]: the classifier says it accuses source_ip (by generic:unusual-rate), "
            "which the rule does not name",
        ),
        (
            '["4\\\\.7\\\\.28"]',
            '["4\\\\.7\\\\.28", "never said"]',
            'automation.r.text: no example shows that "never said" can come out: add one',
        ),
        ('["4\\\\.7\\\\.28"]', '["never said"]', "automation.r.example[0]: the text does not match "),
        (
            '"end_of_data: 421',
            '"yahoo/end_of_data: 421',
            "automation.r.example[0]: is of provider yahoo, the rule of",
        ),
        (
            '"end_of_data: 550 5.7.1 likely unsolicited mail"',
            '"end_of_data: 421 4.7.28 Unusual rate of mail from your IP address"',
            "automation.r.counter[0]: fits although it must not",
        ),
    ],
)
def test_a_rule_that_can_never_fire_is_found_by_the_classifier(old: str, new: str, said: str) -> None:
    """A class, code, accusation or text that does not come out for that provider: proved, not guessed."""
    (problem,) = changed(old, new)
    assert problem.startswith(f"s: {said}")


def test_a_text_with_capitals_can_never_match() -> None:
    """Replies are matched in lower case; an escape is no capital."""
    assert "has capitals" in changed('"4\\\\.7\\\\.28"', '"Unusual"')[0]
    assert not any("capitals" in one for one in changed('"4\\\\.7\\\\.28"', '"unusual\\\\D"'))


def test_a_rule_that_fits_everything_is_refused() -> None:
    """Also one whose only text is empty."""
    without = RULE.replace('class = "rate_limited"', "").replace('text = ["4\\\\.7\\\\.28"]', "")
    assert (
        "s: automation.r: fits every refusal: name a class, a provider_code or a text"
        in made("[[automation]]" + without)[1]
    )
    assert "automation.r.text[0]: matches everything" in changed('"4\\\\.7\\\\.28"', '""')[0]


def test_two_rules_of_one_name_are_an_error() -> None:
    """Actions are told by it."""
    assert made(f"[[automation]]{RULE}[[automation]]{RULE}")[1] == [
        's: automation.r.name: there is a rule "r" already'
    ]


def test_a_reply_without_a_stage_may_come_at_any() -> None:
    """For an example one is enough; a counter must not fit at any."""
    rule = """[[automation]]
        name = "r"
        provider = "gmx"
        class = "ip_blocked"
        source = "s"
        actions = [{ kind = "alert", at = "path" }]
        example = "554 No SMTP service"
        counter = "421 Rate limit reached"
    """.replace('"gmx"', '"other"')
    at_connect = "554 Bad reputation, connection refused: your IP is on our blocklist"
    assert made(rule.replace("554 No SMTP service", at_connect))[1] == []
    (problem,) = made(
        rule.replace("421 Rate limit reached", at_connect).replace("554 No SMTP service", at_connect)
    )[1]
    assert problem.startswith("s: automation.r.counter[0]: fits although it must not")


def test_an_excepted_provider_is_no_example() -> None:
    """A rule for any provider is proved with the one that the example names."""
    rule = RULE.replace('provider = "google"', 'except = ["google"]')
    assert made("[[automation]]" + rule)[1] == []
    (problem,) = made("[[automation]]" + rule.replace('"end_of_data: 421', '"google/end_of_data: 421'))[1]
    assert problem == "s: automation.r.example[0]: is of provider google, which the rule excepts"
