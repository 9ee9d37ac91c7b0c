"""`mta explain shaping`: every value that holds, and the layer it comes from, by the daemon's own router."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.dns_server import FakeDns, a, mx
from tests.fakes.verbs import verb

_CONFIG = """
[node]
state_dir = "{directory}/state"
[dns]
servers = ["{dns}"]
mta_sts = false
allow = ["203.0.113.0/24"]
[sources]
a1 = {{ ehlo = "a1.acme.example", warmup = "default", warmup_providers = ["google"] }}
a2 = {{ ehlo = "a2.acme.example" }}
a3 = {{ ehlo = "a3.acme.example" }}
a4 = {{ ehlo = "a4.acme.example" }}
[pools]
default = {{ a1 = 1, a2 = 1, a3 = 1 }}
third = {{ a3 = 1 }}
[routes]
"*.relay.test" = {{ host = "smart.example:587", provider = "gmx", tls = "require" }}
"""
_MORE = """
[sites.mail]
mx = ["aspmx.l.google.com"]
message_rate = "7/min"
[sources.a2]
source_message_rate = "50/s"
provider_connections = "none"
[[overrides]]
source = "a2"
provider = "google"
reason = "they asked for it"
retry = ["10m", "90m"]
"""


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        server.records(mx("acme.test", 10, "aspmx.l.google.com"), a("aspmx.l.google.com", "203.0.113.1"))
        server.records(mx("own.test", 10, "mx.own.test"), a("mx.own.test", "203.0.113.2"))
        yield server


@pytest.fixture
def configured(tmp_path: Path, dns: FakeDns) -> str:
    shipped = Path(__file__).parents[3] / "conf" / "shaping.toml"
    (tmp_path / "shaping.toml").write_text(shipped.read_text() + _MORE)
    path = tmp_path / "mta.toml"
    path.write_text(_CONFIG.format(directory=tmp_path, dns=dns.address))
    return str(path)


async def asked(configured: str, of: str, *options: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = await verb("explain", "shaping", of, *options, "--json", "--config", configured)
    return code, json.loads(out)


def held(told: dict[str, Any], way: int = 0) -> dict[str, tuple[str, str]]:
    return {one["knob"]: (one["value"], one["layer"]) for one in told["ways"][way]["knobs"]}


async def test_each_value_names_its_layer(configured: str) -> None:
    """default < provider < site < source < override; what nobody sets is built in."""
    code, told = await asked(configured, "acme.test")
    assert (code, told["provider"], told["site_rule"], told["hosts"]) == (
        *(0, "google", "mail"),
        ["aspmx.l.google.com"],
    )
    assert [way["sources"] for way in told["ways"]] == [["a1", "a3"], ["a2"]]
    first, second = held(told), held(told, 1)
    assert first["connections"] == ("5", "providers.google")
    assert first["message_rate"] == ("7/min", "sites.mail")
    assert first["connection_rate"] == ("100/min", "default")
    assert first["provider_connections"] == ("5", "providers.google")
    assert first["host_connections"] == first["retry"] == ("none", "built in")
    assert first["timeouts.dot"] == ("10m", "default")
    assert second["provider_connections"] == ("none", "sources.a2")
    assert second["source_message_rate"] == ("50/s", "sources.a2")
    assert second["retry"] == ("10m 1.5h", "overrides[0]")
    (retry,) = (one for one in told["ways"][1]["knobs"] if one["knob"] == "retry")
    assert retry["reason"] == "they asked for it"


async def test_rules_and_warm_up_that_apply(configured: str) -> None:
    """Those of the provider and of any, without the ones that except it; the plan of a source that is new there."""
    _, told = await asked(configured, "x@acme.test")
    rules = {one["rule"]: one for one in told["automation"]}
    assert "google-rate" in rules
    assert "source-blocked" in rules
    assert not {"source-rate", "yahoo-complaints"} & set(rules)
    assert rules["google-rate"]["does"] == "suspend provider for 10m, alert"
    assert rules["google-rate"]["when"].startswith(
        "the first: rate_limited; accusing netblock, source_ip; text "
    )
    assert [(one["source"], one["plan"], one["days"]) for one in told["warmups"]] == [("a1", "default", 29)]
    _, told = await asked(configured, "own.test")
    assert (told["provider"], told["warmups"]) == ("other", [])
    assert "source-rate" in {one["rule"] for one in told["automation"]}


async def test_a_route_and_another_pool(configured: str) -> None:
    """Provider and TLS are the route's word; only the sources of the pool are told."""
    _, told = await asked(configured, "x.relay.test", "--pool", "third")
    assert (told["provider"], told["by"], told["site"]) == ("gmx", "as the route says", "smart.example:587")
    assert [way["sources"] for way in told["ways"]] == [["a3"]]
    assert held(told)["connections"] == ("4", "providers.gmx")
    assert held(told)["tls"] == ("require", "the route in mta.toml")


async def test_a_source_by_its_name(configured: str) -> None:
    """What holds wherever no layer names the place, and what overrides make of it elsewhere."""
    _, told = await asked(configured, "a2")
    assert (told["pools"], [way["to"] for way in told["ways"]]) == (
        ["default"],
        ["to a site that no layer names", "to provider google"],
    )
    assert held(told)["source_message_rate"] == ("50/s", "sources.a2")
    assert held(told)["connections"] == ("10", "default")
    assert held(told, 1)["retry"] == ("10m 1.5h", "overrides[0]")
    _, told = await asked(configured, "a4")
    assert told["pools"] == []


async def test_what_has_no_way_or_is_not_there(configured: str) -> None:
    """Exit code 1 and why; a word without a dot may have been meant as a source."""
    code, out, errors = await verb("explain", "shaping", "a9", "--config", configured)
    assert (code, out) == (1, b"")
    assert b"It is no source either: a1, a2, a3, a4." in errors
    code, told = await asked(configured, "gone.test")
    assert (code, told["kind"]) == (1, "nxdomain")
    code, _, errors = await verb("explain", "shaping", "acme.test", "--pool", "x", "--config", configured)
    assert (code, b"unknown pool" in errors) == (64, True)
    for odd in ("a b", "", "x" * 300, "\N{BELL}.test"):
        code, out, errors = await verb("explain", "shaping", odd, "--config", configured)
        assert (code, out, b"and no source: a1, a2, a3, a4" in errors) == (64, b"", True), errors


async def test_the_way_of_mail_tells_what_each_source_has(configured: str) -> None:
    """`mta explain route`: once where all have the same, else those together that have."""

    async def pacing() -> list[tuple[str, str]]:
        _, out, _ = await verb("explain", "route", "x@acme.test", "--json", "--config", configured)
        steps = [step for step in json.loads(out)["steps"] if step["what"] == "pacing"]
        return [(step["found"].partition(",")[0], step["why"].partition(" to ")[0]) for step in steps]

    assert await pacing() == [("5 connections", "of each source")]
    more = Path(configured).parent / "shaping.toml"
    more.write_text(more.read_text() + '[[overrides]]\nsource = "a2"\nreason = "x"\nconnections = 1\n')
    assert await pacing() == [("5 connections", "of a1 and a3"), ("1 connections", "of a2")]


async def test_people_get_tables(configured: str) -> None:
    """What a second source has different, not all of it again; and what every action does."""
    code, out, _ = await verb("explain", "shaping", "acme.test", "--config", configured)
    text = out.decode()
    assert code == 0
    assert "From a1, a3 to acme.test" in text
    assert "From a2 to acme.test: as above, but" in text
    assert text.count("messages_per_connection") == 1
    assert "overrides[0]: they asked for it" in text
    assert "-> suspend provider for 10m, alert" in text
