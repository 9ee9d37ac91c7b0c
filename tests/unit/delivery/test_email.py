from collections import Counter

from mta.delivery.email import _Weighted
from mta.model.path import EgressPool, EgressSource

A, B, C = (EgressSource(name, f"{name}.acme.test") for name in "abc")


def test_each_site_sees_the_sources_in_proportion() -> None:
    """Smooth weighted turns, counted per site."""
    weighted = _Weighted(EgressPool("p", ((A, 4), (B, 2), (C, 1))))
    for site in ("x", "y"):
        assert Counter(weighted.choose(site, "").name for _ in range(70)) == {"a": 40, "b": 20, "c": 10}


def test_turns_are_spread() -> None:
    """No source stands three times in a row at 2 : 1, and another site's turns do not disturb."""
    weighted = _Weighted(EgressPool("p", ((A, 2), (B, 1))))
    taken = []
    for _ in range(6):
        taken.append(weighted.choose("x", "").name)
        weighted.choose("y", "")
    assert taken == ["a", "b", "a"] * 2


def test_a_wanted_source_is_used_while_it_exists() -> None:
    """Greylisting knows us by address; a source that was taken out is replaced by the next in turn."""
    weighted = _Weighted(EgressPool("p", ((A, 1), (B, 1))))
    assert [weighted.choose("x", "b") for _ in range(3)] == [B, B, B]
    assert weighted.choose("x", "gone") is A


def test_one_source_needs_no_turns() -> None:
    """The usual case."""
    assert _Weighted(EgressPool("p", ((A, 7),))).choose("x", "") is A
