import socket

import pytest

from loadtest import domains
from loadtest.domains import Asked, Course, _faults, count
from loadtest.rig import RunFailed
from loadtest.zone import Question

S = 1_000_000_000


def test_each_name_and_type_once() -> None:
    """Other names and other types are other questions; after the TTL the same is one, too."""
    questions = [
        Question(1 * S, 1, "MX", "a.test"),
        Question(1 * S + 1, 2, "A", "a.test"),
        Question(2 * S, 3, "MX", "b.test"),
        Question(12 * S, 4, "MX", "a.test"),
    ]
    assert count(questions, ttl_s=10) == Asked(questions=4, most=2, again=0, resent=0, busiest_second=2)


def test_asking_again_is_told_from_resending() -> None:
    """By the id of the question, or because the one before was resent and had no answer either."""
    asked = [Question(n * S, number, "MX", "a.test") for n, number in enumerate((7, 7, 8))]
    assert count(asked, ttl_s=10) == Asked(questions=3, most=3, again=0, resent=2, busiest_second=1)
    asked = [Question(n * S, number, "MX", "a.test") for n, number in enumerate((7, 8, 8))]
    assert count(asked, ttl_s=10) == Asked(questions=3, most=3, again=1, resent=1, busiest_second=1)


def test_a_new_life_may_ask_once_more() -> None:
    """A daemon that was started again knows nothing."""
    questions = [Question(n * S, n, "MX", "a.test") for n in (1, 3, 4)]
    assert count(questions, ttl_s=10, lives=[2 * S]).again == 1


@pytest.mark.parametrize(
    ("again", "resent", "wall_s", "expected", "busy"),
    [
        (0, 0, 10.0, (), ()),
        (1, 0, 10.0, ("asked_again",), ("asked_again",)),
        (0, 1, 10.0, ("resent",), ()),
        (0, 0, 13.0, ("slow",), ()),
    ],
)
def test_faults(
    again: int, resent: int, wall_s: float, expected: tuple[str, ...], busy: tuple[str, ...]
) -> None:
    """Late, and asked twice for want of an answer, is no fault of the daemon on a busy machine."""
    asked = Asked(5, 1, again, resent, 5)
    assert _faults(asked, wall_s, Course(5, 10.0), is_busy=False) == expected
    assert _faults(asked, wall_s, Course(5, 10.0), is_busy=True) == busy


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run says why it cannot be, and what can."""
    with socket.socket() as taken:
        taken.bind((domains.host(0), 0))
        taken.listen()
        monkeypatch.setattr(domains, "SMTP_PORT", taken.getsockname()[1])
        with pytest.raises(RunFailed, match="--resolve-only"):
            domains._check_port()
