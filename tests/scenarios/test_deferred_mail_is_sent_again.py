"""4xx today, delivered at the next attempt: the same message from the same identity."""

import re
from datetime import datetime

import pytest

from tests.fakes.rig import Rig, check_copies
from tests.fakes.smtp_server import On

pytestmark = pytest.mark.asyncio(loop_scope="session")


GREYLISTED = b"451 4.7.1 Greylisted, please try again\r\n"


def identity(body: bytes) -> tuple[bytes, bytes, bytes]:
    """Message-ID, Date and body hash."""
    found = [
        re.search(pattern, body) for pattern in (rb"(?m)^Message-ID:.*$", rb"(?m)^Date:.*$", rb"bh=([^;]+);")
    ]
    assert all(found)
    return tuple(re.sub(rb"\s", b"", one[0]) for one in found if one)  # type: ignore[return-value]


async def test_second_attempt_carries_the_same_message(rig: Rig) -> None:
    """Refused at the dot with 4xx, then taken: equal Message-ID, Date and bh=, attempt 2, not before it was due."""
    async with rig.destination(On("dot", [b"452 4.3.1 insufficient storage\r\n"], times=1)) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        assert told.types(place.to("ada")) == ["deferred", "delivered"]
        first, second = place.of(place.to("ada"))
        assert identity(first.body) == identity(second.body)
        assert first.sender == second.sender
        deferred, delivered = told.of(place.to("ada"))
        assert (deferred["attempt"], delivered["attempt"]) == (1, 2)
        assert deferred["message_id"] == delivered["message_id"]
        assert datetime.fromisoformat(delivered["time"]) >= datetime.fromisoformat(
            deferred["next_attempt_at"]
        )
        assert delivered["queued_at"] == deferred["queued_at"]
        assert rig.verifies(second)


async def test_b21_too_many_recipients_for_now(rig: Rig) -> None:
    """452 4.5.3 to the only RCPT says nothing against him (RFC 5321 section 4.5.3.1.10)."""
    async with rig.destination(On("rcpt", [b"452 4.5.3 Too many recipients\r\n"], times=1)) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        check_copies(place, told)
        deferred, delivered = told.of(place.to("ada"))
        assert (deferred["type"], deferred["bounce"]["class"]) == ("deferred", "too_many_recipients")
        assert (delivered["type"], delivered["attempt"]) == ("delivered", 2)


async def test_greylisted_comes_back_from_the_same_source(rig: Rig) -> None:
    """B29: a pool of two sources, and yet the triplet is the same at the second attempt."""
    asked = [f"r{number}" for number in range(8)]
    async with rig.destination(On("rcpt", [GREYLISTED], times=len(asked))) as place:
        told = await rig.deliver(rig.payload(*map(place.to, asked), pool="pair"))
        check_copies(place, told)
        sources = set()
        for one in map(place.to, asked):
            deferred, delivered = told.of(one)
            assert deferred["bounce"]["class"] == "greylisted"
            assert (deferred["source"], deferred["source_ip"]) == (
                delivered["source"],
                delivered["source_ip"],
            )
            sources.add(deferred["source"])
        assert sources == {"one", "two"}


async def test_only_the_deferred_are_sent_again(rig: Rig) -> None:
    """One of five is deferred: the other four get nothing at the retry."""
    async with rig.destination() as place:
        place.mx.rules = [On("rcpt", [GREYLISTED], recipient=place.to("r2"), times=1)]
        told = await rig.deliver(rig.payload(*(place.to(f"r{number}") for number in range(5))))
        check_copies(place, told)
        assert told.counts() == {"delivered": 5}
        assert sum(event["type"] == "deferred" for event in told.events) == 1
