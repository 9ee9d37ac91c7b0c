from loadtest.backlog import Whereabouts, address_of


def test_whereabouts() -> None:
    """Each dead recipient is in one place, the last that was seen; those seen nowhere are lost, others do not count."""
    found = Whereabouts(5)
    found.note(address_of(0), Whereabouts.WAITING)
    found.note(address_of(1), Whereabouts.WAITING)
    found.note(address_of(1), Whereabouts.STORED)
    found.note(address_of(2), Whereabouts.STORED)
    found.note(address_of(4), Whereabouts.ENDED)
    found.note("warm-0000003@h3.test", Whereabouts.ENDED)
    states = (Whereabouts.WAITING, Whereabouts.STORED, Whereabouts.ENDED)
    assert [found.count(state) for state in states] == [1, 2, 1]
    assert found.lost == 1


def test_addresses_are_numbered() -> None:
    """The number is what one octet is kept for."""
    assert address_of(1_234_567) == "dead-1234567@dead.test"
