import json

from mta.demo.tally import Row, Tally


def line(kind: str, recipient: str, provider: str, attempt: int = 1) -> bytes:
    event = {
        "v": 1,
        "id": f"{recipient}.{kind}.{attempt}",
        "type": kind,
        "recipient": recipient,
        "provider": provider,
        "attempt": attempt,
    }
    return json.dumps(event).encode() + b"\n"


def test_counts_by_provider() -> None:
    """Each recipient counts once where it ended, and once where it was first deferred."""
    tally = Tally(("other", "yahoo"))
    tally.add(line("deferred", "a@y.test", "yahoo") + line("deferred", "b@y.test", "yahoo"))
    tally.add(line("deferred", "a@y.test", "yahoo", 2) + line("delivered", "a@y.test", "yahoo", 3))
    tally.add(line("bounced", "c@g.test", "google") + line("expired", "d@g.test", "google"))
    assert tally.rows() == [
        Row("google", delivered=0, deferred=0, waiting=0, bounced=1, failed=1),
        Row("other", delivered=0, deferred=0, waiting=0, bounced=0, failed=0),
        Row("yahoo", delivered=1, deferred=2, waiting=1, bounced=0, failed=0),
    ]
    assert (tally.ended, tally.deferred, tally.ended_twice) == (3, 2, 0)
    assert tally.recipients("bounced") == {"c@g.test"}


def test_repeated_event_counts_once() -> None:
    """At-least-once transport: the same id twice is one event."""
    tally = Tally()
    tally.add(line("delivered", "a@o.test", "other") * 2)
    tally.add(line("delivered", "a@o.test", "other"))
    assert (tally.ended, tally.ended_twice, tally.rows()[0].delivered) == (1, 0, 1)


def test_two_ends_are_seen() -> None:
    """A second terminal event with another id is a fault, and the first one stands."""
    tally = Tally()
    tally.add(line("delivered", "a@o.test", "other") + line("bounced", "a@o.test", "other", 2))
    assert (tally.ended, tally.ended_twice) == (1, 1)
    assert tally.recipients("delivered") == {"a@o.test"}


def test_payload_event_is_nobodys() -> None:
    """Events about a whole payload count for no recipient."""
    tally = Tally()
    tally.add(b'{"v":1,"id":"k.accepted.0","type":"accepted"}\n')
    assert (tally.ended, tally.rows()) == (0, [])
