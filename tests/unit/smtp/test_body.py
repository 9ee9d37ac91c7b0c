"""The octets of a message."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.smtp import body

lines = st.lists(
    st.one_of(st.sampled_from([b"", b".", b"..", b".x", b"x."]), st.binary(max_size=20)), max_size=12
)


def canonical(parts: list[bytes]) -> bytes:
    return b"".join(re.sub(rb"[\r\n\0]", b"", part) + b"\r\n" for part in parts)


@given(lines)
def test_canonical_bytes_have_no_flaw(parts: list[bytes]) -> None:
    """Lines that end in CRLF are fine, whatever else is in them."""
    wire = canonical(parts)
    assert body.flaw(wire) == ("" if parts else "message does not end with CRLF")


@given(st.text(st.sampled_from("\r\nx."), max_size=12))
def test_bare_line_ends_are_found(text: str) -> None:
    """Exactly those bytes pass in which each CR and each LF belongs to a CRLF, the last one at the end
    (S-01)."""
    is_fine = text.endswith("\r\n") and not re.search(r"\r(?!\n)|(?<!\r)\n", text)
    assert (body.flaw(text.encode()) == "") == is_fine
    assert (body.flaw(b"x" * body.BLOCK + text.encode()) == "") == is_fine


def test_nul() -> None:
    """NUL is an error."""
    assert body.flaw(b"a\0b\r\n")


@given(lines)
def test_s13_stuffing(parts: list[bytes]) -> None:
    """S-13: taking one dot from each line that starts with one gives the message back; no line is a lone dot."""
    wire = canonical(parts)
    stuffed = body.stuffed(wire)
    assert b"\r\n.\r\n" not in b"\r\n" + stuffed
    assert re.sub(rb"(?m)^\.", b"", stuffed) == wire


@pytest.mark.parametrize("shift", range(6))
def test_blocks_are_the_same_octets(shift: int) -> None:
    """Stuffed block by block a large message gives the same octets, wherever a block ends."""
    for piece in (b".\r\n", b"x\r\n.", b"\r\n", b".x\r\n..y\r\n"):
        wire = b"x" * shift + piece * (3 * body.BLOCK // len(piece)) + b"\r\n"
        blocks = list(body.stuffed_blocks(wire))
        assert b"".join(blocks) == body.stuffed(wire)
        assert max(map(len, blocks)) <= 2 * body.BLOCK
        assert b"".join(body.plain_blocks(wire)) == wire


def test_a_line_longer_than_a_block() -> None:
    """A dot that starts a block in the middle of a line is not stuffed."""
    wire = b"x" * body.BLOCK + b".y\r\n"
    assert b"".join(body.stuffed_blocks(wire)) == wire
