"""What a path does now: every decision of `decide` as a table, on counts alone."""

import pytest

from mta.queue.dispatch import Decision, Open, Park, PathLimits, PathLoad, Send, Sleep, compose_wanted, decide

NOW = 1000.0


def limits(
    connections: int = 10,
    message_wait_s: float = 0.0,
    connection_wait_s: float = 0.0,
    blocked_until: float = NOW,
    hold_s: float = 60.0,
) -> PathLimits:
    return PathLimits(connections, message_wait_s, connection_wait_s, blocked_until, hold_s)


def acts(load: PathLoad, bounds: PathLimits | None = None) -> list[Decision]:
    return [one for one in decide(load, bounds or limits(), NOW) if not isinstance(one, Sleep)]


def sleeps(load: PathLoad, bounds: PathLimits | None = None) -> float:
    return next(one.seconds for one in decide(load, bounds or limits(), NOW) if isinstance(one, Sleep))


def test_nothing_to_do_decides_nothing() -> None:
    """An idle path costs no timer."""
    assert decide(PathLoad(open=3, room=3), limits(), NOW) == []


def test_first_reference_opens_one_connection() -> None:
    """A path is tried before it is stormed."""
    assert acts(PathLoad(waiting=500, stalled_since=NOW)) == [Open(1)]


@pytest.mark.parametrize(
    ("open_", "opening", "wanted"), [(1, 0, 1), (2, 0, 2), (4, 0, 4), (4, 4, 0), (8, 0, 2)]
)
def test_connections_double_up_to_the_limit(open_: int, opening: int, wanted: int) -> None:
    """1, 2, 4, 8, then what the limit leaves."""
    load = PathLoad(waiting=500, open=open_, opening=opening, busy=open_, stalled_since=NOW)
    assert acts(load) == ([Open(wanted)] if wanted else [])


def test_few_messages_open_few_connections() -> None:
    """Four messages are worth one connection."""
    assert acts(PathLoad(waiting=4, open=1, stalled_since=NOW)) == []
    assert acts(PathLoad(waiting=5, open=1, stalled_since=NOW)) == [Open(1)]


def test_a_message_does_not_wait_behind_a_busy_connection() -> None:
    """Work beside a busy connection is worth another one."""
    assert acts(PathLoad(ready=1, open=1, busy=1, stalled_since=NOW)) == [Open(1)]


def test_ready_messages_go_to_connections_with_room() -> None:
    """As many as there is room for."""
    load = PathLoad(ready=7, open=2, room=3, stalled_since=NOW)
    assert acts(load, limits(connections=2)) == [Send(3)]


def test_the_message_rate_makes_it_wait() -> None:
    """No send before the rate grants one, and it wakes up just then."""
    load = PathLoad(ready=7, open=2, room=3, stalled_since=NOW)
    bounds = limits(connections=2, message_wait_s=0.25)
    assert acts(load, bounds) == []
    assert sleeps(load, bounds) == 0.25


def test_the_connection_rate_makes_it_wait() -> None:
    """No connection before its rate grants one."""
    load = PathLoad(waiting=9, stalled_since=NOW)
    assert acts(load, limits(connection_wait_s=2.0)) == []
    assert sleeps(load, limits(connection_wait_s=2.0)) == 2.0


def test_a_blocked_path_waits_for_its_probe() -> None:
    """Backed off for less than `hold`: no connection is permitted, and the timer is that of the probe."""
    load = PathLoad(waiting=9, stalled_since=NOW)
    for connections in (0, 10):
        bounds = limits(connections=connections, blocked_until=NOW + 30)
        assert acts(load, bounds) == []
        assert sleeps(load, bounds) == 30


def test_a_path_blocked_beyond_hold_is_parked() -> None:
    """What cannot be served in time gives its place to others at once."""
    assert acts(PathLoad(waiting=9, stalled_since=NOW), limits(blocked_until=NOW + 61)) == [Park(NOW + 61)]


def test_what_has_not_moved_for_hold_is_parked() -> None:
    """Whatever the reason: connects that hang, a peer that answers nothing."""
    load = PathLoad(waiting=9, opening=1, stalled_since=NOW - 60)
    assert acts(load) == [Park(NOW)]
    assert acts(PathLoad(waiting=9, open=1, busy=1, stalled_since=NOW - 60)) == [Park(NOW)]


def test_room_on_a_connection_is_never_a_stall() -> None:
    """A slow rate is not a dead path."""
    load = PathLoad(ready=1, waiting=9, open=1, room=1, stalled_since=NOW - 600)
    assert not any(isinstance(one, Park) for one in decide(load, limits(message_wait_s=5.0), NOW))


def test_it_wakes_when_hold_ends() -> None:
    """The timer that parks is set when the stall begins."""
    load = PathLoad(waiting=9, opening=1, stalled_since=NOW - 50)
    assert sleeps(load) == pytest.approx(10)


def test_one_window_is_composed_before_a_connection_is_open() -> None:
    """Little is rendered for a peer that may never answer."""
    wanted = compose_wanted(
        PathLoad(waiting=500, opening=1), sent_lately=0, window=2, is_blocked=False, most=512
    )
    assert wanted == 4


def test_composing_follows_what_was_sent_lately() -> None:
    """About half a second ahead, less what is already under way, never more than waits or fits."""
    load = PathLoad(waiting=5000, open=10, ready=100, composing=40)
    assert compose_wanted(load, sent_lately=200, window=2, is_blocked=False, most=512) == 100
    assert compose_wanted(load, sent_lately=2000, window=2, is_blocked=False, most=512) == 372
    assert compose_wanted(load, sent_lately=2000, window=2, is_blocked=True, most=512) == 0
    few = PathLoad(waiting=3, open=10)
    assert compose_wanted(few, sent_lately=200, window=2, is_blocked=False, most=512) == 3


def test_bulk_is_composed_beside_ready_transactional_mail() -> None:
    """Else none of it is ready when its share comes."""
    load = PathLoad(waiting=5000, open=1, ready=500, composing=8)
    assert compose_wanted(load, sent_lately=0, window=2, is_blocked=False, most=512) == 0
    assert compose_wanted(load, sent_lately=0, window=2, is_blocked=False, most=512, urgent=508) == 4
