import pytest

from mta.classify.quoted import read_quoted, stage_of
from mta.model.outcome import Stage


@pytest.mark.parametrize(
    ("text", "code", "enhanced", "lines"),
    [
        ("550 5.1.1 no user", 550, "5.1.1", ("5.1.1 no user",)),
        ("550-5.1.1 no\n550 5.1.1 user", 550, "5.1.1", ("5.1.1 no", "5.1.1 user")),
        (r"550-no\r\n550 user", 550, "", ("no", "user")),
        ("smtp; 550 5.1.1 no user", 550, "5.1.1", ("5.1.1 no user",)),
        ("550", 550, "", ("",)),
        ("5.1.1 no user", 550, "5.1.1", ("5.1.1 no user",)),
        ("4.2.2 mailbox full", 450, "4.2.2", ("4.2.2 mailbox full",)),
        ("no user", 550, "", ("no user",)),
        ("Greylisted, try again later", 450, "", ("Greylisted, try again later",)),
        ("550 #5.1.0 Address rejected", 550, "5.1.0", ("#5.1.0 Address rejected",)),
        ("5501 is no code", 550, "", ("5501 is no code",)),
        ("192.0.2.1 said nothing", 550, "", ("192.0.2.1 said nothing",)),
        ("", 550, "", ()),
        ("250 ok", 250, "", ("ok",)),
    ],
)
def test_what_people_paste(text: str, code: int, enhanced: str, lines: tuple[str, ...]) -> None:
    """Whole, wrapped, from a report, without a code."""
    reply = read_quoted(text)
    assert (reply.code, reply.enhanced, reply.lines) == (code, enhanced, lines)


def test_letters_become_octets() -> None:
    """As in a reply that came over a connection."""
    assert read_quoted("550 Boîte pleine").lines == ("BoÃ®te pleine",)
    assert read_quoted("550 \udcc3\udcae").lines == ("Ã®",)


def test_stages_have_many_names() -> None:
    """As in tables, commands and logs."""
    assert stage_of("R") is stage_of("RCPT TO") is stage_of("rcpt_to") is Stage.RCPT
    assert stage_of("dot") is stage_of("EOD") is stage_of("e") is Stage.END_OF_DATA
    assert stage_of("banner") is Stage.CONNECT
    assert stage_of("dsn") is Stage.OUT_OF_BAND
    with pytest.raises(ValueError, match="rcpt"):
        stage_of("quit")


@pytest.mark.parametrize("letter", ["х", "者", "Å", "ą", "à"])
def test_octets_of_letters_are_no_line_ends(letter: str) -> None:
    """Read as latin-1 they look like NEL or a blank that does not break."""
    reply = read_quoted(f"550 {letter} no {letter} user {letter}")
    assert "\n".join(reply.lines).encode("latin-1").decode() == f"{letter} no {letter} user {letter}"
