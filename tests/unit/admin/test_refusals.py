import msgspec
import pytest

from mta.admin.frequent import Frequent
from mta.admin.refusals import BY, STYLES, Refusal, _top_table, normalised
from mta.model.outcome import BounceType


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5.1.1 <bob@x.test>: unknown", "5.1.1 <ada@y.test>: Unknown"),
        (
            "blocked 192.0.2.10, see https://x.test/?ip=192.0.2.10",
            "blocked 2001:db8::1, see https://y.test/q",
        ),
        ("queued as 4xKz9911abcdef", "queued  as 7bQ212cdefabc9"),
        ("host mx1.one.test said no", "host mx7.two.test said no"),
        ("a\n550 b", "a b"),
        ("wait 86400 seconds", "wait 43200 seconds"),
    ],
)
def test_what_differs_from_one_to_the_next_is_gone(one: str, other: str) -> None:
    """So that the same refusal is counted as the same."""
    assert normalised(one) == normalised(other)


def test_what_matters_stays() -> None:
    """Codes and words."""
    assert normalised("5.7.1 [TSS04] Deferred") == "5.7.1 [tss04] deferred"
    assert normalised("try again in 300 seconds") != normalised("try again in 600 seconds")


def test_a_long_reply_is_cut_before_it_is_read() -> None:
    """A kilobyte is what an event holds; nobody else's text takes longer."""
    assert len(normalised("x1-" * 100_000)) <= 1_000


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
