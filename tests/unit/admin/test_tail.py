import json
from typing import Any

import pytest

from mta.admin.errors import WrongUsage
from mta.admin.tail import STYLES, Filters, render, seconds


def shown(**event: Any) -> str:
    return render(json.dumps(event).encode()).plain


def test_a_deferral_says_why_and_what_comes_next() -> None:
    """Class, reply, time of the next attempt."""
    line = shown(
        type="deferred",
        time="2026-11-22T07:22:45.448483Z",
        tenant="acme",
        campaign="spring",
        recipient="bob@example.test",
        provider="google",
        attempt=2,
        next_attempt_at="2026-11-22T07:32:45.448483Z",
        bounce={"class": "greylisted"},
        smtp={"stage": "rcpt", "code": 451, "enhanced": "4.7.1", "text": "later"},
    )
    assert line == (
        "07:22:45.448 deferred     bob@example.test  acme/spring  via google  attempt 2  greylisted  "
        "rcpt 451 4.7.1 later  next 07:32:45"
    )


def test_a_delivery_is_short() -> None:
    """Nobody reads the text of a 250."""
    line = shown(
        type="delivered",
        time="2026-11-22T07:22:45.448483Z",
        tenant="acme",
        recipient="bob@example.test",
        provider="google",
        attempt=1,
        smtp={"code": 250, "text": "2.0.0 OK"},
        recovered=True,
    )
    assert line == "07:22:45.448 delivered    bob@example.test  acme  via google  recovered"


def test_an_event_of_a_payload_names_the_payload() -> None:
    """There is no recipient to name."""
    assert shown(type="accepted", tenant="acme", payload_id="p1", provider="_") == " accepted     p1  acme"


def test_colours_mean_something() -> None:
    """Green went well, yellow goes on, red is lost."""
    for kind, style in STYLES.items():
        spans = render(json.dumps({"type": kind}).encode()).spans
        assert style in {span.style for span in spans}
    assert (STYLES["delivered"], STYLES["deferred"], STYLES["bounced"]) == ("green", "yellow", "red")


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b'"x"', b"5"])
def test_what_is_no_event_is_shown_as_it_is(line: bytes) -> None:
    """Harmless, and not hidden."""
    assert render(line).plain == line.decode(errors="replace")


@pytest.mark.parametrize("key", ["recipient", "type", "time", "tenant", "provider", "campaign"])
def test_no_event_moves_the_cursor(key: str) -> None:
    """A stream holds what peers said."""
    line = shown(**{"type": "bounced", key: "x" * 12 + "\x1b[2J\u202e\n"})
    assert not set("\x1b\u202e\n") & set(line)


@pytest.mark.parametrize("value", [None, 5, [], {}, True])
def test_fields_of_a_strange_type_do_no_harm(value: Any) -> None:
    """An event of another version is still a line."""
    keys = ("time", "type", "recipient", "bounce", "smtp", "attempt", "next_attempt_at", "provider", "detail")
    for key in keys:
        assert "\n" not in shown(**{"type": "bounced", key: value})


def test_filters_become_a_subject() -> None:
    """Tokens as the stream writes them."""
    assert Filters().subject() == "mta.event.*.*.*.*"
    assert Filters("acme", "bounced", "google", "Spring Sale").subject() == (
        "mta.event.acme.bounced.google.=53pring=20=53ale"
    )
    assert Filters(tenant=">").subject() == "mta.event.=3E.*.*.*"


def test_since_is_a_time() -> None:
    """With its unit."""
    assert seconds("10m") == 600
    assert seconds("0") == 0
    with pytest.raises(WrongUsage, match="--since 10: expected a time such as"):
        seconds("10")
