"""What the sink writes down: one line per accepted recipient, before the peer hears its 250.

A line is tab-separated: time on the monotonic clock in ns (one clock for all processes of a host), number of
the session, octets of the message, recipient. The recipient comes last and holds no control characters.
"""

from collections.abc import Iterator

from msgspec import Struct


class Acceptance(Struct, frozen=True, gc=False):
    at_ns: int
    session: int
    size_bytes: int
    recipient: str


def render(at_ns: int, session: int, size_bytes: int, recipient: bytes) -> bytes:
    return b"%d\t%d\t%d\t%b\n" % (at_ns, session, size_bytes, recipient)


def parse(log: bytes) -> Iterator[Acceptance]:
    """A last line without its end was cut off by the death of the sink and is no acceptance: its 250 never
    went out."""
    for line in log[: log.rfind(b"\n") + 1].splitlines():
        at_ns, session, size_bytes, recipient = line.split(b"\t", 3)
        yield Acceptance(int(at_ns), int(session), int(size_bytes), recipient.decode("ascii"))
