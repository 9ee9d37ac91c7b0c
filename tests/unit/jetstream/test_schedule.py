import re

from mta.jetstream.layout import PAYLOADS, RETRY
from mta.jetstream.schedule import at, retry, retry_number, source_of
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
