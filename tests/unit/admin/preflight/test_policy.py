"""DMARC policy and alignment as findings (K-08, D-01)."""

import pytest

from mta.admin.grade import Grade
from mta.admin.preflight.finding import Check, Finding
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.policy import dmarc
from tests.fakes.keys import signing_key
from tests.fakes.zone import Zone, ask

KEY = signing_key()
GOOD = "v=DMARC1; p=none; rua=mailto:d@acme.test"


def found(zone: Zone, return_path: str = "b.acme.test", signs: bool = True) -> dict[Check, Finding]:
    identity = Identity("acme.test", return_path, keys=(KEY,) if signs else ())
    findings = ask(zone, dmarc(identity))
    assert all(bool(one.todo) is (one.result is not Grade.PASS) for one in findings)
    return {one.check: one for one in findings}


def at(text: str, *more: str) -> Zone:
    return {("_dmarc.acme.test", "TXT"): (text, *more)}


def test_a_good_record_and_both_ways_aligned() -> None:
    """The policy is shown with the organizational domain."""
    findings = found(at(GOOD))
    assert {one.result for one in findings.values()} == {Grade.PASS}
    policy = findings[Check.DMARC_POLICY]
    assert policy.detail == "none by p=, organizational domain acme.test, DKIM and SPF relaxed"
    assert set(findings) == {
        Check.DMARC_POLICY,
        Check.DMARC_REPORTS,
        Check.DKIM_ALIGNMENT,
        Check.SPF_ALIGNMENT,
    }


@pytest.mark.parametrize(
    ("texts", "check", "result", "said"),
    [
        ((), Check.DMARC_POLICY, "fail", "no DMARC record, nor above it"),
        ((GOOD, GOOD), Check.DMARC_POLICY, "fail", "more than one DMARC record"),
        (("v=DMARC1",), Check.DMARC_POLICY, "fail", "no p= that can be read"),
        ((GOOD.replace("none", "nope"),), Check.DMARC_POLICY, "warn", "p=nope is none of none, quarantine"),
        (("v=DMARC1; p=reject",), Check.DMARC_REPORTS, "warn", "no rua="),
        ((f"{GOOD}; pct=50; rf=afrf",), Check.DMARC_TAGS, "warn", "pct=, rf=: no longer heeded"),
        ((f"{GOOD}; t=y",), Check.DMARC_POLICY, "pass", "t=y: only a test"),
        ((f"{GOOD}; adkim=s",), Check.DMARC_POLICY, "pass", "DKIM and SPF strict and relaxed"),
        ((f"{GOOD}; aspf=s",), Check.SPF_ALIGNMENT, "warn", "not aligned with From: acme.test (strict)"),
        ((f"{GOOD}; adkim=s",), Check.DKIM_ALIGNMENT, "pass", "aligned with From: acme.test (strict)"),
    ],
)
def test_what_is_wrong_with_a_record_is_told(
    texts: tuple[str, ...], check: Check, result: str, said: str
) -> None:
    """And with alignment by it."""
    finding = found({("_dmarc.acme.test", "TXT"): texts})[check]
    assert finding.result == result
    assert said in finding.detail


def test_a_policy_of_above_holds() -> None:
    """Found by the walk, at its own place."""
    identity = Identity("news.acme.test", "b.acme.test", keys=(signing_key(domain="news.acme.test"),))
    policy, *_ = ask(at("v=DMARC1; p=reject; sp=quarantine"), dmarc(identity))
    assert (policy.subject, policy.result) == ("_dmarc.acme.test", "pass")
    assert policy.detail.startswith("quarantine by sp=, for subdomains, organizational domain acme.test")


@pytest.mark.parametrize(
    ("return_path", "signs", "dkim", "spf"),
    [
        ("b.acme.test", True, "pass", "pass"),
        ("bounce.other.test", True, "pass", "warn"),
        ("b.acme.test", False, "warn", "pass"),
        ("bounce.other.test", False, "fail", "fail"),
    ],
)
def test_one_way_is_enough_and_none_fails(return_path: str, signs: bool, dkim: str, spf: str) -> None:
    """DMARC needs one of the two; Gmail may ask for both."""
    findings = found(at(GOOD), return_path, signs)
    assert findings[Check.DKIM_ALIGNMENT].result == dkim
    assert findings[Check.SPF_ALIGNMENT].result == spf


def test_what_to_do_fits_the_cause() -> None:
    """Without a record nothing tells that a return path below the domain belongs to it."""
    assert found({})[Check.SPF_ALIGNMENT].todo.startswith("publish a DMARC record at _dmarc.acme.test")
    assert found(at(GOOD), "b.other.test")[Check.SPF_ALIGNMENT].todo == "let return_path be below acme.test"
    assert found(at(f"{GOOD}; aspf=s"))[Check.SPF_ALIGNMENT].todo == "let return_path be acme.test"


def test_trouble_is_unknown() -> None:
    """Which alignment is asked for is not known then either."""
    findings = found({("_dmarc.acme.test", "TXT"): "servfail"})
    assert {one.result for one in findings.values()} == {Grade.UNKNOWN}
    assert set(findings) == {Check.DMARC_POLICY, Check.DKIM_ALIGNMENT, Check.SPF_ALIGNMENT}


@pytest.mark.parametrize(("signs", "result"), [(True, "unknown"), (False, "unknown")])
def test_trouble_above_leaves_the_own_policy_known(signs: bool, result: str) -> None:
    """But not whether the return path belongs to the same organization."""
    zone = at(GOOD) | {("_dmarc.b.acme.test", "TXT"): "servfail"}
    findings = found(zone, signs=signs)
    assert findings[Check.DMARC_POLICY].result == "pass"
    assert findings[Check.SPF_ALIGNMENT].result == result
    assert findings[Check.DKIM_ALIGNMENT].result == ("pass" if signs else "unknown")
