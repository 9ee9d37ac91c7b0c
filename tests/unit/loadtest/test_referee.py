"""The referee against synthetic logs: it must acquit the clean run and convict each kind of fault."""

import json

import pytest

from loadtest import referee
from loadtest.referee import Event, Ruling, misended, parse_events
from loadtest.sinklog import Entry

ASKED = ("a@d.test", "b@d.test", "c@d.test")


def judge(asked: tuple[str, ...], accepted: list[str], events: list[Event]) -> Ruling:
    """Each acceptance with the one identity its recipient's message has."""
    return referee.judge(asked, [entry(name) for name in accepted], events)


def entry(recipient: str, what: str = "ok", identity: str = "") -> Entry:
    return Entry(1, 1, what, 10, identity or recipient, recipient)


def delivered(recipient: str, attempt: int = 1) -> Event:
    return Event(f"{recipient}.delivered.{attempt}", "delivered", "", recipient, attempt)


def deferred(recipient: str, attempt: int = 1) -> Event:
    return Event(f"{recipient}.deferred.{attempt}", "deferred", "", recipient, attempt)


def bounced(recipient: str, attempt: int = 1) -> Event:
    return Event(f"{recipient}.bounced.{attempt}", "bounced", "", recipient, attempt)


CLEAN = [delivered("a@d.test"), deferred("b@d.test"), delivered("b@d.test", 2), bounced("c@d.test")]


def test_clean_run() -> None:
    """A run in which each recipient ends once and as the sink saw it has no fault."""
    ruling = judge(ASKED, ["a@d.test", "b@d.test"], CLEAN)
    assert ruling.faults == ()
    assert ruling == Ruling(3, 2, {"delivered": 2, "bounced": 1}, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def test_accepted_payload_is_no_recipient() -> None:
    """Events about a whole payload count for nobody."""
    ruling = judge(ASKED, ["a@d.test", "b@d.test"], [Event("k.accepted.0", "accepted"), *CLEAN])
    assert ruling.faults == ()


def test_lost_recipient() -> None:
    """Who has no terminal event is lost."""
    ruling = judge(ASKED, ["a@d.test", "b@d.test"], CLEAN[:3])
    assert (ruling.lost, ruling.faults) == (1, ("lost",))


def test_accepted_but_never_reported() -> None:
    """An acceptance without a terminal event is lost to the sender all the same."""
    ruling = judge(ASKED, [*ASKED], [delivered("a@d.test"), delivered("b@d.test")])
    assert ruling.lost == 1


def test_false_success() -> None:
    """A `delivered` the sink never accepted is a loss, whatever the event says."""
    ruling = judge(ASKED, ["a@d.test"], CLEAN)
    assert (ruling.lost, ruling.false_success, ruling.delivered) == (1, 1, 1)
    assert "lost" in ruling.faults


def test_duplicate() -> None:
    """Each acceptance beyond the first is a duplicate."""
    ruling = judge(ASKED, ["a@d.test", "b@d.test", "b@d.test", "b@d.test"], CLEAN)
    assert (ruling.duplicates, ruling.faults) == (2, ("duplicates",))


def test_bounced_although_accepted() -> None:
    """A sink that said 250 and an event that says bounced do not go together."""
    ruling = judge(ASKED, [*ASKED], CLEAN)
    assert ruling.faults == ("unreported",)


def test_two_terminal_events() -> None:
    """A recipient ends once."""
    ruling = judge(ASKED, ["a@d.test", "b@d.test"], [*CLEAN, bounced("a@d.test")])
    assert "ended_twice" in ruling.faults


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([deferred("a@d.test", 2), delivered("a@d.test", 3)], id="first attempt missing"),
        pytest.param([deferred("a@d.test"), delivered("a@d.test", 1)], id="attempt used twice"),
        pytest.param([delivered("a@d.test", 1), deferred("a@d.test", 2)], id="attempt after the end"),
    ],
)
def test_misnumbered(events: list[Event]) -> None:
    """Attempts are numbered 1..n and the last one ends it."""
    ruling = judge(("a@d.test",), ["a@d.test"], events)
    assert ruling.faults == ("misnumbered",)


def test_deferred_after_the_end() -> None:
    """Whatever its number, an event later than the end is one too many."""
    end = Event("a.2", "delivered", "2026-01-01T00:00:02.000000Z", "a@d.test", 2)
    before = Event("a.1", "deferred", "2026-01-01T00:00:01.000000Z", "a@d.test", 1)
    behind = Event("a.1", "deferred", "2026-01-01T00:00:02.000001Z", "a@d.test", 1)
    assert judge(("a@d.test",), ["a@d.test"], [end, before]).faults == ()
    assert judge(("a@d.test",), ["a@d.test"], [end, behind]).faults == ("after_end",)


def test_copies_that_differ() -> None:
    """All that the sink got for one recipient is one message, also what it did not accept."""
    asked, events = ("a@d.test",), [deferred("a@d.test"), delivered("a@d.test", 2)]
    same = [entry("a@d.test", "cut-dot"), entry("a@d.test")]
    other = [entry("a@d.test", "cut-dot", "other"), entry("a@d.test")]
    without = [Entry(1, 1, "cut-rcpt", 0, "-", "a@d.test"), entry("a@d.test")]
    assert referee.judge(asked, same, events).faults == ()
    assert referee.judge(asked, without, events).faults == ()
    ruling = referee.judge(asked, other, events)
    assert (ruling.differing, ruling.faults) == (1, ("differing",))


def test_what_was_not_accepted_is_no_acceptance() -> None:
    """A message cut at its dot does not make a `delivered` true, nor a bounce false, nor a second copy."""
    cut = [entry("a@d.test", "cut-dot")] * 2
    assert referee.judge(("a@d.test",), cut, [delivered("a@d.test")]).false_success == 1
    assert referee.judge(("a@d.test",), cut, [bounced("a@d.test")]).faults == ()


def test_misended() -> None:
    """Whoever ends otherwise than expected is named; strangers are not asked about."""
    events = [delivered("a@d.test"), bounced("b@d.test"), deferred("c@d.test"), bounced("z@d.test")]
    found = misended(lambda _: "delivered", ASKED, events)
    assert found == [("b@d.test", "bounced", "delivered")]


def test_stranger() -> None:
    """Mail to someone nobody asked for is a fault."""
    ruling = judge(ASKED, ["a@d.test", "b@d.test", "z@d.test"], CLEAN)
    assert ruling.faults == ("strangers",)


def test_parse_leaves_out_repeats() -> None:
    """Events with equal ids are one event, in whatever batch they come; unknown fields do no harm."""
    line = json.dumps(
        {"v": 1, "id": "x.delivered.1", "type": "delivered", "recipient": "a@d.test", "attempt": 1}
    )
    other = json.dumps({"v": 1, "id": "k.accepted.0", "type": "accepted"})
    events = parse_events([f"{line}\n{other}\n".encode(), f"{line}\n".encode()])
    assert [event.id for event in events] == ["x.delivered.1", "k.accepted.0"]
