"""What of the resolver needs no server: the names it refuses, its state before and after."""

import socket

import pytest

from mta.dns.mx import NoMail
from mta.dns.nameservers import StubNameservers
from mta.dns.record import DnsTrouble
from mta.dns.resolver import Resolver, can_bind
from mta.dns.settings import DnsSettings


@pytest.mark.parametrize(
    "name", ["ok.test\0.evil", "a..b", "-x.test", "1.2.3.4", "acme.test.", "x" * 254, "é.test"]
)
async def test_a_bad_name_is_refused_without_asking(name: str) -> None:
    """C16: such a name is no mail domain; nothing is started here that could ask."""
    answer = await Resolver(StubNameservers(DnsSettings()), DnsSettings()).resolve(name)
    assert isinstance(answer, NoMail)
    assert answer.kind == "bad_name"


async def test_a_resolver_that_does_not_run_says_so() -> None:
    """Before start and after close a lookup is temporary trouble, never a bounce."""
    resolver = Resolver(StubNameservers(DnsSettings()), DnsSettings())
    answer = await resolver.resolve("acme.test")
    await resolver.close()
    assert isinstance(answer, DnsTrouble)
    assert answer.kind == "closed"


async def test_servers_that_cannot_be_read_are_refused() -> None:
    """A typing error in dns.servers stops the start with the value in the text."""
    nameservers = StubNameservers(DnsSettings(servers=("name:server",)))
    with pytest.raises(ValueError, match="name:server"):
        nameservers.start()


def test_own_addresses_are_those_that_can_be_bound() -> None:
    """Loopback is ours, a reserved address is nobody's, a word is no address."""
    assert can_bind("127.0.0.1")
    assert not can_bind("240.0.0.1")
    assert not can_bind("nowhere")
    assert can_bind("::1") is socket.has_ipv6
