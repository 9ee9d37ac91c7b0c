"""The tree walk of RFC 9989 section 4.10, and what follows from it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.preflight.dmarc import (
    DmarcRecord,
    Mode,
    Walk,
    applicable,
    is_aligned,
    organizational,
    read_record,
    targets,
    walk,
)
from tests.fakes.zone import DictDns, Zone, ask


def zone(**records: str) -> Zone:
    """`test="p=none"` is a record at _dmarc.test; two underscores are a dot."""
    return {
        (f"_dmarc.{name.replace('__', '.')}", "TXT"): (f"v=DMARC1; {tags}",) for name, tags in records.items()
    }


def organization(domain: str, **records: str) -> str:
    return organizational(ask(zone(**records), walk(domain)))


def test_a_deep_name_is_cut_to_seven_labels() -> None:
    """The RFC's example: eight queries, from the name itself to the top-level domain."""
    assert targets("a.b.c.d.e.f.g.h.i.j.mail.example.test") == (
        "a.b.c.d.e.f.g.h.i.j.mail.example.test",
        "g.h.i.j.mail.example.test",
        "h.i.j.mail.example.test",
        "i.j.mail.example.test",
        "j.mail.example.test",
        "mail.example.test",
        "example.test",
        "test",
    )


@pytest.mark.parametrize("labels", [1, 2, 6, 7, 8, 9, 30])
def test_never_more_than_eight_are_asked(labels: int) -> None:
    """Each target is the end of the one before, down to one label."""
    name = ".".join(f"l{n}" for n in range(labels))
    found = targets(name)
    assert found[0] == name
    assert len(found) == min(labels, 8)
    assert all(before.endswith(f".{after}") for before, after in pairwise(found))
    assert "." not in found[-1]


def test_the_walk_goes_on_above_a_record_that_says_nothing() -> None:
    """And stops at one that does: psd=n or psd=y."""
    dns = DictDns(zone(mail__example__test="p=none", example__test="p=reject; psd=n", test="p=none"))
    walked = dns.run(walk("a.mail.example.test"))
    assert [name for name, _ in walked.found] == ["mail.example.test", "example.test"]
    assert dns.asked[("_dmarc.test", "TXT")] == 0


@pytest.mark.parametrize(
    ("domain", "records", "wanted"),
    [
        ("example.test", {"example__test": "p=none"}, "example.test"),
        ("a.mail.example.test", {"example__test": "p=none"}, "example.test"),
        ("a.mail.example.test", {"mail__example__test": "p=none", "example__test": "p=none"}, "example.test"),
        (
            "a.mail.example.test",
            {"mail__example__test": "psd=n", "example__test": "p=none"},
            "mail.example.test",
        ),
        ("mail.example.test", {"mail__example__test": "p=none", "test": "psd=y"}, "example.test"),
        ("a.b.example.co.test", {"co__test": "psd=y", "test": "p=none"}, "example.co.test"),
        ("giant.bank.test", {"bank__test": "p=reject; psd=y"}, "giant.bank.test"),
        ("mail.giant.bank.test", {"bank__test": "psd=y"}, "giant.bank.test"),
        ("bank.test", {"bank__test": "psd=y", "test": "p=none"}, "bank.test"),
        ("mail.example.test", {}, "mail.example.test"),
    ],
)
def test_the_organizational_domain(domain: str, records: dict[str, str], wanted: str) -> None:
    """Section 4.10.2: psd=n, else below psd=y, else the shortest name with a record, else the name itself."""
    assert organization(domain, **records) == wanted


def test_several_records_at_one_name_are_none() -> None:
    """Section 4.10; other texts there do not count."""
    records: Zone = {
        ("_dmarc.a.example.test", "TXT"): ("v=DMARC1; p=none", "v=DMARC1; p=reject"),
        ("_dmarc.example.test", "TXT"): ("hello", "v=DMARC1; p=none"),
    }
    walked = ask(records, walk("a.example.test"))
    assert [name for name, _ in walked.found] == ["example.test"]
    assert walked.doubled == ("a.example.test",)


def test_trouble_ends_the_walk() -> None:
    """What is above is not known; what was found before is."""
    records = {**zone(a__example__test="p=none"), ("_dmarc.example.test", "TXT"): "servfail"}
    walked = ask(records, walk("a.example.test"))
    assert ([name for name, _ in walked.found], walked.trouble) == (["a.example.test"], "servfail")


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        ({"a__example__test": "p=reject"}, ("a.example.test", "reject")),
        ({"a__example__test": "p=reject; sp=none", "example__test": "p=none"}, ("a.example.test", "reject")),
        ({"example__test": "p=reject"}, ("example.test", "reject")),
        ({"example__test": "p=reject; sp=quarantine"}, ("example.test", "quarantine")),
        ({"example__test": "p=reject", "test": "p=none; psd=y"}, ("example.test", "reject")),
        ({"test": "p=quarantine; psd=y"}, ("test", "quarantine")),
        ({}, None),
    ],
)
def test_the_policy_that_holds(records: dict[str, str], wanted: tuple[str, str] | None) -> None:
    """Section 4.10.1: the domain's own, else the organizational domain's for subdomains, else the suffix's."""
    found = applicable(ask(zone(**records), walk("a.example.test")))
    assert (None if found is None else (found[0], found[2])) == wanted


def test_a_policy_below_trouble_holds() -> None:
    """One above would not change it; without one nothing is known."""
    own = DmarcRecord("none")
    assert applicable(Walk("a.test", (("a.test", own),), trouble="servfail")) == ("a.test", own, "none")
    assert applicable(Walk("b.a.test", (("a.test", own),), trouble="servfail")) is None


@pytest.mark.parametrize(
    ("domain", "mode", "wanted"),
    [
        ("example.test", "strict", True),
        ("b.example.test", "strict", False),
        ("b.example.test", "relaxed", True),
        ("other.test", "relaxed", False),
        ("own.example.test", "relaxed", False),
    ],
)
def test_alignment(domain: str, mode: Mode, wanted: bool) -> None:
    """Section 4.4: strict is the same name, relaxed the same organizational domain."""
    records = zone(example__test="p=none", other__test="p=none", own__example__test="p=none; psd=n")
    assert ask(records, is_aligned(domain, "example.test", mode)) is wanted


def test_alignment_is_not_known_where_dns_is_in_trouble() -> None:
    """What it says comes back; equal names need no DNS."""
    records: Zone = {("_dmarc.b.example.test", "TXT"): "servfail"}
    assert ask(records, is_aligned("b.example.test", "example.test", "relaxed")) == "servfail"
    assert ask(records, is_aligned("b.example.test", "b.example.test", "relaxed")) is True


def test_every_tag_is_read() -> None:
    """Section 4.7; the ones RFC 9989 took away are named."""
    text = (
        "v=DMARC1; p=Reject; sp=quarantine; np=none; adkim=s; aspf=r; psd=n; t=y; pct=50; ri=1; fo=1; x=y; "
        "rua=mailto:a@a.test, https://b.test/x"
    )
    assert read_record(text) == DmarcRecord(
        "reject",
        "quarantine",
        "strict",
        "relaxed",
        ("mailto:a@a.test", "https://b.test/x"),
        "n",
        True,
        ("pct", "ri"),
    )


@pytest.mark.parametrize("text", ["", "p=none", "v=DMARC2; p=none", "v=DMARC1x; p=none", "p=none; v=DMARC1"])
def test_without_the_version_in_front_it_is_no_record(text: str) -> None:
    """Section 4.7: discarded, as if it were not there."""
    assert read_record(text) is None


def test_a_tag_that_cannot_be_read_has_its_default() -> None:
    """And is told."""
    record = read_record("v=DMARC1; p=nope; adkim=x; psd=z; rua=dmarc@a.test")
    assert record is not None
    assert (record.policy, record.dkim, record.psd, record.reports) == (None, "relaxed", "u", ())
    assert len(record.faults) == 4


def test_without_p_it_counts_as_none_where_reports_are_asked_for() -> None:
    """Section 4.10.1."""
    asks = read_record("v=DMARC1; rua=mailto:a@a.test")
    silent = read_record("v=DMARC1")
    assert asks is not None
    assert silent is not None
    assert (asks.counts_as, silent.counts_as) == ("none", None)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """A record comes from a stranger's zone."""
    assert read_record(f"v=DMARC1;{text}") is not None
