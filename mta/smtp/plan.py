"""How transactions will overlap on one connection: the pattern asked for, as far as the peer offers what it
needs.

The table of receivers behind these choices: Haraka and chasquid offer PIPELINING and yet lose what comes
behind a dot; both name themselves in the banner. No receiver without PIPELINING may be sent anything early
(OpenSMTPD closes).
"""

import re

from msgspec import Struct

from mta.smtp.extensions import Extensions
from mta.smtp.settings import Dsn, Pattern, Timeouts

_NO_C = re.compile(r"\b(?:haraka|chasquid)\b", re.IGNORECASE)


class Plan(Struct, frozen=True, gc=False):
    """`verdict` is what is known of an envelope behind a body on this host: True, False, or None to learn it.
    `messages` bounds the transactions of the connection, `window` those in flight at once with E."""

    pattern: Pattern = Pattern.A
    verdict: bool | None = None
    window: int = 1
    messages: int = 100
    timeouts: Timeouts = Timeouts()
    rtt_s: float = 0.0
    dsn: Dsn = Dsn.OFF


def choose(wanted: Pattern, offer: Extensions, verdict: bool | None, banner: str) -> Pattern:
    """The pattern to use. C with a verdict of None is a probe; a verdict of False rules out C and CB
    alike."""
    if not offer.pipelining or wanted is Pattern.A:
        return Pattern.A
    if wanted is Pattern.B or verdict is False:
        return Pattern.B
    if wanted is Pattern.E and offer.chunking:
        return Pattern.E
    if offer.chunking and wanted is not Pattern.C:
        return Pattern.CB
    return Pattern.B if _NO_C.search(banner) else Pattern.C
