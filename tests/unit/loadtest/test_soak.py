import pytest

from loadtest.script import act_of
from loadtest.soak import BAD, WORDS, Course, expected, has_faults


@pytest.mark.parametrize("word", WORDS)
def test_words_are_words(word: str) -> None:
    """A word the sink does not understand would be ordinary mail, and test nothing."""
    assert act_of(f"{word}.b1x2@h3.test".encode()) is not None


@pytest.mark.parametrize(
    ("recipient", "end"),
    [
        ("b1x2@h3.test", "delivered"),
        ("550-dot.b1x2@h3.test", "bounced"),
        ("451-dot.b1x2@h3.test", "expired"),
        ("b1x2@connect-554.test", "expired"),
        ("b1x2@connect-late.test", "delivered"),
        ("b1x2@ehlo-550.test", "expired"),
        ("b1x2@mail-550.test", "bounced"),
        ("b1x2@mail-451.test", "expired"),
        ("b1x2@mail-stall.test", "expired"),
        ("b1x2@mail-late.test", "delivered"),
    ],
)
def test_expected(recipient: str, end: str) -> None:
    """Of words and ports alike; before MAIL nothing is about a recipient."""
    assert expected(recipient) == end


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [("a@h0.test", True), ("a@h9.test", True), ("a@h10.test", False), ("a@mail-451.test", True)],
)
def test_where_faults_are(recipient: str, expected: bool) -> None:
    """On the first half of the hosts, and on every bad port."""
    assert has_faults(recipient) is expected


@pytest.mark.parametrize(("minutes", "expected"), [(0.3, 60), (30.0, 360), (600.0, 600)])
def test_life(minutes: float, expected: int) -> None:
    """A short run ends soon, in a long one mail lives longer."""
    assert Course(minutes).life_s == expected


def test_bad_ports_differ() -> None:
    """Each has a domain of its own."""
    assert len({bad.partition(":")[0] + bad.split(":")[1] for bad in BAD}) == len(BAD)
