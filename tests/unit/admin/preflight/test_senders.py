"""SPF of each source, PTR and EHLO."""

import pytest

from mta.admin.grade import Grade
from mta.admin.preflight.finding import Check, Finding
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.senders import looks_generic, names, spf
from mta.model.path import EgressSource
from tests.fakes.zone import Zone, ask

A1 = EgressSource("a1", "mta1.acme.test", "192.0.2.10")
V6 = EgressSource("v6", "mta6.acme.test", "2001:db8::10")
REVERSED = ("10.2.0.192.in-addr.arpa", "PTR")


def spf_of(*texts: str, sources: tuple[EgressSource, ...] = (A1,), more: Zone | None = None) -> list[Finding]:
    identity = Identity("acme.test", "b.acme.test", sources)
    return ask({("b.acme.test", "TXT"): texts, **(more or {})}, spf(identity))


def results(findings: list[Finding]) -> dict[Check, Grade]:
    return {finding.check: finding.result for finding in findings}


def test_each_source_is_evaluated() -> None:
    """With what matched, and what the limit has left."""
    record, a1, v6 = spf_of("v=spf1 ip4:192.0.2.10 -all", sources=(A1, V6))
    assert (record.result, record.detail) == ("pass", "v=spf1 ip4:192.0.2.10 -all")
    assert (a1.result, a1.detail) == ("pass", "pass by ip4:192.0.2.10 in b.acme.test (0 of 10 lookups)")
    assert (v6.subject, v6.result) == ("v6 (2001:db8::10)", "fail")
    assert v6.todo == "add ip6:2001:db8::10 to the record of b.acme.test, before its all or redirect"


@pytest.mark.parametrize(
    ("texts", "record", "source"),
    [
        ((), Grade.FAIL, None),
        (("hello",), Grade.FAIL, None),
        (("v=spf1 -all", "v=spf1 +all"), Grade.FAIL, None),
        (("v=spf1 foo:bar",), Grade.FAIL, None),
        (("v=spf1 +all",), Grade.WARN, Grade.WARN),
        (("v=spf1 all",), Grade.WARN, Grade.WARN),
        (("v=spf1 ip4:192.0.2.10 +all",), Grade.WARN, Grade.PASS),
        (("v=spf1 ip4:192.0.2.10 ptr -all",), Grade.WARN, Grade.PASS),
        (("v=spf1 ptr -all",), Grade.WARN, Grade.UNKNOWN),
        (("v=spf1 ~all",), Grade.PASS, Grade.FAIL),
        (("v=spf1",), Grade.PASS, Grade.FAIL),
        (("v=spf1 include:nowhere.test -all",), Grade.PASS, Grade.FAIL),
        (("v=spf1 include:slow.test -all",), Grade.PASS, Grade.UNKNOWN),
    ],
)
def test_what_is_wrong_with_spf_is_told(texts: tuple[str, ...], record: Grade, source: Grade | None) -> None:
    """Without a usable record the sources are not judged one by one."""
    found = spf_of(*texts, more={("slow.test", "TXT"): "timeout"})
    wanted = {Check.SPF_RECORD: record} | ({} if source is None else {Check.SPF_SOURCE: source})
    assert results(found) == wanted
    assert all(bool(finding.todo) is (finding.result is not Grade.PASS) for finding in found)


def test_a_missing_record_is_written_out() -> None:
    """With every source that has an address."""
    (found,) = spf_of(sources=(A1, V6, EgressSource("k", "k.test")))
    assert '"v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"' in found.todo


@pytest.mark.parametrize("address", ["", "10.0.0.1"])
def test_what_receivers_see_of_a_source_may_not_be_known(address: str) -> None:
    """Never a pass, not even by +all."""
    source = EgressSource("k", "k.test", address)
    _, found = spf_of("v=spf1 +all", sources=(source,))
    assert found.result is Grade.UNKNOWN
    checks = ask({("k.test", "A"): ("192.0.2.10",)}, names(source))
    assert Grade.PASS not in results(checks).values()
    assert set(results(checks)) == {Check.PTR, Check.EHLO}


def test_trouble_with_the_record_is_unknown() -> None:
    """DNS trouble is never a pass."""
    found = ask({("b.acme.test", "TXT"): "servfail"}, spf(Identity("acme.test", "b.acme.test", (A1,))))
    assert results(found) == {Check.SPF_RECORD: Grade.UNKNOWN}


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        ({REVERSED: ("mta1.acme.test",)}, {Check.PTR: "pass", Check.PTR_NAME: "pass", Check.EHLO: "pass"}),
        (
            {REVERSED: ("old.test", "mta1.acme.test")},
            {Check.PTR: "pass", Check.PTR_NAME: "pass", Check.EHLO: "pass"},
        ),
        ({}, {Check.PTR: "fail", Check.EHLO: "pass"}),
        ({REVERSED: "servfail"}, {Check.PTR: "unknown", Check.EHLO: "pass"}),
        ({REVERSED: ("other.test",)}, {Check.PTR: "fail", Check.PTR_NAME: "pass", Check.EHLO: "pass"}),
        (
            {REVERSED: ("slow.test",), ("slow.test", "A"): "timeout"},
            {Check.PTR: "unknown", Check.EHLO: "pass"},
        ),
        (
            {REVERSED: ("192-0-2-10.isp.test",), ("192-0-2-10.isp.test", "A"): ("192.0.2.10",)},
            {Check.PTR: "pass", Check.PTR_NAME: "warn", Check.EHLO: "pass"},
        ),
        ({("mta1.acme.test", "A"): ("192.0.2.99",)}, {Check.PTR: "fail", Check.EHLO: "fail"}),
        ({("mta1.acme.test", "A"): "servfail"}, {Check.PTR: "fail", Check.EHLO: "unknown"}),
        ({("mta1.acme.test", "A"): ()}, {Check.PTR: "fail", Check.EHLO: "fail"}),
    ],
)
def test_ptr_and_ehlo(zone: Zone, wanted: dict[Check, str]) -> None:
    """S-03: the address has a name that leads back to it, and so does the name in EHLO."""
    found = ask({("mta1.acme.test", "A"): ("192.0.2.10",), **zone}, names(A1))
    assert results(found) == wanted


def test_an_ipv6_source_is_found_backward_and_forward() -> None:
    """However its address is spelt."""
    zone: Zone = {
        ("0.1.0.0" + ".0" * 20 + ".8.b.d.0.1.0.0.2.ip6.arpa", "PTR"): ("mta6.acme.test",),
        ("mta6.acme.test", "AAAA"): ("2001:0db8::0010",),
    }
    assert set(results(ask(zone, names(V6))).values()) == {"pass"}


def test_a_name_without_a_dot_is_no_ehlo_name() -> None:
    """S-03 wants a fully qualified one."""
    found = ask({REVERSED: ("localhost",)}, names(EgressSource("a1", "localhost", "192.0.2.10")))
    assert results(found)[Check.EHLO] == "fail"


@pytest.mark.parametrize(
    ("name", "address", "wanted"),
    [
        ("mta1.acme.test", "192.0.2.10", False),
        ("mail10.acme.test", "192.0.2.10", False),
        ("mx-2-10.acme.test", "192.0.2.10", False),
        ("outbound.pool-mail.test", "192.0.2.10", False),
        ("192-0-2-10.isp.test", "192.0.2.10", True),
        ("10.2.0.192.isp.test", "192.0.2.10", True),
        ("ip192.0.2.10.isp.test", "192.0.2.10", True),
        ("host-c000020a.isp.test", "192.0.2.10", True),
        ("mail.test", "1.1.1.1", False),
        ("mx-1.test", "1.1.1.1", False),
        ("a.dyn.isp.test", "192.0.2.10", True),
        ("dsl-7.isp.test", "192.0.2.10", True),
        ("pool12.isp.test", "192.0.2.10", True),
        ("poolside.test", "192.0.2.10", False),
        ("2001-db8--10.isp.test", "2001:db8::10", False),
        ("h000000000010.isp.test", "2001:db8::10", True),
        ("mta6.acme.test", "2001:db8::10", False),
    ],
)
def test_generic_names(name: str, address: str, wanted: bool) -> None:
    """Yahoo refuses them; a number of a server is none."""
    assert looks_generic(name, address) is wanted
