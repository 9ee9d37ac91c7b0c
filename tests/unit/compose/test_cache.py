"""The bounded memory of what was costly to make."""

from mta.compose.cache import LruCache


def test_the_least_recently_used_goes_first() -> None:
    """Reading an entry saves it from the next eviction."""
    cache: LruCache[str, int] = LruCache(2, 100)
    cache.put("a", 1, 1)
    cache.put("b", 2, 1)
    assert cache.get("a") == 1
    cache.put("c", 3, 1)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_weight_is_bounded() -> None:
    """A heavy entry drives out as many light ones as it needs."""
    cache: LruCache[int, int] = LruCache(100, 10)
    for number in range(10):
        cache.put(number, number, 1)
    cache.put(10, 10, 9)
    assert (len(cache), cache.weight) == (2, 10)


def test_what_outweighs_the_bound_is_not_kept() -> None:
    """It does not drive out the others either."""
    cache: LruCache[str, int] = LruCache(10, 10)
    cache.put("a", 1, 1)
    cache.put("b", 2, 11)
    assert (cache.get("a"), cache.get("b")) == (1, None)


def test_replacing_counts_once() -> None:
    """The weight of a replaced entry is given back."""
    cache: LruCache[str, int] = LruCache(10, 10)
    cache.put("a", 1, 6)
    cache.put("a", 2, 7)
    assert (cache.get("a"), cache.weight, len(cache)) == (2, 7, 1)
