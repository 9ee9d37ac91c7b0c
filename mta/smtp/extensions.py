"""What a peer offers, read from the lines of its reply to EHLO (RFC 5321 section 4.1.1.1).

Only the EHLO of the present session state counts: the one after STARTTLS replaces the one before (T-01).
Keywords are compared without case; a keyword repeated with other parameters keeps the narrower limit.
"""

from msgspec import Struct


class Extensions(Struct, frozen=True, gc=False):
    """`size_limit` 0: SIZE offered or not, no fixed limit (RFC 1870). `mail_max` 0: no MAILMAX (RFC 9422); its
    RCPTMAX and RCPTDOMAINMAX never bind, as each transaction has one recipient. `requiretls` counts only inside TLS.
    `logins` are those mechanisms of AUTH that we know, in the order of our preference."""

    pipelining: bool = False
    chunking: bool = False
    eight_bit_mime: bool = False
    smtp_utf8: bool = False
    starttls: bool = False
    size: bool = False
    size_limit: int = 0
    mail_max: int = 0
    dsn: bool = False
    requiretls: bool = False
    logins: tuple[str, ...] = ()


_FLAGS = {
    "PIPELINING": "pipelining",
    "CHUNKING": "chunking",
    "8BITMIME": "eight_bit_mime",
    "SMTPUTF8": "smtp_utf8",
    "STARTTLS": "starttls",
    "DSN": "dsn",
    "REQUIRETLS": "requiretls",
}

LOGINS = ("PLAIN", "LOGIN", "CRAM-MD5")
"""By preference: inside TLS PLAIN asks for one round trip; CRAM-MD5 makes the server keep the password itself."""

NONE = Extensions()
"""After HELO."""


def parse(lines: tuple[str, ...]) -> Extensions:
    """`lines` are the texts of the reply; the first is the greeting and offers nothing."""
    offered: dict[str, bool] = {}
    size_limit = mail_max = 0
    mechanisms: set[str] = set()
    for line in lines[1:]:
        keyword, *words = line.split() or [""]
        keyword = keyword.upper()
        if keyword == "SIZE":
            offered["size"] = True
            size_limit = _narrower(size_limit, words[0] if words else "")
        elif keyword == "LIMITS":
            for word in words:
                name, _, value = word.partition("=")
                if name.upper() == "MAILMAX":
                    mail_max = _narrower(mail_max, value)
        elif keyword == "AUTH":
            mechanisms.update(word.upper() for word in words)
        elif keyword in _FLAGS:
            offered[_FLAGS[keyword]] = True
    logins = tuple(name for name in LOGINS if name in mechanisms)
    return Extensions(**offered, size_limit=size_limit, mail_max=mail_max, logins=logins)


def _narrower(limit: int, word: str) -> int:
    """RFC 1870 allows 20 digits; anything else announces no limit."""
    if not (word.isascii() and word.isdigit() and len(word) <= 20):
        return limit
    value = int(word)
    return min(limit, value) if limit and value else limit or value
