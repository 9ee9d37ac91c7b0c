from mta.classify.rules import BASIC_RULES, CLASSES, ENHANCED_RULES
from mta.model.outcome import BounceClass, Scope, Stage


def test_every_class_has_its_facts() -> None:
    """34 classes, each with a way to go on and a way to end."""
    assert set(CLASSES) == set(BounceClass)
    for facts in CLASSES.values():
        assert "fail" in facts.final
        assert "fail" not in facts.again
        assert {"retry", "retry_long", "greylist"} & set(facts.again)


def test_rules_have_names_of_their_own() -> None:
    """An event's `rule` leads to one rule."""
    for rules in (ENHANCED_RULES, BASIC_RULES):
        assert len({rule.name for rule in rules}) == len(rules)


def test_every_enhanced_rule_can_match() -> None:
    """None stands behind one that takes all it could take."""
    for number, rule in enumerate(ENHANCED_RULES):
        for earlier in ENHANCED_RULES[:number]:
            hides = (
                earlier.subject in ("", rule.subject)
                and (not earlier.stages or (rule.stages and rule.stages <= earlier.stages))
                and (not earlier.codes or (rule.codes and rule.codes <= earlier.codes))
                and earlier.transient in (None, rule.transient)
            )
            assert not hides, f"{rule.name} is hidden by {earlier.name}"


def test_recipient_classes_need_a_stage_that_names_the_recipient() -> None:
    """S-16: nothing before RCPT accuses a mailbox."""
    for rule in (*ENHANCED_RULES, *BASIC_RULES):
        if CLASSES[rule.bounce_class].scope is Scope.RECIPIENT and rule.bounce_class is not BounceClass.LOCAL:
            assert rule.stages
            assert rule.stages <= {Stage.RCPT, Stage.END_OF_DATA}, rule.name
