"""Name servers that fail, lie, die and come back: nobody is bounced for it, and nobody else waits."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from tests.fakes.dns_server import Answer, FakeDns, a, cname, mx
from tests.fakes.rig import Event, Rig, check_copies
from tests.fakes.smtp_server import CHUNKING, FakeMX

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.begun_first]

HERE = "wrong.example.test"


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def first_of(events: list[Event]) -> tuple[str, str, str]:
    first = events[0]
    return first["type"], first["bounce"]["class"], first["smtp"]["stage"]


@pytest.fixture
def port_25() -> Iterator[list[socket.socket]]:
    """Two addresses, bound and not listening."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for last, one in enumerate(sockets, 1):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((f"127.0.6.{last}", 25))
            except OSError as error:
                pytest.skip(f"PORT 25 CANNOT BE BOUND HERE, SO MX DELIVERY IS NOT TESTED: {error}")
        yield sockets


async def test_failures_defer_and_hold_nobody_up(rig: Rig, zones: FakeDns) -> None:
    """C1, C2, C3, S-08: deferred as dns_failure and never bounced, while mail beside them is delivered."""
    zones.script(f"servfail.{HERE}", "MX", Answer(rcode="SERVFAIL"))
    zones.script(f"refused.{HERE}", "MX", Answer(rcode="REFUSED"))
    zones.script(f"mute.{HERE}", "MX", Answer(silent=True))
    loop = cname(f"loop.{HERE}", f"loop.{HERE}")
    zones.script(f"loop.{HERE}", "MX", Answer((loop,)))
    zones.records(mx(f"host.{HERE}", 10, f"sick.host.{HERE}"))
    zones.script(f"sick.host.{HERE}", "A", Answer(rcode="SERVFAIL"))
    sick = [f"a@{name}.{HERE}" for name in ("servfail", "refused", "loop", "host")]
    async with rig.destination() as place:
        payload = rig.payload(*sick, place.to("b"), expires_at=soon(4))
        mute = rig.payload(f"a@mute.{HERE}", expires_at=soon(60))
        await rig.publish(mute)
        told = await rig.deliver(payload)
        for recipient in sick:
            assert first_of(told.of(recipient)) == ("deferred", "dns_failure", "dns"), recipient
            assert told.end(recipient)["type"] == "expired"
        assert told.types(place.to("b")) == ["delivered"]
        check_copies(place, told)
        await rig.saw(mute, "deferred")
        assert first_of(rig.told(mute).of(f"a@mute.{HERE}")) == ("deferred", "dns_failure", "dns")
        zones.records(mx(f"mute.{HERE}", 0, "."))
        zones.script(f"mute.{HERE}", "MX", Answer((mx(f"mute.{HERE}", 0, "."),)))
        await rig.finished(mute, timeout_s=60.0)


async def test_what_takes_no_mail_bounces(rig: Rig, zones: FakeDns) -> None:
    """C4, C5, C6, S-08: no such name, neither MX nor address, a null MX: bounced at once, each told apart."""
    zones.script(f"web.{HERE}", "TXT", Answer())
    zones.records(mx(f"null.{HERE}", 0, "."))
    told = await rig.deliver(rig.payload(*(f"a@{name}.{HERE}" for name in ("gone", "web", "null"))))
    rules = {}
    for name in ("gone", "web", "null"):
        event = told.end(f"a@{name}.{HERE}")
        assert (event["type"], event["attempt"], event["smtp"]["stage"]) == ("bounced", 1, "dns")
        assert event["bounce"]["class"] == "invalid_domain"
        assert "mx_host" not in event
        rules[name] = event["bounce"]["rule"]
    assert rules == {"gone": "local:nxdomain", "web": "local:nodata", "null": "local:null_mx"}


async def test_an_mx_that_may_not_be_used(rig: Rig, zones: FakeDns) -> None:
    """C10, S-09: whatever a zone points us at, we defer, say why, and connect to nobody; expired at the end."""
    exchanges = {
        "literal": ("192.0.2.1", "IP literal"),
        "loopback": ("127.0.0.1", "IP literal"),
        "localhost": ("localhost", "only one label"),
        "escape": ("a\nb.example.test", "character"),
        "nul": ("a\0b.example.test", "character"),
    }
    addresses = {
        "zero": ("0.0.0.0", "unspecified"),
        "metadata": ("169.254.169.254", "link-local"),
        "private": ("10.0.0.1", "private"),
        "multicast": ("224.0.0.1", "multicast"),
    }
    for name, (exchange, _) in exchanges.items():
        zones.records(mx(f"{name}.{HERE}", 10, exchange))
    for name, (address, _) in addresses.items():
        zones.records(mx(f"{name}.{HERE}", 10, f"mx.{name}.{HERE}"), a(f"mx.{name}.{HERE}", address))
    long = mx(f"long.{HERE}", 10, "x" * 63 + ".example")
    zones.script(f"long.{HERE}", "MX", Answer((long,), edit=_lengthened))
    why = {name: text for name, (_, text) in (exchanges | addresses).items()} | {"long": f"long.{HERE}"}
    told = await rig.deliver(rig.payload(*(f"a@{name}.{HERE}" for name in why), expires_at=soon(3)))
    for name, text in why.items():
        events = told.of(f"a@{name}.{HERE}")
        assert first_of(events) == ("deferred", "dns_failure", "dns"), name
        assert text in events[0]["bounce"]["detail"], name
        assert not any("mx_ip" in event for event in events)
        assert (events[-1]["type"], events[-1]["bounce"]["last_class"]) == ("expired", "dns_failure")


def _lengthened(octets: bytes) -> bytes:
    """A label of 63 octets becomes one of 64, which nothing can read."""
    at = octets.index(b"\x3f" + b"x" * 63)
    size = int.from_bytes(octets[at - 4 : at - 2], "big") + 1
    return octets[: at - 4] + size.to_bytes(2, "big") + octets[at - 2 : at] + b"\x40x" + octets[at + 1 :]


async def test_a_domain_without_mx_is_its_own_host(
    rig: Rig, zones: FakeDns, port_25: list[socket.socket]
) -> None:
    """C5, S-07: no MX but an address."""
    zones.records(a(f"bare.{HERE}", "127.0.6.1"))
    async with FakeMX(offers=CHUNKING).serving(port_25[0]):
        told = await rig.deliver(rig.payload(f"a@bare.{HERE}"))
    event = told.end(f"a@bare.{HERE}")
    assert (event["type"], event["mx_host"], event["mx_ip"]) == ("delivered", f"bare.{HERE}", "127.0.6.1")


async def test_fifty_hosts_of_which_one_lives(rig: Rig, zones: FakeDns, port_25: list[socket.socket]) -> None:
    """C8: the twentieth is found in one attempt; where the fiftieth is the only one, the mail is deferred."""
    names = [f"h{number:02}.{HERE}" for number in range(50)]
    zones.records(*(a(name, "127.0.6.1" if at == 19 else "127.0.6.2") for at, name in enumerate(names)))
    zones.records(*(mx(f"fifty.{HERE}", at, name) for at, name in enumerate(names)))
    zones.records(*(mx(f"worst.{HERE}", 100 - at if at > 19 else 100, name) for at, name in enumerate(names)))
    async with FakeMX(offers=CHUNKING).serving(port_25[0]):
        told = await rig.deliver(rig.payload(f"a@fifty.{HERE}"))
        event = told.end(f"a@fifty.{HERE}")
        assert (event["type"], event["attempt"], event["mx_host"]) == ("delivered", 1, names[19])
        told = await rig.deliver(rig.payload(f"a@worst.{HERE}", expires_at=soon(3)))
    first, *_, last = told.of(f"a@worst.{HERE}")
    assert (first["type"], first["bounce"]["class"]) == ("deferred", "connect_failed")
    assert last["type"] == "expired"


@pytest.mark.asyncio(loop_scope="function")
async def test_the_name_server_dies_and_comes_back(own_rig: Rig, port_25: list[socket.socket]) -> None:
    """C14, I7: deferred while it is dead, delivered once soon after it is back, and no second look at what is known."""
    async with FakeDns() as zones, FakeMX(offers=CHUNKING).serving(port_25[0]) as taker:
        for name in ("known", "new"):
            zones.records(mx(f"{name}.{HERE}", 10, f"mx.{HERE}"))
        zones.records(a(f"mx.{HERE}", "127.0.6.1"))
        own_rig.configure(dns=zones.address, retry="1s")
        await own_rig.start()
        await own_rig.deliver(own_rig.payload(f"a@known.{HERE}"))
        await zones.stop()
        waits = own_rig.payload(*(f"r{number}@new.{HERE}" for number in range(20)))
        await own_rig.publish(waits)
        await own_rig.saw(waits, "deferred", 20)
        assert (await own_rig.deliver(own_rig.payload(f"b@known.{HERE}"))).counts() == {"delivered": 1}
        await zones.start()
        told = await own_rig.finished(waits, timeout_s=40.0)
        assert told.counts() == {"delivered": 20}
        assert len(taker.accepted) == 22
        assert zones.asked[f"known.{HERE}", "MX"] == 1
