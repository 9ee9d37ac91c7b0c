from loadtest.fleet import between, most_in, recovers


def test_windows_are_half_open_and_begin_anywhere() -> None:
    """What comes a whole second later is in the next one."""
    assert most_in([0.0, 0.4, 0.9, 1.0, 1.1], 1.0) == 4
    assert most_in([0.0, 1.0, 2.0], 1.0) == 1
    assert most_in([], 1.0) == 0


def test_between_counts_the_first_moment_and_not_the_last() -> None:
    """As windows do."""
    assert between([1.0, 2.0, 3.0], 1.0, 3.0) == 2


def test_recovery_is_the_first_second_with_enough() -> None:
    """Counted from the death."""
    assert recovers([10.0, 12.5, 12.6, 12.7], 10.0, 3) == 1.8
