import tomllib

import pytest
from msgspec.structs import replace

from mta.classify.rules import RuleBook
from mta.config.bounces import rules
from mta.config.load import shipped_rules
from mta.config.problems import Findings
from mta.config.proof import prove


def problems(text: str) -> list[str]:
    """Of an operator's rules in front of the shipped ones."""
    found = Findings("b")
    own, _ = rules(tomllib.loads(text), found, is_operators=True)
    assert found.problems == []
    prove(replace(shipped_rules(), operator=own), found, is_operators=True)
    return [str(problem) for problem in found.problems]


def rule(name: str, text: str, example: str, counter: str = "550 other", more: str = "") -> str:
    return (
        f"[{name}]\nclass = 'policy'\nsince = '2026-11'\nsource = 's'\n"
        f"text = ['{text}']\nexample = ['{example}']\ncounter = ['{counter}']\n{more}\n"
    )


def test_the_shipped_rules_hold() -> None:
    """Each example comes out at its own rule, no counter does."""
    found = Findings("bounces.toml")
    prove(shipped_rules(), found)
    assert [str(problem) for problem in found.problems] == []


def test_every_shipped_rule_says_where_it_comes_from() -> None:
    """And has both kinds of examples; of more than 250."""
    assert len(shipped_rules().shipped) > 250
    assert all(one.examples and one.counters for one in shipped_rules().shipped)


def test_a_rule_that_holds() -> None:
    """Its own words win over the shipped rules'."""
    assert problems(rule("generic.a", "no such user", "550 no such user")) == []


def test_an_example_that_does_not_match() -> None:
    """It says where it came out, and what was read."""
    (problem,) = problems(rule("generic.a", "xyz", "550 5.1.1 no such user"))
    assert problem == (
        'b: generic.a.example[0]: "generic:unknown" (invalid_recipient) takes it first, by "no such user": correct the '
        'rule or move it in front.  It reads "no such user"'
    )


def test_a_rule_that_is_never_reached() -> None:
    """One in front of it takes all it could take."""
    text = rule("generic.a", "xyz", "550 xyz") + rule("generic.b", "xyz now", "550 xyz now")
    (problem,) = problems(text)
    assert problem.startswith('b: generic.b.example[0]: "operator:generic.a" (policy) takes it first')


def test_a_counter_that_matches() -> None:
    """The rule is too wide."""
    (problem,) = problems(rule("generic.a", "xyz", "550 xyz", "550 xyz too"))
    assert problem == 'b: generic.a.counter[0]: matches although it must not: narrow the rule  "550 xyz too"'


def test_examples_name_stage_and_provider_where_it_matters() -> None:
    """Else the rule's own are meant."""
    of_mail = rule("google.a", "xyz", "mail: 550 xyz", "yahoo/mail: 550 xyz", "stage = ['rcpt', 'mail']")
    assert problems(of_mail) == []
    (problem,) = problems(rule("google.a", "xyz", "dot: 550 xyz", more="stage = ['rcpt']"))
    assert "no text matched" in problem
    assert problems(rule("generic.a", "oddly: xyz", "oddly: xyz")) == []


@pytest.mark.parametrize("example", ["554 xyz [CS01]", "554 (S3150) xyz"])
def test_a_code_that_is_taken_first_is_named(example: str) -> None:
    """Provider codes stand before generic text."""
    found = Findings("b")
    own, _ = rules(tomllib.loads(rule("generic.a", "xyz", example)), found)
    prove(RuleBook((), (*own, *shipped_rules().shipped)), found)
    (problem,) = [str(one) for one in found.problems]
    assert "takes it first, by the code" in problem
