"""What keeps mail from going faster, in words."""

import pytest
from msgspec import structs

from mta.admin import causes
from mta.admin.lately import Key
from mta.admin.view import PathRow
from mta.delivery.binding import Bind, Binding
from mta.intake.orders import Order, Target
from mta.pacing.action import Action, ActionKind, Aim
from mta.queue.settings import RateLimit

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
SUSPENDED = Action(
    kind=ActionKind.SUSPEND,
    aim=Aim(source="a1", provider="google"),
    since=NOW,
    until=NOW + 600,
    rule="google-rate",
    reply="421 4.7.28 slow down",
)


KEY = Key("bulk", "acme", "spring", "google")


def path(binding: Binding, source: str = "a1") -> PathRow:
    return PathRow(source, "mx.big.test", "google", 7, 2, binding)


@pytest.mark.parametrize("kind", list(Bind))
def test_each_kind_has_words(kind: Bind) -> None:
    """Nothing is left without an explanation but what needs none."""
    cause = causes.of_path(path(Binding(kind, rate=RateLimit(20, 60.0), connections=2)), [], NOW)
    if kind is Bind.NOTHING:
        assert cause is None
    else:
        assert cause is not None
        assert (cause.kind, cause.count) == (kind, 7)
        assert len(cause.text) > 20


def test_a_limit_is_told_with_its_scope() -> None:
    """As shaping.toml has it, and whose it is."""
    rate = RateLimit(20, 60.0)
    texts = {}
    for scope in ("", "host", "provider", "source"):
        cause = causes.of_path(path(Binding(Bind.MESSAGE_RATE, scope, rate)), [], NOW)
        assert cause is not None
        texts[scope] = cause.text
    assert texts == {
        "": "message rate 20/min: a1 to mx.big.test",
        "host": "message rate 20/min: a1 to one host of mx.big.test",
        "provider": "message rate 20/min: a1 to all of google",
        "source": "message rate 20/min: a1 everywhere",
    }
    one = causes.of_path(path(Binding(Bind.CONNECTIONS, connections=1)), [], NOW)
    assert one is not None
    assert one.text == "limit of 1 connection: a1 to mx.big.test"


def test_a_back_off_names_its_end_and_the_answer() -> None:
    """In one line, however many the answer has."""
    cause = causes.of_path(path(Binding(Bind.BACKED_OFF, until=NOW + 60, reply="421\r\n4.7.0  no")), [], NOW)
    assert cause is not None
    assert cause.text == "backed off after failures until 11:07: a1 to mx.big.test (421 4.7.0 no)"
    assert (cause.until, cause.is_grave) == (NOW + 60, True)


def test_an_action_that_covers_the_path_says_more_than_its_state() -> None:
    """By which rule, after which answer; on another path, or when it is over, it says nothing."""
    blocked = Binding(Bind.SUSPENDED, until=NOW + 600)
    cause = causes.of_path(path(blocked), [SUSPENDED], NOW)
    assert cause is not None
    assert cause.text == (
        "suspended until 11:16 by google-rate, source=a1 provider=google (421 4.7.28 slow down)"
    )
    for other, now in ((path(blocked, "a2"), NOW), (path(blocked), NOW + 601)):
        cause = causes.of_path(other, [SUSPENDED], now)
        assert cause is not None
        assert "google-rate" not in cause.text


def test_a_throttle_is_told_beside_the_limit_that_it_sets() -> None:
    """Until when, and by whom."""
    action = Action(
        kind=ActionKind.THROTTLE, aim=Aim(provider="google"), since=NOW, until=NOW + 600, by="jane"
    )
    binding = Binding(Bind.MESSAGE_RATE, rate=RateLimit(1, 60.0))
    cause = causes.of_path(path(binding), [action], NOW)
    assert cause is not None
    assert cause.text == "message rate 1/min: a1 to mx.big.test; throttled until 11:16 by jane"


def test_why_it_waits_for_later() -> None:
    """A refusal by its class, parking by what it was for, and a suspension where one is in force."""
    texts = [
        causes.of_reason(reason, 3, actions, [], KEY, NOW).text
        for reason, actions in (
            ("greylisted", [SUSPENDED]),
            ("backed_off", []),
            ("suspended", [SUSPENDED]),
            ("", []),
            ("too many at once", []),
        )
    ]
    assert texts == [
        "deferred: greylisted",
        "parked: the destination could not be reached",
        "suspended until 11:16 by google-rate, source=a1 provider=google (421 4.7.28 slow down)",
        "waits for its next attempt",
        "too many at once",
    ]
    elsewhere = KEY._replace(provider="yahoo")
    assert causes.of_reason("suspended", 3, [SUSPENDED], [], elsewhere, NOW).kind == "later"


@pytest.mark.parametrize("reason", ["backed_off", "throttled", "ready", "warming_up", "held", "greylisted"])
def test_a_suspended_path_explains_only_what_was_parked_for_that(reason: str) -> None:
    """Whatever else it waits for has another cause, which the suspension would hide."""
    assert causes.of_reason(reason, 3, [SUSPENDED], [], KEY, NOW).kind == "later"


AT_SITE = structs.replace(SUSPENDED, aim=Aim(source="a1", site="mx.big.test"))
AT_HOST = structs.replace(SUSPENDED, aim=Aim(host="mx.big.test"))
OF_OTHER = PathRow("a1", "mx.big.test", "other", 7, 2, Binding(Bind.SUSPENDED))


@pytest.mark.parametrize("action", [AT_SITE, AT_HOST], ids=["site", "host"])
@pytest.mark.parametrize(
    ("provider", "paths", "is_held"),
    [
        ("google", [path(Binding(Bind.SUSPENDED))], True),
        ("yahoo", [path(Binding(Bind.SUSPENDED))], False),
        ("google", [], False),
        ("other", [path(Binding(Bind.SUSPENDED))], False),
        ("other", [OF_OTHER], True),
        ("google", [OF_OTHER], False),
    ],
)
def test_a_suspended_site_explains_only_mail_of_its_provider(
    action: Action, provider: str, paths: list[PathRow], is_held: bool
) -> None:
    """As far as a node says whose it is: nothing else is known of what was parked."""
    cause = causes.of_reason("suspended", 3, [action], paths, KEY._replace(provider=provider), NOW)
    assert cause.kind == ("suspended" if is_held else "later")


def test_a_suspended_site_is_that_of_its_source() -> None:
    """Another source's path there is another path."""
    paths = [path(Binding(Bind.SUSPENDED), "a2")]
    assert causes.of_reason("suspended", 3, [AT_SITE], paths, KEY, NOW).kind == "later"


def test_the_reason_that_a_person_gave_is_told() -> None:
    """In one line, for a suspension as for a throttle."""
    held = structs.replace(SUSPENDED, rule="", reply="", by="jane", reason="they asked\nfor it")
    cause = causes.of_reason("suspended", 3, [held], [], KEY, NOW)
    assert cause.text == "suspended until 11:16 by jane, source=a1 provider=google: they asked for it"
    slowed = structs.replace(held, kind=ActionKind.THROTTLE)
    told = causes.of_path(path(Binding(Bind.MESSAGE_RATE, rate=RateLimit(1, 60.0))), [slowed], NOW)
    assert told is not None
    assert told.text.endswith("; throttled until 11:16 by jane: they asked for it")


def test_mail_that_is_held_for_whose_it_is() -> None:
    """By the action that is aimed at it: not by one for another campaign, nor for a path."""
    aim = Aim(campaign="spring", tenant="acme")
    stopped = Action(kind=ActionKind.SUSPEND, aim=aim, since=NOW, until=NOW + 600, rule="breaker")
    actions = [SUSPENDED, stopped]
    cause = causes.of_reason("held", 3, actions, [], KEY, NOW)
    assert cause.text == "suspended until 11:16 by breaker, tenant=acme campaign=spring"
    assert "breaker" not in causes.of_reason("suspended", 3, actions, [], KEY, NOW).text
    other = KEY._replace(campaign="summer")
    assert causes.of_reason("held", 3, actions, [], other, NOW).kind == "later"


def test_an_order_is_told_with_who_gave_it() -> None:
    """And when it ends, if it does."""
    target = Target("acme", "spring")
    cause = causes.of_order(target, Order("wrong price", "jane", NOW, NOW + 3600), 5, NOW)
    assert cause.text == "campaign acme/spring paused until 12:06 by jane: wrong price"
    cause = causes.of_order(target, Order("wrong price"), 5, NOW)
    assert cause.text == "campaign acme/spring paused until it is resumed: wrong price"


def test_what_is_fresh_waits_for_a_node() -> None:
    """To be there, or to have room."""
    assert causes.of_fresh(3, may_go=False).is_grave
    assert not causes.of_fresh(3, may_go=True).is_grave
