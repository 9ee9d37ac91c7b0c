import pytest

from loadtest.script import Act, Phase, Script, act_at, act_of, answer, expected_end
from mta.demo.policy import CUT, RESET, STALL, Answer, Pause


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        (b"stall-rcpt-30.a@d.test", Act("stall", Phase.RCPT, 30)),
        (b"stall-body.a@d.test", Act("stall", Phase.BODY)),
        (b"late-dot-2.a@d.test", Act("late", Phase.DOT, 2)),
        (b"late-rcpt-2.a@d.test", Act("late", Phase.RCPT, 2)),
        (b"late-body-2.a@d.test", Act("late", Phase.BODY, 2)),
        (b"cut-dot.a@d.test", Act("cut", Phase.DOT)),
        (b"reset-data.a@d.test", Act("reset", Phase.DATA)),
        (b"cut-after.a@d.test", Act("cut", Phase.AFTER)),
        (b"stall-after.a@d.test", Act("stall", Phase.AFTER)),
        (b"421-rcpt.a@d.test", Act("421", Phase.RCPT)),
        (b"550-dot.a-b.c@d.test", Act("550", Phase.DOT)),
        (b"451-data-once.a@d.test", Act("451", Phase.DATA, 0, True)),
        (b"stall-dot-3-once.a@d.test", Act("stall", Phase.DOT, 3, True)),
        (b"a@d.test", None),
        (b"cut-dot@d.test", None),
        (b"cut-dot.@d.test", None),
        (b"cut.dot.a@d.test", None),
        (b"cut-dot-3.a@d.test", None),
        (b"late-dot.a@d.test", None),
        (b"late-dot-0.a@d.test", None),
        (b"late-after-2.a@d.test", None),
        (b"550-body.a@d.test", None),
        (b"250-after.a@d.test", None),
        (b"199-dot.a@d.test", None),
        (b"600-dot.a@d.test", None),
        (b"\xb2\xb250-dot.a@d.test", None),
        (b"550-mail.a@d.test", None),
        (b"cut-connect.a@d.test", None),
        (b"stall-rcpt-99999.a@d.test", None),
        (b"stall-rcpt--5.a@d.test", None),
        (b"STALL-rcpt.a@d.test", None),
        (b"451-data-once-once.a@d.test", None),
        (b'"550-dot.a"@d.test', None),
        (b'550-dot."a@b"@d.test', None),
        (b"550-dot.a@d.test\n", None),
        (b"xcut-dot.a@d.test", None),
        (b"", None),
    ],
)
def test_words(recipient: bytes, expected: Act | None) -> None:
    """What is written to the letter is done; everything else is an ordinary recipient."""
    assert act_of(recipient) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connect:stall", Act("stall", Phase.CONNECT)),
        ("connect:554", Act("554", Phase.CONNECT)),
        ("ehlo:late:2", Act("late", Phase.EHLO, 2)),
        ("mail:421", Act("421", Phase.MAIL)),
        ("mail:reset", Act("reset", Phase.MAIL)),
    ],
)
def test_ports(text: str, expected: Act) -> None:
    """A port has one act, before any recipient is known."""
    assert act_at(text) == expected


@pytest.mark.parametrize("text", ["", "rcpt:cut", "mail:late", "mail:421:3", "mail", "mail:42", "mail:cut:"])
def test_wrong_ports(text: str) -> None:
    """What no port can do is refused at the start."""
    with pytest.raises(ValueError, match="expected"):
        act_at(text)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (Act("stall", Phase.RCPT), STALL),
        (Act("stall", Phase.RCPT, 30), Pause(30, CUT)),
        (Act("stall", Phase.BODY), Pause(3600, CUT)),
        (Act("late", Phase.DOT, 2), Pause(2)),
        (Act("cut", Phase.DOT), CUT),
        (Act("reset", Phase.DOT), RESET),
        (Act("421", Phase.RCPT), b"421 4.0.0 as scripted\r\n"),
        (Act("550", Phase.RCPT), b"550 5.0.0 as scripted\r\n"),
        (Act("354", Phase.DATA), b"354 as scripted\r\n"),
    ],
)
def test_answers(act: Act, expected: Answer) -> None:
    """Each verb in the words of the dialogue."""
    assert answer(act) == expected


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("a@d.test", "delivered"),
        ("late-dot-2.a@d.test", "delivered"),
        ("cut-after.a@d.test", "delivered"),
        ("252-dot.a@d.test", "delivered"),
        ("354-data.a@d.test", "delivered"),
        ("451-data-once.a@d.test", "delivered"),
        ("cut-dot-once.a@d.test", "delivered"),
        ("550-rcpt.a@d.test", "bounced"),
        ("554-dot-once.a@d.test", "bounced"),
        ("451-data.a@d.test", "expired"),
        ("stall-dot.a@d.test", "expired"),
        ("354-dot.a@d.test", "expired"),
        ("250-data.a@d.test", "expired"),
    ],
)
def test_expected_end(recipient: str, expected: str) -> None:
    """How each of them is to end."""
    assert expected_end(recipient) == expected


def test_once() -> None:
    """Only the first time this one gets so far; the others each have their own first time."""
    script = Script()
    first, other, always = b"451-dot-once.a@d.test", b"451-dot-once.b@d.test", b"451-dot.a@d.test"
    assert script.at(Phase.RCPT, first) is None
    assert script.at(Phase.DOT, first) == Act("451", Phase.DOT, 0, True)
    assert script.at(Phase.DOT, first) is None
    assert script.at(Phase.DOT, other) is not None
    assert script.at(Phase.DOT, always) == script.at(Phase.DOT, always) == Act("451", Phase.DOT)
