"""Who was put off and is not back yet."""

from mta.queue.booked import Booked


def test_who_is_due_is_booked_no_more() -> None:
    """To within five seconds, in whatever order they were put off."""
    booked = Booked()
    for due_at in (130.0, 107.0, 131.0, 250.0):
        booked.add(due_at)
    assert [booked.count(now) for now in (100.0, 106.9, 115.0, 129.0, 140.0, 249.0, 260.0)] == [
        4,
        4,
        3,
        3,
        1,
        1,
        0,
    ]
    booked.add(300.0)
    assert booked.count(260.0) == 1
