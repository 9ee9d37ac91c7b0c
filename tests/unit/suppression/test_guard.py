import pytest

from mta.classify.classifier import verdict_of
from mta.model.outcome import Attempt, BounceClass, Bounced, Deferred, Delivered, Outcome, Stage
from mta.suppression.guard import GUARD_S, GUARDED, DomainGuard, Guarded

HOUR = 3_600.0


class Alarms(list[Guarded]):
    def guard(self, **changes: int) -> DomainGuard:
        return DomainGuard(self.append, **changes)


def fill(guard: DomainGuard, good: int, bad: int, now: float, domain: str = "d.test") -> None:
    for number in range(good + bad):
        guard.note(domain, number >= good, now)


@pytest.mark.parametrize(
    ("delivered", "reported", "is_guarded"),
    [(40, 12, False), (40, 13, True), (0, 19, False), (0, 20, True), (10, 20, True), (200, 60, False)],
)
def test_who_is_reported_was_counted_when_delivered_to(
    delivered: int, reported: int, is_guarded: bool
) -> None:
    """bounces.md 2.3: of 40 recipients 13 are more than 30 %, however their end is heard of."""
    guard = DomainGuard()
    for _ in range(delivered):
        guard.note("d.test", False, 0.0)
    for _ in range(reported):
        guard.reported("d.test", 100.0)
    assert guard.is_guarded("d.test", 100.0) is is_guarded


@pytest.mark.parametrize(
    ("good", "bad", "is_guarded"),
    [(14, 6, False), (13, 7, True), (0, 19, False), (0, 20, True), (70, 30, False), (69, 31, True)],
)
def test_more_than_thirty_percent_of_twenty(good: int, bad: int, is_guarded: bool) -> None:
    """bounces.md 2.3: no fewer, and not exactly so many."""
    alarms = Alarms()
    guard = alarms.guard()
    fill(guard, good, bad, 100.0)
    assert guard.is_guarded("d.test", 100.0) is is_guarded
    assert len(alarms) == is_guarded
    assert not guard.is_guarded("other.test", 100.0)


def test_it_ends_after_a_day_and_alarms_once() -> None:
    """And begins anew where nothing has changed."""
    alarms = Alarms()
    guard = alarms.guard()
    fill(guard, 0, 100, 0.0)
    assert alarms == [Guarded("d.test", 20, 20, -1.0, GUARD_S)]
    assert guard.is_guarded("d.test", GUARD_S - 1)
    assert not guard.is_guarded("d.test", GUARD_S)
    fill(guard, 0, 20, GUARD_S)
    assert len(alarms) == 2


def test_only_the_last_hour_counts() -> None:
    """What is older than two half hours does not add up with what is new."""
    alarms = Alarms()
    guard = alarms.guard()
    fill(guard, 0, 15, 0.0)
    fill(guard, 0, 15, 2 * HOUR)
    assert alarms == []
    fill(guard, 0, 5, 2.5 * HOUR)
    assert len(alarms) == 1


def test_three_times_its_usual_share() -> None:
    """A domain that knows almost everybody is guarded before a third of it is gone."""
    alarms = Alarms()
    guard = alarms.guard()
    for hour in range(48):
        fill(guard, 98, 2, hour * HOUR)
    fill(guard, 93, 7, 50 * HOUR)
    (alarm,) = alarms
    assert 0.019 < alarm.usual < 0.021
    assert (alarm.invalid, alarm.count) == (7, 100)


def test_a_share_that_is_usual_is_no_alarm() -> None:
    """Five percent is nothing, whatever was before; and what is known of too few is not usual."""
    alarms = Alarms()
    guard = alarms.guard()
    for hour in range(48):
        fill(guard, 100, 0, hour * HOUR)
    fill(guard, 190, 10, 50 * HOUR)
    assert alarms == []
    fill(guard, 100, 0, 0.0, "young.test")
    fill(guard, 80, 20, 2 * HOUR, "young.test")
    assert alarms == []


def test_the_domains_that_had_no_mail_for_long_are_forgotten() -> None:
    """It holds so many and no more."""
    alarms = Alarms()
    guard = alarms.guard(most=3)
    for name in "abcd":
        fill(guard, 0, 19, 0.0, name)
    fill(guard, 0, 1, 0.0, "a")
    assert alarms == []
    fill(guard, 0, 1, 0.0, "d")
    assert len(alarms) == 1
    for name in "efgh":
        fill(guard, 0, 20, 1.0, name)
    assert not guard.is_guarded("d", 1.0)
    assert guard.is_guarded("h", 1.0)


def outcome(kind: BounceClass | None) -> Outcome:
    attempt = Attempt(1, 0.0, Stage.RCPT)
    if kind is None:
        return Delivered(attempt)
    return Bounced(attempt, verdict_of(kind, rule="r", is_final=True))


def test_a_verdict_on_a_guarded_domain_suppresses_nobody() -> None:
    """It says why; what accuses no mailbox, and other domains, stay as they are."""
    guard = DomainGuard()
    dead, inactive, full = (
        outcome(kind)
        for kind in (BounceClass.INVALID_RECIPIENT, BounceClass.INACTIVE_RECIPIENT, BounceClass.MAILBOX_FULL)
    )
    found = [guard.judged("d.test", dead, 0.0) for _ in range(30)]
    assert found[:19] == [dead] * 19
    for one in (*found[19:], guard.judged("d.test", inactive, 0.0)):
        assert isinstance(one, Bounced)
        assert (one.verdict.detail, one.verdict.confidence, one.verdict.actions) == (
            GUARDED,
            "low",
            ("fail",),
        )
    assert guard.judged("d.test", full, 0.0) is full
    assert guard.judged("e.test", dead, 0.0) is dead
    assert guard.judged("d.test", dead, GUARD_S + 2 * HOUR) is dead


def test_those_who_had_their_mail_count_and_those_who_wait_do_not() -> None:
    """Finished recipients make the share."""
    guard = DomainGuard()
    wait = Deferred(Attempt(1, 0.0, Stage.RCPT), verdict_of(BounceClass.GREYLISTED, rule="r", is_final=False))
    for _ in range(47):
        guard.judged("d.test", outcome(None), 0.0)
        guard.judged("d.test", wait, 0.0)
    for _ in range(20):
        guard.judged("d.test", outcome(BounceClass.INVALID_RECIPIENT), 0.0)
    assert not guard.is_guarded("d.test", 0.0)
    guard.judged("d.test", outcome(BounceClass.INVALID_RECIPIENT), 0.0)
    assert guard.is_guarded("d.test", 0.0)
