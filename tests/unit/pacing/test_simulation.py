"""A provider with a hidden rate and rules of its own, for six hours of a clock that only the test turns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.settings import PaceSettings
from tests.fakes.provider import Bucket, Closed, Gmail, Sender, Window, between

HOUR = 3600.0
COUNTED_FROM, UNTIL = 600.0, 6 * HOUR


def judged(sender: Sender, allowed: float) -> tuple[float, float]:
    """The share of what was allowed that was sent from minute ten to hour six, silences included, and the share of
    attempts refused in that time."""
    sender.run(UNTIL)
    taken = between(sender.taken, COUNTED_FROM, UNTIL)
    refused = between(sender.refused, COUNTED_FROM, UNTIL)
    return taken / (allowed * (UNTIL - COUNTED_FROM)), refused / max(1, taken + refused)


@pytest.mark.parametrize("silence_s", [0.0, 600.0], ids=["alone", "with the rule"])
@pytest.mark.parametrize(
    ("allowed", "connections", "latency_s"),
    [
        (0.5, 1, 0.5),
        (0.5, 10, 2.0),
        (5.0, 10, 0.5),
        (3.0, 1, 0.05),
        pytest.param(10.0, 10, 0.2, marks=pytest.mark.long),
    ],
)
def test_gmail_gives_us_nine_tenths_of_what_it_allows(
    allowed: float, connections: int, latency_s: float, silence_s: float
) -> None:
    """Google's rule for 4.7.28, counted by the minute: beyond the rate refused until ten minutes of silence. With the
    automation rule that suspends for those ten minutes, and by our own pace alone."""
    provider = Gmail(Window(allowed, 60.0))
    sender = Sender(provider, connections=connections, latency_s=latency_s, limit=100.0, silence_s=silence_s)
    share, refused = judged(sender, allowed)
    assert share >= 0.9
    assert refused < 0.01


@settings(max_examples=3, deadline=None)
@given(st.floats(0.5, 15.0), st.integers(1, 10), st.sampled_from([0.05, 0.3, 1.0, 2.0]))
def test_gmail_at_any_rate(allowed: float, connections: int, latency_s: float) -> None:
    """Whatever the hidden rate, as far as the connections can carry it."""
    sender = Sender(Gmail(Window(allowed, 60.0)), connections=connections, latency_s=latency_s, limit=100.0)
    share, refused = judged(sender, min(allowed, connections / latency_s))
    assert share >= 0.9
    assert refused < 0.01


def test_gmail_at_a_high_rate() -> None:
    """200 a second, for an hour."""
    sender = Sender(Gmail(Window(200.0, 60.0)), connections=10, latency_s=0.05, limit=1000.0)
    sender.run(HOUR)
    last = between(sender.taken, HOUR - 600, HOUR)
    assert last >= 0.9 * 200.0 * 600
    assert len(sender.refused) < 0.01 * len(sender.taken)


@pytest.mark.parametrize(
    ("allowed", "connections", "latency_s"), [(0.5, 1, 0.5), (0.5, 10, 2.0), (5.0, 10, 0.5), (3.0, 1, 0.05)]
)
def test_a_token_bucket_gives_us_nine_tenths(allowed: float, connections: int, latency_s: float) -> None:
    """Which refuses just what is more, and asks for no silence."""
    provider = Bucket(allowed, 1.0 if allowed >= 1 else 2.0)
    share, refused = judged(
        Sender(provider, connections=connections, latency_s=latency_s, limit=100.0), allowed
    )
    assert share >= 0.9
    assert refused < 0.01


def test_who_shuts_us_out_is_asked_only_now_and_then() -> None:
    """Two hours of refusals: the first ones, and then as many messages as the settings say: after 10, 20, 40 and 80
    minutes."""
    sender = Sender(Closed(HOUR, 3 * HOUR), connections=10, latency_s=0.2, limit=20.0)
    sender.run(HOUR + PaceSettings().cut_pause_s)
    assert between(sender.refused, HOUR, HOUR + 5) <= 10
    sender.run(3 * HOUR)
    assert between(sender.refused, HOUR + 5, 3 * HOUR) <= 5
    sender.run(6 * HOUR)
    assert between(sender.taken, 5 * HOUR, 6 * HOUR) >= 0.9 * 20.0 * HOUR


def test_who_is_paced_is_told_and_can_be_released() -> None:
    """Each scope that is slowed, which reply did it, and until when; taken back, it goes as configured."""
    sender = Sender(Gmail(Window(5.0, 60.0)), connections=10, latency_s=0.2, limit=100.0)
    sender.run(300.0)
    (row,) = sender.governors.list(300.0)
    assert row.scope == Scope(ScopeKind.PROVIDER, "a1", "google")
    assert row.reply.startswith("421 4.7.28")
    assert row.until is not None
    assert sender.governors.release(row.scope)
    assert sender.governors.list(300.0) == []
    assert sender.passage.take_message(301.0) == 0.0
