import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.preflight.spf_macro import Sender, domain_fault, expand, fault

V4 = Sender("192.0.2.3", "strong-bad", "email.example.test", "mx.example.test")
V6 = Sender("2001:db8::cb01", "strong-bad", "email.example.test", "mx.example.test")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("%{s}", "strong-bad@email.example.test"),
        ("%{o}", "email.example.test"),
        ("%{d}", "email.example.test"),
        ("%{d4}", "email.example.test"),
        ("%{d3}", "email.example.test"),
        ("%{d2}", "example.test"),
        ("%{d1}", "test"),
        ("%{dr}", "test.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{h}", "mx.example.test"),
        ("%{v}", "in-addr"),
        ("%{p}", "unknown"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.test"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.test"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.test"),
        ("%{d2}.trusted-domains.example.test", "example.test.trusted-domains.example.test"),
        ("a%%b%_c%-d.test.", "a%b c%20d.test"),
        ("%{S}", "strong-bad%40email.example.test"),
    ],
)
def test_macros_are_expanded(text: str, wanted: str) -> None:
    """The examples of RFC 7208 section 7.4, and the letters it has none for."""
    assert fault(text) == ""
    assert expand(text, V4, "email.example.test") == wanted


def test_an_ipv6_address_is_spelt_by_nibbles() -> None:
    """As in the last example of section 7.4."""
    wanted = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.test"
    assert expand("%{ir}.%{v}._spf.%{d2}", V6, "email.example.test") == wanted


def test_a_name_too_long_loses_labels_on_the_left() -> None:
    """Section 7.3."""
    name = expand(
        "%{l}.%{l}.%{d}", Sender("192.0.2.3", "x" * 63 + "." + "y" * 63, "d.test", "h.test"), "d.test"
    )
    assert name == "y" * 63 + "." + "x" * 63 + "." + "y" * 63 + ".d.test"


def test_a_name_of_any_length_is_cut_at_once() -> None:
    """A record of 64 kB makes names of megabytes; a label that was cut through is dropped as well."""
    name = expand("%{d}" * 16_000, V4, "a.b" * 80)
    assert name == ("a.b" * 16_000)[-254:].partition(".")[2]
    assert expand("%{l}.%{d}", Sender(V4.address, "x" * 250, "d.test", "h.test"), "d.test") == "d.test"


@pytest.mark.parametrize(
    "text", ["%", "%a", "%{", "%{}", "%{x}", "%{c}", "%{d0}", "%{d:}", "%{dr2}", "a b", "é", "%{d1000}"]
)
def test_what_is_no_macro_is_a_fault(text: str) -> None:
    """`c`, `r` and `t` belong into explanations."""
    assert fault(text)


@pytest.mark.parametrize("text", ["test", "1.2.3.4", "a.-b", "", "a.test/24", ".test", "%{d}.1"])
def test_what_ends_in_no_label_is_no_domain(text: str) -> None:
    """Section 7.1: a domain-spec ends in a top-level label or in a macro."""
    assert domain_fault(text)


@pytest.mark.parametrize("text", ["a.test", "a.test.", "_spf.%{d}", "%{d}", "a.xn--p1ai", "a.b-1c"])
def test_domains_have_no_fault(text: str) -> None:
    """With macros or without."""
    assert domain_fault(text) == ""


@given(st.text())
def test_what_has_no_fault_can_be_expanded(text: str) -> None:
    """Whatever a stranger's zone holds, it is a fault or a name."""
    if not fault(text):
        assert isinstance(expand(text, V6, "a.test"), str)
