"""Who was not reached, out of a report in words: what stands beside an address decides, and who else it could be.

Each address in the failure (`mta.classify.passage`) is weighed by its context: alone in its line, announced by the
line before, labelled, with a reason or a quoted reply behind it, or else somebody to contact, the sender, the reporter.
The heaviest, and those that look like it, are the recipients. The reply is looked for beside each one.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from mta.classify.dsn import MAX_RECIPIENTS
from mta.classify.mail import clean
from mta.classify.original import Original
from mta.classify.passage import Passage
from mta.classify.quote import MAX_REPLY, STATUS, Quote, quoted
from mta.classify.spot import Spotted, spotted
from mta.classify.vocabulary import ANNOUNCING, FAILED, LABELS, NOT_RECIPIENT, REASONS, fold, has

MAX_CANDIDATES = 400
_LEAST = 4
_SURE = 7
_CLOSE = 3
"""How much lighter than the heaviest one another recipient may be that is not sure by itself."""
_ECHO = re.compile(
    r"[\s>*-]{0,20}(?:to|cc|an|para|a|aan|do|komu|кому|pour|à|宛先|subject|betreff|objet|asunto|assunto|oggetto|тема|date|sent"
    r"|gesendet|from)\s?[:：]",
    re.IGNORECASE,
)
"""Fields of the message that a notice repeats: a list's address as often as the recipient's."""
_NEAR = 4
"""Lines between an announcement and the address."""
_SEGMENT = 30
"""Lines behind an address that may be about it."""

_BARE = re.compile(r"[\s\[\]<>()\"'`*.,:;|=_•·-]*")
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,253}")
_REPLIED = re.compile(r"(?<!\d)[45]\d\d[- ]|said:|\(#?[45]\.\d|>>>|<<<")
_FORMER = ("generated from", "expanded from", "originally addressed to", "forwarded from", "alias for")
_STRANGERS = frozenset(
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
_PLAIN_NAME = re.compile(
    r"[\s<\"'*-]{0,12}([A-Za-z0-9][A-Za-z0-9._-]{1,63})[\s>\"',;]{0,8}(?:\s{3,}.{0,200})?\Z"
)


class Weighed(Struct, frozen=True, gc=False):
    """An address at a line of the failure. `former` is whom it stood for before an alias was followed."""

    address: str
    line: int
    weight: int
    is_former: bool = False


class Named(Struct, frozen=True, gc=False):
    """A recipient that did not get it, whom the message was sent to where an alias stands between, and why."""

    address: str
    quote: Quote
    original: str = ""


def named(passage: Passage, original: Original, others: frozenset[str]) -> list[Named]:
    """In the order of the text. `others` are addresses in small letters that are known to be somebody else's: the
    reporter's and those the report went to."""
    weighed = list(_weighed(passage, original, others))
    best = max((one.weight for one in weighed), default=0)
    if best < _LEAST:
        return []
    chosen: dict[str, int] = {}
    former: dict[int, str] = {}
    for one in weighed:
        if one.is_former:
            former[one.line] = one.address
        elif one.weight >= max(_LEAST, min(_SURE, best - _CLOSE), best - 2 * _CLOSE):
            chosen.setdefault(one.address.lower(), one.line)
    spelled = {one.address.lower(): one.address for one in reversed(weighed)}
    if not chosen:  # the alias is named, and whom it leads to is kept secret
        chosen = {address.lower(): line for line, address in former.items()}
    found = []
    for address, line in list(chosen.items())[:MAX_RECIPIENTS]:
        text = _about(passage, address, frozenset(chosen), line)
        came_from = next((former[at] for at in range(line, line + 3) if at in former), "")
        quote = quoted(text) if text else reason(passage)
        found.append(Named(spelled[address], quote, came_from if came_from.lower() != address else ""))
    return found


def reason(passage: Passage) -> Quote:
    """What the whole failure quotes, for a recipient it does not name."""
    quote = quoted("\n".join(line for line in passage.lines if not _is_aside(line)))
    if quote.code or quote.status:
        return quote
    telling = [line for line, low in zip(passage.lines, passage.folded, strict=True) if has(low, FAILED)]
    return Quote(text=clean(" ".join(telling[:3]).lstrip(" -=*_|#"), MAX_REPLY))


def plain_name(passage: Passage) -> str:
    """The local part that stands alone where an address is announced: servers that know but their own domain."""
    for at, folded in enumerate(passage.folded):
        if folded.endswith(":") and has(folded, ANNOUNCING):
            for line in passage.lines[at + 1 : at + 3]:
                match = _PLAIN_NAME.match(line)
                if match is not None and line[:1].isspace():
                    return match[1]
    return ""


def _weighed(passage: Passage, original: Original, others: frozenset[str]) -> Iterator[Weighed]:
    senders = {address.lower() for address in original.senders}
    recipients = {address.lower() for address in original.recipients}
    to = {address.lower() for address in original.to}
    since = _NEAR + 1  # lines since an announcement
    left = MAX_CANDIDATES
    for at, line in enumerate(passage.lines):
        folded = passage.folded[at]
        if not folded:
            continue
        found = list(spotted(line)) if "@" in line else []
        for place, one in enumerate(found):
            left -= 1
            if left < 0:
                return
            before = line[found[place - 1].end if place else 0 : one.start]
            low = one.address.lower()
            weight = _context(passage, at, line, one, before, is_announced=since <= _NEAR)
            weight += 3 * (low in recipients) + 3 * (low in to)
            weight -= 5 * (low in senders and low not in to) + 8 * (low in others)
            weight -= 5 * (low.partition("@")[0] in _STRANGERS and low not in to)
            is_former = has(folded, _FORMER)
            if is_former and low not in others:
                weight = max(weight, _SURE)
            if _ECHO.match(line):
                weight = min(weight, _LEAST)
            yield Weighed(one.address, at, weight, is_former)
        if has(folded, ANNOUNCING) and (folded[-1] in ":：" or has(folded, FAILED)):
            since = 0
        elif not found:
            since += 1


def _context(passage: Passage, at: int, line: str, one: Spotted, before: str, *, is_announced: bool) -> int:
    """What speaks for and against an address at its place."""
    folded = passage.folded[at]
    rest = line[one.end :]
    label = _label(before)
    weight = 0
    is_alone = _BARE.fullmatch(before) is not None
    if is_alone and _BARE.fullmatch(rest) is not None:
        weight += 5
    elif is_alone:
        weight += 3
    if is_announced:
        weight += 4
    if label in LABELS or before.rstrip().lower().endswith(
        ("<", ":<", "[smtp:", "rcpt to:", "smtp=", "rfc822;")
    ):
        weight += 2 if label == "to" else 4 if label in LABELS else 1
    if has(folded, ANNOUNCING):
        weight += 1
    following = " ".join(passage.folded[at + 1 : at + 3])
    if has(folded, FAILED) or has(folded, REASONS):
        weight += 2
    elif has(following, REASONS):
        weight += 1
    if _REPLIED.search(line) or _REPLIED.search(" ".join(passage.lines[at + 1 : at + 3])):
        weight += 2
    low = " ".join(before.lower().split())[-60:]
    if has(low, NOT_RECIPIENT) or "mailto" in low or "http" in line[max(one.start - 40, 0) : one.start]:
        weight -= 6
    return weight


def _label(before: str) -> str:
    """The word or words right in front, `Final-Recipient: rfc822;` included."""
    label = before.lower().replace("rfc822", "").strip(" \t<>[]()\"'`:;=*.,-·|")
    label = label.rpartition(". ")[2]
    words = label.split()
    for count in (4, 3, 2, 1):
        last = " ".join(words[-count:])
        if last in LABELS:
            return last
    return label


def _about(passage: Passage, address: str, recipients: frozenset[str], first: int) -> str:
    """The lines that tell of one recipient: those behind the place where a reply is quoted beside it, else behind
    the first one; all of them where nobody else is named. "": there is none but the address."""
    lines = passage.lines
    places = [at for at, line in enumerate(lines) if at >= first and address in line.lower()] or [first]
    segments = [_segment(lines, at, recipients - {address}) for at in places[:20]]
    for segment in segments:
        if quoted(segment).code:
            return segment
    for segment in segments:
        if STATUS.search(segment):
            return segment
    if len(recipients) == 1:
        whole = quoted("\n".join(lines))
        if whole.code or whole.status:
            return "\n".join(lines)
    return segments[0]


def _segment(lines: tuple[str, ...], at: int, others: frozenset[str]) -> str:
    found = [lines[at]]
    blanks = 0
    for line in lines[at + 1 : at + _SEGMENT]:
        blanks = 0 if line.strip() else blanks + 1
        low = line.lower()
        if blanks > 1 or ("@" in low and any(other in low for other in others)):
            break
        found.append(line)
    text = "\n".join(found)
    quote = quoted(text)
    if quote.code:
        return text
    # The address itself is no reason.
    words = [line for line in found if not _BARE.fullmatch(_ADDRESS.sub("", line)) and not _is_aside(line)]
    told = "\n".join(words[:6])
    return told if has(fold(told), REASONS) or STATUS.search(told) else ""


def _is_aside(line: str) -> bool:
    """A field of the message, repeated, or where an alias came from."""
    return _ECHO.match(line) is not None or has(line.lower(), _FORMER)
