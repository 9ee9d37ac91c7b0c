"""What a recipient's local part asks the sink to do to his message, and when. Pure.

`<verb>-<phase>[-<seconds>][-once].<tag>@…`: `stall-rcpt-30.a@d.test`, `late-dot-2.b@…`, `cut-dot.c@…`, `421-rcpt.d@…`,
`451-data-once.e@…`. Whoever is not written so, to the letter, is an ordinary recipient.

    stall    says nothing more, for so many seconds, then closes; without seconds, for ever
    late     answers as it would have, so many seconds later
    cut      closes; reset: by RST
    <code>   answers with it

Phases are those in which the recipient is known: rcpt, data, body (at its first octets), dot, and after (behind the
reply to the dot; there RSET and QUIT find silence). `once` is the first time this recipient gets so far. What comes
before a recipient is known, connect, ehlo and mail, is asked of a whole port, by `--bad <phase>:<verb>[:<seconds>]`.
"""

import re
from enum import StrEnum

from msgspec import Struct

from mta.demo.policy import CUT, RESET, STALL, Answer, Pause

_FOREVER_S = 3600.0
"""How long a body is not read for ever: a peer that has closed meanwhile is not noticed."""


class Phase(StrEnum):
    CONNECT = "connect"
    EHLO = "ehlo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    DOT = "dot"
    AFTER = "after"


_OF_PORTS = (Phase.CONNECT, Phase.EHLO, Phase.MAIL)
_WITHOUT_REPLY = (Phase.BODY, Phase.AFTER)
_RECIPIENT = re.compile(
    rb"(?P<verb>stall|late|cut|reset|[2-5][0-9]{2})-(?P<phase>rcpt|data|body|dot|after)"
    rb"(?:-(?P<seconds>[0-9]{1,4}))?(?P<once>-once)?\.[^@\"\s]+@[^@\"\s]+"
)
_PORT = re.compile(
    r"(?P<phase>connect|ehlo|mail):(?P<verb>stall|late|cut|reset|[2-5][0-9]{2})(?::(?P<seconds>[0-9]{1,4}))?"
)


class Act(Struct, frozen=True, gc=False):
    """`seconds` is 0 where none were given."""

    verb: str
    phase: Phase
    seconds: int = 0
    is_once: bool = False

    @property
    def name(self) -> str:
        return f"{self.verb}-{self.phase}"


def act_of(recipient: bytes) -> Act | None:
    """What he asks for; None from an ordinary one."""
    if b"-" not in recipient[3:6]:  # most are ordinary: a look is cheaper than the expression
        return None
    found = _RECIPIENT.fullmatch(recipient)
    if found is None:
        return None
    verb, phase = found["verb"].decode(), Phase(found["phase"].decode())
    act = Act(verb, phase, int(found["seconds"] or 0), found["once"] is not None)
    return act if _makes_sense(act) else None


def act_at(text: str) -> Act:
    """As on the command line, of a port; ValueError for what is none."""
    found = _PORT.fullmatch(text)
    act = found and Act(found["verb"], Phase(found["phase"]), int(found["seconds"] or 0))
    if not act or not _makes_sense(act):
        raise ValueError(f'expected "<connect|ehlo|mail>:<verb>[:<seconds>]", found "{text}"')
    return act


def _makes_sense(act: Act) -> bool:
    if act.verb == "late":
        return act.seconds > 0 and act.phase is not Phase.AFTER
    if act.verb == "stall":
        return True
    return not act.seconds and not (act.verb.isdigit() and act.phase in _WITHOUT_REPLY)


def answer(act: Act) -> Answer:
    """What the dialogue is to do."""
    match act.verb:
        case "stall" if act.seconds:
            return Pause(act.seconds, CUT)
        case "stall":
            return Pause(_FOREVER_S, CUT) if act.phase is Phase.BODY else STALL
        case "late":
            return Pause(act.seconds)
        case "cut":
            return CUT
        case "reset":
            return RESET
        case code:
            enhanced = f"{code[0]}.0.0 " if code[0] in "245" else ""
            return f"{code} {enhanced}as scripted\r\n".encode()


def accepts(act: Act) -> bool:
    """Whether a message it is done to is accepted all the same."""
    if act.verb == "late" or act.phase is Phase.AFTER:
        return True
    return act.verb[0] == ("3" if act.phase is Phase.DATA else "2")


def expected_end(recipient: str) -> str:
    """The terminal event a scripted or ordinary recipient is to have, where no deadline is shorter than a delay: a
    5yz ends it, everything else that is refused is tried until it succeeds or expires."""
    act = act_of(recipient.encode())
    if act is None or accepts(act):
        return "delivered"
    if act.verb[0] == "5":
        return "bounced"
    return "delivered" if act.is_once else "expired"


class Script:
    """Remembers who was met where `once` matters."""

    def __init__(self) -> None:
        self._met: set[bytes] = set()

    def at(self, phase: Phase, recipient: bytes) -> Act | None:
        """What to do to this recipient now."""
        act = act_of(recipient)
        if act is None or act.phase is not phase:
            return None
        if act.is_once:
            if recipient in self._met:
                return None
            self._met.add(recipient)
        return act
