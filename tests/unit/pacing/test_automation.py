"""`mta.pacing.automation`."""

import time
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.model.outcome import BounceClass, Stage, Verdict
from mta.model.reply import Reply
from mta.model.sender import Sender
from mta.pacing import automation
from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.actions import Actions
from mta.pacing.automation import Automation, Observation, aim_of
from mta.pacing.rules import At, AutomaticAction, AutomationRule
from mta.queue.settings import RateLimit

CLASSIFIER = Classifier(shipped_rules())
DKIM = (
    "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your DKIM domain "
    "[acme.test 35]. To protect our users from spam, mail has been temporarily rate limited."
)
NEWS = Sender("acme", "spring", "marketing", "acme.test")
T0 = 1_800_000_000.0


def refusal(text: str = DKIM, code: int = 421, **more: object) -> Observation:
    reply = Reply(code, (text,), text.split(" ")[0])
    fields: dict[str, object] = {
        "source": "a1",
        "provider": "google",
        "site": "gmail",
        "host": "mx1.google.test",
        "sender": NEWS,
        "verdict": CLASSIFIER.classify(Stage.END_OF_DATA, reply, provider="google"),
        "reply": reply,
    } | more
    return Observation(**fields)  # type: ignore[arg-type]


def rule(at: At = At.STREAM, *, count: int = 3, window_s: float = 60.0, **more: object) -> AutomationRule:
    action = AutomaticAction(ActionKind.SUSPEND, at, 600.0)
    fields: dict[str, object] = {
        "text": "unusual rate",
        "provider": "google",
        "actions": (action,),
    } | more
    return AutomationRule(name="unusual-rate", count=count, window_s=window_s, **fields)  # type: ignore[arg-type]


def of(*rules: AutomationRule) -> tuple[Automation, Actions]:
    actions = Actions()
    return Automation(rules, actions, "automation@n1"), actions


def test_the_third_within_the_window_makes_the_action() -> None:
    """It says who is held where, until when, by which rule, and what the peer's words were."""
    one, actions = of(rule())
    assert one.note(refusal(), T0) == []
    assert one.note(refusal(), T0 + 1) == []
    (made,) = one.note(refusal(), T0 + 2)
    assert made == Action(
        kind=ActionKind.SUSPEND,
        aim=Aim(provider="google", tenant="acme", stream="marketing", from_domain="acme.test"),
        since=T0 + 2,
        until=T0 + 602,
        rule="unusual-rate",
        by="automation@n1",
        reply=f"421 {DKIM}",
        bounce_class=made.bounce_class,
        count=3,
    )
    assert made.bounce_class in BounceClass.__members__.values()
    assert actions.get(made.id) == made


def test_addresses_do_not_stay_in_the_reply() -> None:
    """An action outlives the mail, and is read where recipients are nobody's business."""
    one, _ = of(rule(count=1))
    (made,) = one.note(refusal("4.7.28 unusual rate for <bob@d.test> (bob@d.test)"), T0)
    assert made.reply == "421 4.7.28 unusual rate for <<recipient>> (<recipient>)"


def test_the_window_slides() -> None:
    """What is older than the window counts no more, what is exactly as old does."""
    one, _ = of(rule(count=2, window_s=60.0))
    assert one.note(refusal(), T0) == []
    assert one.note(refusal(), T0 + 60.001) == []
    assert len(one.note(refusal(), T0 + 120.001)) == 1


@given(
    st.integers(1, 6),
    st.lists(st.floats(0.0, 40.0, allow_nan=False), min_size=1, max_size=40),
)
def test_it_never_fires_below_its_threshold_and_always_at_it(least: int, gaps: list[float]) -> None:
    """Compared with counting by hand: since the last action ended, `count` fitting refusals within the window."""
    one, _ = of(rule(count=least, window_s=60.0))
    now, times, until = T0, list[float](), 0.0
    for gap in gaps:
        now += gap
        made = one.note(refusal(), now)
        if now < until:
            assert all(action.since < now for action in made)
            until = max([until, *(action.until for action in made)])
            continue
        times.append(now)
        should = len([at for at in times if now - at <= 60.0]) >= least
        assert bool(made) is should, (times, least)
        if made:
            until, times = made[0].until, []


def test_streams_are_counted_apart() -> None:
    """Two tenants' refusals do not add up to one's; those to a source do, whoever sent."""
    other = refusal(sender=Sender("other", from_domain="other.test"))
    one, _ = of(rule(count=2))
    assert one.note(refusal(), T0) == []
    assert one.note(other, T0) == []
    assert len(one.note(other, T0)) == 1
    two, _ = of(rule(At.PROVIDER, count=2))
    assert two.note(refusal(), T0) == []
    (made,) = two.note(other, T0)
    assert made.aim == Aim(source="a1", provider="google")


def test_in_force_it_is_not_made_again_but_lasts_longer() -> None:
    """By what is worth telling, and not for ever; over, it takes the whole threshold again."""
    one, actions = of(rule(count=2))
    one.note(refusal(), T0)
    (made,) = one.note(refusal(), T0)
    assert one.note(refusal(), T0 + 30) == []
    (longer,) = one.note(refusal(), T0 + 300)
    assert (longer.id, longer.since, longer.until, longer.count) == (made.id, T0, T0 + 900, 3)
    for now in range(400, 2340, 10):
        one.note(refusal(), T0 + now)
    last = actions.get(made.id)
    assert last is not None
    assert T0 + 2340 < last.until <= T0 + 2400
    assert one.note(refusal(), last.until) == []
    (again,) = one.note(refusal(), last.until + 1)
    assert (again.since, again.count) == (last.until + 1, 2)


def test_taken_back_it_takes_the_whole_threshold_again() -> None:
    """A person's word is not undone by the next reply."""
    one, actions = of(rule(count=2))
    one.note(refusal(), T0)
    (made,) = one.note(refusal(), T0)
    actions.apply(made.key, None)
    assert one.note(refusal(), T0 + 1) == []
    assert len(one.note(refusal(), T0 + 2)) == 1


def test_what_another_node_has_begun_is_not_begun_here() -> None:
    """Its refusals here prolong it."""
    one, actions = of(rule(count=1))
    theirs = one.note(refusal(), T0)[0]
    two = Automation((rule(count=1),), actions, "automation@n2")
    (longer,) = two.note(refusal(), T0 + 100)
    assert (longer.by, longer.until) == (theirs.by, T0 + 700)


def test_each_action_of_a_rule_takes_hold_of_its_own() -> None:
    """A throttle with its limits, and an alert, of one refusal."""
    slow = AutomaticAction(ActionKind.THROTTLE, At.PATH, 60.0, 1, RateLimit(10, 60.0))
    shout = AutomaticAction(ActionKind.ALERT, At.SOURCE, 3600.0)
    one, _ = of(rule(count=1, actions=(slow, shout)))
    throttle, alert = one.note(refusal(), T0)
    assert (throttle.kind, throttle.aim) == (ActionKind.THROTTLE, Aim(source="a1", site="gmail"))
    assert (throttle.connections, throttle.message_rate) == (1, RateLimit(10, 60.0))
    assert (alert.kind, alert.aim, alert.until) == (ActionKind.ALERT, Aim(source="a1"), T0 + 3600)


@pytest.mark.parametrize(
    ("at", "aim"),
    [
        (At.PATH, Aim(source="a1", site="gmail")),
        (At.PROVIDER, Aim(source="a1", provider="google")),
        (At.SITE, Aim(site="gmail")),
        (At.HOST, Aim(source="a1", host="mx1.google.test")),
        (At.SOURCE, Aim(source="a1")),
        (At.STREAM, Aim(provider="google", tenant="acme", stream="marketing", from_domain="acme.test")),
        (At.CAMPAIGN, Aim(tenant="acme", campaign="spring")),
    ],
)
def test_where_an_action_takes_hold(at: At, aim: Aim) -> None:
    """Seen from the attempt that brought it about."""
    assert aim_of(at, refusal()) == aim


@pytest.mark.parametrize(
    ("at", "seen"),
    [
        (At.HOST, refusal(host="")),
        (At.SITE, refusal(site="")),
        (At.PATH, refusal(source="")),
        (At.PROVIDER, refusal(provider="other", site="")),
        (At.CAMPAIGN, refusal(sender=Sender("acme"))),
        (At.STREAM, refusal(sender=Sender("acme", "spring"))),
    ],
)
def test_what_is_not_known_is_not_everything(at: At, seen: Observation) -> None:
    """An attempt that met no host must not hold every host, nor mail without a campaign the whole tenant."""
    assert aim_of(at, seen) is None
    one, actions = of(rule(at, count=1, provider=""))
    assert one.note(seen, T0) == []
    assert len(actions) == 0


def test_sites_without_a_provider_have_nothing_in_common() -> None:
    """What would be done at the provider is done at the site."""
    seen = refusal(provider="other", site="small.test")
    assert aim_of(At.PROVIDER, seen) == Aim(source="a1", site="small.test")
    stream = aim_of(At.STREAM, seen)
    assert stream is not None
    assert (stream.site, stream.provider) == ("small.test", "")


def test_all_that_a_rule_names_must_fit() -> None:
    """Provider, class, accused, code and text: each that is named."""
    verdict = refusal().verdict
    for more, fits in (
        ({}, True),
        ({"provider": ""}, True),
        ({"provider": "yahoo"}, False),
        ({"bounce_classes": frozenset({verdict.bounce_class})}, True),
        ({"bounce_classes": frozenset({BounceClass.VIRUS})}, False),
        ({"accused": frozenset({verdict.accused})}, True),
        ({"accused": frozenset({"recipient"})}, False),
        ({"provider_codes": frozenset({"tss04"})}, False),
        ({"text": "no such words"}, False),
    ):
        one, _ = of(rule(count=1, **more))
        assert bool(one.note(refusal(), T0)) is fits, more


def test_refusals_of_a_kind_may_differ_in_their_words() -> None:
    """What is remembered of a kind does not decide by the words of the first one."""
    one, _ = of(rule(count=1))
    kind = refusal()
    assert one.note(refusal("4.7.28 something else", verdict=kind.verdict), T0) == []
    assert len(one.note(kind, T0)) == 1


def test_what_is_counted_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By things and by times in all: the least lately counted are forgotten, never the one that is being counted."""
    monkeypatch.setattr(automation, "_MOST_COUNTED", 10)
    monkeypatch.setattr(automation, "_MOST_TIMES", 25)
    one, _ = of(rule(count=20))
    for number in range(100):
        one.note(refusal(sender=Sender(f"t{number}", from_domain="d.test")), T0)
        assert len(one) <= 10
    for _ in range(19):
        one.note(refusal(sender=Sender("t99", from_domain="d.test")), T0)
        assert one._times <= 25
    fresh = refusal(sender=Sender("last", from_domain="d.test"))
    assert [bool(one.note(fresh, T0)) for _ in range(20)] == [False] * 19 + [True]
    assert one._times == sum(len(counter.times) for counter in one._counters.values())


def test_kinds_of_refusals_are_remembered_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers make up codes as they like."""
    monkeypatch.setattr(automation, "_MOST_KINDS", 8)
    one, _ = of(rule())
    for number in range(100):
        verdict = Verdict(**{**_fields(refusal().verdict), "provider_code": f"X{number}"})
        one.note(refusal(verdict=verdict), T0)
        assert len(one._of_kind) <= 8


def _fields(verdict: Verdict) -> dict[str, object]:
    return {name: getattr(verdict, name) for name in verdict.__struct_fields__}


def test_a_refusal_that_no_rule_is_about_costs_a_microsecond() -> None:
    """However many rules there are; the fastest of many rounds, since the machine has other work."""
    rules = [rule(provider=f"p{number}") for number in range(300)]
    one, _ = of(*rules)
    seen = refusal()
    one.note(seen, T0)
    clock = count()
    best = float("inf")
    while next(clock) < 200:
        started = time.perf_counter()
        for _ in range(100):
            one.note(seen, T0)
        best = min(best, (time.perf_counter() - started) / 100)
    assert best < 2e-6, best
