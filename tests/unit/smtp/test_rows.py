"""Rows of the standards and cells of the fault matrix (phase x fault) that no single module keeps."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.message import Envelope, Message
from mta.model.outcome import Stage
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Accepted, Fact, Impossible, Lost, Obstacle, Refused, Transaction, Unsent
from mta.smtp.plan import Plan
from mta.smtp.session import Session
from mta.smtp.settings import Dsn, Pattern, Timeouts
from tests.unit.smtp.dialogue import OFFERS, PATTERNS, PIPELINING, WIRE, Dialogue, message

A, B, C, CB, E = PATTERNS
OK, GO, QUEUED = "250 ok", "354 go on", "250 queued"
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def through(dialogue: Dialogue) -> bytes:
    """All that is written while every command is answered well."""
    written = dialogue.take()
    for _ in range(60):
        due = dialogue.due
        if due is None or due[0] == "QUIT":
            break
        dialogue.say({"DATA": GO, "END": QUEUED}.get(due[0], OK))
        written += dialogue.take()
    return written


@pytest.mark.parametrize("pattern", [A, CB])
@given(
    wire=st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"x", b"\0", b"\xff"]), max_size=12).map(
        b"".join
    )
)
def test_s01_no_bare_line_end_on_the_wire(pattern: Pattern, wire: bytes) -> None:
    """S-01: whatever the octets of a message are, no bare CR or LF is ever written: it goes as it is, or not at all."""
    written = through(Dialogue(pattern, 1, wire=wire, offer=Extensions(pattern is CB, pattern is CB, True)))
    assert not BARE.search(written)
    assert not BARE.search(wire) or not written


LIMITS = Timeouts(mail_s=11, rcpt_s=22, data_s=33, block_s=44, dot_s=55, quit_s=6, quiet_s=0.05)


def streaming(pattern: Pattern) -> Session:
    """A large message, of which nothing but the first block is written; heard and written last at 100.0."""
    offer = OFFERS[pattern]
    session = Session(offer, Plan(pattern=pattern, timeouts=LIMITS), 100.0)
    session.submit(Transaction(Envelope("s@a.test", "r0@b.test", message(b"x" * 998 + b"\r\n" * 100_000)), 0))
    for _ in range(4):
        session.outgoing(100.0)
        if session.has_more:
            return session
        due = session.deadline()
        replies = {A: [OK], B: [OK, OK, GO], CB: [OK, OK]}[pattern]
        if due is not None and due[0] == "DATA":
            replies = [GO]
        session.feed("".join(f"{reply}\r\n" for reply in replies).encode(), 100.0)
    raise AssertionError("nothing to stream")


@pytest.mark.parametrize(
    ("replies", "phase", "limit_s"), [(0, "MAIL", 11), (1, "RCPT", 22), (2, "DATA", 33), (3, "END", 55)]
)
def test_s04_each_phase_has_its_limit(replies: int, phase: str, limit_s: float) -> None:
    """S-04, B1: on a clock of our own each phase ends at its own limit, not a hundredth of a second before."""
    dialogue = Dialogue(A, 1, plan=Plan(pattern=A, timeouts=LIMITS))
    for reply in [OK, OK, GO][:replies]:
        dialogue.say(reply)
    assert dialogue.session.deadline() == (phase, pytest.approx(dialogue.now + limit_s))
    assert dialogue.session.expire(dialogue.now + limit_s - 0.01) == []
    assert not dialogue.session.is_over
    dialogue.turn(dialogue.session.expire(dialogue.now + limit_s + 0.01))
    (fact,) = dialogue.of(0)
    assert isinstance(fact, Lost)
    assert fact.ambiguous == (phase == "END")
    assert dialogue.session.is_over


@pytest.mark.parametrize("pattern", [A, B, CB])
def test_s04_each_block_has_its_limit(pattern: Pattern) -> None:
    """S-04, B1, B17: from when the last block was handed over."""
    session = streaming(pattern)
    assert session.deadline() == ("block", 100.0 + LIMITS.block_s)
    session.outgoing(120.0)
    assert session.expire(120.0 + LIMITS.block_s - 0.01) == []
    (lost, _) = session.expire(120.0 + LIMITS.block_s)
    assert isinstance(lost, Lost)
    assert (lost.stage, lost.ambiguous) == (Stage.DATA, False)


def test_s04_quit_has_its_limit() -> None:
    """S-04, S-15: QUIT is waited for, and not for long."""
    dialogue = Dialogue(A, 0, plan=Plan(pattern=A, timeouts=LIMITS))
    dialogue.turn(dialogue.session.quit())
    assert dialogue.session.deadline() == ("QUIT", dialogue.now + 6)
    assert dialogue.session.expire(dialogue.now + 6) == []
    assert dialogue.session.is_over


def test_s04_the_defaults_are_the_minima() -> None:
    """S-04: those of RFC 5321 section 4.5.3.2, whose dot a shorter limit would make us send twice."""
    defaults = Timeouts()
    assert (defaults.greeting_s, defaults.mail_s, defaults.rcpt_s) == (300, 300, 300)
    assert (defaults.data_s, defaults.block_s, defaults.dot_s) == (120, 180, 600)


RESETS = {
    "stall": None,
    "closed": b"",
    "421": "421 4.3.2 bye",
    "4yz": "451 4.3.0 no",
    "5yz": "554 5.5.0 too many nonmail commands",
    "garbage": "25 ok",
    "two codes": b"250-ok\r\n550 no\r\n",
    "two replies": b"250 ok\r\n250 stray\r\n",
    "no end": b"x" * 9000,
}


@pytest.mark.parametrize("pattern", [A, B, C, CB])
@pytest.mark.parametrize("fault", RESETS)
def test_b_faults_at_reset(pattern: Pattern, fault: str) -> None:
    """B1 to B13 at RSET: nobody is delivered or refused by it. The refusal before it stands, unless the fault may mean
    that it was a stray (B12): then it is deferred."""
    dialogue = Dialogue(pattern, 2, plan=Plan(pattern=pattern, verdict=True, timeouts=LIMITS))
    for _ in range(9):
        due = dialogue.due
        if due is not None and due[0] == "RSET":
            break
        assert due is not None
        dialogue.say("503 5.5.1 no" if due[0] == "DATA" else "550 5.1.1 no" if due == ("RCPT", 0) else OK)
    reply = RESETS[fault]
    if reply is None:
        began = dialogue.now
        while not dialogue.session.is_over:
            dialogue.pass_deadline()
        assert dialogue.now == pytest.approx(began + LIMITS.mail_s)
    elif not reply:
        dialogue.lose()
    else:
        dialogue.say(reply)
        dialogue.lose()
    assert dialogue.session.is_over
    (before,), (after,) = dialogue.of(0), dialogue.of(1)
    assert isinstance(before, Refused | Lost if fault in ("4yz", "5yz", "two replies") else Refused)
    assert isinstance(after, Unsent | Lost)
    assert not any(getattr(fact, "ambiguous", False) for fact in (before, after))


@pytest.mark.parametrize("pattern", [A, B, CB])
def test_b2_b3_closed_in_mid_body(pattern: Pattern) -> None:
    """B2, B3 in a body: its end was not written, so it is lost and nothing is ambiguous."""
    (lost, _) = streaming(pattern).lost("connection closed by the peer", 101.0)
    assert isinstance(lost, Lost)
    assert (lost.stage, lost.ambiguous) == (Stage.DATA, False)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_s17_one_recipient_is_one_transaction(pattern: Pattern) -> None:
    """S-17, LIMITS (RFC 9422): no MAIL has more than one RCPT, so RCPTMAX of 1 is kept by all there is."""
    written = through(Dialogue(pattern, 5))
    verbs = re.findall(rb"^(MAIL|RCPT)", written, re.MULTILINE)
    assert verbs == [b"MAIL", b"RCPT"] * 5


@pytest.mark.parametrize("pattern", PATTERNS)
def test_s17_452_to_the_only_recipient(pattern: Pattern) -> None:
    """S-17, B21: 452 4.5.3 is an ordinary refusal of that one, and the next is sent."""
    dialogue = Dialogue(pattern, 2, is_known=False)
    for _ in range(30):
        due = dialogue.due
        if due is None or due[0] == "QUIT":
            break
        if due == ("RCPT", 0):
            dialogue.say("452 4.5.3 too many recipients")
        elif dialogue.of(0) or due[1] == 1 or due[0] == "MAIL":
            dialogue.say({"DATA": GO, "END": QUEUED}.get(due[0], OK))
        else:
            dialogue.say("554 5.5.1 no valid recipients" if due[0] != "RSET" else OK)
    (fact,) = dialogue.of(0)
    assert isinstance(fact, Refused)
    assert (fact.reply.code, fact.reply.enhanced, fact.reply.is_transient) == (452, "4.5.3", True)
    assert [type(each) for each in dialogue.of(1)] == [Accepted]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_binarymime_is_never_used(pattern: Pattern) -> None:
    """BINARYMIME (RFC 3030): not even where it is offered and the octets have eight bits."""
    offer = OFFERS[pattern]
    dialogue = Dialogue(pattern, 0, offer=Extensions(offer.pipelining, offer.chunking, True), is_known=False)
    eight = Envelope("s@a.test", "r0@b.test", Message("é\r\n".encode(), "m", "<m@a.test>"))
    dialogue.waiting = [Transaction(eight, 0)]
    dialogue.turn([])
    written = through(dialogue)
    assert b" BODY=8BITMIME" in written
    assert b"BINARYMIME" not in written


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("is_offered", [False, True])
def test_requiretls_in_a_session(pattern: Pattern, is_offered: bool) -> None:
    """REQUIRETLS (RFC 8689, T-10): said on MAIL, or nothing of the message is written; others go on."""
    offer = OFFERS[pattern]
    dialogue = Dialogue(
        pattern,
        0,
        offer=Extensions(offer.pipelining, offer.chunking, requiretls=is_offered),
        is_known=False,
    )
    for number in range(3):
        envelope = Envelope("s@a.test", f"r{number}@b.test", message())
        dialogue.waiting.append(Transaction(envelope, number, requiretls=number == 1))
    dialogue.turn([])
    written = through(dialogue)
    assert written.count(b" REQUIRETLS\r\n") == is_offered
    assert written.count(b"MAIL FROM") == 2 + is_offered
    (fact,) = dialogue.of(1)
    assert isinstance(fact, Accepted if is_offered else Impossible)
    assert is_offered or obstacle(fact) is Obstacle.REQUIRETLS


def obstacle(fact: Fact) -> Obstacle:
    assert isinstance(fact, Impossible)
    return fact.kind


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("dsn", Dsn)
def test_dsn_in_a_session(pattern: Pattern, dsn: Dsn) -> None:
    """DSN (RFC 3461): the plan's wish goes with each envelope."""
    offer = OFFERS[pattern]
    dialogue = Dialogue(
        pattern,
        2,
        offer=Extensions(offer.pipelining, offer.chunking, dsn=True),
        plan=Plan(pattern=pattern, verdict=True, window=4, dsn=dsn),
        is_known=False,
    )
    written = through(dialogue)
    asked = 0 if dsn is Dsn.OFF else 2
    assert written.count(b" RET=HDRS ENVID=m\r\n") == asked
    assert written.count(f" NOTIFY={dsn.upper()} ORCPT=rfc822;r".encode()) == asked


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_pipelining_replies_in_any_segments(step: int) -> None:
    """PIPELINING (RFC 2920), B10: the replies to a group come in one segment or byte by byte, each is checked."""
    dialogue = Dialogue(B, 1)
    group = b"250 2.1.0 ok\r\n550 5.1.1 no\r\n554 5.5.1 no valid recipients\r\n"
    for start in range(0, len(group), step):
        dialogue.say(group[start : start + step], after_s=0.0, is_quiet=False)
    dialogue.pass_quiet()
    (fact,) = dialogue.of(0)
    assert isinstance(fact, Refused)
    assert (fact.stage, fact.reply.code) == (Stage.RCPT, 550)


def test_pipelining_only_where_offered() -> None:
    """PIPELINING: without it nothing is sent before the reply to what was sent before, whatever is wished for."""
    written = Dialogue(A, 3, offer=Extensions(chunking=True)).take()
    assert written == b"MAIL FROM:<s@a.test>\r\n"
    assert Dialogue(B, 1, offer=PIPELINING).take().count(b"\r\n") == 3


@pytest.mark.parametrize("size", [len(WIRE) - 1, len(WIRE), len(WIRE) + 1])
def test_size_counts_the_message_alone(size: int) -> None:
    """SIZE (RFC 1870): with its CRLFs, without stuffed dots and without the end of data; one octet decides."""
    dialogue = Dialogue(B, 1, offer=Extensions(pipelining=True, size=True, size_limit=size))
    if size < len(WIRE):
        assert obstacle(dialogue.facts[0]) is Obstacle.SIZE
        assert dialogue.take() == b""
    else:
        assert dialogue.take().startswith(b"MAIL FROM:<s@a.test> SIZE=%d\r\n" % len(WIRE))
