"""`check_host` of RFC 7208, by its sections."""

import pytest

from mta.admin.preflight.spf import SpfResult, SpfVerdict, evaluate
from mta.admin.preflight.spf_macro import Sender
from tests.fakes.zone import DictDns, Zone, ask

IP = "192.0.2.10"
IP6 = "2001:db8::10"


def verdict(zone: Zone, address: str = IP) -> SpfVerdict:
    return ask(zone, evaluate(Sender(address, "b", "a.test", "mta1.a.test")))


def of(record: str, more: Zone | None = None, address: str = IP) -> str:
    return verdict({("a.test", "TXT"): (record,), **(more or {})}, address).result


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        ("all", "pass"),
        ("+all", "pass"),
        ("-all", "fail"),
        ("~all", "softfail"),
        ("?all", "neutral"),
        ("", "neutral"),
        (f"ip4:{IP} -all", "pass"),
        (f"-ip4:{IP} +all", "fail"),
        ("ip4:192.0.2.0/28 -all", "pass"),
        ("ip4:192.0.2.0/29 -all", "fail"),
        ("ip4:0.0.0.0/0 -all", "pass"),
        ("ip6:::/0 -all", "fail"),
        ("-all ip4:0.0.0.0/0", "fail"),
        ("nonsense", "permerror"),
        (f"ip4:{IP} nonsense", "permerror"),
    ],
)
def test_terms_decide_from_left_to_right(terms: str, wanted: str) -> None:
    """Sections 4.6.2 and 5.1, 5.6; the qualifier of the first that matches is the result."""
    assert of(f"v=spf1 {terms}") == wanted


def test_no_record_is_none_and_two_are_an_error() -> None:
    """Sections 4.4 and 4.5; texts that are not SPF do not count."""
    assert verdict({}).result == "none"
    assert verdict({("a.test", "TXT"): ("hello",)}).result == "none"
    assert verdict({("a.test", "TXT"): ("v=spf1 +all", "v=spf1 +all")}).result == "permerror"
    assert verdict({("a.test", "TXT"): ("hello", "v=spf1 +all")}).result == "pass"
    assert verdict({("a.test", "TXT"): "servfail"}).result == "temperror"


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        ("a", "pass"),
        ("a:h.test", "fail"),
        ("a:h.test/24", "pass"),
        ("a:h6.test", "fail"),
        ("mx", "pass"),
        ("mx:m.test", "fail"),
        ("mx:m.test/24", "pass"),
        ("exists:%{ir}.list.test", "pass"),
        ("exists:%{l}.%{o}.list.test", "fail"),
        ("exists:%{h}", "pass"),
    ],
)
def test_mechanisms_that_ask(terms: str, wanted: str) -> None:
    """Sections 5.3, 5.4, 5.7."""
    zone: Zone = {
        ("a.test", "A"): ("192.0.2.9", IP),
        ("a.test", "MX"): ("", "mx1.test", "mx2.test"),
        ("mx1.test", "A"): ("192.0.2.9",),
        ("mx2.test", "A"): (IP,),
        ("h.test", "A"): ("192.0.2.200",),
        ("h6.test", "AAAA"): (IP6,),
        ("m.test", "MX"): ("h.test",),
        ("10.2.0.192.list.test", "A"): ("127.0.0.2",),
        ("mta1.a.test", "A"): (IP,),
    }
    assert of(f"v=spf1 {terms} -all", zone) == wanted


def test_an_ipv6_sender_is_matched_by_ipv6() -> None:
    """`a` asks for AAAA then, `ip4` never matches, the second prefix counts; `exists` still asks for A."""
    zone: Zone = {
        ("h.test", "AAAA"): ("2001:db8::99",),
        ("h.test", "A"): (IP,),
        ("e.test", "A"): ("127.0.0.1",),
    }
    assert of("v=spf1 a:h.test -all", zone, IP6) == "fail"
    assert of("v=spf1 a:h.test//64 -all", zone, IP6) == "pass"
    assert of("v=spf1 a:h.test/8 -all", zone, IP6) == "fail"
    assert of("v=spf1 ip4:0.0.0.0/0 -all", zone, IP6) == "fail"
    assert of("v=spf1 ip6:2001:db8::/32 -all", zone, IP6) == "pass"
    assert of("v=spf1 exists:e.test -all", zone, IP6) == "pass"
    assert of(f"v=spf1 ip4:{IP} -all", zone, f"::ffff:{IP}") == "pass"


@pytest.mark.parametrize(
    ("included", "wanted"),
    [
        ("v=spf1 +all", "pass"),
        ("v=spf1 -all", "softfail"),
        ("v=spf1 ~all", "softfail"),
        ("v=spf1 ?all", "softfail"),
        ("v=spf1", "softfail"),
        ("v=spf1 nonsense", "permerror"),
        ("hello", "permerror"),
    ],
)
def test_include_matches_only_a_pass(included: str, wanted: str) -> None:
    """Section 5.2, the table; an include of nothing is an error."""
    zone: Zone = {("b.test", "TXT"): (included,)}
    assert of("v=spf1 include:b.test ~all", zone) == wanted


def test_trouble_within_an_include_goes_through() -> None:
    """Section 5.2: temperror, and what DNS said."""
    found = verdict(
        {("a.test", "TXT"): ("v=spf1 include:b.test +all",), ("b.test", "TXT"): "TXT of b.test: timeout"}
    )
    assert found == SpfVerdict(SpfResult.TEMPERROR, "TXT of b.test: timeout", lookups=1)


@pytest.mark.parametrize(
    ("kind", "terms"), [("A", "a:h.test"), ("MX", "mx:h.test"), ("A", "exists:h.test"), ("A", "mx:m.test")]
)
def test_trouble_with_a_mechanism_is_temporary(kind: str, terms: str) -> None:
    """Section 5: never a pass by what comes behind."""
    zone: Zone = {("h.test", kind): "servfail", ("m.test", "MX"): ("h.test",)}
    assert of(f"v=spf1 {terms} +all", zone) == "temperror"


def test_redirect_takes_the_place_of_all() -> None:
    """Section 6.1: only where nothing matches, never beside all; and `d` is the new domain."""
    zone: Zone = {
        ("b.test", "TXT"): ("v=spf1 exists:%{d}.ok.test -all",),
        ("b.test.ok.test", "A"): ("127.0.0.1",),
        ("c.test", "TXT"): ("hello",),
    }
    assert of("v=spf1 redirect=b.test", zone) == "pass"
    assert of("v=spf1 redirect=b.test ?all", zone) == "neutral"
    assert of(f"v=spf1 redirect=b.test -ip4:{IP}", zone) == "fail"
    assert of("v=spf1 redirect=c.test", zone) == "permerror"
    assert of("v=spf1 redirect=nowhere.test", zone) == "permerror"


def test_the_redirect_of_an_included_record_counts_there() -> None:
    """Section 6.1: its result is that of the include."""
    zone: Zone = {
        ("b.test", "TXT"): ("v=spf1 redirect=c.test",),
        ("c.test", "TXT"): (f"v=spf1 ip4:{IP} -all",),
    }
    found = verdict({("a.test", "TXT"): ("v=spf1 include:b.test -all",), **zone})
    assert (found.result, found.term, found.detail) == ("pass", "include:b.test", "in a.test")


@pytest.mark.parametrize(
    "zone",
    [
        {("a.test", "TXT"): ("v=spf1 include:a.test -all",)},
        {("a.test", "TXT"): ("v=spf1 redirect=a.test",)},
        {("a.test", "TXT"): ("v=spf1 include:b.test -all",), ("b.test", "TXT"): ("v=spf1 include:A.test",)},
    ],
)
def test_a_loop_is_an_error(zone: Zone) -> None:
    """Told as such, without asking ten times."""
    dns = DictDns(zone)
    found = dns.run(evaluate(Sender(IP, "b", "a.test", "mta1.a.test")))
    assert found.result == "permerror"
    assert "leads back to itself" in found.detail
    assert max(dns.asked.values()) == 1


@pytest.mark.parametrize(("terms", "wanted"), [(10, "fail"), (11, "permerror")])
def test_ten_terms_may_ask(terms: int, wanted: str) -> None:
    """Section 4.6.4; ip4 and all ask nothing."""
    zone: Zone = {("h.test", "A"): ("192.0.2.200",)}
    record = " ".join(["v=spf1", "ip4:192.0.2.1", *["a:h.test"] * terms, "-all"])
    assert of(record, zone) == wanted


@pytest.mark.parametrize(("depth", "wanted"), [(10, "pass"), (11, "permerror")])
def test_lookups_are_counted_through_includes(depth: int, wanted: str) -> None:
    """Section 4.6.4: of all records together, redirects too."""
    zone: Zone = {(f"i{n}.test", "TXT"): (f"v=spf1 include:i{n + 1}.test -all",) for n in range(1, depth)}
    zone[(f"i{depth}.test", "TXT")] = ("v=spf1 +all",)
    found = verdict({("a.test", "TXT"): ("v=spf1 redirect=i1.test",), **zone})
    assert found.result == wanted
    assert found.lookups == depth


def test_an_mx_may_have_ten_hosts() -> None:
    """Section 4.6.4: of an eleventh receivers know nothing."""
    hosts = tuple(f"m{n}.test" for n in range(11))
    zone: Zone = {(host, "A"): ("192.0.2.200",) for host in hosts}
    assert of("v=spf1 mx -all", {**zone, ("a.test", "MX"): hosts[:10]}) == "fail"
    assert of("v=spf1 mx -all", {**zone, ("a.test", "MX"): hosts}) == "permerror"


@pytest.mark.parametrize(("void", "wanted"), [(2, "pass"), (3, "permerror")])
def test_two_terms_may_find_nothing(void: int, wanted: str) -> None:
    """Section 4.6.4: names that do not exist, and names without such records."""
    zone: Zone = {("nodata.test", "TXT"): ("x",)}
    names = ["a:nxdomain.test", "a:nodata.test", "mx:nxdomain.test"][:void]
    assert of(" ".join(["v=spf1", *names, "+all"]), zone) == wanted


def test_ptr_is_counted_and_not_evaluated() -> None:
    """Section 5.5: do not use it; who depends on it is told."""
    found = verdict({("a.test", "TXT"): ("v=spf1 ptr -all",)})
    assert found == SpfVerdict(SpfResult.FAIL, "in a.test", "-all", lookups=1, has_skipped_ptr=True)
