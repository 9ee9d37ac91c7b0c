import pytest

from mta.dns.record import DnsTrouble, Record, chain_end, is_askable


def cname(owner: str, target: str, ttl_s: int = 300) -> Record:
    return Record(owner, "CNAME", target, ttl_s)


@pytest.mark.parametrize(
    "name",
    ["", "a..test", ".test", "a b.test", "a\0.test", "a\\.test", "é.test", "x" * 64 + ".test", "x." * 130],
)
def test_what_dns_cannot_hold_is_not_asked(name: str) -> None:
    """A name may come out of a macro, or out of a stranger's record."""
    assert not is_askable(name)


@pytest.mark.parametrize("name", ["test", "_dmarc.a.test", "b+1=x.a.test", "x" * 63 + ".test"])
def test_other_names_are_asked(name: str) -> None:
    """Also those that no host has."""
    assert is_askable(name)


def test_a_chain_is_followed_to_its_end() -> None:
    """With the lowest TTL on the way; what does not begin at the name belongs to others."""
    chain = [cname("b.test", "c.test", 60), cname("a.test", "b.test", 90), cname("x.test", "y.test", 1)]
    assert chain_end("a.test", chain) == ("c.test", 60.0)
    assert chain_end("c.test", chain) == ("c.test", float("inf"))


@pytest.mark.parametrize("length", [16, 17, 1000])
def test_a_chain_that_is_too_long_is_trouble(length: int) -> None:
    """As a circle is: at most 15 aliases are followed, and the name that was asked for is told."""
    long = [cname(f"{at}.test", f"{at + 1}.test") for at in range(length)]
    for records in (long, [cname("0.test", "b.test"), cname("b.test", "0.test")]):
        assert chain_end("0.test", records) == DnsTrouble(
            "bad_cname", "the CNAME records of 0.test lead in a circle"
        )
    assert chain_end("0.test", long[:15]) == ("15.test", 300.0)
