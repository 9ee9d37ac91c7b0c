from mta.demo.destinations import Destination, Greylists, KnowsItsUsers
from mta.demo.policy import Received


def test_unknown_user_gets_the_real_reply() -> None:
    """Four lines, all with code and enhanced code, and the token a classifier looks for; others are
    accepted."""
    google = KnowsItsUsers("google")
    reply = google.on_rcpt(b"former.ada@gmail.google.test")
    assert reply is not None
    lines = reply.splitlines()
    assert [line[:10] for line in lines] == [b"550-5.1.1 "] * 3 + [b"550 5.1.1 "]
    assert b"?p=NoSuchUser" in lines[-1]
    assert reply.endswith(b"\r\n")
    assert google.on_rcpt(b"ada@gmail.google.test") is None


def test_greylisting() -> None:
    """The first attempt and any too early are deferred, each recipient by its own clock."""
    now = 100.0
    yahoo = Greylists("yahoo", 2.0, lambda: now)
    first = yahoo.on_rcpt(b"ada@ymail.yahoo.test")
    assert first is not None
    assert first.startswith(b"451 4.7.1 ")
    now = 101.9
    assert yahoo.on_rcpt(b"ada@ymail.yahoo.test") is not None
    now = 102.0
    assert yahoo.on_rcpt(b"ada@ymail.yahoo.test") is None
    assert yahoo.on_rcpt(b"ben@ymail.yahoo.test") is not None


def test_keeps_the_first_and_counts_all() -> None:
    """Bodies of the first hundred stay, acceptances are counted without end."""
    other = Destination("other")
    for number in range(150):
        assert other.on_message(Received(b"s@a.test", (b"r%d@o.test" % (number % 100),), b"x", 1)) is None
    assert len(other.kept) == 100
    assert (sum(other.accepted.values()), other.accepted["r3@o.test"]) == (150, 2)
