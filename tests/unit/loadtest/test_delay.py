from loadtest.delay import DelayLine


def test_keeps_order_and_pieces() -> None:
    """Pieces leave in order, whole, each when its own time has come."""
    line: DelayLine[bytes] = DelayLine(0.025)
    line.push(1.000, b"MAIL RCPT DATA")
    line.push(1.010, b"QUIT")
    assert line.due(1.024) == []
    assert line.due(1.025) == [b"MAIL RCPT DATA"]
    assert line.next_due_at == 1.010 + 0.025
    assert line.due(2.0) == [b"QUIT"]


def test_pieces_of_one_moment_leave_together() -> None:
    """What came in at once comes out at once: the delay is per wire, not per piece."""
    line: DelayLine[int] = DelayLine(0.025)
    for number in range(10):
        line.push(1.0, number)
    assert line.due(1.025) == list(range(10))


def test_empty() -> None:
    """Nothing inside: nothing due, no time to wake up at."""
    line: DelayLine[bytes] = DelayLine(0.025)
    assert line.due(9.0) == []
    assert line.next_due_at is None
