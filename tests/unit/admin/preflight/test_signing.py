"""Keys beside their records, each of which `mta dkim check` is to judge alike."""

import time

import pytest

from mta.admin.dkim_record import judge
from mta.admin.grade import Grade
from mta.admin.preflight.finding import Check, Finding
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.signing import keys
from mta.compose.dkim import SigningKey
from tests.fakes.keys import signing_key
from tests.fakes.zone import Zone, ask

KEY = signing_key()
PLACE = ("s1._domainkey.acme.test", "TXT")
PUBLISHED = KEY.dns_record()


def found(zone: Zone, *signing: SigningKey, refusal: str = "", now: float | None = None) -> list[Finding]:
    identity = Identity("acme.test", "b.acme.test", keys=signing, refusal=refusal)
    return ask(zone, keys(identity, time.time() if now is None else now))


def results(findings: list[Finding]) -> dict[Check, str]:
    assert all(bool(one.todo) is (one.result is not Grade.PASS) for one in findings)
    return {one.check: one.result for one in findings}


ALL_WELL = {
    Check.DKIM_RECORD: "pass",
    Check.DKIM_BITS: "pass",
    Check.DKIM_KEY: "pass",
    Check.DKIM_SIGNATURE: "pass",
}


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ((PUBLISHED,), ALL_WELL),
        ((), {Check.DKIM_RECORD: "fail"}),
        ((PUBLISHED, PUBLISHED), {Check.DKIM_RECORD: "fail"}),
        (("hello",), {Check.DKIM_RECORD: "fail"}),
        (("v=DKIM1; p=",), {Check.DKIM_RECORD: "fail"}),
        ((f"{PUBLISHED}; h=sha1",), {Check.DKIM_RECORD: "fail"}),
        ((f"{PUBLISHED}; s=tlsrpt",), {Check.DKIM_RECORD: "fail"}),
        ((f"{PUBLISHED}; t=s",), ALL_WELL),
        ((f"{PUBLISHED}; t=y",), ALL_WELL | {Check.DKIM_RECORD: "warn"}),
        (
            (signing_key(which=1).dns_record(),),
            {Check.DKIM_RECORD: "pass", Check.DKIM_KEY: "fail"},
        ),
    ],
)
def test_a_key_beside_its_record(texts: tuple[str, ...], wanted: dict[Check, str]) -> None:
    """K-11: one cause, one finding; what is wrong before is not judged behind."""
    assert results(found({PLACE: texts}, KEY)) == wanted


def test_a_weak_key_is_warned_of() -> None:
    """K-01: 1024 bits are accepted, 2048 recommended."""
    weak = signing_key(bits=1024)
    assert results(found({PLACE: (weak.dns_record(),)}, weak)) == ALL_WELL | {Check.DKIM_BITS: "warn"}


def test_what_is_to_be_published_is_written_out() -> None:
    """The name and the whole record, behind what is to be done about the one that is there."""
    (finding,) = found({}, KEY)
    assert finding.todo == f"publish at s1._domainkey.acme.test: {PUBLISHED}"
    (finding,) = found({PLACE: (f"{PUBLISHED}; h=sha1",)}, KEY)
    assert (finding.detail, finding.todo) == (
        "h=sha1 forbids sha256",
        f"leave h= out; publish at s1._domainkey.acme.test: {PUBLISHED}",
    )


def test_both_keys_of_a_domain_are_verified() -> None:
    """K-02: an Ed25519 key signs beside RSA, below it."""
    ed = signing_key("e1", bits=0)
    zone: Zone = {PLACE: (PUBLISHED,), ("e1._domainkey.acme.test", "TXT"): (ed.dns_record(),)}
    verdicts = [one for one in found(zone, KEY, ed) if one.check is Check.DKIM_SIGNATURE]
    assert [(one.subject.partition(".")[0], one.result) for one in verdicts] == [
        ("s1", "pass"),
        ("e1", "pass"),
    ]
    assert len([one for one in found(zone, KEY, ed) if one.check is Check.DKIM_BITS]) == 1


def test_trouble_is_unknown() -> None:
    """Never a pass."""
    assert results(found({PLACE: "servfail"}, KEY)) == {Check.DKIM_RECORD: "unknown"}


def test_a_domain_that_cannot_sign_fails() -> None:
    """Without a key, or with one that may not."""
    assert results(found({})) == {Check.DKIM_KEY: "fail"}
    (refused,) = found({}, refusal="only Ed25519")
    assert (refused.result, refused.detail) == ("fail", "only Ed25519")


def test_a_clock_that_is_wrong_is_found_out() -> None:
    """A signature from the future, or one that has ended, verifies nowhere."""
    for now in (time.time() + 86_400, time.time() - 30 * 86_400):
        assert results(found({PLACE: (PUBLISHED,)}, KEY, now=now))[Check.DKIM_SIGNATURE] == "fail"


@pytest.mark.parametrize(
    "texts", [(), ("hello",), (PUBLISHED, PUBLISHED), (f"{PUBLISHED}; t=y",), (f"{PUBLISHED}; t=y; h=sha1",)]
)
def test_nothing_is_said_but_what_the_record_is_judged_by(texts: tuple[str, ...]) -> None:
    """`mta dkim check` says the same of the same records."""
    said = [one.detail for one in found({PLACE: texts}, KEY) if one.result is not Grade.PASS]
    assert said == [flaw.said for flaw in judge(texts, KEY, time.time())]
