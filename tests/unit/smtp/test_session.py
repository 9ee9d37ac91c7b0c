"""The dialogue, rule by rule, on a clock that the tests own."""

import pytest

from mta.model.message import Envelope
from mta.model.outcome import Stage
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Accepted, Ended, Fact, Impossible, Lost, Refused, Transaction, Unsent
from mta.smtp.plan import Plan
from mta.smtp.settings import Pattern, Timeouts
from tests.unit.smtp.dialogue import BOTH, OFFERS, PATTERNS, PIPELINING, WIRE, Dialogue, message

A, B, C, CB, E = PATTERNS
OK, GO, QUEUED = "250 ok", "354 go on", "250 queued"
STUFFED = b"Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n"
BDAT = b"BDAT %d LAST\r\n" % len(WIRE) + WIRE


def mail(number: int) -> bytes:
    return b"MAIL FROM:<s@a.test>\r\nRCPT TO:<r%d@b.test>\r\n" % number


def kinds(facts: list[Fact]) -> list[type]:
    return [type(fact) for fact in facts]


def at_stage(pattern: Pattern, stage: Stage, *, number: int = 0, count: int = 1) -> Dialogue:
    """A dialogue whose transaction `number` waits for the reply of that stage; those before it were
    accepted."""
    dialogue = Dialogue(pattern, count)
    for _ in range(200):
        due = dialogue.due
        assert due is not None
        names = {"MAIL": Stage.MAIL, "RCPT": Stage.RCPT, "DATA": Stage.DATA, "END": Stage.END_OF_DATA}
        if due[1] == number and names.get(due[0]) is stage:
            dialogue.take()
            return dialogue
        dialogue.say({"DATA": GO, "END": QUEUED}.get(due[0], OK))
    raise AssertionError(f"{pattern} never waits at {stage}")


CELLS = [
    (pattern, stage)
    for pattern in (A, B, C, CB, E)
    for stage in (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END_OF_DATA)
    if stage is not Stage.DATA or pattern in (A, B, C)
]
cells = pytest.mark.parametrize(("pattern", "stage"), CELLS)


class TestPatterns:
    def test_a(self) -> None:
        """Lock step: one command, one reply."""
        dialogue = Dialogue(A, 1)
        assert dialogue.take() == b"MAIL FROM:<s@a.test>\r\n"
        dialogue.say(OK)
        assert dialogue.take() == b"RCPT TO:<r0@b.test>\r\n"
        dialogue.say(OK)
        assert dialogue.take() == b"DATA\r\n"
        dialogue.say(GO)
        assert dialogue.take() == STUFFED
        assert kinds(dialogue.say(QUEUED)) == [Accepted]
        assert dialogue.session.is_idle

    def test_b(self) -> None:
        """PIPELINING: the envelope in one group with DATA last, then the body alone."""
        dialogue = Dialogue(B, 2)
        assert dialogue.take() == mail(0) + b"DATA\r\n"
        dialogue.say(OK, OK, GO)
        assert dialogue.take() == STUFFED
        assert dialogue.say(QUEUED) == []
        assert dialogue.take() == mail(1) + b"DATA\r\n"
        assert kinds(dialogue.say(OK, OK, GO)) == [Accepted]

    def test_c(self) -> None:
        """The next envelope rides behind the dot; the last body goes alone."""
        dialogue = Dialogue(C, 2)
        assert dialogue.take() == mail(0) + b"DATA\r\n"
        dialogue.say(OK, OK, GO)
        assert dialogue.take() == STUFFED + mail(1) + b"DATA\r\n"
        assert kinds(dialogue.say(QUEUED, OK, OK, GO)) == [Accepted]
        assert dialogue.take() == STUFFED
        assert kinds(dialogue.say(QUEUED)) == [Accepted]

    def test_cb(self) -> None:
        """CHUNKING: octets only after their own MAIL and RCPT were accepted, unstuffed, the next envelope behind
        them."""
        dialogue = Dialogue(CB, 3)
        assert dialogue.take() == mail(0)
        dialogue.say(OK, OK)
        assert dialogue.take() == BDAT + mail(1)
        assert dialogue.say(QUEUED, OK, OK) == []
        assert dialogue.take() == BDAT + mail(2)
        assert kinds(dialogue.say(QUEUED, OK, OK)) == [Accepted]
        assert dialogue.take() == BDAT
        assert kinds(dialogue.say(QUEUED)) == [Accepted, Accepted]

    def test_e(self) -> None:
        """Whole transactions, RSET in front of each, as many as the window allows."""
        dialogue = Dialogue(E, 6)
        whole = [b"RSET\r\n" + mail(number) + BDAT for number in range(6)]
        assert dialogue.take() == b"".join(whole[:4])
        assert dialogue.session.room == 0
        assert dialogue.say(OK, OK, OK, QUEUED) == []
        assert dialogue.take() == whole[4]
        assert kinds(dialogue.say(OK, OK, OK, QUEUED)) == [Accepted]
        assert dialogue.take() == whole[5]

    def test_e_is_bounded_by_octets(self) -> None:
        """The window starts at 64 KiB and grows by what is accepted."""
        wire = b"x" * 29998 + b"\r\n"
        dialogue = Dialogue(E, 9, wire=wire, plan=Plan(pattern=E, window=8))
        assert dialogue.take().count(b"BDAT") == 2
        dialogue.say(OK, OK, OK, QUEUED)
        assert dialogue.take().count(b"BDAT") == 2

    def test_e_sends_a_large_body_alone(self) -> None:
        """A body of more than a block waits until the window is empty, and is written block by block."""
        wire = b"x" * 199998 + b"\r\n"
        dialogue = Dialogue(E, 2, wire=wire)
        assert dialogue.take() == mail(0)
        dialogue.say(OK, OK)
        assert dialogue.take() == b"BDAT 200000 LAST\r\n" + wire
        dialogue.say(QUEUED)
        assert dialogue.take() == mail(1)
        assert kinds(dialogue.pass_deadline()) == [Accepted]

    @pytest.mark.parametrize("pattern", [C, CB])
    def test_an_envelope_that_comes_late_still_rides_along(self, pattern: Pattern) -> None:
        """What is submitted while the end of data is under way does not wait for the reply."""
        dialogue = Dialogue(pattern, 1)
        dialogue.say(OK, OK, *([GO] if pattern is C else []))
        dialogue.take()
        assert dialogue.session.room == 1
        dialogue.waiting.append(Transaction(dialogue_envelope(7), 7))
        dialogue.turn([])
        assert dialogue.take() == mail(7) + (b"DATA\r\n" if pattern is C else b"")

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_byte_by_byte(self, pattern: Pattern) -> None:
        """Replies cut into single bytes lead to the same dialogue (B10)."""
        dialogue = Dialogue(pattern, 5)
        for _ in range(60):
            due = dialogue.due
            if due is None:
                break
            replies = {"DATA": b"354 a\r\n", "END": b"250-queued\r\n250 b\r\n"}
            for byte in replies.get(due[0], b"250-a\r\n250 b\r\n"):
                dialogue.say(bytes([byte]))
        assert kinds(dialogue.facts) == [Accepted] * 5

    def test_room(self) -> None:
        """One for patterns that wait, current and next for those that look ahead, the window for E."""
        rooms = {pattern: Dialogue(pattern, 0).session.room for pattern in PATTERNS}
        assert rooms == {A: 1, B: 1, C: 2, CB: 2, E: 4}

    def test_submitting_without_room(self) -> None:
        """What there is no room for comes back at once."""
        dialogue = Dialogue(B, 1)
        assert kinds(dialogue.session.submit(Transaction(dialogue_envelope(1)))) == [Unsent]

    def test_impossible_costs_nothing(self) -> None:
        """A message that can not be sent here leaves the session as it was."""
        dialogue = Dialogue(B, 1, offer=Extensions(pipelining=True, size=True, size_limit=5))
        assert kinds(dialogue.facts) == [Impossible]
        assert dialogue.take() == b""
        assert dialogue.session.room == 1


def dialogue_envelope(number: int):  # type: ignore[no-untyped-def]
    return Dialogue(A, number + 1).waiting[-1].envelope if number else Dialogue(B, 2).waiting[-1].envelope


class TestRefusals:
    @cells
    @pytest.mark.parametrize("code", [450, 550])
    def test_b5_b6_refused_at_each_stage(self, pattern: Pattern, stage: Stage, code: int) -> None:
        """A well-formed 4yz or 5yz is a refusal at that stage, and the session goes on after RSET."""
        dialogue = at_stage(pattern, stage, count=1)
        dialogue.say(f"{code} 5.0.0 no")
        for _ in range(5):
            if dialogue.session.is_idle:
                break
            dialogue.say("503 bad sequence")
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Refused)
        assert (fact.stage, fact.reply.code) == (stage, code)
        assert dialogue.session.is_open
        dialogue.take()
        dialogue.waiting.append(Transaction(dialogue_envelope(1), 1))
        dialogue.turn([])
        is_clean = stage is Stage.END_OF_DATA and pattern in (A, B, C)
        assert dialogue.take().startswith(b"MAIL" if is_clean else b"RSET\r\n")

    def test_reset_goes_alone_in_lock_step(self) -> None:
        """Without PIPELINING RSET waits for its reply like everything else."""
        dialogue = Dialogue(A, 2)
        dialogue.take()
        dialogue.say("550 no")
        assert dialogue.take() == b"RSET\r\n"
        dialogue.say(OK)
        assert dialogue.take() == b"MAIL FROM:<s@a.test>\r\n"

    @pytest.mark.parametrize("replies", [("250 ok", "550 no"), ("550 no", "503 no MAIL")])
    def test_b20_354_without_a_recipient(self, replies: tuple[str, str]) -> None:
        """354 although MAIL or RCPT was refused: closed, no dot; the refusal stands."""
        dialogue = Dialogue(B, 1)
        dialogue.take()
        facts = dialogue.say(*replies, GO)
        assert kinds(facts) == [Refused, Ended]
        assert dialogue.session.is_over
        assert dialogue.take() == b""

    def test_only_the_own_mail_makes_rcpt_count(self) -> None:
        """RCPT and DATA answered well behind a refused MAIL must not send a body (Exim, Postfix: wrong
        sender)."""
        dialogue = Dialogue(B, 1)
        dialogue.take()
        dialogue.say("503 nested MAIL", OK, GO)
        assert isinstance(dialogue.of(0)[0], Refused)
        assert dialogue.session.is_over
        assert dialogue.take() == b""

    def test_c_goes_on_behind_a_refused_body(self) -> None:
        """A message refused after its dot does not disturb the envelope behind it."""
        dialogue = Dialogue(C, 2)
        dialogue.say(OK, OK, GO)
        assert kinds(dialogue.say("550 spam", OK, OK, GO)) == [Refused]
        dialogue.say(QUEUED)
        assert isinstance(dialogue.of(1)[0], Accepted)

    def test_two_in_a_row_make_careful(self) -> None:
        """After two refused transactions in a row DATA waits for the reply to RCPT, for the rest of the
        connection."""
        dialogue = Dialogue(B, 4)
        for _ in range(2):
            dialogue.take()
            dialogue.say(OK, "550 no", "503 no")
            if b"RSET" in dialogue.written:
                dialogue.say(OK)
        assert dialogue.take() == b"RSET\r\n" + mail(2)
        dialogue.say(OK, OK)
        assert dialogue.take() == b"DATA\r\n"
        dialogue.say(GO)
        dialogue.say(QUEUED)
        assert dialogue.take().endswith(mail(3))

    def test_five_in_a_row_end_it(self) -> None:
        """After five refused transactions in a row we leave politely, and what waits is unsent."""
        dialogue = Dialogue(CB, 7)
        for _ in range(20):
            due = dialogue.due
            if due is None or due[0] == "QUIT":
                break
            dialogue.say({"RCPT": "550 no"}.get(due[0], OK))
        (ended,) = [fact for fact in dialogue.facts if isinstance(fact, Ended)]
        assert not ended.is_error
        assert dialogue.written.endswith(b"QUIT\r\n")
        dialogue.say("221 bye")
        assert [type(fact) for number in range(5) for fact in dialogue.of(number)] == [Refused] * 5
        assert dialogue.session.is_over
        assert dialogue.session.is_clean

    def test_e_falls_back_after_a_refusal(self) -> None:
        """The window is not filled again; the rest goes by CB."""
        dialogue = Dialogue(E, 6)
        dialogue.take()
        dialogue.say(OK, OK, "550 no", "554 no")
        assert dialogue.take() == b""
        dialogue.say(*[OK, OK, OK, QUEUED] * 3)
        assert dialogue.take() == mail(4)
        dialogue.say(OK, OK)
        assert kinds([fact for number in range(4) for fact in dialogue.of(number)]) == [
            Refused,
            *[Accepted] * 3,
        ]
        assert dialogue.take() == BDAT + mail(5)

    def test_a_refused_reset_ends_it(self) -> None:
        """RSET refused: the next one has not been tried."""
        dialogue = Dialogue(B, 2)
        dialogue.say(OK, "550 no", "503 no")
        dialogue.say("554 too many nonmail commands")
        assert kinds(dialogue.of(1)) == [Unsent]
        assert dialogue.session.is_over


class TestTrust:
    @cells
    @pytest.mark.parametrize("stray", [OK, "550 no", "354 go on", "garbage", b"2"])
    def test_b12_extra_reply_in_the_same_segment(
        self, pattern: Pattern, stage: Stage, stray: str | bytes
    ) -> None:
        """A reply too many at any stage is never a delivery, and never blames the message."""
        dialogue = at_stage(pattern, stage)
        reply = {Stage.DATA: GO, Stage.END_OF_DATA: QUEUED}.get(stage, OK)
        rest = {Stage.MAIL: [OK, GO], Stage.RCPT: [GO]}.get(stage, []) if pattern in (B, C) else []
        if pattern in (CB, E):
            rest = {Stage.MAIL: [OK], Stage.RCPT: []}.get(stage, [])
        if pattern is E:
            rest += [QUEUED] if stage is not Stage.END_OF_DATA else []
        dialogue.say(reply, stray, *rest)
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous == (stage is Stage.END_OF_DATA or pattern is E)
        assert dialogue.session.is_over

    @pytest.mark.parametrize("pattern", [C, CB])
    def test_b12_extra_reply_one_segment_later(self, pattern: Pattern) -> None:
        """A verdict waits for the rest of its flight, so a stray that shifts the flight is found out in
        time."""
        dialogue = Dialogue(pattern, 2)
        dialogue.say(OK, OK, *([GO] if pattern is C else []))
        assert dialogue.say("250 stray") == []
        facts = dialogue.say(QUEUED, OK, OK, *([GO] if pattern is C else []))
        assert not any(isinstance(fact, Accepted) for fact in facts)
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous

    def test_a_shifted_refusal_blames_nobody(self) -> None:
        """550 in front of the true reply to RCPT does not condemn the recipient."""
        dialogue = Dialogue(B, 1)
        dialogue.say(OK, "550 stray")
        dialogue.say(OK, GO)
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert not fact.ambiguous

    def test_slow_flights_let_go_of_content(self) -> None:
        """A delivery whose flight is slow is reported after a second."""
        dialogue = Dialogue(C, 2)
        dialogue.say(OK, OK, GO)
        assert dialogue.say(QUEUED) == []
        due = dialogue.session.deadline()
        assert due == ("hold", dialogue.now + 1.0)
        assert dialogue.session.expire(due[1] - 0.1) == []
        assert kinds(dialogue.pass_deadline()) == [Accepted]
        assert dialogue.session.deadline() == ("MAIL", pytest.approx(dialogue.now - 1.0 + 60))

    def test_reply_before_any_command(self) -> None:
        """A reply on an idle connection poisons it."""
        dialogue = Dialogue(B, 0)
        (ended,) = dialogue.say(OK)
        assert isinstance(ended, Ended)
        assert ended.is_error
        assert dialogue.session.is_over

    @pytest.mark.parametrize("pattern", PATTERNS)
    @pytest.mark.parametrize("code", [200, 250, 251, 252, 299])
    def test_b14_any_2xx_to_the_dot(self, pattern: Pattern, code: int) -> None:
        """Any 2xx delivers."""
        dialogue = at_stage(pattern, Stage.END_OF_DATA)
        assert kinds(dialogue.say(f"{code} queued")) == [Accepted]

    @cells
    @pytest.mark.parametrize(
        "bad", ["25 x", "2_5 x", "999 x", "000 x", " 250 ok", "", "550-a\r\n250 b", "x" * 9000]
    )
    def test_b13_malformed_reply(self, pattern: Pattern, stage: Stage, bad: str) -> None:
        """What is not a reply defers, and is ambiguous once the end of data was written."""
        dialogue = at_stage(pattern, stage)
        dialogue.say(bad)
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous == (stage is Stage.END_OF_DATA or pattern is E)
        assert dialogue.session.is_over

    def test_nothing_is_written_after_the_end(self) -> None:
        """Dead for good."""
        dialogue = Dialogue(B, 3)
        dialogue.say("garbage")
        dialogue.take()
        assert dialogue.session.feed(b"250 ok\r\n", dialogue.now) == []
        assert dialogue.session.expire(dialogue.now + 1e6) == []
        assert dialogue.session.lost("again", dialogue.now) == []
        assert dialogue.session.quit() == []
        assert dialogue.session.outgoing(dialogue.now) == []
        assert dialogue.session.deadline() is None


class TestEnds:
    @cells
    def test_b1_stall(self, pattern: Pattern, stage: Stage) -> None:
        """Silence ends at the limit of that stage, not before."""
        dialogue = at_stage(pattern, stage)
        limits = {Stage.MAIL: 300, Stage.RCPT: 300, Stage.DATA: 120, Stage.END_OF_DATA: 600}
        due = dialogue.session.deadline()
        assert due is not None
        assert due[1] - dialogue.now == pytest.approx(limits[stage], abs=2)
        assert dialogue.session.expire(due[1] - 2) == []
        facts = dialogue.pass_deadline()
        assert isinstance(facts[0], Lost)
        assert facts[0].ambiguous == (stage is Stage.END_OF_DATA or pattern is E)
        assert isinstance(facts[-1], Ended)
        assert facts[-1].is_error

    def test_b9_drip(self) -> None:
        """A byte a second does not prolong the limit of a reply."""
        dialogue = Dialogue(B, 1)
        due = dialogue.session.deadline()
        for byte in b"250-" + b"x" * 200:
            dialogue.say(bytes([byte]), after_s=1.0)
        assert dialogue.session.deadline() == due

    def test_b28_slow_but_in_time(self) -> None:
        """The reply to the dot may come after 9 min 50 s."""
        dialogue = Dialogue(B, 1)
        dialogue.say(OK, OK, GO)
        assert dialogue.session.expire(dialogue.now + 590) == []
        assert kinds(dialogue.say(QUEUED, after_s=590)) == [Accepted]

    @cells
    @pytest.mark.parametrize("number", [0, 2])
    def test_b2_b3_closed_at_each_stage(self, pattern: Pattern, stage: Stage, number: int) -> None:
        """Closed by the peer: ambiguous after the end of data; before the reply to MAIL no attempt, if it
        had served."""
        dialogue = at_stage(pattern, stage, number=number, count=number + 1)
        dialogue.lose()
        (fact,) = dialogue.of(number)
        (ended,) = [each for each in dialogue.facts if isinstance(each, Ended)]
        if stage is Stage.MAIL and number and pattern is not E:
            assert isinstance(fact, Unsent)
            assert not ended.is_error
        else:
            assert isinstance(fact, Lost)
            assert fact.ambiguous == (stage is Stage.END_OF_DATA or pattern is E)
            assert ended.is_error

    @cells
    @pytest.mark.parametrize("number", [0, 2])
    def test_b4_421_at_each_stage(self, pattern: Pattern, stage: Stage, number: int) -> None:
        """S-06: 421 never bounces, nothing more is written, and at the end of data it leaves a doubt."""
        dialogue = at_stage(pattern, stage, number=number, count=number + 3)
        dialogue.say("421 4.3.2 going down")
        dialogue.lose()
        assert dialogue.take() == b""
        (fact,) = dialogue.of(number)
        # Pattern E begins only behind a message that was taken.
        if stage is Stage.MAIL and (number or pattern is E):
            assert isinstance(fact, Unsent)
        else:
            assert isinstance(fact, Lost)
            assert fact.reply is not None
            assert fact.reply.code == 421
            assert fact.ambiguous == (stage is Stage.END_OF_DATA)
        (ended,) = [each for each in dialogue.facts if isinstance(each, Ended)]
        assert ended.reply is not None
        assert dialogue.session.is_over

    def test_421_then_silence(self) -> None:
        """What does not come within five seconds and two round trips is given up."""
        dialogue = Dialogue(C, 2, plan=Plan(pattern=C, verdict=True, rtt_s=0.5))
        dialogue.say(OK, OK, GO)
        dialogue.say("421 bye")
        assert dialogue.session.deadline() == ("parting", dialogue.now + 6.0)
        dialogue.pass_deadline()
        assert dialogue.session.is_over
        assert kinds(dialogue.of(1)) == [Unsent]

    def test_replies_behind_421_are_settled(self) -> None:
        """Exim answers on after its 421; the delivery before it stands, the connection ends when all has
        come."""
        dialogue = Dialogue(CB, 2)
        dialogue.say(OK, OK)
        dialogue.say(QUEUED, "421 too many messages in this connection")
        assert kinds(dialogue.of(0)) == [Accepted]
        assert kinds(dialogue.of(1)) == [Unsent]
        assert not dialogue.session.is_over
        dialogue.say("503 sender not yet given")
        assert dialogue.session.is_over

    def test_b12_blind_and_the_end_is_never_answered(self) -> None:
        """A stray behind MAIL's reply makes RCPT's the one that stands where the end of data was due."""
        dialogue = Dialogue(E, 1)
        dialogue.say(OK, "250 2.1.0 sender ok", "250 stray", is_quiet=False)
        dialogue.say("250 2.1.5 recipient ok")
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous
        assert dialogue.verdicts == [False]

    @pytest.mark.parametrize("stray", ["450 stray", "250 stray"])
    def test_b12_blind_and_the_end_is_answered_as_the_next_reset(self, stray: str) -> None:
        """A stray takes the place of the answer to a message that was accepted: it was not refused."""
        dialogue = Dialogue(E, 2)
        dialogue.say(OK, OK, OK, stray, is_quiet=False)
        dialogue.say(QUEUED, OK, "250 sender ok", "250 ok", is_quiet=False)
        facts = [fact for number in (0, 1) for fact in dialogue.of(number)]
        assert kinds(facts) == [Lost, Lost]
        assert dialogue.session.is_over

    def test_b12_bdat_is_answered_with_the_word_on_an_address(self) -> None:
        """The same with CB, where the stray and the reply to RCPT come apart."""
        dialogue = Dialogue(CB, 1)
        dialogue.say("250 2.1.0 sender ok", "250 stray")
        dialogue.say("250 2.1.5 recipient ok")
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous

    @pytest.mark.parametrize(("reply", "kind"), [(QUEUED, Lost), ("554 no", Refused)])
    def test_b12_421_that_nobody_asked_for(self, reply: str, kind: type[Fact]) -> None:
        """It may be the true answer to the dot. Behind a refusal it is none (Postfix: too many errors)."""
        dialogue = at_stage(B, Stage.END_OF_DATA)
        dialogue.say(reply, "421 4.3.2 bye", is_quiet=False)
        dialogue.lose()
        (fact,) = dialogue.of(0)
        assert type(fact) is kind
        assert isinstance(fact, Refused) or fact.ambiguous  # type: ignore[attr-defined]

    def test_b12_a_refused_reset_behind_a_refusal(self) -> None:
        """A stray was taken for the reply to RCPT: each later one is an answer too early."""
        dialogue = Dialogue(B, 2)
        dialogue.say(OK, "550 stray", "450 not now", is_quiet=False)
        dialogue.say("554 no valid recipients", is_quiet=False)
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert not fact.ambiguous

    def test_e_needs_words_that_differ(self) -> None:
        """A peer that says the same of an envelope and of a message is not sent to blind."""
        dialogue = Dialogue(E, 3, is_known=False)
        while dialogue.due is not None:
            dialogue.say(OK)
        assert dialogue.session.pattern is CB
        assert kinds(dialogue.facts) == [Accepted] * 3

    def test_e_trusts_nothing_behind_421(self) -> None:
        """Behind a 421 that answered no command every position is one too early."""
        dialogue = Dialogue(E, 2)
        dialogue.say(OK, OK, OK, "421 shutting down", *[OK] * 4)
        assert [
            (type(fact), fact.ambiguous) for n in (0, 1) for fact in dialogue.of(n) if isinstance(fact, Lost)
        ] == [
            (Lost, True),
            (Lost, True),
        ]

    def test_idle_421(self) -> None:
        """A server that closes an idle connection with 421 has done nothing wrong."""
        dialogue = Dialogue(B, 1)
        dialogue.say(OK, OK, GO)
        dialogue.say(QUEUED)
        (ended,) = dialogue.say("421 idle too long")
        assert isinstance(ended, Ended)
        assert not ended.is_error
        assert dialogue.session.is_over

    @pytest.mark.parametrize("pattern", PATTERNS)
    @pytest.mark.parametrize(("limit", "mail_max"), [(2, 0), (9, 2)])
    def test_messages_per_connection(self, pattern: Pattern, limit: int, mail_max: int) -> None:
        """Ours or the peer's MAILMAX, whichever is less; then QUIT, alone."""
        offer = Extensions(OFFERS[pattern].pipelining, OFFERS[pattern].chunking, mail_max=mail_max)
        plan = Plan(pattern=pattern, verdict=True, window=4, messages=limit)
        dialogue = Dialogue(pattern, 5, offer=offer, plan=plan, is_known=False)
        for _ in range(40):
            due = dialogue.due
            if due is None or due[0] == "QUIT":
                break
            dialogue.say({"DATA": GO, "END": QUEUED}.get(due[0], OK))
        assert Ended("messages per connection", None, False) in dialogue.facts
        assert len(dialogue.waiting) == 3
        assert dialogue.written.count(b"MAIL") == 2
        assert dialogue.written.endswith(b"QUIT\r\n")
        dialogue.say("221 bye")
        assert sum(isinstance(fact, Accepted) for fact in dialogue.facts) == 2

    def test_quit_finishes_what_has_begun(self) -> None:
        """At QUIT the message under way and the one whose envelope is out are finished, the others unsent
        (S-15)."""
        dialogue = Dialogue(C, 3)
        dialogue.say(OK, OK, GO)
        dialogue.turn(dialogue.session.quit())
        dialogue.waiting.clear()
        dialogue.say(QUEUED, OK, OK, GO)
        dialogue.take()
        dialogue.say(QUEUED)
        assert dialogue.take() == b"QUIT\r\n"
        assert kinds(dialogue.facts) == [Accepted]
        assert dialogue.session.deadline() == ("hold", dialogue.now + 1.0)
        dialogue.say("221 bye")
        assert kinds(dialogue.facts) == [Accepted, Accepted]
        assert dialogue.session.is_clean

    def test_quit_has_its_own_limit(self) -> None:
        """A QUIT that nobody answers is waited for five seconds, without a verdict to wait with it."""
        dialogue = Dialogue(B, 0)
        dialogue.turn(dialogue.session.quit())
        assert dialogue.session.deadline() == ("QUIT", dialogue.now + 5.0)

    @pytest.mark.parametrize("end", ["500 what", "421 x", "garbage", None])
    def test_nothing_at_quit_matters(self, end: str | None) -> None:
        """Whatever comes, or nothing: no fact."""
        dialogue = Dialogue(B, 0)
        dialogue.turn(dialogue.session.quit())
        assert dialogue.take() == b"QUIT\r\n"
        assert (dialogue.pass_deadline() if end is None else dialogue.say(end)) == []
        assert dialogue.session.is_over

    def test_abort_by_the_owner(self) -> None:
        """What was under way is lost, what had not begun is unsent."""
        dialogue = Dialogue(B, 1)
        facts = dialogue.session.lost("lease over", dialogue.now, by_peer=False)
        assert kinds(facts) == [Lost, Ended]


class TestProbe:
    """Pattern C on a host of which nothing is known."""

    @staticmethod
    def probing(count: int = 3) -> Dialogue:
        dialogue = Dialogue(C, count, plan=Plan(pattern=C, rtt_s=0.01))
        dialogue.say(OK, OK, GO)
        dialogue.take()
        return dialogue

    def test_haraka(self) -> None:
        """503 to what lies behind the dot: RSET, the same message again by B, on the same connection;
        learned."""
        dialogue = self.probing(2)
        dialogue.say(QUEUED, "503 pipelined", "503 pipelined", "503 pipelined")
        assert dialogue.verdicts == [False]
        assert dialogue.of(1) == []
        assert dialogue.take() == b"RSET\r\n" + mail(1) + b"DATA\r\n"
        dialogue.say(OK, OK, OK, GO)
        assert kinds(dialogue.of(0)) == [Accepted]
        assert dialogue.take() == STUFFED
        dialogue.say(QUEUED)
        assert kinds(dialogue.of(1)) == [Accepted]

    def test_chasquid(self) -> None:
        """Silence behind the dot: the first is delivered, the second unsent, the verdict learned after 10
        s."""
        dialogue = self.probing(2)
        dialogue.say(QUEUED)
        assert kinds(dialogue.pass_deadline()) == [Accepted]
        due = dialogue.session.deadline()
        assert due is not None
        assert due[1] - dialogue.now == pytest.approx(9.0)
        dialogue.pass_deadline()
        assert dialogue.verdicts == [False]
        assert kinds(dialogue.of(1)) == [Unsent]
        assert dialogue.facts[-1] == Ended("no reply to an envelope behind a body", None, False)

    def test_a_good_host(self) -> None:
        """Three groups answered as they should be settle it, once."""
        dialogue = self.probing(8)
        for _ in range(6):
            dialogue.say(QUEUED, OK, OK, GO)
        assert dialogue.verdicts == [True]

    def test_closed_in_the_first_group(self) -> None:
        """A server that closes without answering even the dot is no place for C; the message is ambiguous."""
        dialogue = self.probing(2)
        dialogue.lose()
        assert dialogue.verdicts == [False]
        (fact,) = dialogue.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous
        assert kinds(dialogue.of(1)) == [Unsent]

    def test_354_behind_503(self) -> None:
        """A server that goes on with DATA after all gets no body."""
        dialogue = self.probing(2)
        dialogue.say(QUEUED, "503 no", OK, GO)
        assert kinds(dialogue.of(0)) == [Accepted]
        assert kinds(dialogue.of(1)) == [Unsent]
        assert dialogue.take() == b""
        assert dialogue.session.is_over

    def test_cb_has_the_same_way_back(self) -> None:
        """CB balked at goes on by B, with DATA."""
        dialogue = Dialogue(CB, 2)
        dialogue.say(OK, OK)
        dialogue.take()
        dialogue.say(QUEUED, "503 no", "503 no")
        assert dialogue.verdicts == [False]
        assert dialogue.take() == b"RSET\r\n" + mail(1) + b"DATA\r\n"

    @pytest.mark.parametrize("code", [450, 550])
    def test_an_ordinary_refusal_is_no_verdict(self, code: int) -> None:
        """MAIL refused behind a dot for its own sake is a refusal of that message."""
        dialogue = self.probing(2)
        dialogue.say(QUEUED, f"{code} sender", "503 no", "503 no")
        assert isinstance(dialogue.of(1)[0], Refused)
        assert dialogue.verdicts == []


class TestLargeBodies:
    WIRE = (b".line\r\n" * 30000) + b"end\r\n"

    @pytest.mark.parametrize("pattern", [A, B, C, CB])
    def test_blocks(self, pattern: Pattern) -> None:
        """A large body goes out block by block, and all of it."""
        dialogue = Dialogue(pattern, 0, wire=self.WIRE)
        session = dialogue.session
        session.submit(Transaction(large(self.WIRE), 0))
        session.outgoing(0.0)
        while (due := session.deadline()) and due[0] != "block":
            session.feed(b"354 go\r\n" if due[0] == "DATA" else b"250 ok\r\n", 1.0)
            chunks = session.outgoing(1.0)
            if session.has_more:
                break
        written = b"".join(chunks)
        while session.has_more:
            block = b"".join(session.outgoing(2.0))
            assert len(block) <= 2 * 65536
            written += block
        if pattern is CB:
            assert written == b"BDAT %d LAST\r\n" % len(self.WIRE) + self.WIRE
        else:
            assert written == b"." + self.WIRE.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        session.feed(b"250 ok\r\n", 3.0)
        assert kinds(session.expire(3.1)) == [Accepted]

    def streaming(self, offer: Extensions = PIPELINING, pattern: Pattern = B) -> Dialogue:
        dialogue = Dialogue(
            pattern, 0, offer=offer, plan=Plan(pattern=pattern, timeouts=Timeouts(block_s=180))
        )
        session = dialogue.session
        session.submit(Transaction(large(self.WIRE), 0))
        session.outgoing(dialogue.now)
        session.feed(b"250 ok\r\n250 ok\r\n" + (b"354 go\r\n" if pattern is B else b""), dialogue.now)
        session.outgoing(dialogue.now)
        assert session.has_more
        return dialogue

    @pytest.mark.parametrize(("offer", "pattern"), [(PIPELINING, B), (BOTH, CB)])
    def test_b17_the_peer_stops_reading(self, offer: Extensions, pattern: Pattern) -> None:
        """Each block has its own time; the octets were not finished, so nothing is ambiguous."""
        dialogue = self.streaming(offer, pattern)
        assert dialogue.session.deadline() == ("block", dialogue.now + 180)
        dialogue.now += 100
        dialogue.session.outgoing(dialogue.now)
        assert dialogue.session.deadline() == ("block", dialogue.now + 180)
        dialogue.now += 180
        (lost, ended) = dialogue.session.expire(dialogue.now)
        assert isinstance(lost, Lost)
        assert (lost.stage, lost.ambiguous) == (Stage.DATA, False)
        assert isinstance(ended, Ended)

    @pytest.mark.parametrize("reply", [b"250 ok\r\n", b"552 too big\r\n", b"421 bye\r\n", b"2", b"junk\r\n"])
    def test_reply_in_mid_body(self, reply: bytes) -> None:
        """A reply before the end of data is no verdict: deferred, never delivered, nothing ambiguous."""
        dialogue = self.streaming()
        dialogue.session.feed(reply, dialogue.now)
        facts = dialogue.session.lost("closed", dialogue.now)
        assert facts == []
        assert dialogue.session.is_over
        assert dialogue.session.outgoing(dialogue.now) == []

    def test_what_is_kept_of_an_early_refusal(self) -> None:
        """The reply goes along, for whoever classifies."""
        dialogue = self.streaming()
        lost = dialogue.session.feed(b"552 too big\r\n", dialogue.now)[0]
        assert isinstance(lost, Lost)
        assert lost.reply is not None
        assert (lost.stage, lost.ambiguous, lost.reply.code) == (Stage.DATA, False, 552)


class TestPermits:
    LARGE = TestLargeBodies.WIRE

    def held(self, pattern: Pattern, count: int = 1, wire: bytes = WIRE) -> tuple[Dialogue, list[bool]]:
        """All envelopes accepted where that comes first, and no octets permitted yet: `answers[0]` is what the
        permit says."""
        answers = [False]
        dialogue = Dialogue(pattern, 0)
        for number in range(count):
            envelope = Envelope("s@a.test", f"r{number}@b.test", message(wire))
            dialogue.waiting.append(Transaction(envelope, number, lambda: answers[0]))
        dialogue.turn([])
        while (due := dialogue.session.deadline()) and due[0] in ("MAIL", "RCPT", "DATA"):
            dialogue.say(GO if due[0] == "DATA" else OK)
        return dialogue, answers

    @pytest.mark.parametrize("wire", [WIRE, LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("pattern", [A, B, C, CB])
    def test_octets_wait_for_it(self, pattern: Pattern, wire: bytes) -> None:
        """Nothing of the message is written before, all of it after."""
        dialogue, answers = self.held(pattern, wire=wire)
        dialogue.take()
        dialogue.turn([])
        assert dialogue.take() == b""
        due = dialogue.session.deadline()
        assert due is not None
        assert due[0] == "permit"
        answers[0] = True
        dialogue.turn([])
        while dialogue.session.has_more:
            dialogue.turn([])
        assert len(dialogue.take()) > len(wire)
        assert kinds(dialogue.say(QUEUED)) == [Accepted]

    def test_e_begins_nothing_without_it(self) -> None:
        """Octets go out with their envelope there, so neither does."""
        dialogue, answers = self.held(E)
        assert dialogue.take() == b""
        answers[0] = True
        dialogue.turn([])
        assert dialogue.take() == b"RSET\r\n" + mail(0) + BDAT
        assert kinds(dialogue.say(OK, OK, OK, QUEUED)) == [Accepted]

    @pytest.mark.parametrize("pattern", PATTERNS)
    def test_without_it_in_time_nothing_was_tried(self, pattern: Pattern) -> None:
        """No attempt, no dot, and the connection is given up."""
        dialogue, _ = self.held(pattern, 2)
        dialogue.take()
        dialogue.pass_deadline()
        assert kinds(dialogue.of(0)) == [Unsent]
        assert kinds(dialogue.of(1)) == [Unsent] or len(dialogue.waiting) == 1
        assert dialogue.session.is_over
        assert dialogue.take() == b""

    @pytest.mark.parametrize("pattern", [B, CB])
    def test_withdrawn_in_mid_body(self, pattern: Pattern) -> None:
        """A large message stops between two blocks: its end is not written, so it was not sent."""
        dialogue, answers = self.held(pattern, wire=self.LARGE)
        answers[0] = True
        written = b"".join(dialogue.session.outgoing(dialogue.now))
        assert written
        answers[0] = False
        assert dialogue.session.outgoing(dialogue.now) == []
        assert dialogue.session.deadline() == ("permit", dialogue.now + 20)
        dialogue.pass_deadline()
        assert kinds(dialogue.of(0)) == [Unsent]
        assert not written.endswith(self.LARGE[-64:])


def large(wire: bytes):  # type: ignore[no-untyped-def]
    return Dialogue(B, 2, wire=wire).waiting[-1].envelope
