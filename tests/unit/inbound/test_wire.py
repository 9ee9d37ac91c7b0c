from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.inbound.wire import Fault, Room, Wire, WireLimits

LIMITS = WireLimits(command=20, line=30, message=100)
Said = list[bytes | Fault]


def heard(pieces: Iterable[bytes], limits: WireLimits = LIMITS, room: Room | None = None) -> Said:
    """Lines and messages, a message after each line `DATA`, in order; asked for after each piece."""
    wire = Wire(limits, room or Room(10**6))
    found: Said = []
    in_body = False
    for piece in pieces:
        wire.feed(piece)
        while True:
            one = wire.next_body() if in_body else wire.next_line()
            if one is None:
                break
            if one is Fault.BARE:
                return [*found, one]
            found.append(one)
            if in_body:
                wire.end_body()
                in_body = False
            elif one == b"DATA":
                wire.begin_body()
                in_body = True
    return found


def meant(raw: bytes) -> Said:
    """The same by the letter of the rules, with all octets at hand."""
    bare = next((at for at in range(len(raw)) if is_bare(raw, at)), len(raw))
    is_cut, raw = bare < len(raw), raw[:bare]
    found: Said = []
    while b"\r\n" in raw:
        line, _, raw = raw.partition(b"\r\n")
        found.append(Fault.TOO_LONG if len(line) + 2 > LIMITS.command else line)
        if line == b"DATA":
            lines, is_whole = [], False
            while b"\r\n" in raw and not is_whole:
                line, _, raw = raw.partition(b"\r\n")
                is_whole = line == b"."
                lines += [] if is_whole else [line]
            if not is_whole:
                break
            found.append(judged(lines))
    return [*found, Fault.BARE] if is_cut else found


def judged(lines: list[bytes]) -> bytes | Fault:
    """The first fault of a message counts; here each is alone."""
    if any(len(line) + 1 > LIMITS.line for line in lines):
        return Fault.TOO_LONG
    if sum(len(line) + 2 for line in lines) > LIMITS.message:
        return Fault.TOO_LARGE
    return b"".join(line.removeprefix(b".") + b"\r\n" for line in lines)


def is_bare(raw: bytes, at: int) -> bool:
    if raw[at : at + 1] == b"\r":
        return at + 1 < len(raw) and raw[at + 1 : at + 2] != b"\n"
    return raw[at : at + 1] == b"\n" and (at == 0 or raw[at - 1 : at] != b"\r")


whole = pytest.param(lambda raw: [raw], id="whole")
by_octet = pytest.param(lambda raw: [raw[at : at + 1] for at in range(len(raw))], id="by-octet")
MIXED = b"EHLO x\r\nDATA\r\nS: y\r\n\r\n..a\r\n.b\r\n.\r\nQUIT\r\n"


@pytest.mark.parametrize("cut", [whole, by_octet])
def test_lines_and_messages(cut: Callable[[bytes], list[bytes]]) -> None:
    """The dots that were doubled are one again; what lies behind a message is a line."""
    assert heard(cut(MIXED)) == [b"EHLO x", b"DATA", b"S: y\r\n\r\n.a\r\nb\r\n", b"QUIT"]
    assert heard(cut(b"DATA\r\n.\r\nA\r\nrest")) == [b"DATA", b"", b"A"]


PIECES = [b"\r\n", b"\r", b"\n", b".", b"\r\n.\r\n", b"DATA\r\n", b"a", b"b" * 19, b"c" * 33, b"\x00"]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.lists(st.integers(1, 9), max_size=60))
def test_h6_however_octets_are_cut_they_mean_the_same(raw: bytes, cuts: list[int]) -> None:
    """And what the rules say, but for which of two faults of one message is named."""
    pieces, at = [], 0
    for size in cuts:
        pieces.append(raw[at : at + size])
        at += size
    pieces.append(raw[at:])
    large = {Fault.TOO_LARGE, Fault.TOO_LONG}
    in_pieces, at_once, wanted = heard(pieces), heard([raw]), meant(raw)
    assert [one in large or one for one in in_pieces] == [one in large or one for one in wanted]
    assert [one in large or one for one in at_once] == [one in large or one for one in wanted]


@pytest.mark.parametrize("raw", [b"NOOP\n", b"NO\rOP\r\n", b"\n", b"\r\r\n", b"A\r\nB\nC\r\n"])
def test_h6_nothing_comes_after_a_bare_octet(raw: bytes) -> None:
    assert heard([raw, b"NOOP\r\n"])[-1] is Fault.BARE
    assert b"C" not in heard([raw])


def test_h6_a_pair_may_come_in_two_pieces() -> None:
    """And what is no pair is found out by its second half."""
    assert heard([b"NOOP\r", b"\nA\r\n"]) == [b"NOOP", b"A"]
    assert heard([b"NOOP\r", b"A\r\n"]) == [Fault.BARE]


def test_h4_a_long_command_takes_no_memory() -> None:
    """And the next one is read as one."""
    wire = Wire(LIMITS, Room(10**6))
    for _ in range(10_000):
        wire.feed(b"x" * 100)
        assert wire.pending_bytes <= 120
    wire.feed(b"\r\nNOOP\r\n")
    assert [wire.next_line(), wire.next_line()] == [Fault.TOO_LONG, b"NOOP"]


@pytest.mark.parametrize(
    ("line", "fault"), [(b"x" * 98 + b"\r\n", Fault.TOO_LARGE), (b"x" * 2000, Fault.TOO_LONG)]
)
def test_h4_a_large_message_takes_no_memory(line: bytes, fault: Fault) -> None:
    """Once it is too large nothing of it is kept, up to its end."""
    room = Room(10**6)
    wire = Wire(WireLimits(line=1000, message=5000), room)
    wire.begin_body()
    for _ in range(1000):
        wire.feed(line)
        assert room.taken_bytes <= 5200
    assert wire.next_body() is None
    wire.feed(b"\r\n.\r\n")
    assert wire.next_body() is fault
    assert room.taken_bytes == 0


def test_the_room_is_shared_and_given_back() -> None:
    """The second message finds none; after the first one's end there is some."""
    room = Room(60)
    first, second = Wire(LIMITS, room), Wire(LIMITS, room)
    first.begin_body()
    first.feed(b"x" * 20 + b"\r\n" + b"y" * 20)
    second.begin_body()
    second.feed(b"x" * 20 + b"\r\n.\r\n")
    assert second.next_body() is Fault.NO_ROOM
    second.end_body()
    assert room.taken_bytes == 44
    first.end_body()
    assert room.taken_bytes == 0


def test_a_line_is_as_long_as_allowed() -> None:
    assert heard([b"x" * 18 + b"\r\n"]) == [b"x" * 18]
    assert heard([b"x" * 19 + b"\r\n"]) == [Fault.TOO_LONG]
