"""How a path backs off and comes back, on a fake clock."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.queue.health import PathHealth, PathState, Sign
from mta.queue.settings import HealthSettings

SETTINGS = HealthSettings(failures=3, backoff_s=60.0, longest_backoff_s=300.0, jitter=0.2, recover_s=30.0)


def health(connections: int = 10, rng: float = 0.5) -> PathHealth:
    return PathHealth(SETTINGS, connections, lambda: rng)


def backed_off(at: float = 0.0) -> PathHealth:
    path = health()
    path.note(Sign.ALL_FAILED, at)
    return path


def test_a_new_path_is_ready() -> None:
    """Nothing noted: everything configured is permitted, now."""
    path = health()
    assert path.state(0.0) is PathState.READY
    assert path.permitted_connections(0.0) == 10
    assert path.next_attempt_at(5.0) == 5.0


def test_failures_in_a_row_back_off() -> None:
    """The third failure in a row ends it for a minute; a success in between starts the count again."""
    path = health()
    signs = [Sign.FAILED, Sign.FAILED, Sign.OPENED, Sign.FAILED, Sign.FAILED]
    assert {path.note(sign, 0.0) for sign in signs} == {PathState.READY}
    assert path.note(Sign.FAILED, 1.0) is PathState.BACKED_OFF
    assert path.permitted_connections(1.0) == 0
    assert path.next_attempt_at(1.0) == 61.0


def test_all_hosts_failed_backs_off_at_once() -> None:
    """There is nobody left to try."""
    assert backed_off().state(0.0) is PathState.BACKED_OFF


def test_the_wait_ends_with_one_probe() -> None:
    """When the time is over one connection is permitted, and the path is still backed off."""
    path = backed_off()
    assert [path.permitted_connections(at) for at in (0.0, 59.9, 60.0, 1000.0)] == [0, 0, 1, 1]
    assert path.state(1000.0) is PathState.BACKED_OFF


def test_failed_probes_double_the_wait_up_to_the_longest() -> None:
    """One minute, two, four, then five and five again."""
    path, now, waits = backed_off(), 0.0, []
    for _ in range(5):
        wait = path.next_attempt_at(now) - now
        waits.append(wait)
        now += wait
        path.note(Sign.FAILED, now)
    assert waits == [60.0, 120.0, 240.0, 300.0, 300.0]


def test_stragglers_do_not_double_the_wait() -> None:
    """Connections that were under way when the path backed off tell nothing new."""
    path = backed_off()
    for _ in range(20):
        path.note(Sign.FAILED, 3.0)
        path.note(Sign.ALL_FAILED, 3.0)
    assert path.next_attempt_at(3.0) == 60.0


def test_a_successful_probe_resets() -> None:
    """The path is ready again, and the next back-off starts with a minute."""
    path = backed_off()
    path.note(Sign.FAILED, 60.0)
    assert path.note(Sign.OPENED, 180.0) is PathState.READY
    assert path.permitted_connections(180.0) == 10
    path.note(Sign.ALL_FAILED, 200.0)
    assert path.next_attempt_at(200.0) == 260.0


@pytest.mark.parametrize(("rng", "wait"), [(0.0, 48.0), (0.5, 60.0), (1.0, 72.0)])
def test_the_wait_is_jittered(rng: float, wait: float) -> None:
    """Paths that failed together do not come back together."""
    path = health(rng=rng)
    path.note(Sign.ALL_FAILED, 0.0)
    assert path.next_attempt_at(0.0) == pytest.approx(wait)


def test_a_refused_connection_halves_and_time_gives_back() -> None:
    """421: half of what is permitted, one more after each 30 s without another."""
    path = health()
    assert path.note(Sign.LIMITED, 100.0) is PathState.THROTTLED
    assert [path.permitted_connections(at) for at in (100.0, 129.9, 130.0, 249.9, 250.0, 900.0)] == [
        5,
        5,
        6,
        9,
        10,
        10,
    ]
    assert path.state(250.0) is PathState.READY


def test_refusals_of_one_moment_are_one() -> None:
    """Ten connections refused together halve once; a later refusal halves again."""
    path = health()
    for _ in range(2):
        path.note(Sign.LIMITED, 100.0)
    assert path.permitted_connections(100.0) == 5
    path.note(Sign.LIMITED, 106.0)
    assert path.permitted_connections(106.0) == 2


def test_half_is_of_what_was_open() -> None:
    """A peer that refuses the fourth of ten permitted wants less than four."""
    path = health()
    path.note(Sign.LIMITED, 0.0, open_connections=4)
    assert path.permitted_connections(0.0) == 2


def test_one_connection_always_remains() -> None:
    """Throttling never closes a path; only failures in a row do."""
    path = health()
    for at in range(0, 60, 6):
        path.note(Sign.OPENED, float(at))
        path.note(Sign.LIMITED, float(at))
    assert path.permitted_connections(54.0) == 1


def test_refusals_in_a_row_back_off() -> None:
    """A peer that lets no connection in is as good as dead."""
    path = health()
    states = [path.note(Sign.LIMITED, float(at)) for at in (0, 10, 20)]
    assert states[-1] is PathState.BACKED_OFF


def test_an_operator_outranks_the_rest() -> None:
    """Suspended: nothing, until the time is over or the word is taken back; failures go on underneath."""
    path = health()
    path.suspend(until=50.0)
    assert path.note(Sign.ALL_FAILED, 0.0) is PathState.SUSPENDED
    assert path.permitted_connections(10.0) == 0
    assert path.next_attempt_at(10.0) == 60.0
    assert path.state(50.0) is PathState.BACKED_OFF
    path.suspend()
    assert path.next_attempt_at(70.0) == float("inf")
    path.resume()
    assert path.permitted_connections(70.0) == 1


def test_a_new_limit_holds_at_once() -> None:
    """A reload changes the number of connections without losing the state."""
    path = health()
    path.connections = 4
    assert path.permitted_connections(0.0) == 4
    path.note(Sign.LIMITED, 0.0)
    assert path.permitted_connections(0.0) == 2


@pytest.mark.parametrize(("state", "sign"), list(product(PathState, Sign)))
def test_every_sign_in_every_state_has_a_next_state(state: PathState, sign: Sign) -> None:
    """Each state crossed with each sign leads where the table in the module says."""
    path = health()
    if state is PathState.THROTTLED:
        path.note(Sign.LIMITED, 0.0)
    elif state is PathState.BACKED_OFF:
        path.note(Sign.ALL_FAILED, 0.0)
    elif state is PathState.SUSPENDED:
        path.suspend()
    assert path.state(10.0) is state
    after = path.note(sign, 10.0)
    if state is PathState.SUSPENDED:
        expected = state
    elif sign is Sign.ALL_FAILED or (state is PathState.BACKED_OFF and sign is not Sign.OPENED):
        expected = PathState.BACKED_OFF
    elif sign is Sign.LIMITED or state is PathState.THROTTLED:
        expected = PathState.THROTTLED
    else:
        expected = PathState.READY
    assert after is expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Sign), st.floats(0, 100))), st.integers(1, 50))
def test_what_is_permitted_agrees_with_the_state(history: list[tuple[Sign, float]], connections: int) -> None:
    """After any history: ready means all, throttled some, and a time to try is never in the past."""
    path, now = PathHealth(SETTINGS, connections, lambda: 0.3), 0.0
    for sign, gap in history:
        now += gap
        state, permitted = path.note(sign, now), path.permitted_connections(now)
        assert path.next_attempt_at(now) >= now
        match state:
            case PathState.READY:
                assert permitted == connections
            case PathState.THROTTLED:
                assert 1 <= permitted < connections
            case PathState.BACKED_OFF:
                assert permitted == (1 if path.next_attempt_at(now) == now else 0)
            case PathState.SUSPENDED:
                pytest.fail("nobody suspended it")
