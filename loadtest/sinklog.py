"""What the sink writes down: one line per accepted recipient, before the peer hears its 250, and one for each it did
something else to.

A line is tab-separated: time on the monotonic clock in ns (one clock for all processes of a host), number of
the session, what was done (`ok`, or as `cut-dot`), octets of the message, its identity, recipient. The recipient comes
last and holds no control characters.

The identity is a hash of Message-ID, Date and the `bh=` of the signature: of the copies of one message it is the same.
It is `-` where no message had arrived.

Of connections there is a log of its own, where it is asked for: the time, and 1 for one more or -1 for one less.
"""

import itertools
from collections.abc import Iterator
from hashlib import blake2b

from msgspec import Struct

ACCEPTED = b"ok"
UNKNOWN = b"-"


class Entry(Struct, frozen=True, gc=False):
    at_ns: int
    session: int
    what: str
    size_bytes: int
    identity: str
    recipient: str

    @property
    def is_acceptance(self) -> bool:
        return self.what == "ok"


def identity(message: bytes) -> bytes:
    """Of what is missing the empty string counts."""
    head = message[: message.find(b"\r\n\r\n") + 2]
    said = (_line(head, b"\r\nMessage-ID:"), _line(head, b"\r\nDate:"), _body_hash(head))
    return blake2b(b"\n".join(said), digest_size=8).hexdigest().encode()


def _line(head: bytes, name: bytes) -> bytes:
    begin = head.find(name)
    return head[begin : head.find(b"\r\n", begin + 2)] if begin >= 0 else b""


def _body_hash(head: bytes) -> bytes:
    """The tag may be folded anywhere (RFC 6376 section 3.2), so it is read without white space."""
    begin = head.find(b"bh=")
    return b"".join(head[begin : head.find(b";", begin)].split()) if begin >= 0 else b""


def render(
    at_ns: int, session: int, what: bytes, size_bytes: int, identity: bytes, recipient: bytes
) -> bytes:
    return b"%d\t%d\t%b\t%d\t%b\t%b\n" % (at_ns, session, what, size_bytes, identity, recipient)


def parse(log: bytes) -> Iterator[Entry]:
    """A last line without its end was cut off by the death of the sink and is no acceptance: its 250 never
    went out."""
    for line in log[: log.rfind(b"\n") + 1].splitlines():
        at_ns, session, what, size_bytes, identity, recipient = line.split(b"\t", 5)
        yield Entry(
            int(at_ns),
            int(session),
            what.decode("ascii"),
            int(size_bytes),
            identity.decode("ascii"),
            recipient.decode("ascii"),
        )


def render_connection(at_ns: int, change: int) -> bytes:
    return b"%d\t%d\n" % (at_ns, change)


def most_connections(log: bytes) -> int:
    """The most that were open at once."""
    changes = (int(line.split(b"\t")[1]) for line in log[: log.rfind(b"\n") + 1].splitlines())
    return max(itertools.accumulate(changes), default=0)
