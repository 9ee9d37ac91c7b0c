from mta.delivery.hosts import HostMemory

DAY = 86_400.0


def test_a_verdict_ends_after_a_week() -> None:
    """What pattern C did on a host is known for seven days, then learned anew."""
    memory = HostMemory()
    assert memory.c_works("a:25", 0.0) is None
    memory.learn_c("a:25", False, 0.0)
    assert memory.c_works("a:25", 7 * DAY - 1) is False
    assert memory.c_works("a:25", 7 * DAY) is None


def test_the_last_verdict_holds() -> None:
    """A host that changed is believed, and its time begins again."""
    memory = HostMemory()
    memory.learn_c("a:25", True, 0.0)
    memory.learn_c("a:25", False, 5.0)
    assert memory.c_works("a:25", 7 * DAY + 4) is False


def test_broken_tls_is_tried_again_the_next_day() -> None:
    """T-03: remembered for 24 hours, for that host and port alone."""
    memory = HostMemory()
    memory.learn_tls_broken("a:25", 0.0)
    assert memory.is_tls_broken("a:25", DAY - 1)
    assert not memory.is_tls_broken("a:25", DAY)
    assert not memory.is_tls_broken("a:26", 0.0)


def test_memory_is_bounded() -> None:
    """The oldest facts go first."""
    memory = HostMemory()
    for number in range(50_001):
        memory.learn_c(f"h{number}", True, 0.0)
        memory.learn_tls_broken(f"h{number}", 0.0)
    assert memory.c_works("h0", 1.0) is None
    assert not memory.is_tls_broken("h0", 1.0)
    assert memory.c_works("h1", 1.0)
    assert memory.is_tls_broken("h50000", 1.0)
