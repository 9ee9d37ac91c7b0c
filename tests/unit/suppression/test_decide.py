import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.suppression import SuppressReason
from mta.model.times import render
from mta.suppression.decide import (
    MOST_STRIKES,
    STRIKES_S,
    Accusation,
    Strike,
    StrikeKind,
    accusation_of,
    decode_strikes,
    encode_strikes,
    hear,
    is_out,
    with_strike,
)

R = SuppressReason
DAY = 86_400.0
NOON = 1_795_003_200.0 - 1_795_003_200.0 % DAY + DAY / 2
FAIL, SUPPRESS = ["fail"], ["suppress", "fail"]


def event(kind: str = "bounced", *, at: float = NOON, number: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "v": 1,
        "id": f"m{number}.{kind}.1",
        "type": kind,
        "time": render(at),
        "tenant": "acme",
        "recipient": "bob@example.test",
        "recipient_domain": "example.test",
        "smtp": {"stage": "rcpt", "code": 550},
    } | fields


def bounced(bounce_class: str, actions: list[str], confidence: str = "high", **more: Any) -> dict[str, Any]:
    bounce = {
        "class": bounce_class,
        "category": "x",
        "type": "hard",
        "confidence": confidence,
        "actions": actions,
    }
    return {"bounce": bounce | {"rule": "r"} | more.pop("bounce", {}), **more}


def accused(**fields: Any) -> Accusation | None:
    heard = hear(json.dumps(event(**fields)).encode())
    assert heard is not None
    return accusation_of(heard)


def outcome(**fields: Any) -> str:
    """What follows, in a word."""
    found = accused(**fields)
    if found is None:
        return "nothing"
    where = "domain" if found.is_domain else found.stream or "all"
    return f"{found.mark.reason} {where} {found.kind or 'now'} {found.patience.strikes or ''}".strip()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (bounced("invalid_recipient", SUPPRESS), "invalid_recipient all now"),
        (bounced("inactive_recipient", SUPPRESS), "inactive_recipient all now"),
        (bounced("invalid_recipient", SUPPRESS, smtp={"stage": "end_of_data"}), "invalid_recipient all now"),
        (bounced("invalid_recipient", SUPPRESS, smtp={"stage": "mail"}), "nothing"),
        (bounced("invalid_recipient", SUPPRESS, smtp={"stage": "connect"}), "nothing"),
        (bounced("invalid_recipient", SUPPRESS, kind="oob_bounced", smtp={}), "invalid_recipient all now"),
        (bounced("invalid_recipient", ["retry"], kind="oob_bounced", smtp={}), "nothing"),
        # Whoever was mailed can write such a report: it is not to end all mail to his provider.
        (bounced("invalid_domain", ["fail"], kind="oob_bounced", smtp={}), "nothing"),
        *(
            (bounced(name, ["fail"], "low", kind="oob_bounced", smtp={}, bounce={"detail": doubt}), "nothing")
            for name in ("invalid_recipient", "mailbox_full")
            for doubt in ("forwarded", "unnamed")
        ),
        (bounced("invalid_recipient", FAIL, "low"), "invalid_recipient all dead 2"),
        (bounced("invalid_recipient", FAIL, "low", provider="docomo"), "invalid_recipient all dead 3"),
        (bounced("inactive_recipient", FAIL, "low", provider="kddi"), "inactive_recipient all dead 3"),
        (bounced("invalid_recipient", FAIL, "low", bounce={"detail": "domain_guard"}), "nothing"),
        (bounced("invalid_recipient", FAIL), "nothing"),
        (bounced("mailbox_full", FAIL), "mailbox_full all full 5"),
        (bounced("recipient_refused", FAIL), "recipient_refused all refused 2"),
        (bounced("recipient_refused", FAIL, "low"), "nothing"),
        (bounced("recipient_refused", SUPPRESS), "recipient_refused all now"),
        (bounced("invalid_domain", FAIL, smtp={"stage": "dns"}), "invalid_domain domain domain 3"),
        (bounced("spam_content", FAIL), "nothing"),
        (bounced("invalid_recipient", SUPPRESS, dry_run=True), "nothing"),
        (
            {"kind": "expired", "bounce": {"class": "expired", "last_class": "mailbox_full"}},
            "mailbox_full all full 5",
        ),
        (
            {"kind": "expired", "bounce": {"class": "expired", "last_class": "invalid_recipient"}},
            "invalid_recipient all dead 2",
        ),
        ({"kind": "expired", "bounce": {"class": "expired", "last_class": "greylisted"}}, "nothing"),
        ({"kind": "expired", "bounce": {"class": "expired"}}, "nothing"),
        ({"kind": "complained", "feedback": {"feedback_type": "abuse"}}, "complained all now"),
        ({"kind": "complained", "feedback": {"feedback_type": "Something-New"}}, "complained all now"),
        ({"kind": "complained"}, "complained all now"),
        ({"kind": "complained", "feedback": {"feedback_type": "not-spam"}}, "nothing"),
        ({"kind": "complained", "feedback": {"feedback_type": "Auth-Failure"}}, "nothing"),
        ({"kind": "unsubscribed", "stream": "news"}, "unsubscribed news now"),
        ({"kind": "unsubscribed"}, "unsubscribed _ now"),
        ({"kind": "delivered"}, "nothing"),
        ({"kind": "auto_replied"}, "nothing"),
    ],
)
def test_what_follows_from_an_event(fields: dict[str, Any], said: str) -> None:
    """Row by row, as the table above the code says."""
    assert outcome(**fields) == said


def test_a_mark_names_the_event() -> None:
    """With its time, so that it ends when it should however late it is read."""
    found = accused(**bounced("invalid_recipient", SUPPRESS))
    assert found is not None
    assert (found.mark.source, found.mark.at, found.mark.detail) == ("m1.bounced.1", render(NOON), "r")


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"id":1}', b'{"id":"a","type":"new","time":"","tenant":"t"}']
)
def test_a_line_that_is_no_event_is_none(line: bytes) -> None:
    """It holds nobody up."""
    assert hear(line) is None
    assert hear(json.dumps(event() | {"time": "yesterday"}).encode()) is None


def struck(fields: dict[str, Any], *times: float) -> list[bool]:
    """Whether each of these strikes, one after the other, is enough."""
    strikes: tuple[Strike, ...] = ()
    found = []
    for number, at in enumerate(times):
        accusation = accused(**fields, at=at, number=number)
        assert accusation is not None
        strikes = decode_strikes(encode_strikes(with_strike(strikes, accusation)))
        found.append(is_out(strikes, accusation))
    return found


def test_two_strikes_are_on_two_days() -> None:
    """bounces.md 2.2: a bad hour of a server condemns nobody."""
    doubted = bounced("invalid_recipient", FAIL, "low")
    assert struck(doubted, NOON, NOON + 60, NOON + DAY / 2 - 1) == [False, False, False]
    assert struck(doubted, NOON, NOON + DAY / 2) == [False, True]
    assert struck(doubted, NOON, NOON + STRIKES_S) == [False, False]
    assert struck(doubted | {"provider": "docomo"}, NOON, NOON + DAY, NOON + 2 * DAY) == [False, False, True]


def test_a_full_mailbox_has_two_weeks() -> None:
    """Five days with a failure, the last one 14 days after the first."""
    full = bounced("mailbox_full", FAIL)
    assert struck(full, *(NOON + DAY * n for n in range(16))) == [False] * 14 + [True] * 2
    assert struck(full, *(NOON + DAY * n for n in (0, 5, 10, 15))) == [False] * 4
    assert struck(full, *(NOON + DAY * n for n in (0, 1, 2, 3, 14))) == [False] * 4 + [True]


def test_a_refusal_of_the_person_counts_twice_a_day() -> None:
    """Two messages were refused, that is enough for this tenant."""
    assert struck(bounced("recipient_refused", FAIL), NOON, NOON + 1) == [False, True]


def test_a_domain_is_gone_after_three_days() -> None:
    """However many of its recipients were tried."""
    gone = bounced("invalid_domain", FAIL, smtp={"stage": "dns"})
    times = [NOON, NOON + 1, NOON + DAY, NOON + 2 * DAY, NOON + 3 * DAY]
    assert struck(gone, *times) == [False, False, False, False, True]


def test_an_event_counts_once() -> None:
    """Delivered again it changes nothing, and is still enough if it was: the mark may not have been made."""
    first, second = (accused(**bounced("recipient_refused", FAIL), at=NOON + n, number=n) for n in range(2))
    assert first is not None
    assert second is not None
    one = with_strike((), first)
    assert with_strike(one, first) is one
    assert not is_out(one, first)
    two = with_strike(one, second)
    assert with_strike(two, first) is two
    assert is_out(with_strike(two, second), second)


def test_kinds_do_not_add_up() -> None:
    """A full mailbox is not half a dead one."""
    dead, full = (
        accused(**bounced("invalid_recipient", FAIL, "low")),
        accused(**bounced("mailbox_full", FAIL)),
    )
    assert dead is not None
    assert full is not None
    strikes = with_strike((Strike(StrikeKind.FULL, NOON - DAY, "x"),), dead)
    assert not is_out(strikes, dead)
    assert len(strikes) == 2


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)), max_size=60))
def test_strikes_are_bounded_and_in_order(days: list[tuple[int, int]]) -> None:
    """In whatever order events come, none twice, none too old beside the newest."""
    strikes: tuple[Strike, ...] = ()
    for day, number in days:
        accusation = accused(**bounced("recipient_refused", FAIL), at=NOON + day * DAY, number=number)
        assert accusation is not None
        strikes = with_strike(strikes, accusation)
        times = [strike.at for strike in strikes]
        assert times == sorted(times)
        assert len(strikes) <= MOST_STRIKES
        assert len({strike.event for strike in strikes}) == len(strikes)
        assert not times or times[-1] - times[0] < STRIKES_S


@pytest.mark.parametrize("value", [None, b"", b"{}", b"[[1]]", b'[["dead","x","y"]]'])
def test_strikes_that_cannot_be_read_are_none(value: bytes | None) -> None:
    """Rather than one suppressed too many."""
    assert decode_strikes(value) == ()
