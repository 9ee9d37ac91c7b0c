"""One question, one answer, and how long is waited for it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from mta.dns.nameservers import StubNameservers
from mta.dns.record import LookupFailed
from mta.dns.settings import DnsSettings
from tests.fakes.dns_server import Answer, FakeDns, a


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


@asynccontextmanager
async def running(dns: FakeDns, **settings: float) -> AsyncIterator[StubNameservers]:
    nameservers = StubNameservers(DnsSettings(servers=(dns.address,), **settings))  # type: ignore[arg-type]
    nameservers.start()
    try:
        for number in range(50):  # c-ares learns how fast the server is, and shortens its time-outs
            dns.records(a(f"w{number}.test", "203.0.113.1"))
            await nameservers.ask(f"w{number}.test", "A")
        yield nameservers
    finally:
        await nameservers.close()


@pytest.mark.parametrize("found_after_s", [0.6, 2.5])
async def test_a_slow_domain_beside_quick_ones(dns: FakeDns, found_after_s: float) -> None:
    """S-08: a server that is mostly quick may take its time to find out about one domain; that is no failure."""
    dns.script("slow.test", "A", Answer((a("slow.test", "203.0.113.2"),), found_after_s=found_after_s))
    async with running(dns) as nameservers:
        answer = await nameservers.ask("slow.test", "A")
    assert [record.value for record in answer.records] == ["203.0.113.2"]
    assert dns.asked["slow.test", "A"] <= 8


async def test_patience_ends(dns: FakeDns) -> None:
    """C3: after about `timeout_s` x `tries` it is a time-out, and the server was not asked without pause."""
    dns.script("mute.test", "A", Answer(silent=True))
    async with running(dns, timeout_s=1.0, tries=2) as nameservers:
        begun = time.monotonic()
        with pytest.raises(LookupFailed) as raised:
            await nameservers.ask("mute.test", "A")
        assert 1.0 < time.monotonic() - begun < 4.0
    assert raised.value.trouble.kind == "timeout"
    assert dns.asked["mute.test", "A"] <= 8


async def test_closing_waits_for_nobodys_patience(dns: FakeDns) -> None:
    """Who waits between two questions hears of it at once."""
    dns.script("mute.test", "A", Answer(silent=True))
    async with running(dns, timeout_s=5.0, tries=2) as nameservers:
        waiting = asyncio.create_task(nameservers.ask("mute.test", "A"))
        async with asyncio.timeout(10):
            await dns.was_asked("mute.test", "A", 3)
        begun = time.monotonic()
    with pytest.raises(LookupFailed) as raised:
        await waiting
    assert time.monotonic() - begun < 1.0
    assert raised.value.trouble.kind in ("closed", "timeout")


async def test_an_answer_that_nobody_can_read_hurts_nobody_beside_it(dns: FakeDns) -> None:
    """C1, I6: c-ares gives up the connection of a malformed answer, and with it all questions on their way."""
    dns.script("bad.test", "A", Answer((a("bad.test", "203.0.113.3"),), edit=lambda octets: octets[:-3]))
    names = [f"d{number}.test" for number in range(40)]
    dns.records(*(a(name, "203.0.113.2") for name in names))
    async with running(dns, tries=1) as nameservers:
        asked = [nameservers.ask(name, "A") for name in names]
        asked[20:20] = [nameservers.ask("bad.test", "A")]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    bad = answers.pop(20)
    assert isinstance(bad, LookupFailed)
    assert bad.trouble.kind == "bad_answer"
    assert [type(answer).__name__ for answer in answers] == ["Answer"] * 40
    assert dns.asked["bad.test", "A"] == 3
