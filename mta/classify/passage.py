"""Where a text tells of a failure, and where the message it returns begins.

The failure stands in front; what follows a line such as `--- Below this line is a copy of the message` or a block of
header fields is the sender's own mail, and nothing in it is the report's word.
"""

import re

from msgspec import Struct

from mta.classify.vocabulary import ORIGINAL, fold, has

MAX_TEXT = 48 * 1024
"""Characters of the text; a failure has hardly a tenth of it."""
MAX_LINES = 500
MAX_LINE = 1000

_HEADER = re.compile(r"(?:[>|][ \t]{0,4})?([A-Za-z][A-Za-z0-9-]{1,40}):(?:\s|$)")
_TRACE = frozenset({"received", "return-path", "message-id", "mime-version", "dkim-signature"})
_HEADERS = _TRACE | {
    *(
        "from",
        "to",
        "cc",
        "date",
        "subject",
        "content-type",
        "content-transfer-encoding",
        "reply-to",
        "sender",
    ),
    *(
        "delivered-to",
        "x-mailer",
        "list-id",
        "precedence",
        "user-agent",
        "in-reply-to",
        "references",
        "errors-to",
    ),
}
_RULED = re.compile(r"[\s|>]{0,8}[-=_*#+~]{2}")
_MOSTLY = 90
"""Characters: a longer line is a sentence."""
_FOLLOWS = (
    *(
        "follow",
        "copy",
        "below",
        "attached",
        "kopie",
        "folgt",
        "copie",
        "suit",
        "copia",
        "sigue",
        "segue",
        "adjunt",
    ),
    *("volgt", "ponizej", "ниже", "прилаг", "以下", "附件"),
)
_QUOTES = (
    "was received",
    "was created",
    "subject of",
    "date of",
    "could not",
    "couldn't",
    "did not",
    "will be",
)


class Passage(Struct, frozen=True):
    """`lines` of the failure, and the same ones folded; `rest` is the text from the returned message on."""

    lines: tuple[str, ...]
    folded: tuple[str, ...]
    rest: str
    is_returned: bool

    @property
    def told(self) -> str:
        return " ".join(self.folded)


def passage_of(text: str, *, to_the_headers: bool = False) -> Passage:
    """`to_the_headers`: a line that announces the message does not end it, its header fields do."""
    text = text.replace("：", ": ")
    lines = [line[:MAX_LINE].rstrip() for line in text[:MAX_TEXT].split("\n", MAX_LINES)[:MAX_LINES]]
    folded = [fold(line) for line in lines]
    end = next(
        (
            at
            for at, line in enumerate(lines)
            if (not to_the_headers and at and _announces(line, folded[at])) or _begins_headers(lines, at)
        ),
        len(lines),
    )
    rest = text.split("\n", end)[-1] if 0 < end < len(lines) else ("" if end else text)
    return Passage(tuple(lines[:end]), tuple(folded[:end]), rest, end < len(lines))


def _announces(line: str, folded: str) -> bool:
    if (
        len(line) > _MOSTLY
        or not folded
        or not has(folded, ORIGINAL)
        or has(folded, _QUOTES)
        or "@" in folded
    ):
        return False
    return bool(_RULED.match(line)) or folded[-1] in ":-=" or has(folded, _FOLLOWS)


def _begins_headers(lines: list[str], at: int) -> bool:
    """Two header fields or more in the next lines, one of which no person writes into a text."""
    first = _HEADER.match(lines[at])
    if first is None or first[1].lower() not in _HEADERS:
        return False
    found = {first[1].lower()}
    for line in lines[at + 1 : at + 8]:
        match = _HEADER.match(line)
        if match is not None:
            found.add(match[1].lower())
        elif not line[:1].isspace() and not line.startswith((">", "|")):
            break
    return len(found & _HEADERS) >= 2 and bool(found & _TRACE)
