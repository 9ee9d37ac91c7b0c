"""The states of a transaction."""

import pytest

from mta.model.message import Envelope, Message
from mta.model.reply import Reply
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Impossible, Obstacle, Transaction
from mta.smtp.settings import Dsn
from mta.smtp.transaction import SETTLED, TABLE, Heard, OutOfStep, Position, State, Work, prepare

MESSAGE = Message(b"a: b\r\n\r\nc\r\n", "m", "<m@x.test>")
ALL = Extensions(True, True, True, True, True, True)

MEANING = {
    (Position.MAIL, 250): Heard.MAIL_OK,
    (Position.MAIL, 451): Heard.MAIL_NO,
    (Position.MAIL, 550): Heard.MAIL_NO,
    (Position.RCPT, 299): Heard.RCPT_OK,
    (Position.RCPT, 450): Heard.RCPT_NO,
    (Position.RCPT, 599): Heard.RCPT_NO,
    (Position.DATA, 354): Heard.DATA_GO,
    (Position.DATA, 451): Heard.DATA_NO,
    (Position.DATA, 554): Heard.DATA_NO,
    (Position.END, 200): Heard.END_OK,
    (Position.END, 452): Heard.END_NO,
    (Position.END, 552): Heard.END_NO,
    (Position.MAIL, 354): None,
    (Position.RCPT, 354): None,
    (Position.DATA, 250): None,
    (Position.END, 354): None,
}


def new() -> Work:
    made = prepare(Transaction(Envelope("s@a.test", "r@b.test", MESSAGE)), ALL)
    assert isinstance(made, Work)
    return made


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(("said", "heard"), MEANING.items())
def test_every_state_and_input(state: State, said: tuple[Position, int], heard: Heard | None) -> None:
    """S-05: each state crossed with each input either has its row or raises; a refusal to raise would be a silent
    default."""
    made = new()
    made.state = state
    position, code = said
    if heard is None or heard not in TABLE[state]:
        with pytest.raises(OutOfStep):
            made.hear(position, Reply(code))
        assert made.state is state
    else:
        assert made.hear(position, Reply(code)) is TABLE[state][heard] is made.state


def test_the_table_is_whole() -> None:
    """Every state has its rows, and only accepted data makes a message accepted."""
    assert set(TABLE) == set(State)
    ways = {
        (state, heard) for state, rows in TABLE.items() for heard in rows if rows[heard] is State.ACCEPTED
    }
    assert ways == {(State.END, Heard.END_OK), (State.DATA, Heard.END_OK)}
    for state in SETTLED - {State.GONE}:
        assert set(TABLE[state].values()) <= {state}


def test_b20_no_way_to_a_body_after_a_refusal() -> None:
    """354 has a row only where MAIL and RCPT were accepted, and where nothing is written any more."""
    assert {state for state, rows in TABLE.items() if Heard.DATA_GO in rows} == {State.DATA, State.GONE}


@pytest.mark.parametrize(("code", "state"), [(503, State.BALKED), (500, State.BALKED), (550, State.REFUSED)])
def test_an_envelope_behind_a_body_can_be_balked_at(code: int, state: State) -> None:
    """503 to such a MAIL says nothing about the message."""
    made = new()
    made.state, made.is_ahead = State.MAIL, True
    assert made.hear(Position.MAIL, Reply(code)) is state


@pytest.mark.parametrize(
    ("limit", "is_possible"), [(len(MESSAGE.wire) - 1, False), (len(MESSAGE.wire), True), (0, True)]
)
def test_size_limit(limit: int, is_possible: bool) -> None:
    """A message larger than the advertised limit is not tried."""
    made = prepare(Transaction(Envelope("", "r@b.test", MESSAGE)), Extensions(size=True, size_limit=limit))
    assert isinstance(made, Work) == is_possible
    if isinstance(made, Impossible):
        assert made.kind is Obstacle.SIZE
    else:
        assert made.mail == b"MAIL FROM:<> SIZE=%d\r\n" % len(MESSAGE.wire)


@pytest.mark.parametrize(
    ("envelope", "kind"),
    [
        (Envelope("s@a.test", "δ@b.test", MESSAGE), Obstacle.SMTPUTF8),
        (Envelope("δ@a.test", "r@b.test", MESSAGE), Obstacle.SMTPUTF8),
        (Envelope("s@a.test", "δ@b.test", Message("To: δ\r\n".encode(), "m", "<m>")), Obstacle.SMTPUTF8),
        (Envelope("s@a.test", "r@b.test", Message("é\r\n".encode(), "m", "<m>")), Obstacle.EIGHT_BIT),
        (Envelope("s@a.test", "r@b.test", Message(b"x\r\n", "m", "<m>", (), True)), Obstacle.EIGHT_BIT),
        (Envelope("s@a.test", "r@b.test> X=", MESSAGE), Obstacle.ADDRESS),
        (Envelope("s\r\n@a.test", "r@b.test", MESSAGE), Obstacle.ADDRESS),
        (Envelope("s@a.test", "", MESSAGE), Obstacle.ADDRESS),
        (Envelope("s@a.test", "r@b.test", Message(b"a\nb\r\n", "m", "<m>")), Obstacle.MALFORMED),
        (Envelope("s@a.test", "r@b.test", Message(b"", "m", "<m>")), Obstacle.MALFORMED),
    ],
)
def test_obstacles(envelope: Envelope, kind: Obstacle) -> None:
    """What the peer does not offer, or nobody may be sent, is not tried."""
    made = prepare(Transaction(envelope), Extensions())
    assert isinstance(made, Impossible)
    assert made.kind is kind
    assert made.detail


@pytest.mark.parametrize(
    ("offer", "dsn", "mail", "rcpt"),
    [
        (Extensions(dsn=True), Dsn.FAILURE, b" RET=HDRS ENVID=m", b" NOTIFY=FAILURE ORCPT=rfc822;r@b.test"),
        (Extensions(dsn=True), Dsn.NEVER, b" RET=HDRS ENVID=m", b" NOTIFY=NEVER ORCPT=rfc822;r@b.test"),
        (Extensions(dsn=True), Dsn.OFF, b"", b""),
        (Extensions(), Dsn.FAILURE, b"", b""),
    ],
)
def test_dsn_only_where_offered_and_wanted(offer: Extensions, dsn: Dsn, mail: bytes, rcpt: bytes) -> None:
    """DSN (RFC 3461): off by default, and never sent to a peer that does not know it."""
    made = prepare(Transaction(Envelope("s@a.test", "r@b.test", MESSAGE)), offer, dsn)
    assert isinstance(made, Work)
    assert made.mail == b"MAIL FROM:<s@a.test>%b\r\n" % mail
    assert made.rcpt == b"RCPT TO:<r@b.test>%b\r\n" % rcpt


@pytest.mark.parametrize("is_offered", [False, True])
@pytest.mark.parametrize("is_asked", [False, True])
def test_requiretls(is_offered: bool, is_asked: bool) -> None:
    """REQUIRETLS (RFC 8689, T-10): on MAIL where asked for; a peer that does not offer it is not sent the message, and
    the detail says 5.7.30."""
    transaction = Transaction(Envelope("s@a.test", "r@b.test", MESSAGE), requiretls=is_asked)
    made = prepare(transaction, Extensions(requiretls=is_offered))
    if is_asked and not is_offered:
        assert isinstance(made, Impossible)
        assert (made.kind, made.detail[:6]) == (Obstacle.REQUIRETLS, "5.7.30")
    else:
        assert isinstance(made, Work)
        assert made.mail == b"MAIL FROM:<s@a.test>" + (b" REQUIRETLS" if is_asked else b"") + b"\r\n"


def test_parameters_only_where_offered() -> None:
    """SIZE, BODY and SMTPUTF8 appear when they are needed and offered (B23)."""
    eight = Message("é\r\n".encode(), "m", "<m>")
    made = prepare(Transaction(Envelope("δ@a.test", "r@b.test", eight)), ALL)
    assert isinstance(made, Work)
    assert made.mail == "MAIL FROM:<δ@a.test> SIZE=4 BODY=8BITMIME SMTPUTF8\r\n".encode()
    plain = prepare(Transaction(Envelope("s@a.test", "r@b.test", MESSAGE)), Extensions())
    assert isinstance(plain, Work)
    assert plain.mail == b"MAIL FROM:<s@a.test>\r\n"
