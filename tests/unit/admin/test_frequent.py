from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mta.admin.frequent import Frequent


def counted(names: list[str], room: int) -> Frequent[str, int]:
    """Each at its place, which is also its time."""
    found = Frequent[str, int](room)
    for place, name in enumerate(names):
        found.note(name, "kind", place, f"{place:06d}")
    return found


def test_what_is_most_frequent_comes_first() -> None:
    """With its first, its last and an example; of equals the one that came first."""
    found = counted(["b", "a", "c", "a", "b", "a"], 10)
    (name, group), second, third = found.ranked()
    assert (name, group.count, group.over, group.example) == ("a", 3, 0, 5)
    assert (group.first_at, group.last_at) == ("000001", "000005")
    assert (second[0], third[0], found.total) == ("b", "c", 6)


def test_times_may_come_out_of_order() -> None:
    """Events of two daemons do."""
    found = Frequent[str, int](2)
    for at in ("5", "3", "9"):
        found.note("a", "kind", 0, at)
    ((_, group),) = found.ranked()
    assert (group.first_at, group.last_at) == ("3", "9")


def test_kinds_are_counted() -> None:
    """What else the same things were."""
    found = Frequent[str, int](2)
    for kind in ("x", "y", "x"):
        found.note("a", kind, 0, "")
    ((_, group),) = found.ranked()
    assert group.kinds == {"x": 2, "y": 1}


@given(st.lists(st.sampled_from("abcdefghijklmnop"), max_size=300), st.integers(1, 5))
def test_no_count_is_too_low_and_none_too_high_by_more_than_said(names: list[str], room: int) -> None:
    """Whatever is forgotten in between; and never more groups than twice the room."""
    found, truth = counted(names, room), Counter(names)
    assert len(found._groups) <= 2 * room
    for name, group in found.ranked():
        assert group.count - group.over <= truth[name] <= group.count
    assert found.total == len(names)


def test_what_is_frequent_is_never_lost() -> None:
    """However many rare things come between."""
    names = [name for n in range(5_000) for name in ("often", f"rare{n}", f"rarer{n}")]
    (name, group), *_ = counted(names, 50).ranked()
    assert name == "often"
    assert group.count - group.over <= 5_000 <= group.count
