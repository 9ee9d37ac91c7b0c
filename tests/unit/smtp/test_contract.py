"""The session against servers that say anything at all, and a small model of the contract as the judge.

The server here answers what was really written, in order, and remembers what it has said; the judge knows
nothing of the session but its facts.
"""

import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.outcome import Stage
from mta.smtp.fact import Accepted, Ended, Learned, Lost, Refused, Unsent
from mta.smtp.plan import Plan
from mta.smtp.settings import Pattern
from tests.unit.smtp.dialogue import PATTERNS, WIRE, Dialogue

GOOD = {
    "RSET": b"250 ok\r\n",
    "MAIL": b"250 sender ok\r\n",
    "RCPT": b"250 recipient ok\r\n",
    "DATA": b"354 go on\r\n",
    "END": b"250 queued\r\n",
    "QUIT": b"221 bye\r\n",
}
STRANGE = [b"25 x\r\n", b"550-a\r\n250 b\r\n", b"\r\n", b"999 x\r\n", b"354 go on\r\n", b"200 ok\r\n"]


class Server:
    """Reads octets as a strict server does; `choose` says what each command is answered with."""

    def __init__(self, choose: Callable[[str], bytes]) -> None:
        self._choose = choose
        self._octets = b""
        self._size: int | None = None
        self._in_data = False
        self._has_sender = self._has_recipient = False
        self.recipient = -1
        self.said: list[tuple[int, str, bytes]] = []
        """(recipient, command, reply) in order."""
        self.complete: set[int] = set()
        """Those whose end of data was read."""
        self.begun: set[int] = set()
        """Those of whose content anything was read."""

    def read(self, octets: bytes) -> list[bytes]:
        self._octets += octets
        replies = []
        while (command := self._next()) is not None:
            reply = self._choose(command)
            is_good = 200 <= code(reply) < 300
            if command == "MAIL":
                self._has_sender, self._has_recipient = is_good, False
            elif command == "RCPT":
                self._has_recipient = is_good and self._has_sender
            elif command == "END" and not self._has_recipient and is_good:
                reply = b"503 no recipient\r\n"
            self.said.append((self.recipient, command, reply))
            if command == "DATA" and reply.startswith(b"354"):
                self._in_data = True
            replies.append(reply)
        return replies

    def _next(self) -> str | None:
        if self._in_data:
            match = re.search(rb"(?:\A|\r\n)\.\r\n", self._octets)
            if self._octets:
                self.begun.add(self.recipient)
            if match is None:
                return None
            assert self._octets[: match.end()] == b"Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n"
            self._octets = self._octets[match.end() :]
            self._in_data = False
            self.complete.add(self.recipient)
            return "END"
        if self._size is not None:
            assert self._octets[: self._size] == WIRE
            self._octets = self._octets[self._size :]
            self._size = None
            self.complete.add(self.recipient)
            return "END"
        line, found, rest = self._octets.partition(b"\r\n")
        if not found:
            return None
        self._octets = rest
        if match := re.fullmatch(rb"BDAT (\d+) LAST", line):
            self._size = int(match[1])
            self.begun.add(self.recipient)
            return self._next()
        if match := re.fullmatch(rb"RCPT TO:<r(\d+)@b\.test>", line):
            self.recipient = int(match[1])
            return "RCPT"
        verb = line[:4].decode()
        assert verb in GOOD, line
        return verb


def code(reply: bytes) -> int:
    return int(reply[:3]) if reply[:3].isdigit() else 0


def judge(dialogue: Dialogue, server: Server, count: int, is_blind: bool) -> None:
    """The contract, from what the server knows: no loss, no false success, no false refusal, no doubt left
    unsaid."""
    for number in range(count):
        facts = dialogue.of(number)
        if any(waiting.tag == number for waiting in dialogue.waiting):
            assert not facts
            continue
        assert len(facts) == 1, (number, facts)
        (fact,) = facts
        ends = [reply for who, command, reply in server.said if who == number and command == "END"]
        was_taken = any(200 <= code(reply) < 300 for reply in ends)
        if isinstance(fact, Accepted):
            assert was_taken
        elif isinstance(fact, Refused):
            assert not was_taken
            command = {Stage.END_OF_DATA: "END"}.get(fact.stage, fact.stage.name)
            # At MAIL the server does not know the recipient yet.
            assert fact.reply.code in {
                code(reply)
                for who, what, reply in server.said
                if what == command and (what == "MAIL" or who == number)
            }
        elif isinstance(fact, Unsent):
            assert not was_taken
            assert is_blind or number not in server.begun
        else:
            assert isinstance(fact, Lost)
            assert fact.ambiguous or not was_taken
            assert fact.ambiguous or is_blind or number not in server.complete
        assert len(ends) <= 1
    assert sum(isinstance(fact, Ended) for fact in dialogue.facts) <= 1
    assert len(dialogue.verdicts) <= 2
    assert not [fact for fact in dialogue.facts if isinstance(fact, Learned)] or dialogue.session.pattern


def octets_before_leave(dialogue: Dialogue, server: Server) -> bool:
    """A body went out although its MAIL or RCPT was not accepted."""
    accepted = {who for who, command, reply in server.said if command == "RCPT" and 200 <= code(reply) < 300}
    return bool(server.begun - accepted)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(PATTERNS),
    st.sampled_from([None, True]),
    st.integers(1, 8),
    st.data(),
)
def test_k1_any_server(pattern: Pattern, verdict: bool | None, count: int, data: st.DataObject) -> None:
    """Whatever a server says, wherever it stops, every fact is true and every transaction has exactly one."""
    with_strays = data.draw(st.booleans())
    fault_at = data.draw(st.integers(0, 40))
    fault = data.draw(st.sampled_from(["none", "close", "silence", "421", "strange", "stray"]))
    if fault == "stray" and not with_strays:
        fault = "none"
    answered = 0

    def choose(command: str) -> bytes:
        nonlocal answered
        answered += 1
        usual = GOOD[command]
        if answered == fault_at and fault == "421":
            return b"421 bye\r\n"
        if answered == fault_at and fault == "strange":
            return data.draw(st.sampled_from(STRANGE))
        if answered == fault_at and fault == "stray":
            return usual + data.draw(st.sampled_from([b"250 x\r\n", b"550 x\r\n", b"354 x\r\n", b"25"]))
        if command not in ("RSET", "QUIT") and data.draw(st.integers(0, 7)) == 0:
            return data.draw(st.sampled_from([b"450 x\r\n", b"550-a\r\n550 b\r\n", b"503 x\r\n"]))
        return usual

    server = Server(choose)
    plan = Plan(pattern=pattern, verdict=verdict, window=4, messages=data.draw(st.sampled_from([100, 3])))
    dialogue = Dialogue(pattern, count, plan=plan)
    dialogue.is_read = False
    for _ in range(200):
        replies = server.read(dialogue.take())
        is_cut = answered >= fault_at and fault in ("close", "silence")
        octets = b"".join(replies)
        if is_cut and octets:
            octets = octets[: data.draw(st.integers(0, len(octets)))]
        cuts = [0, *sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=3))), len(octets)]
        for start, end in itertools.pairwise(cuts):
            if end > start:
                dialogue.say(octets[start:end], is_quiet=False)
        if dialogue.session.is_over or (dialogue.session.is_idle and not dialogue.written):
            break
        if is_cut or not dialogue.written:
            if fault == "silence":
                while dialogue.session.deadline() is not None:
                    dialogue.pass_deadline()
            dialogue.lose()
            break
    else:
        raise AssertionError("the dialogue does not end")
    dialogue.lose()
    judge(dialogue, server, count, pattern is Pattern.E)
    if pattern is not Pattern.E:
        assert not octets_before_leave(dialogue, server)


STAGES = {"MAIL": (), "RCPT": (), "DATA": (Pattern.A, Pattern.B, Pattern.C), "END": ()}


@pytest.mark.parametrize("stray", [b"250 ok\r\n", b"550 no\r\n", b"354 go\r\n", b"25 x\r\n"])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize(
    ("pattern", "stage"),
    [
        (pattern, stage)
        for pattern in PATTERNS
        for stage in STAGES
        if pattern in STAGES[stage] or not STAGES[stage]
    ],
)
def test_b12_a_moment_later(pattern: Pattern, stage: str, count: int, stray: bytes) -> None:
    """An extra reply in a segment of its own, behind any reply to the first message, each later reply in a
    segment of its own too: no delivery and no refusal of that message, and no false one of any other."""
    server = Server(GOOD.__getitem__)
    dialogue = Dialogue(pattern, count)
    dialogue.is_read = False
    is_due = True
    while replies := server.read(dialogue.take()):
        begun = len(server.said) - len(replies)
        for (_, command, _), reply in zip(server.said[begun:], replies, strict=True):
            dialogue.say(reply, after_s=0.0, is_quiet=False)
            if is_due and command == stage:
                is_due = False
                dialogue.say(stray, after_s=0.001, is_quiet=False)
    assert not is_due
    dialogue.pass_quiet()
    assert dialogue.session.is_over
    (fact,) = dialogue.of(0)
    # What comes instead of the answer to the next command, and is no reply at all, is nobody's.
    is_nobodys = count > 1 and stage == "END" and stray.startswith(b"25 ")
    assert isinstance(fact, Lost) or is_nobodys
    judge(dialogue, server, count, pattern is Pattern.E)


@pytest.mark.parametrize("stray", [b"250 ok\r\n", b"221 bye\r\n"])
def test_b12_at_quit(stray: bytes) -> None:
    """A stray taken for the answer to the dot is found out by the answer to QUIT."""
    dialogue = Dialogue(Pattern.B, 1)
    dialogue.say("250 x", "250 x", "354 go", is_quiet=False)
    dialogue.say(stray, is_quiet=False)
    dialogue.turn(dialogue.session.quit())
    assert dialogue.take().endswith(b"QUIT\r\n")
    dialogue.say("250 queued", is_quiet=False)
    assert dialogue.of(0) == []
    dialogue.say("221 bye", is_quiet=False)
    (fact,) = dialogue.of(0)
    assert isinstance(fact, Lost)
    assert fact.ambiguous
    assert dialogue.session.is_over


@pytest.mark.parametrize("reply", ["250 recipient ok", "354 go on"])
def test_b12_a_refusal_beside_a_strange_answer_to_quit(reply: str) -> None:
    """A stray behind MAIL's reply is taken for a refusal of the recipient, and the true reply comes to QUIT."""
    dialogue = Dialogue(Pattern.B, 1)
    dialogue.say("250 sender ok", "550 stray", "503 no recipient", is_quiet=False)
    dialogue.turn(dialogue.session.quit())
    dialogue.say(reply, is_quiet=False)
    (fact,) = dialogue.of(0)
    assert isinstance(fact, Lost)
    assert not fact.ambiguous


def test_b12_a_go_ahead_to_quit() -> None:
    """No server says that of QUIT: a reply was added before it."""
    dialogue = Dialogue(Pattern.B, 1)
    dialogue.say("250 x", "250 x", "354 go", is_quiet=False)
    dialogue.say("250 queued", is_quiet=False)
    dialogue.turn(dialogue.session.quit())
    dialogue.say("354 go on", is_quiet=False)
    (fact,) = dialogue.of(0)
    assert isinstance(fact, Lost)
    assert dialogue.session.is_over


@pytest.mark.parametrize("reply", ["250 bye", "500 what", "221 bye", "421 bye"])
def test_nothing_at_quit_changes_a_delivery(reply: str) -> None:
    """Whatever the answer to QUIT, the delivery before it stands: at once if it is one, else when the peer closes."""
    dialogue = Dialogue(Pattern.B, 1)
    dialogue.say("250 x", "250 x", "354 go", is_quiet=False)
    dialogue.say("250 queued", is_quiet=False)
    dialogue.turn(dialogue.session.quit())
    facts = dialogue.say(reply, is_quiet=False)
    assert bool(facts) == (reply[:3] in ("221", "421"))
    dialogue.lose()
    assert isinstance(dialogue.of(0)[0], Accepted)
    assert dialogue.session.is_over
