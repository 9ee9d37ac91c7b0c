"""How a peer words its positive replies, told apart by what they answer.

Where the end of the data has no 354 in front of it (BDAT), every reply of a transaction may be 250, and a stray
shifts them without a code that shows it. Their texts do: no peer says of a message what it says of an address. So
- a reply to the end of data that speaks of an address (RFC 3463: subject 1), or is worded as this peer words those
  to MAIL or RCPT and not as it worded that of an earlier message, belongs to another command;
- where commands go out blind (pattern E), it must be worded as the earlier one was, and no other reply may be. A peer
  that words both alike is not sent to in that way (`is_telling`).
Nothing is asked of the replies to RSET: who mistakes one for another goes on to mistake that to RCPT.
"""

import re

from mta.model.reply import Reply
from mta.smtp.transaction import Position

_FORM = re.compile(r"(?:\d\.\d{1,3}\.\d{1,3} *)?(?:[A-Za-z]+[,.:;]?(?:[ =]+|$)){0,3}")
"""The enhanced code and up to three words; what holds digits or addresses is different in each reply."""


class Wording:
    """What one connection has shown; the first positive reply at each position counts."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[Position, str] = {}

    @property
    def is_telling(self) -> bool:
        """A message has been accepted, in other words than its envelope."""
        known = self._known
        end = known.get(Position.END)
        return end is not None and end not in (known.get(Position.MAIL), known.get(Position.RCPT))

    def fits(self, position: Position, reply: Reply, *, is_blind: bool) -> bool:
        """False: the positive reply is worded as the answer to another command. Learned from is what was not sent
        blind."""
        if self._is_astray(position, reply, is_blind):
            return False
        if not is_blind and position not in self._known:
            self._known[position] = _form(reply)
        return True

    def _is_astray(self, position: Position, reply: Reply, is_blind: bool) -> bool:
        known = self._known
        end = known.get(Position.END)
        if position is Position.END:
            if reply.enhanced[1:4] == ".1.":
                return True
            if end is None:
                return False
            form = _form(reply)
            return form != end and (is_blind or form in known.values())
        return is_blind and end is not None and _form(reply) == end


def _form(reply: Reply) -> str:
    match = _FORM.match(reply.lines[0]) if reply.lines else None
    return match[0].rstrip().lower() if match else ""
