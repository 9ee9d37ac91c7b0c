"""What of the resolver needs no server: its memory, the names it refuses, its state before and after."""

import socket

import pytest

from mta.dns.mx import DnsTrouble, NoMail
from mta.dns.resolver import Resolver, TtlCache, can_bind
from mta.dns.settings import DnsSettings


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


@pytest.mark.parametrize(
    "name", ["ok.test\0.evil", "a..b", "-x.test", "1.2.3.4", "acme.test.", "x" * 254, "é.test"]
)
async def test_a_bad_name_is_refused_without_asking(name: str) -> None:
    """C16: such a name is no mail domain; nothing is started here that could ask."""
    answer = await Resolver(DnsSettings()).resolve(name)
    assert isinstance(answer, NoMail)
    assert answer.kind == "bad_name"


async def test_a_resolver_that_does_not_run_says_so() -> None:
    """Before start and after close a lookup is temporary trouble, never a bounce."""
    resolver = Resolver(DnsSettings())
    answer = await resolver.resolve("acme.test")
    await resolver.close()
    assert isinstance(answer, DnsTrouble)
    assert answer.kind == "closed"


async def test_servers_that_cannot_be_read_are_refused() -> None:
    """A typing error in dns.servers stops the start with the value in the text."""
    resolver = Resolver(DnsSettings(servers=("name:server",)), ipv6=False)
    with pytest.raises(ValueError, match="name:server"):
        resolver.start()


def test_own_addresses_are_those_that_can_be_bound() -> None:
    """Loopback is ours, a reserved address is nobody's, a word is no address."""
    assert can_bind("127.0.0.1")
    assert not can_bind("240.0.0.1")
    assert not can_bind("nowhere")
    assert can_bind("::1") is socket.has_ipv6
