import re

from hypothesis import given
from hypothesis import strategies as st

from mta.jetstream.layout import PAYLOADS, RETRY
from mta.jetstream.schedule import (
    Held,
    at,
    carried,
    described,
    description,
    due_at,
    held,
    retry,
    retry_number,
    source_of,
)
from mta.jetstream.subjects import parse_due, parse_retry
from mta.model.lane import Lane

KEY = bytes(16)


def test_a_time_is_rounded_up_to_the_second() -> None:
    """A retry never comes early."""
    assert at(1795332165.0) == "@at 2026-11-22T07:22:45Z"
    assert at(1795332165.000001) == "@at 2026-11-22T07:22:46Z"


def test_the_number_names_source_and_set() -> None:
    """The same set from the same source has one number, in whatever order; anything else another."""
    number = retry_number(PAYLOADS, 17, [(3, 1), (0, 2)])
    assert re.fullmatch(r"p17-[0-9a-f]{16}", number)
    assert number == retry_number(PAYLOADS, 17, [(0, 2), (3, 1)])
    others = {
        retry_number(PAYLOADS, 17, [(3, 1)]),
        retry_number(PAYLOADS, 17, [(3, 1), (0, 3)]),
        retry_number(PAYLOADS, 18, [(3, 1), (0, 2)]),
        retry_number(RETRY, 17, [(3, 1), (0, 2)]),
    }
    assert len(others) == 4
    assert number not in others
    assert retry_number(RETRY, 17, [(1, 1)]).startswith("r17-")


def test_pairs_do_not_run_together() -> None:
    """(1, 11) and (11, 1) are different sets."""
    assert retry_number(PAYLOADS, 1, [(1, 11)]) != retry_number(PAYLOADS, 1, [(11, 1)])


def test_a_retry_fires_into_its_lane() -> None:
    """Subject, id and target carry the same tenant, campaign and key."""
    made = retry(Lane.BULK, "acme", "Spring", KEY, "p1-0000000000000000", 1795332165.2)
    assert made.msg_id == made.subject
    source, target = parse_retry(made.subject), parse_due(made.headers["Nats-Schedule-Target"])
    assert source is not None
    assert target is not None
    assert target.lane is Lane.BULK
    assert (source.tenant, source.campaign, source.payload_key) == (
        target.tenant,
        target.campaign,
        target.payload_key,
    )
    assert made.headers["Nats-Schedule"] == "@at 2026-11-22T07:22:46Z"


def test_a_due_message_names_the_one_it_was_deferred_from() -> None:
    """By the subject of its schedule, which the server gives it; what is no schedule of ours names nothing."""
    for stream, sequence in (("MTA_PAYLOADS", 7), ("MTA_RETRY", 12)):
        subject = f"mta.retry.acme.c.key.{retry_number(stream, sequence, [(0, 1)])}"
        assert source_of({"Nats-Scheduler": subject}) == (stream, sequence)
    for headers in ({}, {"Nats-Scheduler": "mta.retry.acme.c.key.x"}, {"Nats-Scheduler": "other.subject"}):
        assert source_of(headers) is None


def test_headers_say_what_a_message_holds() -> None:
    """Recipients by provider and why most of them wait; read back as they were."""
    pairs = [("google", "greylisted")] * 3 + [("other", "rate_limited")] * 2 + [("", "greylisted")]
    headers = described(held(pairs))
    assert headers == {
        "Mta-Recipients": "6",
        "Mta-Providers": "google=3,other=2,_=1",
        "Mta-Reason": "greylisted",
    }
    assert description(headers) == Held(6, {"google": 3, "other": 2, "": 1}, "greylisted")
    assert carried({"Nats-Schedule": "x"} | headers) == headers


@given(st.lists(st.tuples(st.text(max_size=70), st.text(max_size=70)), min_size=1, max_size=50))
def test_no_name_breaks_a_header(pairs: list[tuple[str, str]]) -> None:
    """Whatever is parked for whatever reason: one line each, and the sum is kept."""
    headers = described(held(pairs))
    assert all(re.fullmatch(r"[a-z0-9_=A-F,-]*", value) for value in headers.values())
    found = description(headers)
    assert found is not None
    assert found.recipients == sum(found.providers.values()) == len(pairs)


@given(st.text(max_size=40), st.text(max_size=80), st.text(max_size=40))
def test_headers_of_somebody_else_do_no_harm(recipients: str, providers: str, reason: str) -> None:
    """What cannot be read counts as of no provider; more than there are recipients there never are."""
    found = description({"Mta-Recipients": recipients, "Mta-Providers": providers, "Mta-Reason": reason})
    assert found is None or sum(found.providers.values()) == found.recipients


def test_what_says_nothing_is_not_counted() -> None:
    """Without the header, or with one that is no number of people."""
    for value in ("", "-1", "1e3", "٣", "9" * 10):
        assert description({"Mta-Recipients": value}) is None
    assert description({}) is None
    assert description({"Mta-Recipients": "3", "Mta-Providers": "google=99,b=1"}) == Held(3, {"google": 3})


def test_a_schedule_says_when_it_fires() -> None:
    """What is due, or no schedule, says nothing."""
    assert due_at({"Nats-Schedule": at(1795332165.2)}) == 1795332166.0
    for headers in ({}, {"Nats-Schedule": "@every 5m"}, {"Nats-Schedule": "@at 0001-01-01T00:00:00"}):
        assert due_at(headers) <= 0.0
