import time

from mta.flow.gate import Gate


class Facts:
    def __init__(self) -> None:
        self.is_late = False
        self.unkept_bytes = 0

    def gate(self) -> Gate:
        return Gate(is_late=lambda: self.is_late, unkept_bytes=lambda: self.unkept_bytes, most_unkept=100)


def test_it_shuts_while_snapshots_are_late_or_events_pile_up() -> None:
    """And says once that it has opened again."""
    facts = Facts()
    gate = facts.gate()
    assert not gate.look()
    assert gate.is_open
    facts.is_late = True
    assert not gate.look()
    assert not gate.is_open
    facts.is_late, facts.unkept_bytes = False, 100
    assert not gate.look()
    assert not gate.is_open
    facts.unkept_bytes = 99
    assert gate.look()
    assert not gate.look()
    assert gate.is_open


def test_a_dot_needs_a_lease_too() -> None:
    """Open for all is not open for a payload whose time is over."""
    facts = Facts()
    gate = facts.gate()
    assert gate.permits(time.monotonic() + 5)
    assert not gate.permits(time.monotonic())
    facts.is_late = True
    gate.look()
    assert not gate.permits(time.monotonic() + 5)
