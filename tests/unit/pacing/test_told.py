"""`mta.pacing.told`."""

import pytest

from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.told import begin_of, end_of, fields_of, told_id
from mta.queue.settings import RateLimit


def action(kind: ActionKind, aim: Aim, **more: object) -> Action:
    return Action(kind=kind, aim=aim, since=100.0, until=700.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "aim", "begin", "end"),
    [
        (ActionKind.SUSPEND, Aim(source="a1"), "source_suspended", "source_resumed"),
        (ActionKind.SUSPEND, Aim(tenant="acme", provider="google"), "stream_suspended", "stream_resumed"),
        (ActionKind.THROTTLE, Aim(source="a1", site="s"), "path_throttled", "path_restored"),
        (ActionKind.ALERT, Aim(source="a1"), "alert", ""),
    ],
)
def test_each_kind_has_its_words(kind: ActionKind, aim: Aim, begin: str, end: str) -> None:
    """Those of the contract."""
    one = action(kind, aim)
    assert (begin_of(one), end_of(one)) == (begin, end)


def test_all_nodes_tell_the_same_thing_under_the_same_id() -> None:
    """And another end under another one."""
    one = action(ActionKind.SUSPEND, Aim(source="a1"))
    assert told_id(one, "source_resumed", 700.0) == told_id(one, "source_resumed", 700.0)
    assert told_id(one, "source_resumed", 700.0) != told_id(one, "source_resumed", 900.0)


def test_what_is_known_is_told() -> None:
    """At whom, why, by whom, until when; nothing that is empty."""
    one = action(
        ActionKind.THROTTLE,
        Aim(source="a1", provider="google"),
        connections=1,
        message_rate=RateLimit(10, 60.0),
        rule="unusual-rate",
        reply="421 no",
        count=3,
    )
    assert fields_of(one) == {
        "action": one.id,
        "source": "a1",
        "provider": "google",
        "until": "1970-01-01T00:11:40.000000Z",
        "connections": "1",
        "message_rate": "10/60s",
        "rule": "unusual-rate",
        "count": "3",
        "reply": "421 no",
    }
