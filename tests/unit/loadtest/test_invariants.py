import pytest

from loadtest.invariants import lags, of_logs


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"event":"node_ready","text":"all is well"}', ()),
        ('{"text":"***@d1.test: 550 no"}', ()),
        ('{"text":"news@load.test is ours"}', ()),
        ('{"text":"550 <load-0000001@d1.test> no"}', ("address_in_log",)),
        ('{"text":"cut-dot.a@mail.d1.test"}', ("address_in_log",)),
        ('{"event":"node_stopped","loop_lag_p99_ms":3.0,"loop_lag_max_ms":80.0}', ()),
        ('{"event":"node_stopped","loop_lag_p99_ms":50.0,"loop_lag_max_ms":80.0}', ("loop_lag_p99",)),
        ('{"event":"node_stopped","loop_lag_p99_ms":3.0,"loop_lag_max_ms":500.0}', ("loop_lag_max",)),
        ("Traceback (most recent call last):", ("traceback",)),
        ("Task exception was never retrieved", ("never_retrieved",)),
    ],
)
def test_logs(line: str, expected: tuple[str, ...]) -> None:
    """A hidden local part is fine, one in clear is not, nor what nobody expected."""
    assert of_logs(f"before\n{line}\nbehind") == expected
    busy = tuple(fault for fault in expected if "lag" not in fault)
    assert of_logs(line, is_busy=True) == busy


def test_the_latest_daemon_counts() -> None:
    """Of each figure the worst, 0 where none has stopped."""
    line = '{{"event":"node_stopped","loop_lag_p99_ms":{},"loop_lag_max_ms":{}}}\n'
    assert lags("x\n" + line.format(3.0, 80.0) + line.format(5.0, 7.0)) == (5.0, 80.0)
    assert lags("x") == (0.0, 0.0)
