"""Who was not reached, out of a report in words, and why.

The heaviest addresses of the failure (`mta.classify.weigh`), and those that weigh about as much, are the recipients.
The reply is looked for behind each of them: that of one is never told of another.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from mta.classify.dsn import MAX_RECIPIENTS
from mta.classify.introduction import introduces
from mta.classify.mail import clean
from mta.classify.original import Original
from mta.classify.passage import Passage
from mta.classify.quote import MAX_REPLY, STATUS, Quote, quoted
from mta.classify.vocabulary import ANNOUNCING, FAILED, NOT_RECIPIENT, REASONS, fold, has
from mta.classify.vocabulary_notice import COURTESIES
from mta.classify.weigh import BARE, ECHO, FORMER, LEAST, STRANGERS, SURE, Weighed, lines_of, weighed

_CLOSE = 3
"""How much lighter than the heaviest one another recipient may be that is not sure by itself."""
_SEGMENT = 30
"""Lines behind an address that may be about it."""
_MAX_SEGMENT = 2000
"""Characters of them."""
_ADJACENT = 2
"""Lines from one recipient of a list to the next."""
_PLACES = 4
"""Of one address, that are looked at for its reply."""

_BESIDE = 6
"""Lines behind an address, blank ones too, in which a reason nobody here can read may stand."""
_LONGEST = 160
"""Characters of it."""
_NEXT = 4
"""Lines from the address in which it may stand without a label."""

_AFTER = re.compile(r"@[^\s<>@:]{1,253}[>\"']{0,2}\s?:\s{1,8}(\S.*)")
_LABELLED = re.compile(r"[\s*-]{0,8}[^\W\d_][^:\n@]{1,30}:\s{1,8}\S+")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,253}")
_BRACKETED = re.compile(r"<([^\s<>@]{1,64}@[^\s<>@]{1,253}\.[^\s<>@.]{2,63})>")
_PLAIN_NAME = re.compile(
    r"[\s<\"'*-]{0,12}([A-Za-z0-9][A-Za-z0-9._-]{1,63})[\s>\"',;]{0,8}(?:\s{3,}.{0,200})?\Z"
)


class Named(Struct, frozen=True, gc=False):
    """A recipient that did not get it, whom the message was sent to where an alias stands between, and why."""

    address: str
    quote: Quote
    original: str = ""


def named(passage: Passage, original: Original, others: frozenset[str]) -> list[Named]:
    """In the order of the text. `others` are addresses in small letters that are known to be somebody else's: the
    reporter's and those the report went to."""
    found = list(weighed(lines_of(passage), original, others))
    chosen = _chosen(found)
    spelled: dict[str, str] = {}
    places: dict[str, list[int]] = {}
    at_line: dict[int, set[str]] = {}
    for one in found:
        low = one.address.lower()
        spelled.setdefault(low, one.address)
        places.setdefault(low, []).append(one.line)
        if low in chosen:
            at_line.setdefault(one.line, set()).add(low)
    former = {one.line: one.address for one in found if one.is_former}
    quotes = {
        low: _about(passage, at_line, low, [at for at in places[low] if at >= line][:_PLACES])
        for low, line in chosen.items()
    }
    _share(quotes, chosen, passage)
    result = []
    for low, line in chosen.items():
        came_from = next((former[at] for at in range(line, line + 3) if at in former), "")
        quote = quotes[low] or Quote()
        result.append(Named(spelled[low], quote, came_from if came_from.lower() != low else ""))
    return result


def reason(passage: Passage, end: int | None = None) -> Quote:
    """What the whole failure quotes, for a recipient it does not name; its lines up to `end`."""
    lines, folded = passage.lines[:end], passage.folded[:end]
    quote = quoted("\n".join(line for line in lines if not _is_aside(line)))
    if quote.code or quote.status:
        return quote
    telling = [line for line, low in zip(lines, folded, strict=True) if has(low, FAILED)]
    return Quote(text=clean(" ".join(telling[:3]).lstrip(" -=*_|#"), MAX_REPLY))


def bracketed(passage: Passage, original: Original, others: frozenset[str]) -> list[Named]:
    """Whoever stands in angle brackets, where nothing is known of the words around: with the reason of all, or else the
    line. Not those whom one is to ask, nor the sender."""
    barred = others | ({one.lower() for one in original.senders} - {one.lower() for one in original.to})
    of_all = reason(passage)
    found: dict[str, Named] = {}
    for line in passage.lines:
        for match in _BRACKETED.finditer(line):
            low = match[1].lower()
            before = fold(line[max(match.start() - 60, 0) : match.start()])
            if low in barred or low.partition("@")[0] in STRANGERS or has(before, NOT_RECIPIENT):
                continue
            quote = of_all if of_all.text else Quote(text=clean(line, MAX_REPLY))
            found.setdefault(low, Named(match[1], quote))
            if len(found) == MAX_RECIPIENTS:
                return list(found.values())
    return list(found.values())


def _share(quotes: dict[str, Quote | None], chosen: dict[str, int], passage: Passage) -> None:
    """Recipients in a list have what is said behind the last of them; the others what is said before the first."""
    later: Quote | None = None
    line = len(passage.lines)
    for low in reversed(list(chosen)):
        if quotes[low] is None and line - chosen[low] <= _ADJACENT:
            quotes[low] = later
        later, line = quotes[low], chosen[low]
    if None in quotes.values():
        before = reason(passage, min(chosen.values()) + 1)
        quotes.update({low: before for low, quote in quotes.items() if quote is None})


def plain_name(passage: Passage) -> str:
    """The local part that stands alone where an address is announced: servers that know but their own domain."""
    for at, folded in enumerate(passage.folded):
        if folded.endswith(":") and has(folded, ANNOUNCING):
            for line in passage.lines[at + 1 : at + 3]:
                match = _PLAIN_NAME.match(line)
                if match is not None and line[:1].isspace():
                    return match[1]
    return ""


def _chosen(found: Iterable[Weighed]) -> dict[str, int]:
    """The recipients in small letters, and the line of each that is the first to weigh enough."""
    best = max((one.weight for one in found), default=0)
    if best < LEAST:
        return {}
    least = max(LEAST, min(SURE, best - _CLOSE), best - 2 * _CLOSE)
    if best > LEAST:
        least = max(least, LEAST + 1)  # what a repeated field names is taken only where nothing else is named
    chosen: dict[str, int] = {}
    for one in found:
        if not one.is_former and one.weight >= least and len(chosen) < MAX_RECIPIENTS:
            chosen.setdefault(one.address.lower(), one.line)
    if not chosen:  # the alias is named, and whom it leads to is kept secret
        for one in found:
            if one.is_former and len(chosen) < MAX_RECIPIENTS:
                chosen.setdefault(one.address.lower(), one.line)
    return chosen


def _about(passage: Passage, at_line: dict[int, set[str]], address: str, places: list[int]) -> Quote | None:
    """What is said of one recipient: behind the place where a reply is quoted beside it, else a status, else the first
    words; of all that is said where nobody else is named. None: there is no reason but that of all."""
    segments = list(dict.fromkeys(_segment(passage.lines, at, at_line, address) for at in places))
    quotes = [quoted(segment) for segment in segments]
    for quote in quotes:
        if quote.code:
            return quote
    for segment, quote in zip(segments, quotes, strict=True):
        if quote.status:
            return Quote(0, quote.status, _told(segment) or quote.text)
    if len(set().union(*at_line.values())) == 1:
        whole = reason(passage)
        if whole.code or whole.status:
            return whole
    told = next((told for segment in segments if (told := _told(segment))), "")
    told = told or next((told for segment in segments if (told := _beside(segment))), "")
    return Quote(text=told) if told else None


def _segment(lines: tuple[str, ...], at: int, at_line: dict[int, set[str]], address: str) -> str:
    """From an address on, up to the next recipient or two blank lines."""
    found = [lines[at]]
    blanks = 0
    for number in range(at + 1, min(at + _SEGMENT, len(lines))):
        blanks = 0 if lines[number].strip() else blanks + 1
        if blanks > 1 or at_line.get(number, {address}) != {address}:
            break
        found.append(lines[number])
    return "\n".join(found)[:_MAX_SEGMENT]


def _told(segment: str) -> str:
    """The words of a segment that give a reason; the address itself is none."""
    words = [
        line
        for line in segment.split("\n")
        if not BARE.fullmatch(_ADDRESS.sub("", line)) and not _is_aside(line)
    ]
    told = "\n".join(words[:6])
    return clean(told, MAX_REPLY) if STATUS.search(told) or has(fold(told), REASONS) else ""


def _beside(segment: str) -> str:
    """A reason by its place, in whatever language: what follows the address in its line, a line with a label below it,
    or the first sentence there, where it is no courtesy, no advice and no introduction."""
    lines = segment.split("\n")[:_BESIDE]
    after = _AFTER.search(lines[0])
    if after is not None and _is_reason(after[1]):
        return clean(after[1], MAX_REPLY)
    labelled = next((line for line in lines[1:] if _LABELLED.match(line) and _is_reason(line)), "")
    first = next((line for line in lines[1:_NEXT] if line.strip() and not line.rstrip().endswith(":")), "")
    return clean(labelled or (first if _is_reason(first) else ""), MAX_REPLY)


def _is_reason(line: str) -> bool:
    low = fold(line)
    return (
        len(line) <= _LONGEST
        and _LETTERS.search(line) is not None
        and " " in low
        and "@" not in low
        and not low.endswith((":", ","))
        and not has(low, COURTESIES)
        and not has(low, NOT_RECIPIENT)
        and not introduces(line)
        and not _is_aside(line)
    )


def _is_aside(line: str) -> bool:
    """A field of the message, repeated, or where an alias came from."""
    return ECHO.match(line) is not None or has(line.lower(), FORMER)
