"""`mta explain route`: what the daemon would do with mail to an address, and why."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.fakes.dns_server import Answer, FakeDns, a, aaaa, mx, tlsa, txt
from tests.fakes.verbs import verb

Explain = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]

_CONFIG = """
[node]
state_dir = "{directory}/state"
[dns]
servers = ["{dns}"]
validating = "{dns}"
allow = ["203.0.113.0/24"]
[sources]
a1 = {{ address = "192.0.2.10", ehlo = "mta1.acme.example" }}
a2 = {{ ehlo = "mta2.acme.example" }}
[pools]
default = {{ a1 = 1 }}
pair = {{ a1 = 1, a2 = 3 }}
[routes]
"*.relay.test" = {{ host = "relay.example:587", tls = "verify" }}
[tenants.acme]
pools = ["pair", "default"]
return_path = "b.acme.example"
domains."acme.example" = {{ require_dkim = false }}
"""


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


@pytest_asyncio.fixture
async def explain(dns: FakeDns, tmp_path: Path) -> Explain:
    path = tmp_path / "mta.toml"
    path.write_text(_CONFIG.format(directory=tmp_path, dns=dns.address))

    async def ask(address: str, *options: str) -> tuple[int, dict[str, Any]]:
        code, out, errors = await verb("explain", "route", address, *options, "--json", "--config", str(path))
        assert not errors, errors
        return code, json.loads(out)

    return ask


def step(told: dict[str, Any], what: str) -> dict[str, Any]:
    (found,) = (one for one in told["steps"] if one["what"] == what)
    return dict(found)


async def test_the_way_of_mail_by_mx(dns: FakeDns, explain: Explain) -> None:
    """Each question with its answer, each host with what has to hold, also the one nobody may connect to."""
    dns.records(
        mx("example.test", 20, "inside.example.test"),
        mx("example.test", 10, "mx.example.test"),
        a("mx.example.test", "203.0.113.1"),
        a("inside.example.test", "10.0.0.1"),
    )
    code, told = await explain("Bob@EXAMPLE.test")
    assert (code, told["outcome"], told["domain"]) == (0, "send", "example.test")
    assert step(told, "MX of example.test")["found"] == "20 inside.example.test, 10 mx.example.test"
    assert "TTL 300 s" in step(told, "A of mx.example.test")["why"]
    assert step(told, "TXT of _mta-sts.example.test")["found"] == "the name does not exist"
    good, refused = told["hosts"]
    assert (good["name"], good["addresses"], good["policy"]) == (
        "mx.example.test",
        ["203.0.113.1"],
        "opportunistic",
    )
    assert (refused["name"], refused["refused"]) == ("inside.example.test", "10.0.0.1 (private)")
    assert told["site"] == "mx.example.test,inside.example.test"
    assert (told["pool"], len(told["sources"])) == ("pair", 2)
    assert "weight 3" in told["sources"][1]


async def test_dane_and_what_a_sender_asks_for(dns: FakeDns, explain: Explain) -> None:
    """T-07: the records are named; T-10: what nobody vouches for bounces before anything is connected to."""
    dns.records(mx("dane.test", 10, "mx.dane.test"), tlsa("_25._tcp.mx.dane.test", 3, 1, 1, bytes(32)))
    dns.records(a("mx.dane.test", "203.0.113.1"), mx("open.test", 10, "mx.dane.test"))
    dns.secure("dane.test", "mx.dane.test", "_25._tcp.mx.dane.test")
    code, told = await explain("bob@dane.test")
    assert (code, told["hosts"][0]["policy"]) == (0, "dane")
    assert "DNSSEC holds" in step(told, "TLSA of _25._tcp.mx.dane.test")["why"]
    code, told = await explain("bob@open.test", "--tls", "requiretls")
    assert (code, told["outcome"]) == (1, "bounce")
    assert "5.7.30" in step(told, "outcome")["found"]


async def test_a_policy_that_cannot_be_had_is_told(dns: FakeDns, explain: Explain) -> None:
    """T-05: the record is there and the file is not: mail goes, and the reader hears of it."""
    dns.records(mx("sts.test", 10, "mx.sts.test"), a("mx.sts.test", "203.0.113.1"))
    dns.records(txt("_mta-sts.sts.test", "v=STSv1; id=1;"), a("mta-sts.sts.test", "10.0.0.1"))
    code, told = await explain("bob@sts.test")
    assert (code, told["outcome"]) == (0, "send")
    policy = step(told, "policy")
    assert "sts-policy-fetch-error" in policy["found"]
    code, told = await explain("bob@sts.test", "--tls", "requiretls")
    assert (code, told["outcome"]) == (1, "defer")
    assert "10.0.0.1" in policy["why"]


async def test_what_takes_no_mail(dns: FakeDns, explain: Explain) -> None:
    """For good, or for now: each with its reason and with exit code 1."""
    dns.records(mx("null.test", 0, "."), aaaa("null.test", "2001:db8::1"))
    dns.script("sick.test", "MX", Answer(rcode="SERVFAIL"))
    for domain, outcome, word in (
        ("null.test", "bounce", "null_mx"),
        ("gone.test", "bounce", "nxdomain"),
        ("sick.test", "defer", "servfail"),
    ):
        code, told = await explain(f"bob@{domain}")
        assert (code, told["outcome"]) == (1, outcome)
        assert step(told, "outcome")["found"].startswith(word)


async def test_a_route_of_the_operator(dns: FakeDns, explain: Explain) -> None:
    """Nothing is asked; the route's own terms hold."""
    code, told = await explain("bob@x.relay.test", "--pool", "default")
    assert (code, told["site"], told["pool"]) == (0, "relay.example:587", "default")
    assert step(told, "route")["found"] == '"*.relay.test" -> relay.example:587'
    assert told["hosts"][0]["policy"] == "verify"
    assert not dns.asked


async def test_what_cannot_be_asked(tmp_path: Path) -> None:
    """No address, no configuration, no such pool: told in a line, with the exit code of each."""
    path = tmp_path / "mta.toml"
    path.write_text(_CONFIG.format(directory=tmp_path, dns="127.0.0.1:9"))
    for arguments, code, word in (
        (("bob", "--config", str(path)), 64, b"no address"),
        (("bob@a.test", "--pool", "x", "--config", str(path)), 64, b"unknown pool"),
        (("bob@a.test", "--tenant", "x", "--config", str(path)), 64, b"unknown tenant"),
        (("bob@a.test", "--config", str(tmp_path / "none.toml")), 78, b"none.toml"),
    ):
        got, _, errors = await verb("explain", "route", *arguments)
        assert (got, word in errors) == (code, True), errors


async def test_people_get_a_table(dns: FakeDns, tmp_path: Path) -> None:
    """Lines of what was found and why, and one that says what would become of it."""
    path = tmp_path / "mta.toml"
    path.write_text(_CONFIG.format(directory=tmp_path, dns=dns.address))
    code, out, _ = await verb("explain", "route", "bob@x.relay.test", "--config", str(path))
    assert code == 0
    assert b"It would be sent." in out
    assert b"what has to hold" in out
