"""Return path, From domain, one-click host, TLS."""

import pytest

from mta.admin.grade import Grade
from mta.admin.preflight.domains import author, one_click, return_path, tls
from mta.admin.preflight.finding import Check, Finding
from mta.admin.preflight.identity import Identity
from mta.delivery.settings import StaticRoute
from tests.fakes.zone import Zone, ask

NAME = "b.acme.test"
IDENTITY = Identity("acme.test", NAME)
ZONE: Zone = {("acme.test", "SOA"): ("ns.acme.test",), (NAME, "TXT"): ("v=spf1 -all",)}


def results(findings: list[Finding]) -> dict[Check, str]:
    assert all(bool(one.todo) is (one.result is not Grade.PASS) for one in findings)
    return {one.check: one.result for one in findings}


@pytest.mark.parametrize(
    ("zone", "wanted", "said"),
    [
        ({(NAME, "MX"): ("mx.test",), ("mx.test", "A"): ("192.0.2.1",)}, "pass", "MX mx.test"),
        ({(NAME, "MX"): ("mx.test",), ("mx.test", "AAAA"): ("2001:db8::1",)}, "pass", "MX mx.test"),
        (
            {(NAME, "MX"): ("x.test", "mx.test"), ("mx.test", "A"): ("192.0.2.1",)},
            "pass",
            "MX mx.test",
        ),
        ({(NAME, "A"): ("192.0.2.1",)}, "pass", "no MX: mail goes to its own address"),
        ({(NAME, "MX"): ("",)}, "fail", "a null MX says that it takes no mail"),
        ({(NAME, "MX"): ("", "mx.test"), ("mx.test", "A"): ("192.0.2.1",)}, "pass", "MX mx.test"),
        ({(NAME, "MX"): ("mx.test",)}, "fail", "MX mx.test has no address"),
        ({}, "fail", "neither MX nor address"),
        ({(NAME, "MX"): "servfail"}, "unknown", "servfail"),
        ({(NAME, "MX"): ("mx.test",), ("mx.test", "A"): "timeout"}, "unknown", "timeout"),
        ({(NAME, "A"): "timeout"}, "unknown", "timeout"),
    ],
)
def test_a_domain_takes_mail(zone: Zone, wanted: str, said: str) -> None:
    """T-04, of both domains: an MX that leads somewhere, or an address; a null MX is a refusal."""
    for steps, name, check in (
        (return_path, IDENTITY, Check.RETURN_PATH_MX),
        (author, Identity(NAME, "x.test"), Check.FROM_MX),
    ):
        finding = next(one for one in ask(ZONE | zone, steps(name)) if one.check is check)
        assert finding.result == wanted
        assert finding.detail.startswith(said)


def test_a_domain_that_does_not_exist_fails() -> None:
    """NXDOMAIN ends it, for mail and for the SOA."""
    zone: Zone = {("acme.test", "SOA"): ("ns.acme.test",)}
    assert results(ask(zone, return_path(IDENTITY))) == {
        Check.RETURN_PATH_MX: "fail",
        Check.RETURN_PATH_SOA: "fail",
    }


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        (ZONE, "pass"),
        ({(NAME, "SOA"): ("ns.acme.test",)}, "pass"),
        ({(NAME, "TXT"): ("x",)}, "fail"),
        ({(NAME, "TXT"): ("x",), ("test", "SOA"): ("ns.test",)}, "fail"),
        ({(NAME, "SOA"): "servfail"}, "unknown"),
        ({(NAME, "TXT"): ("x",), ("acme.test", "SOA"): "servfail"}, "unknown"),
    ],
)
def test_a_domain_has_an_soa(zone: Zone, wanted: str) -> None:
    """Yahoo asks for it: that of the zone the name lies in, which is not a top-level domain's."""
    assert results(ask(zone, return_path(IDENTITY)))[Check.RETURN_PATH_SOA] == wanted


@pytest.mark.parametrize(
    ("url", "zone", "wanted", "subject"),
    [
        ("https://u.acme.test", {("u.acme.test", "A"): ("192.0.2.1",)}, "pass", "u.acme.test"),
        ("https://u.acme.test:8443/x", {("u.acme.test", "AAAA"): ("2001:db8::1",)}, "pass", "u.acme.test"),
        ("https://u.acme.test", {("u.acme.test", "A"): ("10.0.0.1", "192.0.2.1")}, "pass", "u.acme.test"),
        ("", {}, "warn", "http.public_url"),
        ("https://u.acme.test", {}, "warn", "u.acme.test"),
        ("https://u.acme.test", {("u.acme.test", "A"): ("10.0.0.1",)}, "warn", "u.acme.test"),
        ("https://u.acme.test", {("u.acme.test", "A"): "timeout"}, "unknown", "u.acme.test"),
    ],
)
def test_one_click_links_lead_somewhere(url: str, zone: Zone, wanted: str, subject: str) -> None:
    """L-02: a warning only, as not all mail needs them."""
    (finding,) = ask(zone, one_click(Identity("acme.test", NAME, public_url=url)))
    assert (finding.result, finding.subject) == (wanted, subject)


def test_routes_in_clear_are_warned_of() -> None:
    """Each by its pattern."""
    route = StaticRoute("*.inner.test", "relay.test", 25, tls="none")
    findings = ask({}, tls(Identity("acme.test", NAME, clear_routes=(route,))))
    assert (findings[0].check, findings[0].subject, findings[0].result) == (Check.TLS, "*.inner.test", "warn")
    assert results(ask({}, tls(IDENTITY)))[Check.TLS] == "pass"


def test_what_protects_bounces_is_only_told() -> None:
    """MTA-STS and TLSRPT of the return path: published or not, it passes; trouble stays trouble."""
    zone: Zone = {
        (f"_mta-sts.{NAME}", "TXT"): ("v=STSv1; id=1",),
        (f"_smtp._tls.{NAME}", "TXT"): "servfail",
    }
    _, sts, reports = ask(zone, tls(IDENTITY))
    assert (sts.check, sts.detail, reports.result) == (Check.MTA_STS, "published", "unknown")
    _, sts, reports = ask({(f"_smtp._tls.{NAME}", "TXT"): ("v=TLSRPTv1;rua=mailto:a@b.test",)}, tls(IDENTITY))
    assert (sts.result, reports.detail) == ("pass", "published")
    assert sts.detail.startswith("not published")
