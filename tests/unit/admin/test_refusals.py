import msgspec
import pytest

from mta.admin.frequent import Frequent
from mta.admin.refusals import BY, STYLES, Refusal, _normalised, _top_table, _unknown_table
from mta.classify.normalise import Normaliser
from mta.model.outcome import BounceType


def said(text: str) -> Refusal:
    line = {"type": "bounced", "smtp": {"stage": "rcpt", "code": 550, "text": text}}
    return msgspec.json.decode(msgspec.json.encode(line), type=Refusal)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<bob@x.test>: Usuário inválido", "<ada@y.test>: usuario invalido"),
        ("queued as 4xKz9911abcdef", "queued  as 7bQ212cdefabc9"),
    ],
)
def test_replies_are_compared_as_rules_see_them(one: str, other: str) -> None:
    """Without what differs from one message to the next."""
    normaliser = Normaliser()
    assert _normalised(normaliser, said(one)) == _normalised(normaliser, said(other)) != ""


def test_every_type_has_a_colour() -> None:
    """None is forgotten."""
    assert set(STYLES) == set(BounceType)


@pytest.mark.parametrize("by", BY)
def test_a_row_has_a_cell_for_each_column(by: str) -> None:
    """Whatever it is grouped by; and no reply moves the cursor."""
    counted = Frequent[str, Refusal](5)
    refusal = Refusal(type="bounced")
    counted.note("a\x1b[2J", "policy block", refusal, "")
    lines = [line.plain for line in _top_table(by, counted.ranked(), counted.total).lines(80)]
    assert len(lines) == 2
    assert "100.0 %" in lines[1]
    assert "\x1b" not in lines[1]


@pytest.mark.parametrize("by", [*BY, "unknown"])
def test_a_table_fits_eighty_columns(by: str) -> None:
    """With the longest names there are, and a reply of any length: count, name and example stay."""
    text = "5.7.1 " + "our system has detected that this message is likely unsolicited " * 9
    counted = Frequent[str, Refusal](5)
    for _ in range(1_234):
        counted.note(
            "recipient_rate_limited", "recipient_rate_limited undetermined", said(text), "2026-11-22"
        )
    if by == "unknown":
        ranked = [(("cloudflare", "end_of_data", text), group) for _, group in counted.ranked()]
        table = _unknown_table({"cloudflare": ranked}, 10)
    else:
        table = _top_table(by, counted.ranked(), counted.total)
    lines = [line.plain for line in table.lines(80)]
    assert max(map(len, lines)) <= 80
    assert "1,234" in lines[1]
    assert "550 5.7.1 our system" in "\n".join(lines)


def test_no_reply_is_said() -> None:
    """With what happened instead, or what stood in the way before."""
    assert Refusal(type="deferred").said == "(no reply)"
    made = msgspec.json.decode(
        b'{"type":"bounced","smtp":{"code":550,"enhanced":"5.1.1","text":"5.1.1 a\\n5.1.1 b"}}', type=Refusal
    )
    assert made.said == "550 5.1.1 a b"
    expired = msgspec.json.decode(
        b'{"type":"expired","bounce":{"class":"expired","last_class":"mailbox_full"}}', type=Refusal
    )
    assert expired.said == "the last refusal was mailbox_full"
