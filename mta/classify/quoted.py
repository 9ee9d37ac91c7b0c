"""A refusal as people and reports quote it, back into a reply: whole, from a log line, or only its words.

What is quoted may have lost its line ends, its code or both, so this guesses where `mta.smtp.parser` would refuse;
nothing that came over a connection of ours is read by it.
"""

import re

from mta.model.outcome import Stage
from mta.model.reply import Reply

MOST_CHARS = 32_768
_BLANK = " \t\v\f"

_CODE = re.compile(r"\s*[<(\[\"']*([2345]\d\d)(?![\d.])(?:[ \t-]|[:)\]>\"']|$)")
_LINE = re.compile(r"\s*([245]\d\d)[ -]")
_STATUS = re.compile(r"[<(\[#\"']*([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)[>)\]:,;\"'-]*(?=\s|$)")
_LED = re.compile(
    r"^\s*(?:(?:smtp|x-\w+|lmtp)\s*;|(?:diagnostic-code|smtp error|remote server replied)\s*:)\s*",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"try (?:again )?later|temporar|tempfail|deferred|grey-?list|try again|4\.\d\.\d|please retry|"
    r"too many (?:connections|concurrent)",
    re.IGNORECASE,
)

STAGES: dict[str, Stage] = {
    **dict.fromkeys(("c", "connect", "banner", "greeting"), Stage.CONNECT),
    **dict.fromkeys(("h", "helo", "ehlo"), Stage.HELO),
    **dict.fromkeys(("t", "tls", "starttls"), Stage.TLS),
    **dict.fromkeys(("a", "auth"), Stage.AUTH),
    **dict.fromkeys(("m", "mail", "mail_from"), Stage.MAIL),
    **dict.fromkeys(("r", "rcpt", "rcpt_to"), Stage.RCPT),
    **dict.fromkeys(("d", "data"), Stage.DATA),
    **dict.fromkeys(("e", "end_of_data", "eod", "dot"), Stage.END_OF_DATA),
    **dict.fromkeys(("o", "oob", "out_of_band", "dsn"), Stage.OUT_OF_BAND),
}
"""What stages are called by people."""


def stage_of(word: str) -> Stage:
    """ValueError for a word that names none."""
    stage = STAGES.get(word.strip().lower().replace("-", "_").replace(" ", "_"))
    if stage is None:
        raise ValueError(
            f"no stage is called {word!r}: it is one of {', '.join(w for w in STAGES if len(w) > 1)}"
        )
    return stage


def read_quoted(text: str, code: int = 0) -> Reply:
    """Where no code is said it is `code`, else 550 or 450, by an enhanced code or by what the words ask for."""
    rows = _rows(text)
    found = _CODE.match(rows[0]) if rows else None
    if found is None:
        lines = tuple(row.strip(_BLANK) for row in rows)
        enhanced = _status(lines)
        is_later = enhanced[0] == "4" if enhanced else _LATER.search("\n".join(rows)) is not None
        return Reply(code or (450 if is_later else 550), lines, enhanced)
    lines = tuple(_line(row, found[1]) for row in (rows[0][found.end() :], *rows[1:]))
    return Reply(int(found[1]), lines, _status(lines))


def says_code(text: str) -> bool:
    """Whether `read_quoted` finds a code, so that it need not assume one."""
    rows = _rows(text)
    return bool(rows) and _CODE.match(rows[0]) is not None


def _rows(text: str) -> list[str]:
    text = _as_octets(text[:MOST_CHARS]).replace("\\r\\n", "\n").replace("\\n", "\n")
    # Not `splitlines`: octets of UTF-8 letters, as of the Russian kha, read as latin-1, are line ends to it.
    return [row for row in re.split(r"[\r\n]+", _LED.sub("", text)) if row.strip(_BLANK)]


def _line(row: str, code: str) -> str:
    again = _LINE.match(row)
    return (row[again.end() :] if again is not None and again[1] == code else row).strip(_BLANK)


def _status(lines: tuple[str, ...]) -> str:
    found = _STATUS.match(lines[0]) if lines else None
    return found[1] if found is not None else ""


def _as_octets(text: str) -> str:
    """As `Reply` keeps text: octets as latin-1."""
    if text.isascii():
        return text
    return text.encode(
        "utf-8", "surrogateescape" if any(0xDC80 <= ord(c) <= 0xDCFF for c in text) else "replace"
    ).decode("latin-1")
