"""The reply or status that a report quotes: found in a few lines of text, or in a Diagnostic-Code.

A number is taken for a reply code only where it stands as one does: with an enhanced code (RFC 2034) behind it, at the
beginning of a line, or behind a word that introduces replies. A year, a size or a port is none.
"""

import re

from msgspec import Struct

from mta.classify.mail import clean

MAX_LOOKED_AT = 16384
"""Characters of one text."""
MAX_REPLY = 1024

STATUS = re.compile(r"(?<![\d.])([45])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_WITH_STATUS = re.compile(r"(?<![\d.#])([245]\d\d)[- :;,(<]{1,3}#?([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_NO_UNIT = r"(?![ \t]?(?:[kmg]i?b|bytes|octets|seconds|minutes|hours|days|attempts|messages|recipients)\b)"
_AT_FRONT = re.compile(
    rf"^[ \t>*\"'(<\[-]{{0,20}}(?:smtp;\s?)?([45]\d\d){_NO_UNIT}(?:[ ](?!\d)|-(?!\d{{3}}-)|$|[:;,.](?=\s|$))",
    re.MULTILINE | re.IGNORECASE,
)
_BEHIND_ADDRESS = re.compile(rf"[:>\]),]\s{{1,3}}([45]\d\d){_NO_UNIT}[- ](?=[A-Za-z#<\"'])", re.IGNORECASE)
_INTRODUCED = re.compile(
    r"(?:said|says|replied|returned|repl(?:y|ies)|response|responded|error|code|status|smtp|reason|diagnostic[- ]?code"
    r"|issued|antwort|fehler|meldung|erreur|errore|erro|ответ|ошибка|<<<|>>>|#)"
    r"[ \t]{0,3}(?:(?:code|number|message|nr\.?|with|is|was)[ \t]{0,3})?[:;=(#<'\"\[ \t-]{0,6}\n?[ \t]{0,40}"
    rf"(?:[:;=(#<'\"\[]{{0,3}})(?<![\d.])([45]\d\d)(?!\d|\.\d){_NO_UNIT}",
    re.IGNORECASE,
)
_CODES = (_AT_FRONT, _BEHIND_ADDRESS, _INTRODUCED)
# A blank line, a rule, the next command of a transcript, or what qmail says of itself.
_END = re.compile(r"\n[ \t]*\n|\n[ \t]*[-=*_#]{3}|\n[^\n]{0,40}(?:-->|>>>|Giving up on )|\"?\nError-End:")
_SAYS = re.compile(r"[^\W\d_]{3}")


class Quote(Struct, frozen=True, gc=False):
    """`code` 0 and `status` "" where there is none; `text` from the code on, or all of it, at most 1 kB."""

    code: int = 0
    status: str = ""
    text: str = ""


def quoted(text: str) -> Quote:
    text = text[:MAX_LOOKED_AT]
    match = _WITH_STATUS.search(text)
    if match is not None and match[1][0] == match[2]:
        return Quote(int(match[1]), _joined(match.groups()[1:]), _reply(text[match.start() :]))
    code = min(
        (found for pattern in _CODES if (found := pattern.search(text)) is not None),
        key=lambda found: found.start(1),
        default=None,
    )
    status = status_in(text, code[1][0] if code is not None else "")
    if code is None:
        return Quote(0, status, clean(text, MAX_REPLY))
    said = _reply(text[code.start(1) :])
    return Quote(int(code[1]), status, said if _SAYS.search(said) else clean(text, MAX_REPLY))


def _reply(text: str) -> str:
    """Up to where it ends, without the bracket or quotation mark it stands in."""
    end = _END.search(text)
    said = clean(text[: end.start()] if end else text, MAX_REPLY)
    for opening, closing in ("<>", "()", "[]"):
        if said.endswith(closing) and said.count(opening) < said.count(closing):
            said = said[:-1].rstrip()
    if said.endswith(("'", '"')) and said.count(said[-1]) % 2:
        said = said[:-1].rstrip()
    return said


def status_in(text: str, first: str = "") -> str:
    """The first code of RFC 3463 for a failure, of that class where one is given, or ""."""
    for match in STATUS.finditer(text[:MAX_LOOKED_AT]):
        if not first or match[1] == first:
            return _joined(match.groups())
    return ""


def with_status(quote: Quote, status: str = "") -> str:
    """The most telling code: `status` as stated, unless it says no more than its class and the reply does; where
    there is but a basic code, its class."""
    if status and not (status.endswith(".0.0") and quote.status.startswith(status[:2])):
        return status
    return quote.status or status or (f"{quote.code // 100}.0.0" if quote.code else "")


def _joined(parts: tuple[str, ...]) -> str:
    return ".".join(str(int(part)) for part in parts)
