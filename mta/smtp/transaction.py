"""The states of one transaction and the rules by which replies move it.

Rules (RFC 5321 section 3.3, RFC 2920, pipelining.md's client rules):
- replies are matched by position alone; what a reply means depends on the command at that position;
- only a 2xx to this transaction's MAIL makes its RCPT reply count, only both make DATA's count;
- a refused transaction still hears the replies to what was already written for it, and none of them counts;
- 354 to a transaction that was refused has no row: its body must not be sent, not even a lone dot (B20);
- a 2xx to DATA, a 354 to anything else, have no meaning at all: a reply was added or lost (B12).

A pair without a row raises `OutOfStep`; there is no silent default.
"""

from enum import IntEnum

from mta.model.outcome import Stage
from mta.model.reply import Reply
from mta.smtp import body, command
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Impossible, Obstacle, Transaction
from mta.smtp.settings import Dsn


class Position(IntEnum):
    """What a position in the sequence of expected replies answers."""

    RSET = 0
    MAIL = 1
    RCPT = 2
    DATA = 3
    END = 4
    """The final dot, or the octets of BDAT LAST."""
    QUIT = 5


class State(IntEnum):
    NEW = 0
    """Nothing of it written."""
    MAIL = 1
    """Its MAIL waits for the reply."""
    RCPT = 2
    """MAIL accepted."""
    DATA = 3
    """RCPT accepted: DATA waits for its reply or is to be written; BDAT's octets may go out."""
    BODY = 4
    """354 heard: the body may go out."""
    END = 5
    """The final dot or last octet has been written."""
    ACCEPTED = 6
    REFUSED = 7
    BALKED = 8
    """The peer does not take an envelope behind a body: to be sent again, by pattern B."""
    GONE = 9
    """Settled because the session broke; later replies to it change nothing."""


class Heard(IntEnum):
    MAIL_OK = 0
    MAIL_NO = 1
    MAIL_BALK = 2
    RCPT_OK = 3
    RCPT_NO = 4
    DATA_GO = 5
    DATA_NO = 6
    END_OK = 7
    END_NO = 8


class OutOfStep(Exception):
    """Replies and commands no longer belong together."""


SETTLED = frozenset((State.ACCEPTED, State.REFUSED, State.GONE))

_GONE = dict.fromkeys(Heard, State.GONE)

TABLE: dict[State, dict[Heard, State]] = {
    State.NEW: {},
    State.MAIL: {
        Heard.MAIL_OK: State.RCPT,
        Heard.MAIL_NO: State.REFUSED,
        Heard.MAIL_BALK: State.BALKED,
    },
    State.RCPT: {Heard.RCPT_OK: State.DATA, Heard.RCPT_NO: State.REFUSED},
    # END_* here: pattern E wrote the octets before the reply to RCPT.
    State.DATA: {
        Heard.DATA_GO: State.BODY,
        Heard.DATA_NO: State.REFUSED,
        Heard.END_OK: State.ACCEPTED,
        Heard.END_NO: State.REFUSED,
    },
    State.BODY: {},
    State.END: {Heard.END_OK: State.ACCEPTED, Heard.END_NO: State.REFUSED},
    State.ACCEPTED: {},
    State.REFUSED: {
        Heard.RCPT_OK: State.REFUSED,
        Heard.RCPT_NO: State.REFUSED,
        Heard.DATA_NO: State.REFUSED,
        Heard.END_NO: State.REFUSED,
    },
    State.BALKED: {
        Heard.RCPT_OK: State.BALKED,
        Heard.RCPT_NO: State.BALKED,
        Heard.DATA_NO: State.BALKED,
    },
    State.GONE: _GONE,
}

# By command and first digit of the code (S-05: unknown codes count by their class).
_MEANING: dict[Position, dict[int, Heard]] = {
    Position.MAIL: {2: Heard.MAIL_OK, 4: Heard.MAIL_NO, 5: Heard.MAIL_NO},
    Position.RCPT: {2: Heard.RCPT_OK, 4: Heard.RCPT_NO, 5: Heard.RCPT_NO},
    Position.DATA: {3: Heard.DATA_GO, 4: Heard.DATA_NO, 5: Heard.DATA_NO},
    Position.END: {2: Heard.END_OK, 4: Heard.END_NO, 5: Heard.END_NO},
}

_STEPS: dict[tuple[int, int, int], State] = {
    (state, position, digit): TABLE[state][heard]
    for state in State
    for position, meaning in _MEANING.items()
    for digit, heard in meaning.items()
    if heard in TABLE[state]
}
"""Both tables in one look-up."""

_BALKING = frozenset((500, 503))
"""How a peer says that it did not want a command there (Haraka: 503 to each line behind the dot)."""


STAGE = {
    Position.MAIL: Stage.MAIL,
    Position.RCPT: Stage.RCPT,
    Position.DATA: Stage.DATA,
    Position.END: Stage.END_OF_DATA,
}
STAGE_OF_STATE = {
    State.MAIL: Stage.MAIL,
    State.RCPT: Stage.RCPT,
    State.DATA: Stage.DATA,
    State.BODY: Stage.DATA,
    State.END: Stage.END_OF_DATA,
}


class Work:
    """A transaction on its way, with the bytes of its envelope."""

    __slots__ = (
        "is_ahead",
        "is_blind",
        "mail",
        "pending",
        "rcpt",
        "since",
        "size",
        "state",
        "transaction",
        "wire",
    )

    def __init__(self, transaction: Transaction, mail: bytes, rcpt: bytes) -> None:
        self.transaction = transaction
        self.mail = mail
        self.rcpt = rcpt
        self.wire = transaction.envelope.message.wire
        self.size = len(self.wire)
        self.state = State.NEW
        self.is_ahead = False
        """Its envelope was written behind the body of another."""
        self.is_blind = False
        """Its octets were written before its envelope was answered (pattern E)."""
        self.pending = 0
        """Replies still to come for it."""
        self.since = 0.0

    def hear(self, position: Position, reply: Reply) -> State:
        """Move by one reply; the new state, or `OutOfStep`."""
        digit = reply.code // 100
        if digit == 5 and self.is_ahead and position is Position.MAIL and reply.code in _BALKING:
            self.state = TABLE[self.state][Heard.MAIL_BALK]
            return self.state
        state = _STEPS.get((self.state, position, digit))
        if state is None:
            raise OutOfStep(f"{reply.code} to {position.name} in state {self.state.name}")
        self.state = state
        return state


def prepare(transaction: Transaction, offer: Extensions, dsn: Dsn = Dsn.OFF) -> Work | Impossible:
    """The work, with the envelope's bytes as this peer may be sent them; or why it may be sent nothing."""
    envelope = transaction.envelope
    message = envelope.message
    wire = message.wire
    if offer.size_limit and len(wire) > offer.size_limit:
        detail = f"{len(wire)} octets, the peer takes {offer.size_limit}"
        return Impossible(transaction, Obstacle.SIZE, detail)
    flaw = body.flaw(wire)
    if flaw:
        return Impossible(transaction, Obstacle.MALFORMED, flaw)
    if transaction.requiretls and not offer.requiretls:
        # RFC 8689 section 4.2.1
        return Impossible(transaction, Obstacle.REQUIRETLS, "5.7.30 the peer does not offer REQUIRETLS")
    sender, recipient = envelope.sender, envelope.recipient
    utf8 = not (sender.isascii() and recipient.isascii())
    if utf8 and not offer.smtp_utf8:
        return Impossible(transaction, Obstacle.SMTPUTF8, "the peer does not offer SMTPUTF8")
    is_eight_bit = message.is_eight_bit or not wire.isascii()
    if is_eight_bit and not offer.eight_bit_mime:
        return Impossible(transaction, Obstacle.EIGHT_BIT, "8-bit content, the peer does not offer 8BITMIME")
    try:
        size = len(wire) if offer.size else None
        dsn = dsn if offer.dsn else Dsn.OFF
        mail = command.mail(
            sender,
            size,
            is_eight_bit=is_eight_bit,
            utf8=utf8,
            requiretls=transaction.requiretls,
            envelope_id=None if dsn is Dsn.OFF else message.message_id,
        )
        return Work(transaction, mail, command.rcpt(recipient, utf8=utf8, dsn=dsn))
    except command.Ungrammatical as error:
        return Impossible(transaction, Obstacle.ADDRESS, str(error))
