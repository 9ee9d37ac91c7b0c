"""Values with an end, in bounded number."""

from mta.dns.cache import TtlCache


def test_a_kept_value_ends_with_its_time() -> None:
    """A value is given with the seconds it has left, and not from its end on."""
    cache: TtlCache[str] = TtlCache(10)
    cache.put("a", "x", until=10.0)
    assert cache.get("a", 4.0) == (6.0, "x")
    assert cache.get("a", 10.0) is None
    assert cache.get("b", 4.0) is None


def test_memory_is_bounded_and_what_nobody_asks_for_goes_first() -> None:
    """C15: a flood of names costs answers that are not used, neither memory nor the hosts of a large provider."""
    cache: TtlCache[int] = TtlCache(3)
    for number in range(5):
        cache.put(f"n{number}", number, until=10.0)
    cache.put("n2", 22, until=10.0)
    cache.put("n5", 5, until=10.0)
    assert len(cache) == 3
    assert [cache.get(f"n{number}", 0.0) is not None for number in (0, 1, 3)] == [False, False, False]
    assert cache.get("n4", 0.0) == (10.0, 4)
    cache.put("n6", 6, until=10.0)
    assert [cache.get(f"n{number}", 0.0) is not None for number in (2, 4, 5, 6)] == [False, True, True, True]


def test_what_is_over_makes_room_at_once() -> None:
    """C15: an answer whose time is over is not kept once somebody has asked for it."""
    cache: TtlCache[int] = TtlCache(3)
    cache.put("a", 1, until=10.0)
    assert cache.get("a", 10.0) is None
    assert len(cache) == 0
