"""xtext: how a value that may hold anything printable travels as one parameter of a command (RFC 3461 section 4)."""

import re

_NO_XCHAR = re.compile(r"[^!-*,-<>-~]")
"""All but graphic ASCII without "+" and "="."""


def encoded(text: str) -> str:
    """At most three times as long. `ValueError` for what is not ASCII."""
    if not text.isascii():
        raise ValueError("xtext holds ASCII only")
    return _NO_XCHAR.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return f"+{ord(match[0]):02X}"
