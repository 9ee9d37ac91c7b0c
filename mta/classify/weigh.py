"""How much speaks for an address in a failure being that of the recipient: its context, weighed.

For it: to stand alone in its line, announced by a line before, behind a label, with a reason or a quoted reply beside
it, and to be whom the returned message is to. Against it: to be introduced as somebody to contact, as the sender or the
reporter, to have a local part of those. The numbers were found on mails of many systems; only their order matters.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from mta.classify.original import Original
from mta.classify.passage import Passage
from mta.classify.spot import Spotted, spotted
from mta.classify.vocabulary import ANNOUNCING, FAILED, LABELS, NOT_RECIPIENT, REASONS, fold, has

MAX_SIGNS = 1000
"""@ that are looked at; what comes behind them is not."""
LEAST = 4
"""Of a recipient."""
SURE = 7
"""Of one that needs no comparison with the others."""
ECHO = re.compile(
    r"[\s>*-]{0,20}(?:to|cc|an|para|a|aan|do|komu|кому|pour|à|宛先|subject|betreff|objet|asunto|assunto|oggetto|тема|date|sent"
    r"|gesendet|from)\s?[:：]",
    re.IGNORECASE,
)
"""Fields of the message that a notice repeats: a list's address as often as the recipient's."""
FORMER = ("generated from", "expanded from", "originally addressed to", "forwarded from", "alias for")
_ANNOUNCED, _HINTED = 4, 3
_NEAR = {_ANNOUNCED: 4, _HINTED: 1, 0: 0}
"""Lines between an announcement of that weight and the address."""
_FOLLOWING = 2
"""Lines behind an address that may give the reason."""

BARE = re.compile(r"[\s\[\]<>()\"'`*.,:;|=_•·-]*")
_SAID = re.compile(r"[>\"']?\s?:\s{1,4}[^\W\d_]{2}")
"""Behind an address: something is said of it, in whatever language."""
_REPLIED = re.compile(r"(?<!\d)[45]\d\d[- ]|said:|\(#?[45]\.\d|>>>|<<<")
STRANGERS = frozenset(
    {
        *(
            "postmaster",
            "mailer-daemon",
            "abuse",
            "helpdesk",
            "support",
            "hostmaster",
            "admin",
            "root",
            "noc",
            "info",
        ),
        *("webmaster", "administrator", "security", "contact", "help", "service", "noreply", "no-reply"),
    }
)
_CLOSE_BY = ("<", "[smtp:", "rcpt to:", "smtp=", "rfc822;")


class Weighed(Struct, frozen=True, gc=False):
    """An address at a line of the failure. `is_former`: it is whom the recipient stood for before an alias was
    followed."""

    address: str
    line: int
    weight: int
    is_former: bool = False


class Line(Struct, frozen=True, gc=False):
    """What is asked of a line for each address near it, found out once."""

    text: str
    folded: str
    fails: bool
    reasons: bool
    announces: bool
    replies: bool


def lines_of(passage: Passage) -> list[Line]:
    return [
        Line(
            text,
            folded,
            has(folded, FAILED),
            has(folded, REASONS),
            has(folded, ANNOUNCING),
            _REPLIED.search(text) is not None,
        )
        for text, folded in zip(passage.lines, passage.folded, strict=True)
    ]


def weighed(lines: list[Line], original: Original, others: frozenset[str]) -> Iterator[Weighed]:
    """In order. `others` are addresses in small letters that are known to be somebody else's."""
    recipients = {address.lower() for address in original.recipients}
    to = {address.lower() for address in original.to}
    senders = {address.lower() for address in original.senders} - to
    opening, since = 0, 0  # what the last announcement adds, and the lines since
    left = MAX_SIGNS
    for at, line in enumerate(lines):
        if not line.folded:
            continue
        left -= line.text.count("@")
        if left < 0:
            return
        found = list(spotted(line.text))
        is_former = has(line.folded, FORMER)
        is_echo = ECHO.match(line.text) is not None
        for place, one in enumerate(found):
            before = line.text[found[place - 1].end if place else 0 : one.start]
            low = one.address.lower()
            weight = _context(lines[at : at + _FOLLOWING + 1], one, before) + opening
            weight += LEAST * (low in recipients or low in to) - 5 * (low in senders) - 8 * (low in others)
            weight -= 5 * (low.partition("@")[0] in STRANGERS and low not in to)
            if is_former and low not in others:
                weight = max(weight, SURE)
            yield Weighed(one.address, at, min(weight, LEAST) if is_echo else weight, is_former)
        this = _opening(line)
        if this and this >= opening:
            opening, since = this, 0
        elif not found:
            since += 1
            if since > _NEAR[opening]:
                opening = 0


def _opening(line: Line) -> int:
    """What a line adds to the addresses below it: it announces them, or may do so in a language nobody here speaks."""
    is_open = line.folded.endswith(":")
    if not line.fails and has(line.folded, NOT_RECIPIENT):
        return 0
    if (line.fails and (is_open or line.announces)) or (line.announces and is_open):
        return _ANNOUNCED
    return _HINTED if is_open or line.announces else 0


def _context(lines: list[Line], one: Spotted, before: str) -> int:
    """What speaks for and against an address in the first of these lines, by them."""
    line, following = lines[0], lines[1:]
    weight = int(line.announces)
    is_last = BARE.fullmatch(line.text, one.end) is not None
    if BARE.fullmatch(before) is not None:
        weight += 5 if is_last else 3
        weight += _SAID.match(line.text, one.end) is not None
    elif is_last and before.rstrip(" \t<").endswith(":"):
        weight += 2
    label = _label(before[-200:])
    if label in LABELS:
        weight += 2 if label == "to" else 4
    elif before.rstrip().lower().endswith(_CLOSE_BY):
        weight += 1
    if line.fails or line.reasons:
        weight += 2
    else:
        weight += any(other.reasons for other in following)
    weight += 2 * (line.replies or any(other.replies for other in following))
    low = " ".join(before[-200:].lower().split())[-60:]
    if has(low, NOT_RECIPIENT) or "mailto" in low or "http" in line.text[max(one.start - 40, 0) : one.start]:
        weight -= 6
    return weight


def _label(before: str) -> str:
    """The word or words right in front, `Final-Recipient: rfc822;` included."""
    label = fold(before).replace("rfc822", "").strip(" \t<>[]()\"'`:;=*.,-·|")
    words = label.rpartition(". ")[2].split()
    for count in (4, 3, 2, 1):
        last = " ".join(words[-count:])
        if last in LABELS:
            return last
    return ""
