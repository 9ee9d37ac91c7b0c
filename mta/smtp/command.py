"""Builds the exact bytes of each command from typed values and refuses whatever is not grammar (RFC 5321
section 4.1).

Nothing is repaired, trimmed or re-parsed: the address asked for is the address sent, or `Ungrammatical` is
raised. That is the one gate for strings that reach the wire in a command; a blacklist of characters was not
enough for others (CVE-2026-53533 needed two fixes). Non-ASCII is grammar only in a local part and only
where the peer offered SMTPUTF8 (RFC 6531); domains come as A-labels.
"""

import re

from mta.smtp import xtext
from mta.smtp.settings import Dsn

DATA = b"DATA\r\n"
RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"

MAX_LOCAL = 64
MAX_DOMAIN = 255
MAX_PATH = 256
MAX_ENVID = 100
"""RFC 3461 section 4.4. With the longest path and every parameter there is MAIL stays below 512 octets."""
MAX_ORCPT = 500
"""RFC 3461 section 4.2, which for this raises the 512 octets of a RCPT line."""

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_LITERAL = r"\[(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|IPv6:[0-9A-Fa-f:]{2,39}(?:\.[0-9]{1,3}){0,3})\]"
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_QTEXT = r"(?:[ !#-\[\]-~%s]|\\[ -~])*"
# U+0080-U+009F are controls, U+2028/9 line separators to others, U+FEFF and surrogates never text.
_UTF8 = r"\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\U0010ffff"


def _mailbox(extra: str) -> re.Pattern[str]:
    atom = rf"{_ATEXT}{extra}]+"
    return re.compile(rf'({atom}(?:\.{atom})*|"{_QTEXT % extra}")@({_DOMAIN}|{_LITERAL})')


_MAILBOX = _mailbox("")
_MAILBOX_UTF8 = _mailbox(_UTF8)
_HOST = re.compile(rf"{_DOMAIN}|{_LITERAL}")


class Ungrammatical(ValueError):
    """A value that no command can carry."""


def ehlo(name: str) -> bytes:
    return b"EHLO " + host_name(name).encode("ascii") + b"\r\n"


def host_name(name: str) -> str:
    """The name as it was, if it may stand behind EHLO or HELO."""
    if len(name) > MAX_DOMAIN or not _HOST.fullmatch(name):
        raise Ungrammatical(f"not a host name: {name!r}")
    return name


def mail(
    sender: str,
    size: int | None = None,
    *,
    is_eight_bit: bool = False,
    utf8: bool = False,
    requiretls: bool = False,
    envelope_id: str | None = None,
) -> bytes:
    """`size` only where SIZE was offered (RFC 1870), `is_eight_bit` where 8BITMIME was, `utf8` where SMTPUTF8 was,
    `requiretls` where REQUIRETLS was (RFC 8689). An `envelope_id` where DSN was, and reports are asked for: they are
    to quote the header only, and to name it if it can be named (RFC 3461 sections 4.3, 4.4)."""
    octets = _address(sender, utf8) if sender else b""
    size_word = b"" if size is None else b" SIZE=%d" % size
    body = b" BODY=8BITMIME" if is_eight_bit else b""
    more = b" SMTPUTF8" if utf8 else b""
    if requiretls:
        more += b" REQUIRETLS"
    if envelope_id is not None:
        more += b" RET=HDRS" + _envid(envelope_id)
    return b"MAIL FROM:<%b>%b%b%b\r\n" % (octets, size_word, body, more)


def rcpt(recipient: str, *, utf8: bool = False, dsn: Dsn = Dsn.OFF) -> bytes:
    """`dsn` other than OFF only where DSN was offered: when to report (RFC 3461 section 4.1), and for whom."""
    octets = _address(recipient, utf8)
    if dsn is Dsn.OFF:
        return b"RCPT TO:<%b>\r\n" % octets
    return b"RCPT TO:<%b>%b%b\r\n" % (octets, _NOTIFY[dsn], _orcpt(recipient))


def bdat_last(size: int) -> bytes:
    """RFC 3030: the whole message as its only chunk."""
    return b"BDAT %d LAST\r\n" % size


_NOTIFY = {Dsn.FAILURE: b" NOTIFY=FAILURE", Dsn.NEVER: b" NOTIFY=NEVER"}


def _envid(envelope_id: str) -> bytes:
    """Left out where it can not be sent whole: it must be printable ASCII."""
    if not (envelope_id and envelope_id.isascii() and envelope_id.isprintable()):
        return b""
    word = xtext.encoded(envelope_id)
    return b"" if len(word) > MAX_ENVID else b" ENVID=" + word.encode("ascii")


def _orcpt(recipient: str) -> bytes:
    """Left out for an internationalised address: the type for those (RFC 6533) is known to few, a peer that does not
    know it refuses the recipient, and our return path names him anyway."""
    if not recipient.isascii():
        return b""
    word = "rfc822;" + xtext.encoded(recipient)
    return b"" if len(word) > MAX_ORCPT else b" ORCPT=" + word.encode("ascii")


def _address(address: str, utf8: bool) -> bytes:
    match = (_MAILBOX_UTF8 if utf8 else _MAILBOX).fullmatch(address)
    if match is None:
        raise Ungrammatical(f"not an address: {address!r}")
    octets = address.encode()
    local_size = len(match[1].encode()) if utf8 else match.end(1)
    # The limit of the path leaves a domain fewer than its own 255 octets.
    if local_size > MAX_LOCAL or len(octets) > MAX_PATH - 2:
        raise Ungrammatical(f"address too long: {address!r}")
    return octets
