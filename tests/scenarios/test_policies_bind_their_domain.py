"""What a domain publishes about TLS binds its own mail and nobody else's: MTA-STS, DANE, and what a sender asks for."""

import asyncio
from itertools import product

import pytest

from tests.fakes.dns_server import Answer
from tests.fakes.world import World, for_any_name, sts

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_SENT = ("deferred", "tls_required")
"""And expired at the end."""


def said_of(domain: str, world: World) -> list[bytes]:
    """What any host heard of a domain."""
    return [line for host in world.hosts.values() for _, line in host.lines if f"@{domain}>".encode() in line]


async def test_an_enforced_policy_keeps_mail_from_strangers(domains: World) -> None:
    """T-06, D3: deferred and never bounced; nothing was said to the host; a domain without a policy by the same hosts
    is served."""
    domains.domain("wrong.test", "mx.bad.test", policy=sts("enforce", "mx.bad.test"))
    domains.domain("free.test", "mx.bad.test")
    first, *_, last = await domains.sent("ada@wrong.test")
    assert (first["type"], first["bounce"]["class"], first["smtp"]["stage"]) == (*NOT_SENT, "tls")
    assert "certificate" in first["bounce"]["detail"]
    assert (last["type"], last["bounce"]["last_class"]) == ("expired", "tls_required")
    (event,) = await domains.sent("ada@free.test")
    assert event["type"] == "delivered"
    assert event["site"] == first["site"]
    assert event["tls"]["verified"] == "none"
    assert said_of("wrong.test", domains) == []


MODES = ("enforce", "testing", "none")
HOSTS = {
    "mx.good.test": "",
    "mx.bad.test": "issuer certificate",
    "mx.expired.test": "certificate has expired",
    "mx.misnamed.test": "mismatch",
    "mx.clear.test": "STARTTLS is not offered",
    "mx.good.test, not named": "is no MX host of the domain's MTA-STS policy",
}


async def test_each_mode_and_each_fault(domains: World) -> None:
    """T-06, D3, D10: `enforce` sends to whom it names, if the certificate holds, by name and dates; `testing` to
    everybody, and vouches for those that would do; `none` asks for nothing."""
    kinds: dict[str, tuple[str, str, str]] = {}
    for mode, kind in product(MODES, HOSTS):
        host, _, is_strange = kind.partition(", ")
        name = f"{mode}.{'un' if is_strange else ''}{host.split('.')[1]}.test"
        policy = sts(mode, "mx.elsewhere.test" if is_strange else host)
        domains.domain(name, host, policy=policy if mode != "none" else sts("none"))
        kinds[name] = (mode, host, HOSTS[kind])
    told = await domains.all_sent(*(f"ada@{name}" for name in kinds))
    for name, (mode, host, fault) in kinds.items():
        first, *_ = events = told.of(f"ada@{name}")
        if mode == "enforce" and fault:
            assert (first["type"], first["bounce"]["class"]) == NOT_SENT, name
            assert fault in first["bounce"]["detail"], (name, first["bounce"]["detail"])
            assert events[-1]["type"] == "expired", name
            assert said_of(name, domains) == [], name
        else:
            vouched = "sts" if mode != "none" and not fault else "none"
            assert [event["type"] for event in events] == ["delivered"], name
            assert first.get("tls", {"verified": "none"})["verified"] == vouched, name
            assert ("tls" in first) == (host != "mx.clear.test"), name


async def test_dane_vouches_for_the_key(domains: World) -> None:
    """T-07: an unknown authority and another name mean nothing where the record names the key."""
    domains.domain("dane.test", "mx.dane.test")
    domains.signed("dane.test", "mx.dane.test")
    (event,) = await domains.sent("ada@dane.test")
    assert event["type"] == "delivered"
    assert (event["tls"]["verified"], event["tls"]["policy"]) == ("dane", "dane")


async def test_dane_that_does_not_hold(domains: World) -> None:
    """T-07, T-08: another key, also where a good MTA-STS policy would let it pass; a question that fails; records of
    usages that are not for mail, where there is no TLS: deferred. With TLS those go on, with whomever."""
    aliases = {"both": "good", "bogus": "dane", "pkix": "bad", "clear-pkix": "clear"}
    for name, host in aliases.items():
        mx = domains.alias(f"mx.{name}.test", domains.hosts[f"mx.{host}.test"])
        domains.domain(f"{name}.test", mx, policy=sts("enforce", mx) if name == "both" else "")
        domains.signed(f"{name}.test", mx)
        domains.named(mx, bytes(32), usage=1 if "pkix" in name else 3)
    domains.zones.script("_25._tcp.mx.bogus.test", "TLSA", Answer(rcode="SERVFAIL"))
    before = {name: domains.hosts[f"mx.{name}.test"].connections for name in ("both", "bogus")}
    told = await domains.all_sent(*(f"ada@{name}.test" for name in aliases))
    details = {"both": "none that the TLSA records name", "bogus": "TLSA", "clear-pkix": "not offered"}
    for name, detail in details.items():
        first, *_, last = told.of(f"ada@{name}.test")
        assert (first["type"], first["bounce"]["class"]) == NOT_SENT, name
        assert detail in first["bounce"]["detail"]
        assert last["type"] == "expired"
        assert said_of(f"{name}.test", domains) == []
    assert domains.hosts["mx.both.test"].connections > before["both"]
    assert domains.hosts["mx.bogus.test"].connections == before["bogus"]
    (event,) = told.of("ada@pkix.test")
    assert (event["type"], event["tls"]["verified"], event["tls"]["policy"]) == ("delivered", "none", "dane")


async def test_each_host_has_its_own_records(domains: World) -> None:
    """T-07: the first host may not be used, as its question fails; the second has a record that holds, and gets it."""
    domains.alias("mx.lame.test", domains.hosts["mx.clear.test"])
    domains.domain("pair.test", "mx.lame.test", "mx.dane.test")
    domains.signed("pair.test", "mx.lame.test", "mx.dane.test")
    domains.zones.script("_25._tcp.mx.lame.test", "TLSA", Answer(rcode="SERVFAIL"))
    before = domains.hosts["mx.lame.test"].connections
    (event,) = await domains.sent("ada@pair.test")
    assert (event["type"], event["mx_host"], event["tls"]["verified"]) == (
        "delivered",
        "mx.dane.test",
        "dane",
    )
    assert domains.hosts["mx.lame.test"].connections == before


OPTIONS = ("none", "opportunistic", "require", "verify", "requiretls")
DOMAINS = {"open": "good", "selfmade": "bad", "clear": "clear", "kept": "good", "keyed": "dane"}
DEFERRED, BOUNCED, CLEAR = "deferred tls_required", "bounced tls_required", "delivered in clear"
BY_OPTION = {
    "open": (CLEAR, "none opportunistic", "none require", "pkix verify", BOUNCED),
    "selfmade": (CLEAR, "none opportunistic", "none require", DEFERRED, BOUNCED),
    "clear": (CLEAR, CLEAR, DEFERRED, DEFERRED, BOUNCED),
    "kept": (CLEAR, "sts sts", "sts sts", "sts sts", "sts sts"),
    "keyed": (CLEAR, "dane dane", "dane dane", "dane dane", BOUNCED),
}


async def test_a_sender_may_ask_for_more(domains: World) -> None:
    """T-10: each option at each kind of host: what a domain publishes binds beside it, except with `none`; REQUIRETLS
    goes only where somebody vouches for the host and the host promises it (RFC 8689), else the sender hears 5.7.30."""
    for name, host in DOMAINS.items():
        policy = sts("enforce", f"mx.{host}.test") if name == "kept" else ""
        domains.domain(f"{name}.test", f"mx.{host}.test", policy=policy)
    domains.signed("keyed.test", "mx.dane.test")
    told = await asyncio.gather(
        *(domains.all_sent(*(f"{one}@{name}.test" for name in DOMAINS), tls=one) for one in OPTIONS)
    )
    found = {
        name: tuple(
            _brief(one.of(f"{option}@{name}.test")[0]) for option, one in zip(OPTIONS, told, strict=True)
        )
        for name in DOMAINS
    }
    assert found == BY_OPTION
    passed_on = [line for _, line in domains.hosts["mx.good.test"].lines if b" REQUIRETLS" in line]
    assert len(passed_on) == 1


def _brief(event: dict[str, object]) -> str:
    bounce, tls = event.get("bounce"), event.get("tls")
    if isinstance(bounce, dict):
        assert event["type"] == "deferred" or "5.7.30" in bounce["detail"]
        return f"{event['type']} {bounce['class']}"
    assert event["type"] == "delivered"
    return f"{tls['verified']} {tls['policy']}" if isinstance(tls, dict) else CLEAR


async def test_who_waives_tls_is_delivered(domains: World) -> None:
    """T-10, RFC 8689 section 3: `TLS-Required: No` is for mail about TLS that fails."""
    domains.domain("wrong.test", "mx.bad.test", policy=sts("enforce", "mx.bad.test"))
    (event,) = await domains.sent("eve@wrong.test", headers={"TLS-Required": "No"})
    assert (event["type"], event["tls"]["policy"]) == ("delivered", "opportunistic")


async def test_requiretls_goes_to_the_host_that_promises_it(domains: World) -> None:
    """T-10, REQUIRETLS: the first host does not offer it and is left with QUIT, the second takes the mail; where no
    host does, all that waits is given back at once."""
    lacking = await domains.host("mx1.lacking.test", "mx2.lacking.test", context=for_any_name(domains.ca))
    for name, hosts in {
        "second": ("mx1.lacking.test", "mx.good.test"),
        "neither": ("mx1.lacking.test", "mx2.lacking.test"),
    }.items():
        domains.domain(f"{name}.test", *hosts, policy=sts("enforce", *hosts))
    (event,) = await domains.sent("eva@second.test", tls="requiretls")
    assert (event["type"], event["mx_host"], event["tls"]["verified"]) == ("delivered", "mx.good.test", "sts")
    await lacking.until(lambda: lacking.lines[-1][1] == b"QUIT\r\n")
    told = await domains.all_sent(*(f"r{number}@neither.test" for number in range(20)), tls="requiretls")
    assert told.counts() == {"bounced": 20}
    for recipient in told.ended:
        (event,) = told.of(recipient)
        assert (event["bounce"]["class"], event["attempt"]) == ("tls_required", 1)
        assert "5.7.30" in event["bounce"]["detail"]
    assert not any(line.startswith(b"MAIL") for _, line in lacking.lines)
