"""A mail from a stranger as a tree of parts, read within bounds whatever it holds.

Caps before parsing: of a message the first MiB is read, what is behind it is cut off; of headers 256 KiB and 1,000
lines in all, parts to a depth of 10 and 100 in all. What goes beyond is left out, never an error. Every step is linear
in the bytes it reads, which the stdlib's parser is not (comments, parameters and encoded words of RFC 2047 and 2231).

Malformed mail is the rule: line ends of any kind, a missing blank line before a body, a boundary other than the one
declared, charsets nobody knows. Where a charset is no help, a text is UTF-8 or else Latin-1.
"""

import binascii
import re
from collections.abc import Iterator

from msgspec import Struct

MAX_BYTES = 1 << 20
MAX_HEADER_BYTES = 256 * 1024
MAX_HEADER_LINES = 1000
MAX_DEPTH = 10
MAX_PARTS = 100
MAX_TEXT = 128 * 1024
"""Of one part's text, in octets: what a report has to say stands in front."""
MAX_VALUE = 4096
"""Of one header field that is taken apart, in characters."""
_MAX_BOUNDARY = 200  # RFC 2046 section 5.1.1 allows 70

_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]{0,8}:")
_PARAMETER = re.compile(
    r';\s{0,80}([A-Za-z0-9_-]{1,40})(?:\*\d?)?\*?\s{0,8}=\s{0,8}(?:"([^"]{0,300})"|([^;\s"]{1,300}))'
)
_UNDECLARED = re.compile(rb"^--(\S[^\n]{0,100})\n(?:[Cc]ontent-|\n)", re.MULTILINE)
_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,40})(?:\*[A-Za-z-]{1,20})?\?([bBqQ])\?([^?\s]{0,1000})\?=")
_BETWEEN_WORDS = re.compile(r"\?=\s{1,80}=\?")
# Controls, and what turns the direction of a line or is not there to be seen.
_HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_BASE64 = bytes(
    sorted(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
)
# What Python calls a codec can be a bomb (`punycode` is quadratic, `unicode_escape` no charset): only these are asked.
_CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "latin1", "windows-1252", "cp1252"), "cp1252"),
    **{f"iso-8859-{n}": f"iso-8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    **{f"windows-{n}": f"cp{n}" for n in (1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258, 874)},
    **{name: name for name in ("koi8-r", "koi8-u", "iso-2022-jp", "euc-jp", "euc-kr", "big5", "utf-16")},
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "x-gbk"), "gb18030"),
    **dict.fromkeys(("shift_jis", "shift-jis", "x-sjis", "windows-31j", "cp932"), "cp932"),
    **{"ks_c_5601-1987": "cp949", "iso-2022-kr": "iso-2022-kr", "cp437": "cp437", "cp850": "cp850"},
}
_MESSAGES = ("message/rfc822", "message/global", "message/news")


class Part(Struct, frozen=True):
    """`headers` are lower-case names and unfolded values, undecoded; `kind` is `type/subtype` in lower case, that of a
    message as a whole included. `body` is as transferred, b"" where there are `parts`; an attached message is one."""

    headers: tuple[tuple[str, str], ...]
    kind: str
    parameters: dict[str, str]
    body: bytes
    parts: tuple["Part", ...] = ()

    def header(self, name: str) -> str:
        """The first value of that lower-case name, or ""."""
        return next((value for known, value in self.headers if known == name), "")

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]

    @property
    def is_message(self) -> bool:
        return self.kind in _MESSAGES


class _Budget:
    """What is left to be read of one mail."""

    __slots__ = ("bytes", "lines", "parts")

    def __init__(self) -> None:
        self.bytes, self.lines, self.parts = MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_PARTS


def parse(raw: bytes) -> Part:
    """The message, read as far as the caps allow; never an exception."""
    raw = raw[:MAX_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    return _part(line_ends(raw), _Budget(), 0)


def line_ends(raw: bytes) -> bytes:
    return raw.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def own_parts(root: Part) -> Iterator[Part]:
    """The leaves of a message in order, and the messages attached to it: not what is in those."""
    pending = [root]
    while pending:
        part = pending.pop()
        if part is not root and part.is_message:
            yield part
        elif part.parts:
            pending.extend(reversed(part.parts))
        else:
            yield part


def headers_in(raw: bytes) -> tuple[tuple[str, str], ...]:
    """The header fields at the front of `raw`, as in a part text/rfc822-headers."""
    return _headers(line_ends(raw[:MAX_HEADER_BYTES]), _Budget())[0]


def _part(raw: bytes, budget: _Budget, depth: int) -> Part:
    headers, body = _headers(raw, budget)
    found = next((value for name, value in headers if name == "content-type"), "")
    kind, parameters = _content_type(found)
    if depth >= MAX_DEPTH:
        return Part(headers, kind, parameters, body)
    if kind.startswith("multipart/"):
        pieces = _pieces(body, parameters.get("boundary", ""), budget)
        if not pieces:
            return Part(headers, "text/plain", {}, body)
        return Part(
            headers, kind, parameters, b"", tuple(_part(piece, budget, depth + 1) for piece in pieces)
        )
    if kind in _MESSAGES and budget.parts > 0:
        budget.parts -= 1
        encoding = next((value for name, value in headers if name == "content-transfer-encoding"), "")
        inner = line_ends(transferred(body, encoding)).lstrip(b"\n")
        return Part(headers, kind, parameters, b"", (_part(inner, budget, depth + 1),))
    return Part(headers, kind, parameters, body)


def _headers(raw: bytes, budget: _Budget) -> tuple[tuple[tuple[str, str], ...], bytes]:
    """And the body. A line that can be no header field ends the headers as a blank one does."""
    found: list[tuple[str, list[bytes]]] = []
    at = 0
    while at < len(raw):
        end = raw.find(b"\n", at)
        end = len(raw) if end < 0 else end
        line = raw[at:end]
        if not line:
            at = end + 1
            break
        if budget.lines <= 0 or budget.bytes < len(line):
            blank = raw.find(b"\n\n", at)
            at = len(raw) if blank < 0 else blank + 2
            break
        field = _FIELD.match(line)
        if field is not None:
            found.append((field[1].decode("ascii").lower(), [line[field.end() :]]))
        elif found and line[0] in b" \t":
            found[-1][1].append(line)
        elif found or not line.lstrip(b">").startswith(b"From "):  # as an mbox has it
            break
        budget.lines -= 1
        budget.bytes -= len(line)
        at = end + 1
    headers = tuple((name, _decoded(b"".join(pieces)).strip()) for name, pieces in found)
    return headers, raw[at:]


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    kind, _, _ = value[:MAX_VALUE].partition(";")
    kind = kind.strip().lower()
    if "/" not in kind:
        kind = "text/plain"
    parameters: dict[str, str] = {}
    for match in _PARAMETER.finditer(value[:MAX_VALUE]):
        name, said = match[1].lower(), match[2] if match[2] is not None else match[3]
        # RFC 2231: the pieces of a long value have one name.
        parameters[name] = (parameters.get(name, "") + said)[:MAX_VALUE]
    return kind, parameters


def _pieces(body: bytes, boundary: str, budget: _Budget) -> list[bytes]:
    """What stands between the delimiters; nothing where there are none. The last piece may be unfinished."""
    for marker in (boundary.rstrip().encode("utf-8", "surrogateescape"), _sniffed(body)):
        if not 0 < len(marker) <= _MAX_BOUNDARY:
            continue
        pieces = _split(body, b"--" + marker, budget)
        if pieces:
            return pieces
    return []


def _sniffed(body: bytes) -> bytes:
    match = _UNDECLARED.search(body[:MAX_TEXT])
    return match[1].rstrip() if match else b""


def _split(body: bytes, marker: bytes, budget: _Budget) -> list[bytes]:
    pieces: list[bytes] = []
    start = -1
    at = 0 if body.startswith(marker) else body.find(b"\n" + marker) + 1
    while at or body.startswith(marker):
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        rest = body[at + len(marker) : end].rstrip()
        if rest in (b"", b"--"):  # else the delimiter of another that begins with this one
            if start >= 0:
                pieces.append(body[start : max(at - 1, start)])
                budget.parts -= 1
                start = -1
            if rest or budget.parts <= 0:
                break
            start = end + 1
        at = body.find(b"\n" + marker, end) + 1
        if not at:
            break
    if start >= 0:
        pieces.append(body[start:])
        budget.parts -= 1
    return pieces


def transferred(body: bytes, encoding: str) -> bytes:
    """Without its Content-Transfer-Encoding, as far as it is well-formed."""
    match encoding.strip().lower():
        case "base64":
            return _base64(body)
        case "quoted-printable":
            return binascii.a2b_qp(body)
        case _:
            return body


def _base64(body: bytes) -> bytes:
    digits = body.translate(None, _BASE64)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def text_of(part: Part, most: int = MAX_TEXT) -> str:
    """The text of a leaf, at most so many octets of it. Lines end with a newline."""
    encoding = part.header("content-transfer-encoding")
    body = transferred(part.body[: 2 * most], encoding)[:most]
    return line_ends(_decoded(body, part.parameters.get("charset", "")).encode("utf-8", "replace")).decode()


def _decoded(body: bytes, charset: str = "") -> str:
    codec = _CHARSETS.get(charset.strip().lower(), "")
    if codec and codec != "utf-8":
        return body.decode(codec, "replace")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        if codec or (error.end == len(body) and error.reason == "unexpected end of data"):  # cut by a cap
            return body.decode("utf-8", "replace")
        return body.decode("cp1252", "replace")


def words(value: str) -> str:
    """With its encoded words (RFC 2047) read; those of an unknown kind stay."""
    return _WORD.sub(_word, _BETWEEN_WORDS.sub("?==?", value[:MAX_VALUE]))


def _word(match: re.Match[str]) -> str:
    content = match[3].encode("utf-8", "replace")
    raw = _base64(content) if match[2] in "bB" else binascii.a2b_qp(content, header=True)
    return _decoded(raw, match[1])


def clean(text: str, most: int = 1024) -> str:
    """In one line, harmless to show, at most so many octets."""
    line = " ".join(_HARMFUL.sub(" ", text[: 4 * most]).split())
    return line.encode("utf-8", "replace")[:most].decode("utf-8", "ignore").rstrip()
