"""How real peers word their replies, and what of it tells a reply that answers another command."""

import pytest

from mta.model.reply import Reply
from mta.smtp.parser import ReplyReader
from mta.smtp.transaction import Position
from mta.smtp.wording import Wording

MAIL, RCPT, END = Position.MAIL, Position.RCPT, Position.END

POSTFIX = {
    MAIL: "250 2.1.0 Ok",
    RCPT: "250 2.1.5 Ok",
    END: "250 2.0.0 Ok: queued as 4F5A81C0B2",
}
EXIM = {MAIL: "250 OK", RCPT: "250 Accepted", END: "250 OK id=1vNqXY-00000003hYz-2abc"}
SENDMAIL = {
    MAIL: "250 2.1.0 <s@a.test>... Sender ok",
    RCPT: "250 2.1.5 <r@b.test>... Recipient ok",
    END: "250 2.0.0 5APLBJ4k012345 Message accepted for delivery",
}
SPARSE = {MAIL: "250 OK", RCPT: "250 OK", END: "250 Message queued as 17"}
PEERS = {"postfix": POSTFIX, "exim": EXIM, "sendmail": SENDMAIL, "sparse": SPARSE}
MONOTONE = dict.fromkeys((MAIL, RCPT, END), "250 OK")

peers = pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)


def reply(line: str) -> Reply:
    (one,) = ReplyReader().feed(line.encode() + b"\r\n")
    return one


def known(peer: dict[Position, str]) -> Wording:
    wording = Wording()
    for position, line in peer.items():
        assert wording.fits(position, reply(line), is_blind=False)
    return wording


def is_astray(wording: Wording, position: Position, line: str, *, is_blind: bool) -> bool:
    return not wording.fits(position, reply(line), is_blind=is_blind)


@peers
@pytest.mark.parametrize("is_blind", [True, False])
def test_what_belongs_there_is_in_place(peer: dict[Position, str], is_blind: bool) -> None:
    """The next message, with another id."""
    wording = known(peer)
    assert wording.is_telling
    later = {**peer, END: peer[END].replace("4F5A", "AB12").replace("1vNq", "1vNr").replace("17", "18")}
    assert not any(is_astray(wording, position, line, is_blind=is_blind) for position, line in later.items())


@peers
@pytest.mark.parametrize("position", [MAIL, RCPT])
def test_the_answer_to_an_envelope_is_no_delivery(peer: dict[Position, str], position: Position) -> None:
    """Shifted by one or two: what the end of data hears is what was said of an address."""
    for is_blind in (True, False):
        assert is_astray(known(peer), END, peer[position], is_blind=is_blind)


@peers
def test_blind_the_other_way_too(peer: dict[Position, str]) -> None:
    """What was said of a message is not the answer to the envelope of the next."""
    assert all(is_astray(known(peer), position, peer[END], is_blind=True) for position in (MAIL, RCPT))
    assert not any(is_astray(known(peer), position, peer[END], is_blind=False) for position in (MAIL, RCPT))


def test_words_never_heard() -> None:
    """Blind they are no delivery; else a peer may say what it likes (B14)."""
    assert is_astray(known(POSTFIX), END, "250 stray", is_blind=True)
    assert not is_astray(known(POSTFIX), END, "251 2.6.0 filed", is_blind=False)


def test_an_address_is_never_the_answer_to_the_end_of_data() -> None:
    """RFC 3463 section 3.2: subject 1 reports on the address. Known without any earlier message."""
    assert is_astray(Wording(), END, "250 2.1.5 recipient ok", is_blind=False)
    assert not is_astray(Wording(), END, "250 recipient ok", is_blind=False)


def test_a_peer_of_one_word_tells_nothing() -> None:
    """It is taken at its word, and nothing is sent to it blind."""
    wording = known(MONOTONE)
    assert not wording.is_telling
    assert not is_astray(wording, END, "250 OK", is_blind=False)


def test_nothing_is_told_before_a_message_was_taken() -> None:
    wording = Wording()
    assert wording.fits(MAIL, reply("250 OK"), is_blind=False)
    assert wording.fits(RCPT, reply("250 Accepted"), is_blind=False)
    assert not wording.is_telling


@pytest.mark.parametrize("line", ["250", "250 ", "250 \xe9", "250 2.0.0", "250 " + "x" * 500])
def test_any_text_has_a_form(line: str) -> None:
    assert not is_astray(Wording(), MAIL, line, is_blind=True)
