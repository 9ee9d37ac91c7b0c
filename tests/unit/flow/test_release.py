"""Which of those that wait are let go of when a path is open again; the rest of it is a story."""

import pytest

from mta.flow.release import _was_suspended
from mta.jetstream.schedule import described, held

SUSPENDED = described(held([("google", "suspended")] * 2 + [("yahoo", "suspended"), ("google", "ready")]))


@pytest.mark.parametrize(
    ("headers", "provider", "expected"),
    [
        (SUSPENDED, "google", True),
        (SUSPENDED, "yahoo", True),
        (SUSPENDED, "", True),
        (SUSPENDED, "microsoft", False),
        (described(held([("google", "paused")])), "google", False),
        (described(held([("google", "held")])), "", False),
        (SUSPENDED | {"Mta-Providers": "go\x00ogle=\uff11,==,yahoo=-3"}, "google", True),
        (SUSPENDED | {"Mta-Reason": "%ZZ\x00suspended"}, "google", False),
        (SUSPENDED | {"Mta-Recipients": "9" * 40}, "microsoft", True),
        ({}, "google", True),
    ],
)
def test_what_was_parked_for_it(headers: dict[str, str], provider: str, expected: bool) -> None:
    """By what its headers say; who is not named, or cannot be read, may be meant and is looked at again."""
    assert _was_suspended(headers, provider) is expected
