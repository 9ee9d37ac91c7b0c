import json
from typing import Any

import pytest

from mta.admin.errors import WrongUsage
from mta.admin.refusals import REFUSALS
from mta.admin.tail import STYLES, Filters, filters, render
from mta.jetstream.subjects import event_subject
from mta.model.event import EventType

TODAY = "2026-11-22"


def shown(**event: Any) -> str:
    return render(json.dumps(event).encode(), TODAY).plain


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
        next_attempt_at="2026-11-23T07:32:45.448483Z",
        bounce={"class": "greylisted"},
        smtp={"stage": "rcpt", "code": 451, "enhanced": "4.7.1", "text": "later"},
    )
    assert line == (
        "07:22:45.448Z deferred     bob@example.test  acme/spring  via google  attempt 2  greylisted  "
        "rcpt 451 4.7.1 later  next 2026-11-23 07:32:45Z"
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
    assert line == "07:22:45.448Z delivered    bob@example.test  acme  via google  recovered"


def test_a_time_of_another_day_has_its_date() -> None:
    """In UTC, as the event says it."""
    line = shown(type="delivered", time="2026-11-21T23:59:59.999999Z", tenant="acme", recipient="b@x.test")
    assert line == "2026-11-21 23:59:59.999Z delivered    b@x.test  acme"


def test_a_rejection_and_a_failure_say_why() -> None:
    """Code and text, as words."""
    error = {"code": "from_not_allowed", "text": "`x.test` is no domain of this tenant"}
    assert shown(type="rejected", tenant="acme", payload_id="p1", error=error).endswith(
        " rejected     p1  acme  from_not_allowed: `x.test` is no domain of this tenant"
    )
    assert shown(type="failed", tenant="acme", recipient="b@x.test", error={"code": "template"}).endswith(
        " failed       b@x.test  acme  template"
    )


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
    assert filters("acme", "bounced", "google", "_", "10m") == Filters("acme", "bounced", "google", "_", 600)
    assert filters("", "", "", "", "0") == Filters()
    with pytest.raises(WrongUsage, match="--since 10: expected a time such as"):
        filters("", "", "", "", "10")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("", "bounce", "", ""), "--type bounce: expected one of accepted, queued, rejected, "),
        (("Acme", "", "", ""), "--tenant Acme: such a name is made of a-z"),
        (("", "", "google.com", ""), "--provider google.com: "),
        (("", "", "", "Spring Sale"), "--campaign Spring Sale: "),
    ],
)
def test_what_no_event_can_match_is_refused(given: tuple[str, str, str, str], said: str) -> None:
    """Nobody waits for nothing."""
    with pytest.raises(WrongUsage, match=said):
        filters(*given, "0")


def test_every_type_has_its_colour() -> None:
    """None is forgotten, none is left over."""
    assert set(STYLES) == set(EventType)


def test_a_verb_names_the_types_it_counts() -> None:
    """Not all there are."""
    with pytest.raises(WrongUsage, match=r"--type delivered: expected one of bounced, deferred, .*expired$"):
        filters("", "delivered", "", "", "1h", REFUSALS)
    assert filters("", "expired", "", "", "1h", REFUSALS).type == "expired"


def test_an_underscore_is_without_campaign() -> None:
    """As everywhere else; the subject of such an event has it in that place."""
    assert (
        event_subject("acme", "bounced", "google", "") == Filters("acme", "bounced", "google", "_").subject()
    )


@pytest.mark.parametrize("kind", ["suppressed", "failed", "cancelled"])
def test_what_no_server_decided_has_its_reason(kind: str) -> None:
    """Not the class, which is `local` whatever happened; where nothing else is told, that is."""
    event = {"type": kind, "tenant": "acme", "recipient": "b@x.test"}
    told = shown(**event, bounce={"class": "local", "detail": "complained"})
    assert told.endswith("b@x.test  acme  complained")
    assert shown(**event, bounce={"class": "local"}).endswith("b@x.test  acme  local")
    assert shown(**event | {"type": "deferred"}, bounce={"class": "local", "detail": "no key"}).endswith(
        "acme  local  no key"
    )
