"""`mta preflight` against a DNS server on loopback, in this process and as a child."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mta.admin.errors import WrongUsage
from mta.admin.output import Output
from mta.admin.preflight.run import preflight
from mta.config.load import load
from mta.config.settings import Config
from tests.fakes.dns_server import Answer, FakeDns, a, aaaa, cname, mx, ptr, soa, txt
from tests.fakes.keys import rsa_pem, signing_key

ROOT = Path(__file__).parents[3]
KEY = signing_key("s2026")
KEY_PLACE = "s2026._domainkey.acme.test"
PTR_PLACE = "10.113.0.203.in-addr.arpa"
Said = pytest.CaptureFixture[bytes]
Break = Callable[[FakeDns], None]


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    """Everything as receivers want it."""
    async with FakeDns() as server:
        server.records(
            soa("acme.test", "ns.acme.test"),
            mx("acme.test", 10, "in.acme.test"),
            a("in.acme.test", "203.0.113.20"),
            txt("_dmarc.acme.test", "v=DMARC1; p=reject; rua=mailto:d@acme.test"),
            txt(KEY_PLACE, KEY.dns_record()),
            mx("b.acme.test", 10, "in.acme.test"),
            txt("b.acme.test", "v=spf1 include:_spf.acme.test -all"),
            txt("_spf.acme.test", "v=spf1 ip4:203.0.113.0/28 -all"),
            ptr(PTR_PLACE, "mta1.acme.test"),
            a("mta1.acme.test", "203.0.113.10"),
            a("u.acme.test", "203.0.113.30"),
        )
        yield server


def write(
    place: Path, dns: FakeDns, *, source: str = "203.0.113.10", url: str = "https://u.acme.test"
) -> Path:
    """A configuration as an operator writes it."""
    (place / "dkim").mkdir(exist_ok=True)
    key = place / "dkim" / "s2026.pem"
    key.touch(mode=0o600)
    key.write_bytes(rsa_pem())
    address = f"address = '{source}', " if source else ""
    path = place / "mta.toml"
    path.write_text(
        f"[dns]\nservers = ['{dns.address}']\n"
        f"[http]\npublic_url = '{url}'\n"
        f"[sources]\na1 = {{ {address}ehlo = 'mta1.acme.test' }}\n"
        "[tenants.acme]\nreturn_path = 'b.acme.test'\n"
        "domains.'acme.test' = { dkim = [{ selector = 's2026', key = 's2026.pem' }] }\n"
    )
    return path


@pytest.fixture
def config(tmp_path: Path, dns: FakeDns) -> Config:
    return load(write(tmp_path, dns), {})


async def said(config: Config, capsysbinary: Said, domain: str = "") -> tuple[int, dict[str, Any]]:
    """The exit code and the object."""
    code = await preflight(config, "acme", domain, Output(as_json=True))
    out = capsysbinary.readouterr()
    assert out.err == b""
    (line,) = out.out.splitlines()
    return code, json.loads(line)


def by_check(told: dict[str, Any]) -> dict[str, str]:
    """The worst result of each check of the only domain."""
    (domain,) = told["domains"]
    ranks = ["pass", "warn", "unknown", "fail"]
    found: dict[str, str] = {}
    for one in domain["checks"]:
        found[one["check"]] = max(found.get(one["check"], "pass"), one["result"], key=ranks.index)
    return found


async def test_a_tenant_with_everything_in_order_is_all_green(config: Config, capsysbinary: Said) -> None:
    """D-01: exit code 0, every check a pass, every provider content."""
    code, told = await said(config, capsysbinary)
    assert code == 0
    assert set(by_check(told).values()) == {"pass"}
    (domain,) = told["domains"]
    assert (told["tenant"], domain["domain"]) == ("acme", "acme.test")
    assert all(set(one) == {"check", "subject", "result", "detail", "todo"} for one in domain["checks"])
    assert set(domain["providers"]) == {"gmail", "yahoo", "outlook", "icloud"}
    for provider in domain["providers"].values():
        assert set(provider["requirements"].values()) == {"pass"}
        assert provider["watch"]


def scripted(name: str, *texts: str) -> Break:
    return lambda dns: dns.script(name, "TXT", Answer(tuple(txt(name, text) for text in texts)))


BROKEN: dict[str, tuple[Break, dict[str, str]]] = {
    "no SPF": (scripted("b.acme.test"), {"spf-record": "fail"}),
    "SPF of another address": (
        scripted("_spf.acme.test", "v=spf1 ip4:203.0.113.99 -all"),
        {"spf-source": "fail"},
    ),
    "an SPF include that is gone": (lambda dns: dns.forget("_spf.acme.test"), {"spf-source": "fail"}),
    "no DKIM key": (lambda dns: dns.forget(KEY_PLACE), {"dkim-record": "fail"}),
    "another DKIM key": (scripted(KEY_PLACE, signing_key(which=1).dns_record()), {"dkim-key": "fail"}),
    "a revoked DKIM key": (scripted(KEY_PLACE, "v=DKIM1; p="), {"dkim-record": "fail"}),
    "DKIM in test": (scripted(KEY_PLACE, f"{KEY.dns_record()}; t=y"), {"dkim-record": "warn"}),
    "no DMARC": (
        lambda dns: dns.forget("_dmarc.acme.test"),
        {"dmarc-policy": "fail", "spf-alignment": "warn"},
    ),
    "DMARC that nobody reads": (scripted("_dmarc.acme.test", "v=DMARC1; p=none"), {"dmarc-reports": "warn"}),
    "strict SPF alignment": (
        scripted("_dmarc.acme.test", "v=DMARC1; p=none; aspf=s; rua=mailto:d@acme.test"),
        {"spf-alignment": "warn"},
    ),
    "no PTR": (lambda dns: dns.forget(PTR_PLACE), {"ptr": "fail"}),
    "an EHLO name that leads elsewhere": (
        lambda dns: dns.script("mta1.acme.test", "A", Answer((a("mta1.acme.test", "203.0.113.11"),))),
        {"ptr": "fail", "ehlo": "fail"},
    ),
    "a null MX at the return path": (
        lambda dns: dns.script("b.acme.test", "MX", Answer((mx("b.acme.test", 0, "."),))),
        {"return-path-mx": "fail"},
    ),
    "no MX at the From domain": (
        lambda dns: dns.script("acme.test", "MX", Answer()),
        {"from-mx": "fail"},
    ),
    "no SOA": (
        lambda dns: dns.script("acme.test", "SOA", Answer()),
        {"return-path-soa": "fail", "from-soa": "fail"},
    ),
    "no one-click host": (lambda dns: dns.forget("u.acme.test"), {"one-click": "warn"}),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_broken_is_found(what: str, config: Config, dns: FakeDns, capsysbinary: Said) -> None:
    """One thing each, and nothing else is blamed; a failure is exit code 1, a warning is not."""
    spoil, wanted = BROKEN[what]
    spoil(dns)
    code, told = await said(config, capsysbinary)
    assert {check: result for check, result in by_check(told).items() if result != "pass"} == wanted
    assert code == ("fail" in wanted.values())


async def test_dns_trouble_is_unknown_and_no_failure(
    config: Config, dns: FakeDns, capsysbinary: Said
) -> None:
    """Whoever has trouble with DNS knows nothing: never a pass, and no exit code of a failure."""
    for name, kind in (
        ("b.acme.test", "TXT"),
        (KEY_PLACE, "TXT"),
        ("_dmarc.acme.test", "TXT"),
        (PTR_PLACE, "PTR"),
        ("mta1.acme.test", "A"),
        ("b.acme.test", "MX"),
        ("acme.test", "MX"),
        ("acme.test", "SOA"),
        ("u.acme.test", "A"),
        ("_mta-sts.b.acme.test", "TXT"),
        ("_smtp._tls.b.acme.test", "TXT"),
    ):
        dns.script(name, kind, Answer(rcode="SERVFAIL"))
    code, told = await said(config, capsysbinary)
    assert code == 0
    assert {check for check, result in by_check(told).items() if result != "unknown"} == {"tls"}


async def test_a_question_is_asked_once(tmp_path: Path, dns: FakeDns, capsysbinary: Said) -> None:
    """However many domains and sources have it."""
    path = write(tmp_path, dns)
    path.write_text(path.read_text() + "domains.'news.acme.test' = { require_dkim = false }\n")
    code, told = await said(load(path, {}), capsysbinary)
    assert [one["domain"] for one in told["domains"]] == ["acme.test", "news.acme.test"]
    assert code == 1
    assert max(dns.asked.values()) == 1


async def test_one_domain_may_be_named(config: Config, capsysbinary: Said) -> None:
    """As it is written; another, or another tenant, is wrong usage."""
    _, told = await said(config, capsysbinary, "ACME.test")
    assert [one["domain"] for one in told["domains"]] == ["acme.test"]
    with pytest.raises(
        WrongUsage, match=r'acne\.test is no domain of tenant acme; did you mean "acme\.test"\?'
    ):
        await preflight(config, "acme", "acne.test", Output(as_json=True))
    with pytest.raises(WrongUsage, match=r"there is no tenant acne"):
        await preflight(config, "acne", "", Output(as_json=True))


async def test_a_delegated_key_is_followed(config: Config, dns: FakeDns, capsysbinary: Said) -> None:
    """A selector may be a CNAME into somebody else's zone."""
    target = "k.keys.test"
    dns.script(KEY_PLACE, "TXT", Answer((cname(KEY_PLACE, target), txt(target, KEY.dns_record()))))
    code, told = await said(config, capsysbinary)
    assert (code, by_check(told)["dkim-signature"]) == (0, "pass")


async def test_a_source_without_an_address_is_told(tmp_path: Path, dns: FakeDns, capsysbinary: Said) -> None:
    """What the kernel chooses cannot be checked, and is no failure."""
    code, told = await said(load(write(tmp_path, dns, source=""), {}), capsysbinary)
    wrong = {check: result for check, result in by_check(told).items() if result != "pass"}
    assert (code, wrong) == (0, {"spf-source": "unknown", "ptr": "unknown", "ehlo": "unknown"})


async def test_an_ipv6_source(tmp_path: Path, dns: FakeDns, capsysbinary: Said) -> None:
    """By its own mechanism and its own reversed name."""
    dns.script("_spf.acme.test", "TXT", Answer((txt("_spf.acme.test", "v=spf1 ip6:2001:db8::/32 -all"),)))
    dns.records(
        ptr("0.1.0.0" + ".0" * 20 + ".8.b.d.0.1.0.0.2.ip6.arpa", "mta1.acme.test"),
        aaaa("mta1.acme.test", "2001:db8::10"),
    )
    code, told = await said(load(write(tmp_path, dns, source="2001:db8::10"), {}), capsysbinary)
    assert (code, set(by_check(told).values())) == (0, {"pass"})


async def test_hostile_names_are_not_asked(config: Config, dns: FakeDns, capsysbinary: Said) -> None:
    """What a macro makes may be no name at all."""
    record = "v=spf1 exists:%{d}%{d}%{d}%{d}%{d}%{d}%{d}.%{d} a:a..test a:\\.test -all"
    dns.script("_spf.acme.test", "TXT", Answer((txt("_spf.acme.test", record),)))
    code, told = await said(config, capsysbinary)
    assert (code, by_check(told)["spf-source"]) == (1, "fail")


def ran(path: Path, *arguments: str, columns: int = 200) -> "subprocess.CompletedProcess[str]":
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MTA_", "STATE_"))}
    return subprocess.run(
        [sys.executable, "-m", "mta.cli", "preflight", *arguments, "--config", str(path)],
        cwd=ROOT,
        env={**kept, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=60,
    )


async def test_the_program_says_it_to_people(tmp_path: Path, dns: FakeDns) -> None:
    """As a child: a table, what to do, and the exit code."""
    path = write(tmp_path, dns)
    done = await asyncio.to_thread(ran, path, "acme")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "pass  spf-source       a1 (203.0.113.10): pass by include:_spf.acme.test in b.acme.test"
        in done.stdout
    )
    assert "PTR and back        pass   pass   pass         pass" in done.stdout
    assert "spam rate below 0.10 %, never 0.30 % or more" in done.stdout
    dns.forget("_dmarc.acme.test")
    done = await asyncio.to_thread(ran, path, "acme", "acme.test")
    assert done.returncode == 1
    assert 'publish a TXT record there, as "v=DMARC1; p=none; rua=mailto:dmarc@acme.test"' in done.stdout
    done = await asyncio.to_thread(ran, path, "acne")
    assert (done.returncode, "there is no tenant acne" in done.stderr) == (64, True)


async def test_json_is_one_object_and_nothing_else(tmp_path: Path, dns: FakeDns) -> None:
    """For scripts, with nothing on stderr either."""
    done = await asyncio.to_thread(ran, write(tmp_path, dns), "acme", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["tenant"] == "acme"
