"""`mta dkim` as an operator types it, beside a DNS server that is scripted, and judged by dkimpy."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import dkim
import pytest
import pytest_asyncio
from dnslib import QTYPE, RR, TXT

from mta.admin.dkim_record import strings
from mta.compose.dkim import Draft, Signer, body_hash, load_keys
from mta.config.load import load
from tests.fakes.dns_server import Answer, FakeDns, cname, txt
from tests.fakes.verbs import verb

ROOT = Path(__file__).parents[3]
NAME = "s1._domainkey.acme.test"


@pytest_asyncio.fixture
async def dns() -> AsyncIterator[FakeDns]:
    async with FakeDns() as server:
        yield server


class Operator:
    """Types commands; `configured` writes the configuration that names the keys made so far."""

    def __init__(self, directory: Path, server: str) -> None:
        self.config = directory / "mta.toml"
        self._server = server
        self._domains: dict[str, list[str]] = {}

    async def types(self, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        """Exit code, what was said as JSON, and stderr."""
        code, out, err = await verb("dkim", *arguments, "--json", "--config", str(self.config))
        return code, [json.loads(line) for line in out.splitlines()], err.decode()

    async def makes(self, domain: str, selector: str, *options: str) -> dict[str, Any]:
        """A key, configured and not yet published."""
        code, (told,), errors = await self.types("gen", domain, selector, *options)
        assert code == 0, errors
        entry = told["configuration"].partition("[")[2].partition("]")[0] or told["configuration"]
        self._domains.setdefault(told["domain"], []).append(entry)
        lines = [
            f'domains."{name}" = {{ dkim = [{", ".join(all_)}] }}' for name, all_ in self._domains.items()
        ]
        self.config.write_text(
            f'[dns]\nservers = ["{self._server}"]\n[tenants.acme]\nreturn_path = "b.acme.test"\n'
            + "\n".join(lines)
        )
        return dict(told)

    async def checks(self, *domain: str) -> tuple[int, dict[str, tuple[str, str]]]:
        """The exit code, and by name of the record grade and text of its first line."""
        code, lines, _ = await self.types("check", *domain)
        found: dict[str, tuple[str, str]] = {}
        for line in lines:
            found.setdefault(line["what"], (line["grade"], line["text"]))
        return code, found


@pytest.fixture
def operator(tmp_path: Path, dns: FakeDns) -> Operator:
    return Operator(tmp_path, dns.address)


def published(name: str, record: str) -> RR:
    """As a zone file has it, in strings of 255."""
    return RR(name, QTYPE.TXT, ttl=300, rdata=TXT(list(strings(record))))


async def test_a_key_is_made_published_and_verified(operator: Operator, dns: FakeDns) -> None:
    """K-01, K-02: from nothing to signatures that a stranger can verify with nothing but DNS, RSA on top."""
    made = [await operator.makes("acme.test", "s1"), await operator.makes("acme.test", "e1", "--ed25519")]
    for told in made:
        dns.records(published(told["name"], told["record"]))
    code, found = await operator.checks()
    assert code == 0
    assert found == {
        NAME: ("pass", "RSA, 2048 bits: published, and a signature holds by it"),
        "e1._domainkey.acme.test": ("pass", "Ed25519: published, and a signature holds by it"),
    }
    code, shown, _ = await operator.types("show", "acme.test")
    assert [(one["name"], one["record"], one["file"], one["zone"]) for one in shown] == [
        (told["name"], told["record"], told["file"], told["zone"]) for told in made
    ]
    keys, warnings = load_keys(load(operator.config, {}).keys.dkim["acme", "acme.test"])
    fields, body = (("From", "news@acme.test"), ("Subject", "Hello")), b"Hi\r\n"
    signatures = Signer(keys).sign(Draft("", "", fields, body), body_hash(body), time.time())
    head = "".join(f"{name}: {value}\r\n" for name, value in (*signatures, *fields))
    zone = {f"{told['name']}.".encode(): told["record"].encode() for told in made}
    verifier = dkim.DKIM(head.encode() + b"\r\n" + body)
    assert [verifier.verify(at, dnsfunc=lambda name, timeout=5: zone[name]) for at in (0, 1)] == [True, True]
    assert warnings == []


async def test_a_name_of_another_script_is_asked_as_a_label(operator: Operator, dns: FakeDns) -> None:
    """By whatever spelling it is named."""
    told = await operator.makes("Straße.test", "s1", "--bits", "1024")
    assert told["name"] == "s1._domainkey.xn--strae-oqa.test"
    dns.records(published(told["name"], told["record"]))
    code, found = await operator.checks("straße.test")
    assert code == 0
    assert found[told["name"]] == (
        "warn",
        "RSA of 1024 bits is weak: make a key of 2048, under a new selector",
    )


async def test_what_a_receiver_cannot_use_fails(operator: Operator, dns: FakeDns) -> None:
    """K-11: one line for each key, with what to do, and exit code 1."""
    told = await operator.makes("acme.test", "s1")
    hint = f"What to publish: mta dkim show acme.test --config {operator.config}"
    for answer, said in (
        (Answer(), "there is no record"),
        (Answer(rcode="NXDOMAIN"), "there is no record"),
        (Answer((txt(NAME, "v=DKIM1; p="),)), "the key is revoked"),
        (Answer((txt(NAME, told["record"][:255]),)), "is it cut off at 255 characters?"),
        (Answer((published(NAME, told["record"].replace("k=rsa", "s=tlsrpt")),)), "s=tlsrpt is not for mail"),
        (Answer((txt(NAME, "\x00\x1b[31m;=;"),)), "is not printable ASCII"),
        (Answer((txt(NAME, "v=DKIM1; p="), published(NAME, told["record"]))), "2 TXT records are there"),
    ):
        dns.script(NAME, "TXT", answer)
        code, found = await operator.checks("acme.test")
        grade, text = found[NAME]
        assert (code, grade) == (1, "fail"), text
        assert said in text
        assert text.endswith(hint)


async def test_what_works_all_the_same_is_a_warning(operator: Operator, dns: FakeDns) -> None:
    """Testing mode; exit code 0. A CNAME is followed and no matter for a word."""
    told = await operator.makes("acme.test", "s1")
    record = told["record"]
    dns.script(NAME, "TXT", Answer((published(NAME, f"{record}; t=y"),)))
    code, found = await operator.checks()
    assert (code, found[NAME][0]) == (0, "warn")
    assert "t=y says you are only testing" in found[NAME][1]
    elsewhere = "s1.keys.host.test"
    dns.script(
        NAME, "TXT", Answer((cname(NAME, elsewhere), published(elsewhere, record), txt("x.test", "p=")))
    )
    code, found = await operator.checks()
    assert (code, found[NAME][0]) == (0, "pass"), found


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(rcode="SERVFAIL"), "DNS did not say"),
        (Answer(rcode="REFUSED"), "DNS did not say"),
        (Answer((cname(NAME, "b.test"), cname("b.test", NAME))), "lead in a circle"),
        (None, "DNS did not say"),
    ],
)
async def test_trouble_with_dns_is_no_verdict(
    operator: Operator, dns: FakeDns, answer: Answer | None, said: str
) -> None:
    """Neither passed nor failed, and exit code 1: who asked still does not know."""
    await operator.makes("acme.test", "s1", "--bits", "1024")
    if answer is None:
        await dns.stop()
    else:
        dns.script(NAME, "TXT", answer)
    code, found = await operator.checks()
    assert (code, found[NAME][0]) == (1, "unknown")
    assert said in found[NAME][1]


async def test_many_keys_are_asked_about_in_their_order(operator: Operator, dns: FakeDns) -> None:
    """One question each, and one that fails hides none of the others."""
    first = await operator.makes("a.test", "s1", "--bits", "1024")
    await operator.makes("b.test", "s1", "--bits", "1024")
    dns.records(published(first["name"], first["record"]))
    code, found = await operator.checks()
    assert code == 1
    assert [(what, grade) for what, (grade, _) in found.items()] == [
        ("s1._domainkey.a.test", "warn"),
        ("s1._domainkey.b.test", "fail"),
    ]
    assert all(count == 1 for (_, kind), count in dns.asked.items() if kind == "TXT")


async def test_exit_codes_are_those_of_all_verbs(operator: Operator) -> None:
    """64 for wrong usage, 66 for a missing place, 78 for a configuration that is not there, 1 for what is refused."""
    assert (await operator.types("gen", "acme", "s1"))[0] == 64
    assert (await operator.types("gen", "acme.test", "s1", "--out", "/nope/k", "--ed25519"))[0] == 66
    assert (await operator.types("check"))[0] == 78
    await operator.makes("acme.test", "s1", "--bits", "1024")
    code, lines, errors = await operator.types("gen", "acme.test", "s1")
    assert (code, lines) == (1, [])
    assert "is there already and is left alone" in errors
    code, _, errors = await operator.types("show", "other.test")
    assert code == 1
    assert "no key of other.test is configured: make one with" in errors
