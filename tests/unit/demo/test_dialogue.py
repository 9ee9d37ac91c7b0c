"""The receiving dialogue, fed whole, byte by byte and with trailing bytes."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.demo.dialogue import Dialogue
from mta.demo.policy import CUT, RESET, STALL, Answer, Features, Pause, Policy, Received


class Scripted(Policy):
    """Answers by address; keeps what it accepted."""

    def __init__(self, replies: dict[bytes, bytes] | None = None) -> None:
        self.replies = replies or {}
        self.received: list[Received] = []

    def on_mail(self, sender: bytes) -> bytes | None:
        return self.replies.get(sender)

    def on_rcpt(self, recipient: bytes) -> bytes | None:
        return self.replies.get(recipient)

    def on_message(self, received: Received) -> bytes | None:
        reply = self.replies.get(b"message")
        if reply is None:
            self.received.append(received)
        return reply

    def before_replies(self) -> None:
        pass


Feed = Callable[[Dialogue, bytes], list[bytes]]


def whole(dialogue: Dialogue, data: bytes) -> list[bytes]:
    return dialogue.feed(data).splitlines()


def byte_by_byte(dialogue: Dialogue, data: bytes) -> list[bytes]:
    return b"".join(dialogue.feed(data[i : i + 1]) for i in range(len(data))).splitlines()


def with_trailing_bytes(dialogue: Dialogue, data: bytes) -> list[bytes]:
    """The beginning of another command lies behind: it must change nothing."""
    replies = dialogue.feed(data + b"NO").splitlines()
    assert dialogue.is_over or dialogue.feed(b"OP\r\n")[:3] == b"250"
    return replies


@pytest.fixture(params=[whole, byte_by_byte, with_trailing_bytes])
def feed(request: pytest.FixtureRequest) -> Feed:
    way: Feed = request.param
    return way


def greeted(policy: Policy, features: Features | None = None) -> Dialogue:
    dialogue = Dialogue(policy, features or Features(), session=7)
    dialogue.feed(b"EHLO client.test\r\n")
    return dialogue


def codes(replies: list[bytes]) -> list[int]:
    return [int(line[:3]) for line in replies]


GROUP = b"MAIL FROM:<s@a.test> SIZE=10 BODY=8BITMIME\r\nRCPT TO:<r@b.test>\r\n"


def test_ehlo(feed: Feed) -> None:
    """EHLO lists what is offered, the last line with a space."""
    replies = feed(Dialogue(Scripted(), Features(max_size_bytes=99, tls=True)), b"EHLO client.test\r\n")
    assert replies == [
        b"250-receiver.test",
        b"250-SIZE 99",
        b"250-8BITMIME",
        b"250-ENHANCEDSTATUSCODES",
        b"250-PIPELINING",
        b"250-CHUNKING",
        b"250 STARTTLS",
    ]


def test_data_group(feed: Feed) -> None:
    """MAIL RCPT DATA in one group, then the body with its dots undone."""
    policy = Scripted()
    dialogue = greeted(policy)
    assert codes(dialogue.feed(GROUP + b"DATA\r\n").splitlines()) == [250, 250, 354]
    assert codes(feed(dialogue, b"..one\r\n\r\n...\r\n.two\r\nx.\r\n.\r\n")) == [250]
    assert policy.received == [Received(b"s@a.test", (b"r@b.test",), b".one\r\n\r\n..\r\ntwo\r\nx.\r\n", 7)]


def test_body_with_next_envelope_behind_its_dot(feed: Feed) -> None:
    """What lies behind the dot are commands, answered in order in the same write."""
    policy = Scripted()
    dialogue = greeted(policy)
    dialogue.feed(GROUP + b"DATA\r\n")
    assert codes(feed(dialogue, b"one\r\n.\r\n" + GROUP)) == [250, 250, 250]
    assert codes(dialogue.feed(b"DATA\r\n").splitlines()) == [354]
    assert policy.received[0].body == b"one\r\n"


def test_chunk_with_next_envelope_behind(feed: Feed) -> None:
    """BDAT LAST, its octets and the next MAIL and RCPT are one group with three replies; dots are left
    alone."""
    policy = Scripted()
    dialogue = greeted(policy)
    dialogue.feed(GROUP)
    assert codes(feed(dialogue, b"BDAT 9 LAST\r\n.\r\n..x\r\n\n" + GROUP)) == [250, 250, 250]
    assert [received.body for received in policy.received] == [b".\r\n..x\r\n\n"]


def test_several_chunks(feed: Feed) -> None:
    """Chunks add up, and an empty LAST ends the message."""
    policy = Scripted()
    dialogue = greeted(policy)
    assert codes(feed(dialogue, GROUP + b"BDAT 3\r\nab\rBDAT 2\r\n\ncBDAT 0 LAST\r\n")) == [250] * 5
    assert policy.received[0].body == b"ab\r\nc"


def test_octets_of_refused_chunk_are_swallowed(feed: Feed) -> None:
    """A message made of SMTP commands stays a message when its recipient was refused."""
    policy = Scripted({b"r@b.test": b"550 5.1.1 no\r\n"})
    dialogue = greeted(policy)
    smuggled = b"RSET\r\nMAIL FROM:<x@x.test>\r\nRCPT TO:<y@y.test>\r\nBDAT 1 LAST\r\nz"
    stream = GROUP + b"BDAT %d LAST\r\n%bRSET\r\n" % (len(smuggled), smuggled)
    assert codes(feed(dialogue, stream)) == [250, 550, 554, 250]
    assert policy.received == []


def test_refusal_without_rset_is_nested_mail(feed: Feed) -> None:
    """After a refused RCPT the transaction is still open: MAIL without RSET is refused, the rest would go
    out under the wrong sender."""
    dialogue = greeted(Scripted({b"r@b.test": b"550 5.1.1 no\r\n"}))
    assert codes(feed(dialogue, GROUP + b"DATA\r\n" + GROUP)) == [250, 550, 554, 503, 550]


def test_one_of_two_recipients_refused(feed: Feed) -> None:
    """The accepted one gets the message."""
    policy = Scripted({b"no@b.test": b"550-5.1.1 no\r\n550 5.1.1 really\r\n"})
    dialogue = greeted(policy)
    assert codes(feed(dialogue, GROUP + b"RCPT TO:<no@b.test>\r\nBDAT 1 LAST\r\nx")) == [
        250,
        250,
        550,
        550,
        250,
    ]
    assert policy.received[0].recipients == (b"r@b.test",)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (b"RCPT TO:<r@b.test>\r\n", 503),
        (b"DATA\r\n", 503),
        (b"BDAT 3 LAST\r\nabc", 503),
        (b"MAIL FROM:<s@a.test> SIZE=100\r\n", 552),
        (b"MAIL FROM:<s@a.test> BODY=7BIT SIZE=100\r\n", 552),
        (b"MAIL FROM:<s@a.test> BODY=7BIT SIZE=1\r\n", 250),
        (b"MAIL FROM:<s@a.test> SMTPUTF8\r\n", 555),
        (b"MAIL FROM:<>\r\n", 250),
        (b'MAIL FROM:<"a > b"@a.test>\r\n', 250),
        (b"MAIL FROM:<a>b@a.test>\r\n", 501),
        (b"MAIL FROM:<s@a.test\n>\r\n", 501),
        (b"MAIL FROM:<s\xe4@a.test>\r\n", 501),
        (b"RCPT TO:<>\r\n", 501),
        (b'RCPT TO:<"a@b.test>\r\n', 501),
        (b"mail from:<s@a.test>\r\n", 250),
        (b"NOOP whatever\r\n", 250),
        (b"XXXX\r\n", 500),
        (b"STARTTLS\r\n", 500),
        (b"QUIT\r\n", 221),
    ],
)
def test_single_command(feed: Feed, commands: bytes, expected: int) -> None:
    """Each command out of place or malformed has its reply, and exactly one."""
    dialogue = greeted(Scripted(), Features(max_size_bytes=50))
    assert codes(feed(dialogue, commands)) == [expected]


def test_mail_before_ehlo(feed: Feed) -> None:
    """Nobody sends without a greeting."""
    assert codes(feed(Dialogue(Scripted(), Features()), b"MAIL FROM:<s@a.test>\r\n")) == [503]


def test_malformed_chunk_closes() -> None:
    """With an unknown number of octets behind it nothing that follows can be trusted."""
    dialogue = greeted(Scripted())
    assert codes(whole(dialogue, GROUP + b"BDAT x LAST\r\nRSET\r\n")) == [250, 250, 501]
    assert dialogue.is_over


def test_oversize_message(feed: Feed) -> None:
    """By DATA or BDAT, a message beyond the limit is read to its end, not kept, and refused."""
    policy = Scripted()
    dialogue = greeted(policy, Features(max_size_bytes=50))
    dialogue.feed(GROUP + b"DATA\r\n")
    assert codes(feed(dialogue, b"x" * 60 + b"\r\n.\r\n")) == [552]
    assert codes(feed(dialogue, GROUP + b"BDAT 51 LAST\r\n" + b"x" * 51)) == [250, 250, 552]
    assert policy.received == []


def test_message_of_exactly_the_limit(feed: Feed) -> None:
    """The limit itself is allowed, stuffing and terminator not counted."""
    policy = Scripted()
    dialogue = greeted(policy, Features(max_size_bytes=50))
    dialogue.feed(GROUP + b"DATA\r\n")
    assert codes(feed(dialogue, b"x" * 48 + b"\r\n.\r\n")) == [250]


def test_endless_line_is_cut() -> None:
    """A line without an end does not fill the memory."""
    dialogue = greeted(Scripted())
    assert codes(whole(dialogue, b"x" * 5000)) == [500]
    assert dialogue.is_over


def test_only_crlf_dot_crlf_ends_data(feed: Feed) -> None:
    """Bare LF and bare CR end nothing: what follows them is body, not commands."""
    policy = Scripted()
    dialogue = greeted(policy)
    dialogue.feed(GROUP + b"DATA\r\n")
    assert codes(feed(dialogue, b"a\n.\nMAIL\r\n.\nb\r.\r\r\n.\r\n")) == [250]
    assert policy.received[0].body == b"a\n.\nMAIL\r\n\nb\r.\r\r\n"


def test_empty_message(feed: Feed) -> None:
    """A dot alone is an empty message."""
    policy = Scripted()
    dialogue = greeted(policy)
    dialogue.feed(GROUP + b"DATA\r\n")
    assert codes(feed(dialogue, b".\r\n")) == [250]
    assert policy.received[0].body == b""


def test_stall_answers_nothing_more() -> None:
    """A stalled peer keeps the connection and says nothing."""
    dialogue = greeted(Scripted({b"message": STALL}))
    assert codes(whole(dialogue, GROUP + b"BDAT 1 LAST\r\nx" + GROUP)) == [250, 250]
    assert dialogue.feed(b"NOOP\r\n") == b""
    assert not dialogue.is_over


def test_cut_and_421_end_it() -> None:
    """CUT closes without a word, 421 after its own."""
    cut = greeted(Scripted({b"message": CUT}))
    assert codes(whole(cut, GROUP + b"BDAT 1 LAST\r\nx" + GROUP)) == [250, 250]
    assert cut.is_over
    closing = greeted(Scripted({b"r@b.test": b"421 4.7.0 go away\r\n"}))
    assert codes(whole(closing, GROUP + GROUP)) == [250, 421]
    assert closing.is_over


def test_own_positive_reply_accepts(feed: Feed) -> None:
    """A policy may word its 250 itself."""
    policy = Scripted({b"s@a.test": b"250 2.1.0 fine\r\n", b"r@b.test": b"250 2.1.5 good\r\n"})
    assert codes(feed(greeted(policy), GROUP + b"BDAT 1 LAST\r\nx")) == [250, 250, 250]
    assert len(policy.received) == 1


def test_starttls_drops_what_lies_behind() -> None:
    """Commands sent in clear behind STARTTLS are never run (RFC 3207 section 6), and EHLO starts anew."""
    dialogue = greeted(Scripted(), Features(tls=True))
    assert codes(whole(dialogue, b"STARTTLS\r\nMAIL FROM:<s@a.test>\r\n")) == [220]
    assert dialogue.wants_tls
    dialogue.tls_started()
    assert codes(whole(dialogue, b"MAIL FROM:<s@a.test>\r\n")) == [503]
    assert b"STARTTLS" not in dialogue.feed(b"EHLO client.test\r\n")


@given(
    bodies=st.lists(
        st.lists(st.sampled_from([b".", b"..", b"x", b"", b"\n", b"a.b"])).map(b"\r\n".join), max_size=4
    ),
    cuts=st.lists(st.integers(0, 400), max_size=8),
)
def test_pieces_never_matter(bodies: list[bytes], cuts: list[int]) -> None:
    """However a stream of messages is cut into reads, the same messages come out with the same replies."""
    stream = b""
    for body in bodies:
        wire = body + b"\r\n"
        stuffed = (b"\r\n" + wire).replace(b"\r\n.", b"\r\n..")[2:]
        stream += GROUP + b"DATA\r\n" + stuffed + b".\r\n" + GROUP + b"BDAT %d LAST\r\n" % len(wire) + wire
    policy = Scripted()
    dialogue = greeted(policy)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    replies = b"".join(dialogue.feed(stream[a:b]) for a, b in itertools.pairwise(edges))
    assert codes(replies.splitlines()) == [250, 250, 354, 250, 250, 250, 250] * len(bodies)
    assert [received.body for received in policy.received] == [
        body + b"\r\n" for body in bodies for _ in range(2)
    ]


class Moody(Scripted):
    """Answers each phase with what was given for it."""

    def __init__(self, **answers: Answer) -> None:
        super().__init__()
        self.answers = answers

    def on_connect(self) -> Answer:
        return self.answers.get("connect")

    def on_ehlo(self) -> Answer:
        return self.answers.get("ehlo")

    def on_mail(self, sender: bytes) -> Answer:
        return self.answers.get("mail")

    def on_rcpt(self, recipient: bytes) -> Answer:
        return self.answers.get("rcpt")

    def on_data(self, recipients: tuple[bytes, ...]) -> Answer:
        return self.answers.get("data")

    def on_body(self, recipients: tuple[bytes, ...]) -> Answer:
        return self.answers.get("body")

    def on_message(self, received: Received) -> Answer:
        self.received.append(received)
        return self.answers.get("message")

    def behind_message(self, received: Received) -> Answer:
        return self.answers.get("behind")


PHASES = ("connect", "ehlo", "mail", "rcpt", "data", "body", "message", "behind")
BY_DATA = (
    b"EHLO c.test\r\n",
    b"MAIL FROM:<s@a.test>\r\n",
    b"RCPT TO:<r@b.test>\r\n",
    b"DATA\r\n",
    b"x\r\n.\r\n",
)
BY_CHUNK = (*BY_DATA[:3], b"BDAT 2\r\nx\r", b"BDAT 1 LAST\r\n\n")


def talk(dialogue: Dialogue, commands: tuple[bytes, ...]) -> list[int]:
    said = dialogue.greeting() + b"".join(dialogue.feed(command) for command in commands)
    return codes([line for line in said.splitlines() if line[3:4] == b" "])


@pytest.mark.parametrize("commands", [BY_DATA, BY_CHUNK])
@pytest.mark.parametrize("phase", PHASES)
def test_silence_in_every_phase(phase: str, commands: tuple[bytes, ...]) -> None:
    """STALL, CUT and RESET leave all replies before the phase and none from it on."""
    before = {"data": 4, "body": 5 - (commands is BY_CHUNK), "message": 5, "behind": 6}
    number = before.get(phase, PHASES.index(phase))
    ordinary = talk(Dialogue(Moody(), Features()), commands)
    for silence in (STALL, CUT, RESET):
        dialogue = Dialogue(Moody(**{phase: silence}), Features())
        assert talk(dialogue, commands) == ordinary[:number]
        assert (dialogue.is_over, dialogue.is_reset) == (silence != STALL, silence == RESET)


@pytest.mark.parametrize("commands", [BY_DATA, BY_CHUNK])
@pytest.mark.parametrize("phase", PHASES)
def test_pause_in_every_phase(phase: str, commands: tuple[bytes, ...]) -> None:
    """A pause keeps back its own reply and those to what comes meanwhile, and changes none; or it ends in silence."""
    ordinary = talk(Dialogue(Moody(), Features()), commands)
    policy = Moody(**{phase: Pause(2.5)})
    dialogue = Dialogue(policy, Features())
    early = talk(dialogue, commands)
    assert dialogue.pause_s == 2.5
    policy.answers.clear()
    late = [line for line in dialogue.resume().splitlines() if line[3:4] == b" "]
    assert early + codes(late) == ordinary
    assert [one.body for one in policy.received] == [b"x\r\n"]
    ending = Dialogue(Moody(**{phase: Pause(2.5, CUT)}), Features())
    talk(ending, commands)
    assert (ending.is_over, ending.resume(), ending.is_over) == (False, b"", True)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        ("connect", [451, 250, 250, 250, 354, 250]),
        ("ehlo", [220, 451, 503, 503, 503, 500]),
        ("mail", [220, 250, 451, 503, 503, 500]),
        ("rcpt", [220, 250, 250, 451, 554, 500]),
        ("data", [220, 250, 250, 250, 451, 500]),
        ("message", [220, 250, 250, 250, 354, 451]),
    ],
)
def test_refusal_in_every_phase(phase: str, expected: list[int]) -> None:
    """A refusal is said in its own phase, and what depends on it fails."""
    dialogue = Dialogue(Moody(**{phase: b"451 4.3.0 no\r\n"}), Features())
    assert talk(dialogue, BY_DATA)[:6] == expected


def test_refused_chunk_is_answered_behind_its_octets() -> None:
    """As servers do: the octets are under way already."""
    dialogue = greeted(Moody(data=b"451 4.3.0 no\r\n"))
    assert codes(whole(dialogue, GROUP + b"BDAT 3 LAST\r\n")) == [250, 250]
    assert codes(whole(dialogue, b"RS\nRSET\r\n")) == [451, 250]
