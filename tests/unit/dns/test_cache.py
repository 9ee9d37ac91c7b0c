"""Values with an end, in bounded number."""

from mta.dns.cache import TtlCache


def test_a_kept_value_ends_with_its_time() -> None:
    """A value is given with the seconds it has left, and not from its end on."""
    cache: TtlCache[str] = TtlCache(10)
    cache.put("a", "x", until=10.0)
    assert cache.get("a", 4.0) == (6.0, "x")
    assert cache.get("a", 10.0) is None
    assert cache.get("b", 4.0) is None


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    """C15: a flood of names costs old answers, not memory."""
    cache: TtlCache[int] = TtlCache(3)
    for number in range(5):
        cache.put(f"n{number}", number, until=10.0)
    cache.put("n2", 22, until=10.0)
    cache.put("n5", 5, until=10.0)
    assert len(cache) == 3
    assert [cache.get(f"n{number}", 0.0) is not None for number in range(6)] == [
        False,
        False,
        True,
        False,
        True,
        True,
    ]
