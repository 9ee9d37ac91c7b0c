"""When it will be done: rates of zero, mail that is due later than it could be sent, what is held, several nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.eta import FOREVER, Eta, EtaKind, Load, about, clock, eta, last, together

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC


def test_what_waits_is_done_at_the_present_rate() -> None:
    """An hour's worth takes an hour."""
    assert eta(Load(now=36_000, rate=10.0), NOW) == Eta(EtaKind.AT, NOW + 3600)


def test_nothing_waits() -> None:
    """However fast it goes."""
    assert eta(Load(rate=5.0), NOW) == eta(Load(), NOW) == Eta(EtaKind.DONE)


def test_at_a_rate_of_zero_it_is_never_done() -> None:
    """What may go and does not has no end; what may not go yet was not asked to."""
    assert eta(Load(now=1), NOW) == Eta(EtaKind.STUCK)
    assert eta(Load(now=1, later=((NOW + 60, 1),)), NOW) == Eta(EtaKind.STUCK)
    later = Load(later=((NOW + 600, 5), (NOW + 60, 1)))
    assert eta(later, NOW) == Eta(EtaKind.NOT_BEFORE, NOW + 600)


def test_a_rate_of_almost_zero_is_no_rate() -> None:
    """In a thousand years it is not done, whatever the arithmetic says."""
    assert eta(Load(now=10_000_000, rate=0.001), NOW) == Eta(EtaKind.STUCK)


def test_parked_mail_is_not_done_before_it_is_due() -> None:
    """Ten seconds of work, then nothing to do until the next attempt; then ten seconds more."""
    load = Load(now=100, later=((NOW + 3600, 100),), rate=10.0)
    assert eta(load, NOW) == Eta(EtaKind.AT, NOW + 3610)


def test_mail_that_is_due_while_others_are_sent_waits_behind_them() -> None:
    """An hour of work is in front of what is due in a minute."""
    load = Load(now=36_000, later=((NOW + 60, 100),), rate=10.0)
    assert eta(load, NOW) == Eta(EtaKind.AT, NOW + 3610)


def test_what_should_have_gone_is_due_now() -> None:
    """A schedule that fires a little late."""
    assert eta(Load(later=((NOW - 5, 10),), rate=10.0), NOW) == Eta(EtaKind.AT, NOW + 1)
    assert eta(Load(later=((NOW - 5, 10),)), NOW) == Eta(EtaKind.STUCK)


def test_a_hold_that_ends_is_waited_for() -> None:
    """A pause until a time is mail that is due then; one without an end is left out, and said to be."""
    assert eta(Load(later=((NOW + 7200, 10),), rate=0.0), NOW) == Eta(EtaKind.NOT_BEFORE, NOW + 7200)
    assert eta(Load(held=10, rate=3.0), NOW) == Eta(EtaKind.NOT_BEFORE, FOREVER, 10)
    assert eta(Load(now=30, held=10, rate=3.0), NOW) == Eta(EtaKind.AT, NOW + 10, 10)


def test_who_is_not_routed_has_no_rate() -> None:
    """That of others says nothing about it."""
    assert eta(Load(now=30, rate=3.0, is_routed=False), NOW) == Eta(EtaKind.UNKNOWN)
    paused = Load(later=((NOW + 60, 30),), rate=3.0, is_routed=False)
    assert eta(paused, NOW) == Eta(EtaKind.NOT_BEFORE, NOW + 60)


def test_nodes_share_the_work() -> None:
    """Two that do five a second each do ten; one that has nothing to do adds nothing."""
    load = together([Load(now=100, rate=5.0), Load(now=100, rate=5.0), Load()])
    assert eta(load, NOW) == Eta(EtaKind.AT, NOW + 20)
    assert together([Load(later=((9.0, 1),)), Load(later=((3.0, 2),))]).later == ((3.0, 2), (9.0, 1))
    assert together([]) == Load()


def test_all_are_done_when_the_last_one_is() -> None:
    """Providers go beside each other; the one that hangs decides, and what is held is summed up."""
    at = [Eta(EtaKind.AT, NOW + 10, 1), Eta(EtaKind.AT, NOW + 99), Eta(EtaKind.DONE)]
    assert last(at) == Eta(EtaKind.AT, NOW + 99, 1)
    assert last([*at, Eta(EtaKind.STUCK)]).kind is EtaKind.STUCK
    assert last([*at, Eta(EtaKind.NOT_BEFORE, NOW + 5)]) == Eta(EtaKind.NOT_BEFORE, NOW + 5, 1)
    assert last([]) == Eta(EtaKind.DONE)


@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.floats(NOW, NOW + 1e6), st.integers(1, 1000)), max_size=8),
    st.floats(0.1, 1e4),
)
def test_never_before_the_last_is_due_nor_before_the_work_is_done(
    now: int, later: list[tuple[float, int]], rate: float
) -> None:
    """Two bounds that hold whatever the order."""
    load = Load(now=now, later=tuple(later), rate=rate)
    found = eta(load, NOW)
    if not load.total:
        assert found.kind is EtaKind.DONE
        return
    assert found.kind is EtaKind.AT
    assert found.at >= max((at for at, _ in later), default=NOW) - 1e-3
    assert found.at >= NOW + load.total / rate - 1e-3
    ends = max((at for at, _ in later), default=NOW) + load.total / rate
    assert found.at <= ends + 1e-3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a minute"),
        (59.9, "less than a minute"),
        (61, "about 1 min"),
        (59.9 * 60, "about 1 h"),
        (7800, "about 2 h 10 min"),
        (7260, "about 2 h"),
        (11 * 3600 + 1800, "about 12 h"),
        (23.9 * 3600, "about 1 d"),
        (76 * 3600, "about 3 d 4 h"),
    ],
)
def test_a_time_is_said_as_roughly_as_it_is_known(seconds: float, text: str) -> None:
    assert about(seconds) == text


def test_a_moment_names_its_day_unless_it_is_today() -> None:
    assert clock(NOW + 60, NOW) == "11:07"
    assert clock(NOW + 86400, NOW) == "11-19 11:06"
