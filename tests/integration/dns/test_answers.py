"""What DNS may answer, and what is made of it, each over UDP and over TCP (S-07, S-08, S-09; facts measured of c-ares):

- a null MX comes as an empty exchange; beside others it is ignored
- CNAME records stand beside the MX they lead to
- a CNAME loop, or a CNAME that leads nowhere, is a successful answer without MX
- records of another owner come in an answer; nobody asked for them
- names come with escapes (`\\ddd`), which are part of no host name
- `ok.test\\0.evil` would be looked up as `ok.test`, and `1.2.3.4` as a name: both are refused before they are asked
- REFUSED, SERVFAIL, FORMERR and silence are temporary, NXDOMAIN and no data are not
- MX come unsorted
- 1,500 MX come over TCP; 20 hosts are used, and 30 addresses
- an IP literal is no MX
"""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from dnslib import RR

from mta.dns.mx import MOST_ADDRESSES, MOST_HOSTS, MxAnswer, MxFound, NoMail
from mta.dns.record import DnsTrouble
from tests.fakes.dns_server import Answer, FakeDns, a, aaaa, cname, mx
from tests.integration.dns.test_resolver import PATIENCE_S, SILENCE_S, running


@pytest_asyncio.fixture(params=[False, True], ids=["udp", "tcp"])
async def dns(request: pytest.FixtureRequest) -> AsyncIterator[FakeDns]:
    async with FakeDns(tcp_only=request.param) as server:
        yield server


async def resolved(dns: FakeDns, domain: str = "acme.test", *, timeout_s: float = PATIENCE_S) -> MxAnswer:
    async with running(dns, timeout_s=timeout_s) as resolver:
        return await resolver.resolve(domain)


def names(answer: MxAnswer) -> list[str]:
    assert isinstance(answer, MxFound), answer
    return [host.name for host in answer.hosts]


def said(answer: MxAnswer) -> tuple[type, str]:
    assert isinstance(answer, NoMail | DnsTrouble), answer
    return type(answer), answer.kind


HOST_A, HOST_B, HOST_C = (a(f"{name}.acme.test", f"203.0.113.{at}") for at, name in enumerate("abc", 1))
A_, B_, C_ = "a.acme.test", "b.acme.test", "c.acme.test"


@pytest.mark.parametrize(
    ("answer", "others", "hosts"),
    [
        ((mx("acme.test", 10, A_),), (HOST_A,), [A_]),
        (
            (mx("acme.test", 30, C_), mx("acme.test", 10, A_), mx("acme.test", 20, B_)),
            (HOST_A, HOST_B, HOST_C),
            [A_, B_, C_],
        ),
        ((mx("acme.test", 65535, B_), mx("acme.test", 0, A_)), (HOST_A, HOST_B), [A_, B_]),
        ((mx("acme.test", 10, B_), mx("acme.test", 20, A_), mx("acme.test", 5, A_)), (HOST_A, HOST_B), [A_, B_]),
        ((mx("acme.test", 10, A_), mx("acme.test", 20, B_)), (HOST_B,), [B_]),
        ((), (a("acme.test", "203.0.113.9"),), ["acme.test"]),
        ((), (aaaa("acme.test", "2001:db8::9"),), ["acme.test"]),
        ((mx("acme.test", 0, "."), mx("acme.test", 10, A_)), (HOST_A,), [A_]),
        ((mx("acme.test", 5, "192.0.2.1"), mx("acme.test", 10, A_)), (HOST_A,), [A_]),
        ((mx("acme.test", 5, "acme.test"),), (a("acme.test", "203.0.113.9"),), ["acme.test"]),
        ((cname("acme.test", "big.test"), mx("big.test", 10, A_)), (HOST_A,), [A_]),
        ((mx("other.test", 1, "evil.test"), mx("acme.test", 10, A_)), (HOST_A, a("evil.test", "203.0.113.66")), [A_]),
        ((mx("acme.test", 10, A_.upper()),), (HOST_A,), [A_]),
    ],
    ids=[
        "one", "unsorted", "ends of the range", "named twice", "one without address", "implicit", "implicit, IPv6",
        "null beside others", "IP literal beside a host", "the domain itself", "behind a CNAME", "foreign owner",
        "case",
    ],
)  # fmt: skip
async def test_hosts_in_order(
    dns: FakeDns, answer: tuple[RR, ...], others: tuple[RR, ...], hosts: list[str]
) -> None:
    """S-07, C5, C6: ascending preference, whatever stands beside; no MX means the domain's own addresses."""
    dns.records(*others)
    dns.script("acme.test", "MX", Answer(answer))
    assert names(await resolved(dns)) == hosts


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("gone.test", "nxdomain"),
        ("null.test", "null_mx"),
        ("web.test", "nodata"),
        ("dangling.test", "nxdomain"),
        ("ok.test\0.evil", "bad_name"),
        ("1.2.3.4", "bad_name"),
        ("a..b", "bad_name"),
    ],
)
async def test_permanent(dns: FakeDns, domain: str, kind: str) -> None:
    """S-08, C4, C5, C6: only these end a message, and never for another domain's sake."""
    chain = (cname("dangling.test", "nowhere.test"),)
    dns.records(mx("null.test", 0, "."), mx("ok.test", 10, A_), HOST_A)
    dns.script("web.test", "TXT", Answer())
    for asked in ("MX", "A", "AAAA"):
        code = "NOERROR" if asked == "MX" else "NXDOMAIN"
        dns.script("dangling.test", asked, Answer(chain, rcode=code))
    assert said(await resolved(dns, domain)) == (NoMail, kind)
    assert {name for name, _ in dns.asked} <= {domain}
    assert not (kind == "bad_name" and dns.asked)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(rcode="SERVFAIL"), "servfail"),
        (Answer(rcode="REFUSED"), "refused"),
        (Answer(rcode="FORMERR"), "bad_answer"),
        (Answer(silent=True), "timeout"),
        (Answer(edit=lambda octets: octets[:20]), "bad_answer or timeout"),
        (Answer((cname("acme.test", "b.test"), cname("b.test", "acme.test"))), "bad_cname"),
        (Answer((cname("acme.test", "acme.test"),)), "bad_cname"),
        (Answer((mx("acme.test", 10, "192.0.2.1"),)), "bad_mx"),
        (Answer((mx("acme.test", 10, "localhost"),)), "bad_mx"),
        (Answer((mx("acme.test", 10, "a\nb.acme.test"),)), "bad_mx"),
        (Answer((mx("acme.test", 10, "a\0b.acme.test"),)), "bad_mx"),
        (Answer((mx("acme.test", 10, "missing.acme.test"),)), "bad_mx"),
    ],
    ids=[
        "servfail", "refused", "formerr", "silence", "cut off", "loop", "loop of one", "IP literal", "localhost",
        "escape", "NUL", "no address",
    ],
)  # fmt: skip
async def test_temporary(dns: FakeDns, answer: Answer, kind: str) -> None:
    """S-08, C1, C2, C3, C10: deferred, though the domain has an address: unusable MX are no implicit MX (S-07)."""
    dns.records(a("acme.test", "203.0.113.9"))
    dns.script("acme.test", "MX", answer)
    found, was = said(await resolved(dns, timeout_s=SILENCE_S if "timeout" in kind else PATIENCE_S))
    assert found is DnsTrouble
    assert was in kind.split(" or ")


async def test_a_label_of_64_octets(dns: FakeDns) -> None:
    """C10: such a name cannot be written in DNS; whoever sends it is not understood, and what was asked is not sent
    anywhere."""

    def lengthen(octets: bytes) -> bytes:
        at = octets.index(b"\x3f" + b"x" * 63)
        size = int.from_bytes(octets[at - 4 : at - 2], "big") + 1
        return octets[: at - 4] + size.to_bytes(2, "big") + octets[at - 2 : at] + b"\x40x" + octets[at + 1 :]

    dns.records(a("acme.test", "203.0.113.9"))
    dns.script("acme.test", "MX", Answer((mx("acme.test", 10, "x" * 63 + ".example"),), edit=lengthen))
    found, kind = said(await resolved(dns, timeout_s=SILENCE_S))
    assert found is DnsTrouble
    assert kind in ("bad_answer", "timeout", "bad_mx")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("169.254.169.254", "link-local"),
        ("10.1.2.3", "private"),
        ("172.31.0.1", "private"),
        ("192.168.0.1", "private"),
        ("224.0.0.25", "multicast"),
        ("100.64.0.1", "not public"),
        ("203.0.114.99", "an address of this host"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("fe80::1", "link-local"),
        ("fd00::1", "private"),
        ("ff02::1", "multicast"),
    ],
)
async def test_addresses_that_are_not_connected_to(dns: FakeDns, address: str, why: str) -> None:
    """S-09, C10: the detail names host and address and says why; a good host beside is used."""
    record = aaaa if ":" in address else a
    dns.records(mx("trap.test", 10, "in.trap.test"), record("in.trap.test", address))
    dns.records(mx("half.test", 5, "in.trap.test"), mx("half.test", 10, A_), HOST_A)
    dns.records(record("bare.test", address))
    async with running(dns, own=("203.0.114.99",)) as resolver:
        for domain in ("trap.test", "bare.test"):
            answer = await resolver.resolve(domain)
            assert isinstance(answer, DnsTrouble)
            assert answer.kind == "bad_address"
            assert f"{address} ({why})" in answer.detail
        assert names(await resolver.resolve("half.test")) == [A_]


async def test_a_great_many_hosts(dns: FakeDns) -> None:
    """C8: 1,500 MX, of which the 20 best are used, each with an address before any has a second, 30 in all."""
    hosts = [f"h{number:04}.huge.test" for number in range(1500)]
    records = tuple(mx("huge.test", 2000 - at, name) for at, name in enumerate(hosts))
    dns.script("huge.test", "MX", Answer(records, tcp_only=True))
    best = hosts[: -MOST_HOSTS - 1 : -1]
    dns.records(*(a(name, f"203.0.113.{last}") for name in best for last in range(1, 6)))
    answer = await resolved(dns, "huge.test")
    assert names(answer) == best
    assert isinstance(answer, MxFound)
    counts = [len(host.addresses) for host in answer.hosts]
    assert (sum(counts), min(counts)) == (MOST_ADDRESSES, 1)
    assert {name for name, _ in dns.asked} == {"huge.test", *best}
