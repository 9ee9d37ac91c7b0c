from typing import Any

import pytest

from mta.model.outcome import BounceClass, BounceType, Scope, Verdict
from mta.model.reply import Reply
from mta.pacing.action import ActionKind
from mta.pacing.rules import At, AutomaticAction, AutomationRule, SourceWarmup, WarmupPlan, said

VERDICT = Verdict(
    BounceClass.RATE_LIMITED, "rate", BounceType.SOFT, "source_ip", Scope.SOURCE, "r", provider_code="TSS04"
)
TEXT = said(Reply(421, ("4.7.0 [TSS04] Messages from 192.0.2.1", "temporarily DEFERRED")))


def rule(**changes: Any) -> AutomationRule:
    return AutomationRule(
        name="r", actions=(AutomaticAction(ActionKind.SUSPEND, At.PROVIDER, 60.0),), **changes
    )


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"provider": "yahoo"}, True),
        ({"provider": "google"}, False),
        ({"excepted": frozenset({"google"})}, True),
        ({"excepted": frozenset({"yahoo"})}, False),
        ({"bounce_classes": frozenset({BounceClass.RATE_LIMITED, BounceClass.POLICY})}, True),
        ({"bounce_classes": frozenset({BounceClass.POLICY})}, False),
        ({"accused": frozenset({"source_ip"})}, True),
        ({"accused": frozenset({"dkim_domain"})}, False),
        ({"provider_codes": frozenset({"tss04"})}, True),
        ({"provider_codes": frozenset({"tss0"})}, False),
        ({"text": "from .* temporarily deferred$"}, True),
        ({"text": "4\\.7\\.1|permanently"}, False),
        ({"provider": "yahoo", "text": "deferred", "accused": frozenset({"sender"})}, False),
    ],
)
def test_a_reply_fits_when_all_that_is_named_does(changes: dict[str, Any], fits: bool) -> None:
    """What is empty says nothing; codes in any case, text in lower case over all lines."""
    assert rule(**changes).fits("yahoo", VERDICT, TEXT) is fits


def test_what_a_pattern_sees_is_bounded() -> None:
    """A reply of any length costs no more than a usual one."""
    assert len(said(Reply(421, ("x" * 512,) * 100))) == 2000
    assert said(None) == ""


def test_a_plan_holds_where_it_is_said() -> None:
    """Empty: at each provider."""
    plan = WarmupPlan("p", (1, 2))
    assert SourceWarmup(plan).holds_at("google")
    assert not SourceWarmup(plan, ("yahoo",)).holds_at("google")
    assert SourceWarmup(plan, ("yahoo",)).holds_at("yahoo")
