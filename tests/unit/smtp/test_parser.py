"""The reply reader, fed three ways."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.reply import Reply
from mta.smtp.parser import MAX_LINE, MAX_REPLY, ReplyReader

Feed = Callable[[ReplyReader, bytes], list[Reply]]


def whole(reader: ReplyReader, data: bytes) -> list[Reply]:
    return reader.feed(data)


def byte_by_byte(reader: ReplyReader, data: bytes) -> list[Reply]:
    return [reply for place in range(len(data)) for reply in reader.feed(data[place : place + 1])]


def with_trailing_bytes(reader: ReplyReader, data: bytes) -> list[Reply]:
    replies = reader.feed(data + b"2")
    assert not reader.is_empty or reader.fault
    return replies


FEEDS = pytest.mark.parametrize("feed", [whole, byte_by_byte, with_trailing_bytes])


@FEEDS
@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"250 ok\r\n", Reply(250, ("ok",))),
        (b"250\r\n", Reply(250, ("",))),
        (b"250 \r\n", Reply(250, ("",))),
        (b"250 ok\n", Reply(250, ("ok",))),
        (b"250-a\r\n250 b\r\n", Reply(250, ("a", "b"))),
        (b"250-a\r\n250-\r\n250\r\n", Reply(250, ("a", "", ""))),
        (b"550 5.1.1 no such user\r\n", Reply(550, ("5.1.1 no such user",), "5.1.1")),
        (b"550-5.7.26 a\r\n550 5.7.1 b\r\n", Reply(550, ("5.7.26 a", "5.7.1 b"), "5.7.26")),
        (b"421 5.7.32 contradicts\r\n", Reply(421, ("5.7.32 contradicts",), "5.7.32")),
        (b"250 2.0.0\r\n", Reply(250, ("2.0.0",), "2.0.0")),
        (b"550 mail to 5.1.1 no\r\n", Reply(550, ("mail to 5.1.1 no",))),
        (b"550 5.1.1234 no\r\n", Reply(550, ("5.1.1234 no",))),
        (b"550 3.1.1 no\r\n", Reply(550, ("3.1.1 no",))),
        (b"250 \xff\x00\x1b[0m\r\n", Reply(250, ("\xff\x00\x1b[0m",))),
        (b"599 x\r\n", Reply(599, ("x",))),
    ],
)
def test_well_formed(feed: Feed, data: bytes, reply: Reply) -> None:
    """S-18: a well-formed reply is read as it stands, an enhanced code only right after the code."""
    reader = ReplyReader()
    assert feed(reader, data) == [reply]
    assert not reader.fault


@FEEDS
@pytest.mark.parametrize(
    "data",
    [
        b"25 ok\r\n",
        b"2_5 ok\r\n",
        b" 250 ok\r\n",
        b"+25 ok\r\n",
        b"999 ok\r\n",
        b"000 ok\r\n",
        b"199 ok\r\n",
        b"600 ok\r\n",
        b"2500 ok\r\n",
        b"250ok\r\n",
        b"250\tok\r\n",
        b"\r\n",
        b"\n",
        b"\xb2\xb5\xb0 ok\r\n",
        "２５０ ok\r\n".encode(),
        b"550-no\r\n250 ok\r\n",
        b"250-ok\r\n550 no\r\n",
        b"250-ok\r\n251 ok\r\n",
        b"250-ok\r\ngarbage\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
)
def test_b13_malformed(feed: Feed, data: bytes) -> None:
    """Whatever is not three ASCII digits, 200-599, the same on each line, is a fault and never a reply."""
    reader = ReplyReader()
    assert feed(reader, data) == []
    assert reader.fault


def test_a_continuation_alone_is_no_reply() -> None:
    """`250-` as the last line keeps the reader waiting."""
    reader = ReplyReader()
    assert reader.feed(b"250-last\r\n") == []
    assert not reader.fault
    assert not reader.is_empty


def test_a_fault_is_final() -> None:
    """Nothing behind a fault is read, what came before it is."""
    reader = ReplyReader()
    assert reader.feed(b"250 a\r\nbad\r\n250 b\r\n") == [Reply(250, ("a",))]
    assert reader.feed(b"250 c\r\n") == []


@pytest.mark.parametrize("size", [MAX_LINE, MAX_LINE + 1])
def test_b8_line_cap(size: int) -> None:
    """A line may be 8192 octets long with its end, not one more."""
    reader = ReplyReader()
    data = b"250 ".ljust(size - 2, b"x") + b"\r\n"
    assert len(reader.feed(data)) == (size <= MAX_LINE)
    assert bool(reader.fault) == (size > MAX_LINE)


def test_b8_no_line_end() -> None:
    """A megabyte without a line end is cut at the cap, however it is fed."""
    reader = ReplyReader()
    for _ in range(1024):
        reader.feed(b"x" * 1024)
        if reader.fault:
            break
    assert reader.fault
    assert len(reader._buffer) <= MAX_LINE + 1024


@pytest.mark.parametrize("step", [1, 12, 4096])
def test_b8_endless_reply(step: int) -> None:
    """Continuation lines without end are cut at the cap of a reply."""
    reader = ReplyReader()
    data = b"250-x\r\n" * (MAX_REPLY // 7 + 2)
    for start in range(0, len(data), step):
        assert reader.feed(data[start : start + step]) == []
    assert reader.fault == "reply too long"


def test_the_caps_hold_per_reply() -> None:
    """Many replies one after another are not one long reply, remembered lines or new ones."""
    reader = ReplyReader()
    for number in range(20000):
        assert len(reader.feed(b"250 queued as %d\r\n250 ok\r\n" % number)) == 2


text = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=30)
replies = st.builds(Reply, st.integers(200, 599), st.lists(text, min_size=1, max_size=4).map(tuple))


def spelled(reply: Reply) -> bytes:
    *lines, last = reply.lines
    text = "".join([f"{reply.code}-{line}\r\n" for line in lines])
    return f"{text}{reply.code} {last}\r\n".encode("latin-1")


@given(st.lists(replies, max_size=8), st.data())
def test_any_segmentation(said: list[Reply], data: st.DataObject) -> None:
    """Replies come out the same wherever the segments were cut (S-05, B10)."""
    octets = b"".join(spelled(reply) for reply in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=40)))
    reader = ReplyReader()
    heard: list[Reply] = []
    for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        heard += reader.feed(octets[start:end])
    assert [(reply.code, reply.lines) for reply in heard] == [(reply.code, reply.lines) for reply in said]
    assert not reader.fault
    assert reader.is_empty


@given(st.binary(max_size=300), st.data())
def test_garbage_in_any_segmentation(octets: bytes, data: st.DataObject) -> None:
    """Any bytes give the same replies and the same verdict on them, fed whole or in pieces."""
    cut = data.draw(st.integers(0, len(octets)))
    one, two = ReplyReader(), ReplyReader()
    assert one.feed(octets) == two.feed(octets[:cut]) + two.feed(octets[cut:])
    assert one.fault == two.fault
