import pytest

from loadtest.crash import Blow, lateness
from loadtest.setting import Setting


@pytest.mark.parametrize(
    ("blow", "recovery_s", "expected"),
    [
        (Blow("nats"), 39.9, ()),
        (Blow("nats"), 40.1, ("late",)),
        (Blow("nats", down_s=60.0), 99.9, ()),
        (Blow("sink", down_s=60.0), 100.1, ("late",)),
        (Blow("daemon"), 69.9, ()),
        (Blow("daemon"), 70.1, ("late",)),
        (Blow("daemon", down_s=10.0), 70.1, ("late",)),
    ],
)
def test_lateness(blow: Blow, recovery_s: float, expected: tuple[str, ...]) -> None:
    """Half a minute from the end of the fault, besides what 5,000 messages take at 500 a second; a dead daemon's
    messages are given out again after their lease."""
    assert lateness(blow, Setting(ack_wait_s=30), recovery_s, 5000, 500.0) == expected
