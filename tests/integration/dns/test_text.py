"""TXT records as they come from a DNS server on loopback."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mta.dns.nameservers import StubNameservers
from mta.dns.record import DnsTrouble
from mta.dns.settings import DnsSettings
from mta.dns.text import texts
from tests.fakes.dns_server import Answer, FakeDns, a, cname, txt

NAME = "_smtp._tls.acme.test"


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


@pytest_asyncio.fixture
async def nameservers(dns: FakeDns) -> AsyncIterator[StubNameservers]:
    one = StubNameservers(DnsSettings(servers=(dns.address,), timeout_s=20.0, tries=1))
    one.start()
    yield one
    await one.close()


async def test_each_record_is_a_text(dns: FakeDns, nameservers: StubNameservers) -> None:
    """Whatever the case the name is asked in."""
    dns.records(txt(NAME, "v=TLSRPTv1;rua=mailto:a@acme.test"), txt(NAME, "else"))
    assert set(await texts(nameservers, NAME.upper())) == {"v=TLSRPTv1;rua=mailto:a@acme.test", "else"}  # type: ignore[arg-type]


async def test_an_alias_is_followed(dns: FakeDns, nameservers: StubNameservers) -> None:
    """To the end of the chain; what stands beside it in the answer belongs to others."""
    chain = Answer((cname(NAME, "r.host.test"), txt("r.host.test", "yes"), txt("evil.test", "no")))
    dns.script(NAME, "TXT", chain)
    assert await texts(nameservers, NAME) == ("yes",)


async def test_nothing_there_is_no_text(dns: FakeDns, nameservers: StubNameservers) -> None:
    """The name does not exist, has other records, or is the alias of such a name."""
    dns.records(a("other.test", "203.0.113.1"))
    dns.script("alias.test", "TXT", Answer((cname("alias.test", "other.test"),)))
    for name in (NAME, "other.test", "alias.test"):
        assert await texts(nameservers, name) == ()


async def test_a_failure_is_trouble(dns: FakeDns, nameservers: StubNameservers) -> None:
    """Not the same as nothing: it may be there."""
    dns.script(NAME, "TXT", Answer(rcode="SERVFAIL"))
    dns.script("round.test", "TXT", Answer((cname("round.test", "b.test"), cname("b.test", "round.test"))))
    for name, kind in ((NAME, "servfail"), ("round.test", "bad_cname")):
        answer = await texts(nameservers, name)
        assert isinstance(answer, DnsTrouble)
        assert answer.kind == kind


@pytest.mark.parametrize(
    "name", ["a b.test", "a\0.test", "x" * 64 + ".test", "_smtp._tls." + "a." * 125 + "test"]
)
async def test_what_is_no_name_is_not_asked(dns: FakeDns, nameservers: StubNameservers, name: str) -> None:
    """C would end it at a NUL. Nothing can be there."""
    assert await texts(nameservers, name) == ()
    assert not dns.asked
