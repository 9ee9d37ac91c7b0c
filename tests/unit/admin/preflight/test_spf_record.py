import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.preflight.spf_record import Directive, SpfRecord, is_spf, read_record


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("v=spf1", True),
        ("v=spf1 -all", True),
        ("V=SPF1 -all", True),
        ("v=spf10 -all", False),
        ("v=spf1-all", False),
        (" v=spf1 -all", False),
        ("spf2.0/pra -all", False),
        ("", False),
    ],
)
def test_the_version_tells_an_spf_record(text: str, wanted: bool) -> None:
    """RFC 7208 section 4.5."""
    assert is_spf(text) is wanted


def test_terms_are_taken_apart() -> None:
    """Qualifier, mechanism, domain, prefixes; names in any case, spaces in any number."""
    record = read_record("v=spf1  A mx/24 ?a:b.test/24//64 ~ip4:192.0.2.0/25 ip6:2001:db8::/32 -ALL")
    assert record == SpfRecord(
        (
            Directive("+", "a", "", 32, 128, "A"),
            Directive("+", "mx", "", 24, 128, "mx/24"),
            Directive("?", "a", "b.test", 24, 64, "?a:b.test/24//64"),
            Directive("~", "ip4", "192.0.2.0", 25, 25, "~ip4:192.0.2.0/25"),
            Directive("+", "ip6", "2001:db8::", 32, 32, "ip6:2001:db8::/32"),
            Directive("-", "all", "", 32, 128, "-ALL"),
        )
    )


def test_modifiers_stand_anywhere_and_unknown_ones_are_ignored() -> None:
    """Section 6."""
    record = read_record("v=spf1 redirect=_spf.a.test other=%{d} exp=why.a.test mx")
    assert isinstance(record, SpfRecord)
    assert (record.redirect, [one.name for one in record.directives]) == ("_spf.a.test", ["mx"])


@pytest.mark.parametrize(
    "terms",
    [
        "ip4:192.0.2.256",
        "ip4:192.0.2.1/33",
        "ip4:192.0.2.1/024",
        "ip4:192.0.2.1/",
        "ip4",
        "ip4:2001:db8::1",
        "ip6:2001:db8::1/129",
        "ip6:192.0.2.1",
        "ip6:fe80::1%eth0",
        "include",
        "include:",
        "include:a.test/24",
        "exists",
        "a:",
        "a:.",
        "a:1.2.3.4",
        "a/33",
        "a//129",
        "a/",
        "mx:test",
        "ptr/24",
        "all:a.test",
        "all/8",
        "-",
        "foo:a.test",
        "redirect=a.test redirect=a.test",
        "exp=a.test exp=b.test",
        "redirect=",
        "redirect=test",
        "a:%{x}.test",
        "other=%",
        "--all",
        "a:b.tést",
        "a\tmx",
    ],
)
def test_one_wrong_term_spoils_the_record(terms: str) -> None:
    """Section 4.6: before any other is evaluated."""
    assert isinstance(read_record(f"v=spf1 +all {terms}"), str)


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    """A record comes from a stranger's zone, and what is wrong with it may be shown."""
    record = read_record(f"v=spf1 {text}")
    assert isinstance(record, SpfRecord) or "\x1b" not in record
