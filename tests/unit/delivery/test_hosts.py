"""What is remembered of hosts and addresses, and for how long."""

from mta.delivery.hosts import HostMemory, Target
from mta.model.path import MxHost
from mta.model.tls import TlsDoubt, TlsFailure

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


def test_starttls_that_comes_and_goes_is_told_of_once_a_day() -> None:
    """D4: operators hear of it, and not at every other connection."""
    memory = HostMemory()
    told = 0
    for hour in range(48):
        now = hour * 3600.0
        memory.note_offer("a:25", True, now)
        told += memory.note_offer("a:25", False, now)
    assert told == 2
    assert not memory.note_offer("b:25", False, 0.0)


def test_what_a_clock_that_was_ahead_told_is_forgotten() -> None:
    """N12: else clear text would last until the clock is where it was."""
    memory = HostMemory()
    memory.learn_tls_broken("a:25", 400 * DAY)
    assert memory.is_tls_broken("a:25", 400 * DAY - 60)
    assert not memory.is_tls_broken("a:25", DAY)


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


def target(name: str, address: str, port: int = 25) -> Target:
    return MxHost(name, port), address


def test_the_dead_come_last() -> None:
    """C8: an address without an answer is tried when nothing else is left, by this source, for half an hour."""
    memory = HostMemory()
    one, two, three = target("a", "192.0.2.1"), target("b", "192.0.2.2"), target("c", "192.0.2.3")
    assert memory.ranked("s1", [one, two, three], 0.0) == [one, two, three]
    memory.note_dead("s1", one, 0.0)
    assert memory.ranked("s1", [one, two, three], 1799.0) == [two, three, one]
    assert memory.ranked("s2", [one, two, three], 1.0) == [one, two, three]
    assert memory.ranked("s1", [one, two, three], 1800.0) == [one, two, three]
    memory.note_dead("s1", two, 0.0)
    memory.note_alive("s1", one, 1.0)
    assert memory.ranked("s1", [two, one, three], 2.0) == [one, three, two]


def test_ports_and_names_are_told_apart() -> None:
    """A host whose name is resolved at the connection is remembered by its name, and each port for itself."""
    memory = HostMemory()
    here, there, named = target("a", "192.0.2.1"), target("a", "192.0.2.1", 26), target("relay.test", "")
    memory.note_dead("s1", here, 0.0)
    memory.note_dead("s1", named, 0.0)
    assert memory.ranked("s1", [here, named, there], 1.0) == [there, here, named]


def test_a_dead_family_is_passed_over() -> None:
    """Five IPv6 addresses in a row without an answer: the next one is not tried before IPv4 for five minutes; one that
    answers ends it."""
    memory = HostMemory()
    sixes = [target("a", f"2001:db8::{number}") for number in range(6)]
    four = target("a", "192.0.2.1")
    for one in sixes[:5]:
        memory.note_dead("s1", one, 0.0)
    assert memory.ranked("s1", [sixes[5], four], 1.0) == [four, sixes[5]]
    assert memory.ranked("s2", [sixes[5], four], 1.0) == [sixes[5], four]
    assert memory.ranked("s1", [sixes[5], four], 301.0) == [sixes[5], four]
    memory.note_dead("s1", sixes[5], 302.0)
    memory.note_alive("s1", sixes[4], 303.0)
    assert memory.ranked("s1", [target("b", "2001:db8::9"), four], 304.0)[0][1] == "2001:db8::9"


def test_an_offer_that_is_gone_is_noticed_once() -> None:
    """D4: STARTTLS was offered, and is not any more; the second time that is no news, nor after a week."""
    memory = HostMemory()
    assert not memory.note_offer("a:25", False, 0.0)
    assert not memory.note_offer("a:25", True, 0.0)
    assert memory.note_offer("a:25", False, 1.0)
    assert not memory.note_offer("a:25", False, 2.0)
    memory.note_offer("a:25", True, 3.0)
    assert not memory.note_offer("a:25", False, 3.0 + 7 * DAY)


def test_a_doubt_is_looked_at_again_within_the_hour() -> None:
    """What a testing policy would not have let pass is known for an hour."""
    memory = HostMemory()
    doubt = TlsDoubt(TlsFailure.CERTIFICATE_EXPIRED, "expired")
    memory.learn_tls_doubt("a:25", doubt, 0.0)
    assert memory.tls_doubt("a:25", 3599.0) == doubt
    assert memory.tls_doubt("a:25", 3600.0) is None
    assert memory.tls_doubt("b:25", 0.0) is None
