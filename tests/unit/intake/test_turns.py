"""Whose recipients are taken in next."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mta.intake.turns import Turns


def taken(turns: Turns, sizes: dict[str, int], rounds: int) -> Counter[str]:
    """Recipients by campaign after so many turns, each worth what `sizes` says."""
    counts: Counter[str] = Counter()
    for _ in range(rounds):
        turns.wait(list(sizes))
        name = turns.first(list(sizes))
        turns.charge(name, sizes[name])
        counts[name] += sizes[name]
    return counts


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=2),
    st.dictionaries(
        st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), st.integers(1, 500), min_size=2
    ),
)
def test_recipients_are_shared(weights: dict[str, int], sizes: dict[tuple[str, str], int]) -> None:
    """By weight between tenants and evenly between the campaigns of one, within one turn, whatever a turn holds."""
    turns = Turns(lambda tenant: weights.get(tenant, 1))
    named = {"".join(key): size for key, size in sizes.items()}
    for name in named:
        turns.add(name, name[0])
    counts = taken(turns, named, 300)
    by_tenant: Counter[str] = Counter()
    for name, count in counts.items():
        by_tenant[name[0]] += count
    largest = max(named.values())
    shares = [by_tenant[name] / weights.get(name, 1) for name in {name[0] for name in named}]
    assert max(shares) - min(shares) <= 2 * largest
    for tenant in by_tenant:
        own = [counts[name] for name in named if name[0] == tenant]
        assert max(own) - min(own) <= 2 * largest


def test_nobody_saves_turns() -> None:
    """A tenant or campaign that had nothing for long does not shut out the others when it comes back."""
    turns = Turns(lambda tenant: 1)
    for name in ("ax", "bx", "by"):
        turns.add(name, name[0])
    taken(turns, {"ax": 1, "bx": 1}, 2)
    taken(turns, {"bx": 1}, 1000)
    assert taken(turns, {"ax": 1, "bx": 1}, 20)["bx"] in (9, 10, 11)
    taken(turns, {"bx": 1, "by": 1}, 2)
    assert taken(turns, {"bx": 1, "by": 1}, 20)["bx"] in (9, 10, 11)


def test_what_did_not_come_is_given_back() -> None:
    """A turn was charged for eight payloads and brought none: it is its turn again."""
    turns = Turns(lambda tenant: 1)
    turns.add("ax", "a")
    turns.add("bx", "b")
    taken(turns, {"ax": 1, "bx": 1}, 2)
    turns.charge("ax", 500)
    assert turns.first(["ax", "bx"]) == "bx"
    turns.charge("bx", 5)
    turns.charge("ax", -500)
    assert turns.first(["ax", "bx"]) == "ax"


def test_who_is_gone_is_forgotten() -> None:
    """And what comes for it late is nobody's."""
    turns = Turns(lambda tenant: 1)
    turns.add("ax", "a")
    turns.add("ay", "a")
    taken(turns, {"ax": 1, "ay": 1}, 2)
    assert turns.siblings("ax") == ["ax", "ay"]
    turns.remove("ax")
    assert turns.siblings("ay") == ["ay"]
    turns.remove("ay")
    turns.remove("ay")
    turns.charge("ay", 5)
    assert not turns._tenants.clocks
