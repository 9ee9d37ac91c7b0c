"""`mta.pacing.breaker`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.pacing import breaker
from mta.pacing.breaker import Breaker, Fact, fact_of
from mta.pacing.rules import BreakerSettings

SETTINGS = BreakerSettings(
    complaint_share=0.003,
    spam_share=0.05,
    unknown_share=0.1,
    least_delivered=1_000,
    least_outcomes=500,
    window_s=86_400.0,
)
SPRING = ("acme", "spring")
T0 = 1_800_000_000.0


def of(settings: BreakerSettings = SETTINGS, **counts: int) -> Breaker:
    """With so many of each fact."""
    one = Breaker(lambda tenant: settings)
    for name, count in counts.items():
        one.count(SPRING, Fact[name.upper()], T0, count)
    return one


def reasons(one: Breaker, now: float = T0 + 1) -> list[str]:
    return [trip.reason for trip in one.due(now)]


def test_each_share_has_its_bound_and_says_so() -> None:
    """Complaints against what was delivered, the others against all outcomes."""
    (complaints,) = reasons(of(delivered=2_000, complained=7))
    assert complaints.startswith("complaints about mail delivered: 7 of 2,000, 0.35%")
    (spam,) = reasons(of(delivered=900, spam=51, refused=49))
    assert spam.startswith("recipients refused as spam: 51 of 1,000, 5.10%")
    (unknown,) = reasons(of(delivered=900, unknown=100, found_unknown=1))
    assert unknown.startswith("recipients unknown: 101 of 1,000, 10.10%")


@pytest.mark.parametrize(
    "counts",
    [
        {"delivered": 2_000, "complained": 6},
        {"delivered": 999, "complained": 900},
        {"delivered": 950, "spam": 50},
        {"delivered": 900, "unknown": 100},
        {"spam": 499},
        {"complained": 10_000},
        {},
    ],
)
def test_at_its_bound_or_with_too_few_it_stops_nobody(counts: dict[str, int]) -> None:
    """A share is passed, not reached; and of a handful nothing can be said."""
    assert reasons(of(**counts)) == []


@given(
    delivered=st.integers(0, 5_000),
    complained=st.integers(0, 60),
    spam=st.integers(0, 600),
    unknown=st.integers(0, 900),
    refused=st.integers(0, 900),
)
def test_it_trips_exactly_when_a_share_passes(
    delivered: int, complained: int, spam: int, unknown: int, refused: int
) -> None:
    """Compared with the shares worked out by hand."""
    one = of(delivered=delivered, complained=complained, spam=spam, unknown=unknown, refused=refused)
    outcomes = delivered + spam + unknown + refused
    is_over = (delivered >= 1_000 and complained > 0.003 * delivered) or (
        outcomes >= 500 and (spam > 0.05 * outcomes or unknown > 0.1 * outcomes)
    )
    assert bool(reasons(one)) is is_over


def test_a_share_without_a_bound_is_not_watched() -> None:
    """0.0 in the file; and a breaker that is off watches none."""
    one = of(BreakerSettings(complaint_share=0.0, spam_share=0.0, unknown_share=0.0), delivered=1, spam=5_000)
    assert reasons(one) == []
    assert reasons(of(BreakerSettings(is_on=False), spam=5_000)) == []


def test_what_is_older_than_the_window_counts_no_more() -> None:
    """To within a slot of it; and in whatever order it is read."""
    one = Breaker(lambda tenant: SETTINGS)
    one.count(SPRING, Fact.DELIVERED, T0 + 86_000, 1_000)
    one.count(SPRING, Fact.SPAM, T0, 100)
    assert reasons(one, T0 + 80_000)
    assert reasons(one, T0 + 86_400 + 901) == []


def test_what_was_known_when_it_was_resumed_does_not_count_again() -> None:
    """Only what comes after: so a person's word holds; and new facts trip it anew."""
    one = of(delivered=1_000, spam=100)
    assert reasons(one)
    assert reasons(one), "named again until somebody has heard"
    one.begin_anew(SPRING, T0 + 10)
    one.count(SPRING, Fact.SPAM, T0 + 10, 1_000)
    assert reasons(one) == []
    one.begin_anew(SPRING, T0 + 5)
    one.count(SPRING, Fact.DELIVERED, T0 + 11, 450)
    one.count(SPRING, Fact.SPAM, T0 + 11, 50)
    assert len(reasons(one)) == 1


def test_campaigns_and_tenants_are_apart() -> None:
    """Each by its tenant's bounds; payloads without a campaign are no mailing."""
    strict = BreakerSettings(spam_share=0.001)
    one = Breaker(lambda tenant: strict if tenant == "strict" else SETTINGS)
    for campaign in (("acme", "a"), ("strict", "a"), ("acme", "b"), ("strict", "_")):
        one.count(campaign, Fact.DELIVERED, T0, 1_000)
        one.count(campaign, Fact.SPAM, T0, 10 if campaign[1] == "a" else 500)
    assert sorted(trip.campaign for trip in one.due(T0)) == [("acme", "b"), ("strict", "a")]


def test_a_flood_of_campaigns_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was heard of least lately is forgotten."""
    monkeypatch.setattr(breaker, "_MOST_CAMPAIGNS", 10)
    one = Breaker(lambda tenant: SETTINGS)
    for number in range(100):
        one.count(("acme", f"c{number}"), Fact.SPAM, T0, 1_000)
        assert len(one) <= 10
    assert len(one.due(T0)) == 10


@pytest.mark.parametrize(
    ("event", "fact"),
    [
        ({"type": "bounced", "bounce": {"class": "spam_content"}}, Fact.SPAM),
        ({"type": "bounced", "bounce": {"class": "low_reputation"}}, Fact.SPAM),
        ({"type": "bounced", "bounce": {"class": "invalid_recipient"}}, Fact.UNKNOWN),
        ({"type": "bounced", "bounce": {"class": "policy"}}, Fact.REFUSED),
        ({"type": "bounced"}, Fact.REFUSED),
        ({"type": "oob_bounced", "bounce": {"class": "invalid_recipient"}}, Fact.FOUND_UNKNOWN),
        ({"type": "oob_bounced", "bounce": {"class": "mailbox_full"}}, None),
        ({"type": "complained", "feedback": {"feedback_type": "abuse"}}, Fact.COMPLAINED),
        ({"type": "complained"}, Fact.COMPLAINED),
        ({"type": "complained", "feedback": {"feedback_type": "not-spam"}}, None),
        ({"type": "bounced", "dry_run": True, "bounce": {"class": "spam_content"}}, None),
        ({"type": "delivered"}, None),
        ({"kind": "bounced"}, None),
        ([], None),
    ],
)
def test_what_an_event_says(event: object, fact: Fact | None) -> None:
    """Of those whose body is read."""
    assert fact_of(json.dumps(event).encode()) is fact


@given(st.binary(max_size=200))
def test_what_is_no_event_says_nothing(line: bytes) -> None:
    """Never an error, whatever lies in the stream."""
    assert fact_of(line) is None or isinstance(fact_of(line), Fact)
