"""What a peer takes is seen only while he is all that others wait for."""

from mta.queue.served import UNKNOWN, Served


def after(served: Served, start: float, seconds: int, each: int) -> float:
    """The rate after so many seconds of `each` messages."""
    for second in range(seconds):
        for _ in range(each):
            served.note(start + second)
    return served.rate(start + seconds)


def test_nothing_is_known_at_first() -> None:
    """A path is not called slow before it was looked at for a while; sooner, if the asker is content with less."""
    served = Served()
    assert after(served, 0.0, 2, 3) == UNKNOWN
    assert served.rate(2.0, least_s=1.0) == 3.0


def test_a_window_follows_the_other() -> None:
    """What was long ago does not count, and what is known holds while the next window is young."""
    served = Served()
    assert after(served, 0.0, 10, 100) == 100.0
    assert served.rate(11.0) == 100.0
    assert after(served, 10.0, 10, 2) == 2.0


def test_few_messages_are_not_a_window() -> None:
    """One every ten seconds is looked at for longer."""
    served = Served()
    for second in range(0, 90, 10):
        served.note(float(second))
        assert served.rate(second + 10.0) == 0.1


def test_time_before_the_first_message_does_not_count() -> None:
    """The first connection may take its time."""
    served = Served()
    assert served.rate(30.0) == UNKNOWN
    assert after(served, 30.0, 6, 5) == 5.0
