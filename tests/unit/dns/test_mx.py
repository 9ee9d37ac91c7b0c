"""From answers to hosts: S-07, S-08, S-09, T-04 and the C rows that need no server."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.dns.mx import (
    MOST_ADDRESSES,
    MOST_HOSTS,
    AddressGuard,
    HostAddresses,
    MxFound,
    MxTargets,
    NoMail,
    assemble,
    name_fault,
    read_addresses,
    read_mx,
    shuffled,
    site_name,
)
from mta.dns.record import DnsTrouble, Record
from mta.model.path import MxHost

OPEN = AddressGuard((), lambda _: False)
PUBLIC = "198.41.0.4"
PUBLIC_6 = "2001:500:2f::f"


def mx(exchange: str, preference: int = 10, owner: str = "acme.test", ttl_s: int = 300) -> Record:
    return Record(owner, "MX", exchange, ttl_s, preference)


def cname(owner: str, target: str, ttl_s: int = 300) -> Record:
    return Record(owner, "CNAME", target, ttl_s)


def host(*addresses: str, ttl_s: float = 300.0) -> HostAddresses:
    return HostAddresses(addresses, ttl_s)


def targets(*names: str) -> MxTargets:
    return MxTargets(tuple((name, 10) for name in names), "site", 300.0)


def test_hosts_come_in_order_of_preference() -> None:
    """S-07: the lowest preference is tried first, whatever the order of the answer."""
    read = read_mx("acme.test", [mx("c.acme.test", 30), mx("a.acme.test", 10), mx("b.acme.test", 20)])
    assert isinstance(read, MxTargets)
    assert [name for name, _ in read.names] == ["a.acme.test", "b.acme.test", "c.acme.test"]


def test_a_host_named_twice_counts_once() -> None:
    """The better preference of a repeated exchange holds."""
    read = read_mx("acme.test", [mx("a.acme.test", 30), mx("b.acme.test", 20), mx("a.acme.test", 10)])
    assert isinstance(read, MxTargets)
    assert read.names == (("a.acme.test", 10), ("b.acme.test", 20))


def test_no_records_mean_the_domain_itself() -> None:
    """S-07: NOERROR without data is the implicit MX."""
    read = read_mx("acme.test", [])
    assert read == MxTargets((("acme.test", 0),), "acme.test", float("inf"), is_implicit=True)


@pytest.mark.parametrize("preference", [0, 10])
def test_a_lone_null_mx_is_permanent(preference: int) -> None:
    """T-04: a single empty exchange says that the domain takes no mail."""
    read = read_mx("acme.test", [mx("", preference)])
    assert isinstance(read, NoMail)
    assert read.kind == "null_mx"


def test_a_null_mx_beside_others_is_ignored() -> None:
    """C6: the hosts beside a null MX are used."""
    read = read_mx("acme.test", [mx("", 0), mx("a.acme.test")])
    assert isinstance(read, MxTargets)
    assert read.names == (("a.acme.test", 10),)


@pytest.mark.parametrize(
    "exchange",
    [
        "192.0.2.1",
        "[192.0.2.1]",
        "localhost",
        "127.0.0.1",
        "a\\010b.test",
        "a" * 64 + ".test",
        "::1",
        "a..test",
    ],
)
def test_an_mx_that_is_no_host_name_is_trouble_and_no_implicit_mx(exchange: str) -> None:
    """S-07, C10: MX records that cannot be used defer the mail and the detail says why."""
    read = read_mx("acme.test", [mx(exchange)])
    assert isinstance(read, DnsTrouble)
    assert read.kind == "bad_mx"
    assert exchange[:10].replace("\\", "\\\\") in read.detail


def test_a_bad_exchange_does_not_spoil_a_good_one() -> None:
    """C10: only the unusable record is dropped."""
    read = read_mx("acme.test", [mx("192.0.2.1", 5), mx("a.acme.test")])
    assert isinstance(read, MxTargets)
    assert read.names == (("a.acme.test", 10),)


def test_an_answer_of_another_owner_is_not_believed() -> None:
    """Records that belong to another name change nothing: the domain has no MX."""
    read = read_mx("acme.test", [mx("evil.test", owner="other.test")])
    assert isinstance(read, MxTargets)
    assert read.is_implicit


def test_cname_leads_to_the_owner_of_the_mx() -> None:
    """S-08: the MX set of the end of the chain counts, with the lowest TTL on the way."""
    records = [
        mx("a.b.test", owner="b.test", ttl_s=900),
        cname("x.test", "b.test", 60),
        cname("acme.test", "x.test"),
    ]
    read = read_mx("acme.test", records)
    assert read == MxTargets((("a.b.test", 10),), "a.b.test", 60.0)


def test_a_cname_elsewhere_is_not_followed() -> None:
    """Only a chain that starts at the question counts."""
    read = read_mx("acme.test", [cname("other.test", "b.test"), mx("a.b.test", owner="b.test")])
    assert isinstance(read, MxTargets)
    assert read.is_implicit


@pytest.mark.parametrize("circle", [["acme.test"], ["b.test", "acme.test"], ["b.test", "c.test", "b.test"]])
def test_a_cname_circle_is_trouble(circle: list[str]) -> None:
    """A chain without end is temporary trouble, found at once."""
    owners = ["acme.test", *circle]
    read = read_mx("acme.test", [cname(*pair) for pair in zip(owners, circle, strict=False)])
    assert isinstance(read, DnsTrouble)
    assert read.kind == "bad_cname"


def test_a_dangling_cname_is_looked_up_as_implicit_mx() -> None:
    """A chain that ends at no MX leaves the domain itself, whose address lookup then tells the truth."""
    read = read_mx("acme.test", [cname("acme.test", "gone.test", 60)])
    assert read == MxTargets((("acme.test", 0),), "acme.test", 60.0, is_implicit=True)


def test_hosts_are_capped_but_name_the_whole_set() -> None:
    """C8: at most 20 hosts, the best ones; the site name still tells sets apart beyond that."""
    records = [mx(f"h{i:02}.acme.test", 100 - i) for i in range(50)]
    read = read_mx("acme.test", records)
    other = read_mx("acme.test", [*records[1:], mx("h99.acme.test", 100)])
    assert isinstance(read, MxTargets)
    assert isinstance(other, MxTargets)
    assert [name for name, _ in read.names] == [f"h{i:02}.acme.test" for i in range(49, 49 - MOST_HOSTS, -1)]
    assert read.names == other.names
    assert read.site_name != other.site_name


@pytest.mark.parametrize(
    ("name", "is_fine"),
    [
        ("acme.test", True),
        ("xn--strae-oqa.de", True),
        ("a.b.c.acme.test", True),
        ("1and1.test", True),
        ("a" * 63 + ".test", True),
        (".".join(["a" * 61] * 4) + ".test", True),
        (".".join(["a" * 62] * 4) + ".test", False),
        ("a" * 64 + ".test", False),
        ("ok.test\0.evil", False),
        ("a..b", False),
        ("-x.test", False),
        ("x-.test", False),
        ("acme.test.", False),
        (".test", False),
        ("", False),
        ("localhost", False),
        ("1.2.3.4", False),
        ("127.1", False),
        ("127.0x1", False),
        ("straße.de", False),
        ("a b.test", False),
        ("a\\010b.test", False),
        ("a_b.test", False),
        ("x" * 254, False),
    ],
)
def test_only_host_names_are_mail_domains(name: str, is_fine: bool) -> None:
    """C16: what is asked is exactly the name, and a name that cannot be is refused before it is asked."""
    assert (not name_fault(name)) is is_fine


def test_an_exchange_may_hold_an_underscore() -> None:
    """Generated exchanges such as _dc-mx are hosts although no mail domain may look so."""
    assert not name_fault("_dc-mx.0123abcd.acme.test", is_host=True)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_names_that_pass_hold_nothing_odd(name: str) -> None:
    """Whatever passes consists of plain characters and fits a query."""
    if not name_fault(name, is_host=True):
        assert name.isascii()
        assert name.replace("-", "").replace("_", "").replace(".", "").isalnum()
        assert len(name) <= 253


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("192.0.2.1", "private"),
        ("fc00::1", "private"),
        ("fd12::1", "private"),
        ("169.254.169.254", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("239.1.1.1", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "private"),
        ("240.0.0.1", "private"),
        ("100.64.0.1", "not public"),
        ("fec0::1", "not public"),
        ("4000::1", "not public"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("2002:7f00:1::", "loopback"),
        ("2002:a00:1::", "private"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2001:0:7f00:1::1", "private"),
        ("not an address", "no address"),
        (PUBLIC, ""),
        (PUBLIC_6, ""),
        ("64:ff9b::c629:4", ""),
    ],
)
def test_the_guard_refuses_what_is_not_public(address: str, why: str) -> None:
    """S-09, C10: no zone can make us connect to ourselves or into our network, by any spelling."""
    assert OPEN.fault(address) == why


def test_the_guard_refuses_this_host() -> None:
    """S-09: a public address that is ours is a mail loop."""
    guard = AddressGuard((), lambda address: address == PUBLIC)
    assert guard.fault(PUBLIC) == "an address of this host"
    assert not guard.fault("198.41.0.5")


def test_allowed_networks_win() -> None:
    """S-09: what the operator allows may be connected to, even where it is loopback or ours."""
    guard = AddressGuard(("127.0.0.0/8", "fd00::/8", "198.41.0.4"), lambda _: True)
    assert [guard.fault(address) for address in ("127.0.0.1", "fd00::1", PUBLIC)] == ["", "", ""]
    assert guard.fault("10.0.0.1") == "private"


def test_addresses_of_a_host_are_v4_first_and_guarded() -> None:
    """Both families are read, IPv4 first; what the guard refuses is told, not returned."""
    records = [
        Record("a.test", "AAAA", PUBLIC_6, 120),
        Record("a.test", "A", "10.0.0.1", 300),
        Record("a.test", "A", PUBLIC, 90),
        Record("b.test", "A", "198.41.0.9", 5),
    ]
    read = read_addresses("a.test", records, OPEN)
    assert read == HostAddresses((PUBLIC, PUBLIC_6), 90.0, ("10.0.0.1 (private)",))


def test_addresses_behind_a_cname_are_read() -> None:
    """Exchanges that are aliases are against RFC 2181 and common."""
    records = [cname("a.test", "b.test", 30), Record("b.test", "A", PUBLIC, 90)]
    assert read_addresses("a.test", records, OPEN) == HostAddresses((PUBLIC,), 30.0)
    circle = read_addresses("a.test", [cname("a.test", "a.test")], OPEN)
    assert circle.trouble is not None


def test_hosts_without_addresses_are_left_out() -> None:
    """The rest of the MX set is used, and the name of the site stays."""
    found = assemble(targets("a.test", "b.test"), {"a.test": HostAddresses(), "b.test": host(PUBLIC)})
    assert found == MxFound((MxHost("b.test", 25, (PUBLIC,), 10),), "site", 300.0)


def test_the_lowest_ttl_holds() -> None:
    """The set is believed no longer than its shortest part."""
    found = assemble(targets("a.test", "b.test"), {"a.test": host(PUBLIC, ttl_s=40), "b.test": host(PUBLIC)})
    assert isinstance(found, MxFound)
    assert found.ttl_s == 40.0


def test_trouble_with_one_host_shortens_the_ttl() -> None:
    """C1: a host that could not be looked up is looked for again within a minute."""
    trouble = HostAddresses(trouble=DnsTrouble("servfail", "b"))
    found = assemble(targets("a.test", "b.test"), {"a.test": host(PUBLIC, ttl_s=3600), "b.test": trouble})
    assert isinstance(found, MxFound)
    assert found.ttl_s <= 60.0


def test_a_set_is_whole_where_no_other_look_could_find_more() -> None:
    """A host left out for trouble, or beyond those that are looked at, may be the one that takes mail."""
    known = {"a.test": host(PUBLIC), "b.test": HostAddresses(trouble=DnsTrouble("servfail", "b"))}
    known["c.test"] = HostAddresses(refused=("10.0.0.1 (private)",))
    for names, is_whole in ((("a.test",), True), (("a.test", "c.test"), True), (("a.test", "b.test"), False)):
        found = assemble(targets(*names), known)
        assert isinstance(found, MxFound)
        assert found.is_whole is is_whole
    for count in (MOST_HOSTS, MOST_HOSTS + 1):
        names = [f"h{number}.test" for number in range(count)]
        read = read_mx("acme.test", [mx(name) for name in names])
        assert isinstance(read, MxTargets)
        found = assemble(read, dict.fromkeys(names, host(PUBLIC)))
        assert isinstance(found, MxFound)
        assert found.is_whole is (count == MOST_HOSTS)


def test_addresses_are_capped_and_shared() -> None:
    """At most 30 addresses, and every host keeps one before any has a second."""
    many = tuple(f"198.41.0.{i}" for i in range(MOST_ADDRESSES))
    names = [f"h{i}.test" for i in range(MOST_HOSTS)]
    found = assemble(targets(*names), {name: HostAddresses(many, 300.0) for name in names})
    assert isinstance(found, MxFound)
    counts = [len(host.addresses) for host in found.hosts]
    assert sum(counts) == MOST_ADDRESSES
    assert min(counts) >= 1


@pytest.mark.parametrize(
    ("hosts", "is_implicit", "kind"),
    [
        ([HostAddresses(is_missing=True)], True, "nxdomain"),
        ([HostAddresses()], True, "nodata"),
        ([HostAddresses()], False, "bad_mx"),
        ([HostAddresses(is_missing=True)], False, "bad_mx"),
        ([HostAddresses(refused=("127.0.0.1 (loopback)",))], True, "bad_address"),
        ([HostAddresses(refused=("127.0.0.1 (loopback)",))], False, "bad_address"),
        ([HostAddresses(trouble=DnsTrouble("timeout", "t"))], True, "timeout"),
        (
            [
                HostAddresses(refused=("127.0.0.1 (loopback)",)),
                HostAddresses(trouble=DnsTrouble("servfail", "s")),
            ],
            False,
            "servfail",
        ),
    ],
)
def test_why_nothing_is_usable(hosts: list[HostAddresses], is_implicit: bool, kind: str) -> None:
    """C5, C10: only a domain that has neither MX nor address is permanent; all else may heal."""
    names = [f"h{i}.test" for i in range(len(hosts))]
    wanted = MxTargets(tuple((name, 10) for name in names), "site", 300.0, is_implicit)
    answer = assemble(wanted, dict(zip(names, hosts, strict=True)))
    assert isinstance(answer, NoMail if kind in ("nxdomain", "nodata") else DnsTrouble)
    assert answer.kind == kind


def test_a_refused_address_is_named() -> None:
    """C10: the event can say which address of which host was refused, and why."""
    answer = assemble(targets("a.test"), {"a.test": HostAddresses(refused=("127.0.0.1 (loopback)",))})
    assert isinstance(answer, DnsTrouble)
    assert "a.test" in answer.detail
    assert "127.0.0.1 (loopback)" in answer.detail


def test_equal_preferences_are_spread_evenly() -> None:
    """S-07, C12: each of four equal hosts comes first in 25 % of 10,000 draws, by chi-square at p = 0.001."""
    rng = Random(7)
    hosts = [MxHost(f"h{i}.test", preference=10) for i in range(4)] + [MxHost("last.test", preference=20)]
    firsts: Counter[str] = Counter()
    for _ in range(10_000):
        order = shuffled(hosts, rng.random)
        assert order[-1].name == "last.test"
        firsts[order[0].name] += 1
    chi_square = sum((firsts[f"h{i}.test"] - 2500) ** 2 / 2500 for i in range(4))
    assert chi_square < 16.27


def test_addresses_are_shuffled_within_their_family() -> None:
    """The addresses of one host share the load, IPv6 staying behind IPv4."""
    rng = Random(3)
    addresses = ("198.41.0.4", "198.41.0.5", "2001:500::1", "2001:500::2")
    seen = {shuffled([MxHost("a.test", addresses=addresses)], rng.random)[0].addresses for _ in range(100)}
    assert len(seen) == 4
    assert all(":" not in order[1] and ":" in order[2] for order in seen)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a.test", "b.test", "c.test"]), st.integers(0, 3)), min_size=1))
def test_a_site_name_ignores_the_order_of_the_answer(names: list[tuple[str, int]]) -> None:
    """The same set gives the same name."""
    assert site_name(names) == site_name(list(reversed(names)))


def test_site_names_tell_sets_apart() -> None:
    """Ranks count, absolute preferences do not."""
    assert site_name([("b.test", 10), ("a.test", 10)]) == "a.test|b.test"
    assert (
        site_name([("b.test", 1), ("a.test", 7)])
        == site_name([("b.test", 10), ("a.test", 20)])
        == "b.test,a.test"
    )
    assert site_name([("b.test", 10), ("a.test", 5)]) == "a.test,b.test"


def test_a_long_site_name_is_cut_and_stays_unique() -> None:
    """A long set keeps its first host for people and a digest for uniqueness."""
    long = [(f"alt{i}.some-long-mail-exchanger.acme.test", i) for i in range(6)]
    name = site_name(long)
    assert name.startswith("alt0.some-long-mail-exchanger.acme.test+5.")
    assert len(name) < 110
    assert name != site_name([*long[:-1], ("other.test", 5)])
