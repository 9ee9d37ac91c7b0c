"""xtext: whatever goes in comes out again at the other end, and only allowed octets lie between."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.smtp.xtext import encoded

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
ASCII = st.text(st.characters(max_codepoint=127), max_size=120)


def decoded(text: str) -> str:
    """RFC 3461 section 4, read from the other side."""
    return re.sub(r"\+([0-9A-F]{2})", lambda match: chr(int(match[1], 16)), text)


@given(ASCII)
def test_round_trip(text: str) -> None:
    """DSN: nothing is lost, nothing but the grammar of RFC 3461 goes out, at most three octets for one."""
    word = encoded(text)
    assert _XTEXT.fullmatch(word)
    assert decoded(word) == text
    assert len(word) <= 3 * len(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", ""),
        ("019a8b0f-7a4e-7c11-9b53-0c1a5f2f9c11", "019a8b0f-7a4e-7c11-9b53-0c1a5f2f9c11"),
        ("a+b=c@d.test", "a+2Bb+3Dc@d.test"),
        ('"a b"@d.test', '"a+20b"@d.test'),
        ("100%\r\n\x7f", "100%+0D+0A+7F"),
    ],
)
def test_known(text: str, word: str) -> None:
    """Plus, equals sign, blanks and controls are escaped, and nothing else."""
    assert encoded(text) == word


@pytest.mark.parametrize("text", ["é", "a\u0660", "\ud800"])
def test_ascii_only(text: str) -> None:
    """What xtext has no form for is refused."""
    with pytest.raises(ValueError, match="ASCII"):
        encoded(text)
