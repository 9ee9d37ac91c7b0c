"""Header fields as they go on the wire: encoded, folded, and safe against whatever data holds.

Every value passes one of the functions here. Invariants: the result is printable ASCII (but for the local part of
a recipient that has no other form: RFC 6532) with CRLF only in front of a space (folding); no line exceeds 998
octets (F-03); an encoded word is at most 75 characters and holds whole characters (F-07); what looks like an
encoded word in the input is text and comes out encoded once more; a separator of lines of any kind, NUL or other
control is a `HeaderRefused`, never dropped in silence (F-06).
"""

import binascii
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

MAX_LINE = 998
MAX_TEXT = 8000
"""Of one value. Gmail refuses large headers (552 5.3.4), and no subject needs more."""
_COLUMN = 76
_WORD = 75
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PRINTABLE = re.compile(r"[ -~]*\Z")
_NAME = re.compile(r"[!-9;-~]{1,76}\Z")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~ ]*\Z")
_FOLDABLE = re.compile(r" *[^ ]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*)"
_ADDRESS = re.compile(rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*")@{_DOMAIN}\Z')
_UTF8_ATOM = _ATOM.replace("]+", "\x80-\U0010ffff]+")
_UTF8_ADDRESS = re.compile(rf"{_UTF8_ATOM}(?:\.{_UTF8_ATOM})*@{_DOMAIN}\Z")
_PLAIN_Q = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/ "
"""RFC 2047 section 5 (3): what may stand for itself in a word of a phrase, the strictest of the three
places; and the space, which becomes an underscore."""
_Q_BYTE = [chr(byte).replace(" ", "_") if byte in _PLAIN_Q else f"={byte:02X}" for byte in range(256)]
_URI = re.compile(r"[!#-;=?-~]{1,900}\Z")
_MAILTO_SAFE = "!$'*+"
"""Of `some-delims`, what a dot-atom may hold."""
_TOKEN_VALUE = re.compile(r"[A-Za-z0-9!#$&+\-.^_`{|}~]+\Z")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class HeaderRefused(ValueError):
    """The text names the field and what is wrong, not the value."""


Field = tuple[str, str]
"""Name, and what follows `name: `, folded, without the final CRLF."""


def checked_name(name: str) -> str:
    """RFC 5322 section 2.2: printable ASCII without the colon."""
    if not _NAME.match(name):
        raise HeaderRefused(f"{ascii(name)[:80]} is no name of a header field")
    return name


def checked_address(name: str, address: str, *, utf8: bool = False) -> str:
    """`local@domain` by the grammar, with an A-label domain: what may stand between angle brackets. With `utf8` the
    local part may hold any character that can be printed (RFC 6532 section 3.2)."""
    if len(address) <= 320:
        if _ADDRESS.match(address):
            return address
        if utf8 and address.isprintable() and _UTF8_ADDRESS.match(address):
            return address
    raise HeaderRefused(f"{name}: not a bare {'' if utf8 else 'ASCII '}address")


def checked_text(name: str, text: str) -> str:
    found = _FORBIDDEN.search(text)
    if found:
        raise HeaderRefused(f"{name}: the character U+{ord(found[0]):04X} is not allowed")
    return text


def unstructured(name: str, text: str) -> str:
    """Subject and the sender's own fields. White space at either end is not kept."""
    text = text.strip(" ")
    if len(text) > MAX_TEXT:
        raise HeaderRefused(f"{name}: longer than {MAX_TEXT} characters")
    if _PRINTABLE.match(text) and "=?" not in text:
        if len(name) + 2 + len(text) <= _COLUMN:
            return text
        folded = _fold(name, text)
        if folded is not None:
            return folded
    return _encoded(name, checked_text(name, text))


def mailbox(name: str, display_name: str, address: str) -> str:
    """One address, which has been checked, with its display name: for From, To and Reply-To."""
    display_name = display_name.strip(" ")
    if not display_name:
        return address
    if len(display_name) > MAX_TEXT:
        raise HeaderRefused(f"{name}: longer than {MAX_TEXT} characters")
    if not display_name.isascii() and _BIDI.search(display_name):
        raise HeaderRefused(f"{name}: a bidi control makes a name read as another")  # F-12
    phrase = _phrase(name, display_name)
    used = len(phrase) - phrase.rfind("\n") - 1 if "\n" in phrase else len(name) + 2 + len(phrase)
    space = " " if used + len(address) + 3 <= _COLUMN else "\r\n "
    return f"{phrase}{space}<{address}>"


def mailboxes(name: str, people: Iterable[tuple[str, str]]) -> str:
    """(display name, address) pairs, one a line."""
    return ",\r\n ".join(mailbox(name, display_name, address) for display_name, address in people)


def uris(name: str, targets: Iterable[str]) -> str:
    """`<uri>, <uri>`, one a line, folded nowhere else (F-03)."""
    line = ""
    separator = ""
    for uri in targets:
        if not _URI.match(uri):
            raise HeaderRefused(f"{name}: not a URI")
        line += f"{separator}<{uri}>"
        separator = ",\r\n "
    return line


def mailto(address: str) -> str:
    """RFC 6068 section 2: what a local part may hold and a URI not is percent-encoded."""
    local, _, domain = checked_address("mailto", address).rpartition("@")
    return f"mailto:{quote(local, safe=_MAILTO_SAFE)}@{domain}"


def parameter(attribute: str, value: str) -> str:
    """A MIME parameter on lines of its own, by RFC 2231 where plain quoting will not do (F-07)."""
    checked_text(attribute, value)
    # What looks like an encoded word is decoded by many readers, quoted or not.
    if value.isascii() and len(value) <= 60 and "=?" not in value:
        if _TOKEN_VALUE.match(value):
            return f";\r\n {attribute}={value}"
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {attribute}="{escaped}"'
    whole = "UTF-8''" + quote(value, safe="!#$&+-.^_`|~")
    if len(whole) <= 60:
        return f";\r\n {attribute}*={whole}"
    pieces: list[str] = []
    while whole:
        cut = 60
        # A piece must not end within %XX.
        while "%" in whole[cut - 2 : cut] and len(whole) > cut:
            cut -= 1
        pieces.append(f";\r\n {attribute}*{len(pieces)}*={whole[:cut]}")
        whole = whole[cut:]
    return "".join(pieces)


def date(at: float) -> str:
    """RFC 5322 section 3.3, always UTC, independent of any locale."""
    moment = datetime.fromtimestamp(int(at), UTC)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02d} {month} {moment.year:04d} {moment:%H:%M:%S} +0000"


def _fold(name: str, text: str) -> str | None:
    """Greedy folding in front of words; None where a single word is too long for any line."""
    column = len(name) + 2
    parts: list[str] = []
    for word in _FOLDABLE.findall(text):
        if len(word) + 1 > MAX_LINE - len(name) - 2:
            return None
        if parts and column + len(word) > _COLUMN:
            parts.append("\r\n")
            column = 0
        parts.append(word)
        column += len(word)
    return "".join(parts)


def _phrase(name: str, text: str) -> str:
    if not _PRINTABLE.match(text) or "=?" in text or len(text) > _COLUMN:
        return _encoded(name, checked_text(name, text))
    if _ATOMS.match(text) and "  " not in text:
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _encoded(name: str, text: str) -> str:
    """The whole text as encoded words, one a line; B or Q, whichever is shorter."""
    raw = text.encode()
    if len(raw) + 2 * len(raw.translate(None, _PLAIN_Q)) < 4 * -(-len(raw) // 3):
        words = _q_words(text, _COLUMN - len(name) - 2)
    else:
        words = _b_words(raw, _COLUMN - len(name) - 2)
    return "\r\n ".join(words)


def _b_words(raw: bytes, room: int) -> Iterator[str]:
    start = 0
    while start < len(raw):
        end = start + max(1, (min(room, _WORD) - 12) // 4) * 3
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # inside a character
            end -= 1
        yield f"=?utf-8?B?{binascii.b2a_base64(raw[start:end], newline=False).decode()}?="
        start, room = end, _WORD


def _q_words(text: str, room: int) -> Iterator[str]:
    characters = ["".join(map(_Q_BYTE.__getitem__, character.encode())) for character in text]
    piece: list[str] = []
    size = 12
    for character in characters:
        if piece and size + len(character) > min(room, _WORD):
            yield f"=?utf-8?Q?{''.join(piece)}?="
            piece, size, room = [], 12, _WORD
        piece.append(character)
        size += len(character)
    yield f"=?utf-8?Q?{''.join(piece)}?="
