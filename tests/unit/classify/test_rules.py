import re

import pytest

from mta.classify.rules import ACCUSED, BASIC, CLASSES, ENHANCED, NAMED, Rule
from mta.config.bounces import rules
from mta.config.load import shipped_rules
from mta.config.problems import Findings
from mta.model.outcome import BounceClass, Scope

RULES = shipped_rules().shipped


def test_every_class_has_its_facts() -> None:
    """34 classes, each with a way to go on and a way to end."""
    assert set(CLASSES) == set(BounceClass)
    for facts in CLASSES.values():
        assert "fail" in facts.final
        assert "fail" not in facts.again
        assert {"retry", "retry_long", "greylist"} & set(facts.again)


def test_whom_a_class_accuses_is_known() -> None:
    """Each word of the event contract leads to who backs off."""
    assert {facts.accused for facts in CLASSES.values()} <= set(ACCUSED)


def test_rules_have_names_of_their_own() -> None:
    """An event's `rule` leads to one rule."""
    assert len({rule.label for rule in RULES}) == len(RULES)


def test_recipient_classes_need_a_stage_that_names_the_recipient() -> None:
    """S-16: nothing before RCPT accuses a mailbox."""
    of_us = (BounceClass.LOCAL, BounceClass.EXPIRED)
    for rule in RULES:
        if CLASSES[rule.bounce_class].scope is Scope.RECIPIENT and rule.bounce_class not in of_us:
            assert rule.stages, rule.label
            assert rule.stages <= NAMED, rule.label


@pytest.mark.parametrize("layer", [ENHANCED, BASIC])
def test_the_last_layers_read_no_text(layer: str) -> None:
    """Whatever a peer says, its codes alone are enough for an answer."""
    rules = [rule for rule in RULES if rule.layer == layer]
    assert rules
    assert not any(rule.text or rule.provider_code for rule in rules)
    assert layer != ENHANCED or all(rule.enhanced for rule in rules)


def test_the_last_rule_takes_everything() -> None:
    """So every refusal has a class."""
    last = RULES[-1]
    assert last == Rule(
        BASIC,
        "unknown",
        BounceClass.UNDETERMINED,
        confidence="low",
        examples=last.examples,
        counters=last.counters,
    )


def test_no_rule_reads_an_address_or_a_number() -> None:
    """They are gone from the text before rules see it: such a rule could never match."""
    for rule in RULES:
        assert not re.search(r"\d{2}", rule.text.replace("8bitmime", "").replace("rfc", "")) or re.search(
            r"rfc|utf|bit|w32|\{", rule.text
        ), rule.label


def test_a_list_of_one_may_be_a_string() -> None:
    """Operators write `text = "..."`: it is the same rule, and a number is still none."""
    lists = {
        "stage": ["rcpt"],
        "code": ["550"],
        "enhanced": ["X.7.1"],
        "text": ["no thanks"],
        "example": ["550 5.7.1 no thanks"],
        "counter": ["550 no"],
    }
    others = {"class": "policy", "since": "2026-11", "source": "our relay"}
    found = Findings("b")
    made, _ = rules({"generic": {"x": others | lists}}, found, is_operators=True)
    strings = {key: value[0] for key, value in lists.items()}
    assert rules({"generic": {"x": others | strings}}, found, is_operators=True)[0] == made
    assert len(made) == 1
    assert found.problems == []
    rules({"generic": {"x": others | strings | {"text": 5}}}, found, is_operators=True)
    assert "generic.x.text" in str(found.problems[0])
