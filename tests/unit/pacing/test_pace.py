"""How fast a scope goes after a refusal."""

from mta.pacing.pace import Pace, PaceState
from mta.pacing.settings import PaceSettings

SETTINGS = PaceSettings()
TOP = 100.0


def going(per_second: float = 10.0, seconds: float = 120.0) -> tuple[Pace, float]:
    pace, now = Pace(SETTINGS), 1000.0
    for number in range(int(per_second * seconds)):
        now = 1000.0 + number / per_second
        pace.note_accepted(now)
    return pace, now


def test_nothing_is_limited_at_first() -> None:
    """Whoever was never refused goes as fast as is configured."""
    pace = Pace(SETTINGS)
    assert pace.state(0.0) is PaceState.OPEN
    assert pace.rate(0.0) == pace.connections(0.0) == pace.changes_at(0.0) == float("inf")


def test_a_refusal_is_followed_by_a_pause_and_one_message() -> None:
    """What was under way is no news; then one connection, and a message each few seconds until one is taken."""
    pace, now = going()
    assert pace.note_refused(now, TOP)
    assert not pace.note_refused(now + 1, TOP)
    assert pace.state(now + 1) is PaceState.SILENT
    later = now + SETTINGS.cut_pause_s
    assert pace.state(later) is PaceState.PROBING
    assert pace.connections(later + 3600) == 1
    assert pace.rate(later) == 1 / SETTINGS.probe_s


def test_it_comes_back_to_a_little_below_what_was_accepted() -> None:
    """Half at once, and within a minute 95 %; there it stays for hours, and then creeps."""
    pace, now = going(10.0)
    pace.note_refused(now, TOP)
    now += SETTINGS.cut_pause_s
    assert pace.note_accepted(now)
    assert 4.5 < pace.rate(now) < 5.0
    assert 9.2 < pace.rate(now + 60) < 9.8
    plateau = pace.rate(now + 60)
    assert pace.rate(now + SETTINGS.plateau_s - 1) == plateau
    assert 1.05 * plateau < pace.rate(now + SETTINGS.plateau_s + 6000) < 1.15 * plateau


def test_connections_come_back_one_at_a_time() -> None:
    """Gmail's rule: one connection, and one more at a time."""
    pace, now = going()
    pace.note_refused(now, TOP)
    now += SETTINGS.cut_pause_s
    pace.note_accepted(now)
    counts = [pace.connections(now + SETTINGS.recover_s * step + 0.1) for step in range(5)]
    assert counts == [1, 2, 3, 4, 5]


def test_refused_again_at_once_means_silence() -> None:
    """Ten minutes, and twice as long each time: no more than five messages in two hours."""
    pace, now = going()
    pace.note_refused(now, TOP)
    silences = []
    for _ in range(6):
        now = pace.silent_until
        assert pace.note_refused(now, TOP)
        silences.append(round(pace.silent_until - now))
    assert silences == [600, 1200, 2400, 4800, 7200, 7200]


def test_a_ceiling_met_again_makes_the_plateau_longer() -> None:
    """Twice as long each time, up to its limit."""
    pace, now = going(10.0)
    lengths = []
    for _ in range(6):
        pace.note_refused(now, TOP)
        now = pace.silent_until
        pace.note_accepted(now)
        lengths.append(pace._plateau_s)
        start = now
        while now < start + 200:
            now += 0.1
            pace.note_accepted(now)
    assert lengths[:3] == [SETTINGS.plateau_s, 2 * SETTINGS.plateau_s, 4 * SETTINGS.plateau_s]
    assert lengths[-1] == SETTINGS.longest_plateau_s


def test_too_many_connections_slow_no_message() -> None:
    """Half the connections, one more each few seconds, the rate as it was."""
    pace, now = going()
    assert pace.note_limited(now, 8)
    assert not pace.note_limited(now + 1, 8)
    assert pace.is_open
    assert pace.connections(now) == 4
    assert pace.connections(now + 2 * SETTINGS.recover_s) == 6
    pace.settle(now + 10 * SETTINGS.recover_s, TOP, 10)
    assert pace.is_clear


def test_a_suspension_leaves_the_rate_alone() -> None:
    """Somebody stopped it, nobody refused: one message first, one connection more at a time, no rate."""
    pace, now = going()
    pace.silence(now + 300, now)
    assert pace.state(now + 299) is PaceState.SILENT
    pace.note_accepted(now + 301)
    assert pace.rate(now + 301) == float("inf")
    assert pace.connections(now + 301) == 1


def test_a_silence_may_end_early() -> None:
    """An action was cancelled: what was learned of the peer before holds, and the way back begins at once."""
    pace, now = going()
    pace.silence(now + 300, now)
    pace.end_silence(now + 10)
    assert pace.is_clear
    pace, now = going()
    pace.note_refused(now, TOP)
    pace.silence(now + 300, now)
    pace.end_silence(now + 10)
    assert pace.state(now + 10) is PaceState.PROBING


def test_what_was_decided_can_be_taken_back() -> None:
    """Released, it is as if nothing had been."""
    pace, now = going()
    pace.note_refused(now, TOP)
    pace.release()
    assert pace.is_clear
    assert pace.state(now) is PaceState.OPEN


def test_a_rate_above_the_limit_is_forgotten() -> None:
    """Once it binds no more than the configuration does."""
    pace, now = going(99.0)
    pace.note_refused(now, TOP)
    now = pace.silent_until
    pace.note_accepted(now)
    pace.settle(now + 3600, 90.0, 5)
    assert pace.is_clear


def test_an_unknown_ceiling_is_sought() -> None:
    """Refused before a minute was full: it grows from what was taken until it is refused again."""
    pace, now = going(100.0, 1.0)
    pace.note_refused(now, 1000.0)
    now = pace.silent_until
    pace.note_accepted(now)
    assert pace.state(now) is PaceState.SEEKING
    rates = [pace.rate(now + 30 * step) for step in range(20)]
    assert rates == sorted(rates)
    assert rates[0] == 100 / 60
    assert rates[-1] > 100
