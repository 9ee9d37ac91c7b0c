import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.classify.normalise import MOST_CHARS, Normaliser

normalise = Normaliser()


def text_of(text: str, code: int = 550, enhanced: str = "") -> str:
    return normalise(text, code, enhanced).text


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No  Such\tUser", "no such user"),
        ("<bob@b.test>: unknown", "<ADDR>: unknown"),
        ("bob+x=y@sub.b.test unknown", "ADDR unknown"),
        ("host [192.0.2.1] blocked", "host [IP] blocked"),
        ("host 2001:db8::12:ff blocked", "host IP blocked"),
        ("host [IPv6:2001:db8::1] blocked", "host [IP] blocked"),
        ("from mx-1.b.test refused", "from HOST refused"),
        ("see https://www.b.test/why?x=1 please", "see URL please"),
        ("id 3f2504e0-4f89-11d3-9a0c-0305e82c3301 refused", "id ID refused"),
        ("session a1b2c3d4e5 refused", "session ID refused"),
        ("limit of 10485760 bytes and 25MB reached", "limit of N bytes and Nmb reached"),
        ("retry in 00:05:00 please", "retry in TIME please"),
        ("try RFC5322 and 8BITMIME or IPv6 again", "try rfc5322 and 8bitmime or ipv6 again"),
        ("using zen.spamhaus.org; see http://www.spamhaus.org/x", "using zen.spamhaus.org; see URL:spamhaus"),
        ("unknown.Please look", "unknown. please look"),
        ("user unknown - a9si12 - 17", "user unknown"),
        ("don\u2019t relay".encode().decode("latin-1"), "don't relay"),
    ],
)  # fmt: skip
def test_what_differs_is_taken_out(said: str, expected: str) -> None:
    """A word in capitals stands for it."""
    assert text_of(said) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Bo\u00eete pleine".encode().decode("latin-1"), "boite pleine"),
        ("Bo\u00eete pleine", "boite pleine"),  # from a server that writes latin-1
        ("Stra\u00dfe pe\u0142na".encode().decode("latin-1"), "strasse pelna"),
        ("не найден".encode().decode("latin-1"), "не найден"),
        ("用户不存在".encode().decode("latin-1"), "用户不存在"),
        ("плохо".encode()[:-1].decode("latin-1"), "плох"),
    ],
)
def test_letters_of_all_kinds(said: str, expected: str) -> None:
    """Octets as latin-1: UTF-8 where it is that; accents of Latin letters are folded, others are part of the letter."""
    assert text_of(said) == expected


@pytest.mark.parametrize(
    ("said", "code", "enhanced", "text"),
    [
        ("(bob@b.test:550 5.1.1 User unknown)", 550, "5.1.1", "user unknown)"),
        ("host mx.b.test said: 552 5.2.2 over quota", 552, "5.2.2", "over quota"),
        ("Remote host said: 552 over quota", 552, "", "over quota"),
        ("a said: 451 4.3.0 b said: 550 5.1.1 no user", 550, "5.1.1", "no user"),
        ("sorry, no mailbox here (#5.1.1)", 554, "5.1.1", "sorry, no mailbox here"),
        ("error code: 550", 554, "", "error code:"),
        ("exceeds 550 bytes by far", 554, "", "exceeds N bytes by far"),
    ],
)
def test_the_innermost_reply(said: str, code: int, enhanced: str, text: str) -> None:
    """Its codes and its words; a number that opens no reply is none."""
    normal = normalise(said, 554, "")
    assert (normal.code, normal.enhanced, normal.text) == (code, enhanced, text)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            "Message expired after 120 hours in queue; last status 452 4.2.2 mailbox full",
            "message expired after N hours in queue; last",
        ),
        ("Delivery time expired: host said: 550 5.1.1 unknown", "delivery time expired: host said:"),
        ("Zustellfrist abgelaufen, Antwort: 452 4.2.2 Postfach voll", "zustellfrist abgelaufen, antwort:"),
        ("gave up after 3 days, host said: 451 no", "gave up after N days, host said:"),
    ],
)
def test_what_a_notice_of_expiry_quotes_is_not_the_reason(said: str, text: str) -> None:
    """52: the codes stay the notice's own, and of what the last host said nothing is read."""
    normal = normalise(said, 554, "5.4.7")
    assert (normal.code, normal.enhanced, normal.text.startswith(text)) == (554, "5.4.7", True)
    assert not {"full", "unknown", "voll", "no"} & set(normal.text.split())


def test_an_expired_account_is_no_expired_message() -> None:
    """What is over must be the time of the message: the quoted reply decides about anything else."""
    normal = normalise("account expired, host said: 550 5.1.1 no user", 554, "")
    assert (normal.code, normal.enhanced, normal.text) == (550, "5.1.1", "no user")


def test_repeated_codes_are_dropped() -> None:
    """Of continuation lines, and of a whole reply that somebody made one line of."""
    said = "5.1.1 The account\n5.1.1 does not exist"
    assert text_of(said, 550, "5.1.1") == "the account does not exist"
    assert text_of("5.1.1 The account 550-5.1.1 does not 550 5.1.1 exist", 550, "5.1.1") == (
        "the account does not exist"
    )


@given(st.text(max_size=4000))
def test_any_text_is_normalised(text: str) -> None:
    """Without an error, bounded, on one line."""
    normal = normalise(text, 550, "")
    assert len(normal.text) <= 4 * MOST_CHARS
    assert "\n" not in normal.text


def test_words_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that makes up words fills no memory."""
    monkeypatch.setattr("mta.classify.normalise._MOST_KNOWN", 10)
    own = Normaliser()
    for letter in "abcdefghijklmnopqrstuvwxyz":
        own(letter * 5, 550, "")
        assert len(own._known) <= 10
    own("x" * 200, 550, "")
    assert "x" * 200 not in own._known
