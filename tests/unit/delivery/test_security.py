"""What has to hold on a connection: what was asked for, DANE, MTA-STS, and which wins (T-06, T-07, T-08, T-10)."""

from itertools import product

import pytest

from mta.delivery.security import (
    Barred,
    Terms,
    asked,
    insecure_way,
    reported,
    secured,
    terms,
    verified_by,
)
from mta.model.path import MxHost, Security, Site, StsFound
from mta.model.tls import (
    DaneState,
    Demand,
    HostDane,
    PolicyType,
    StsMode,
    StsPolicy,
    Tlsa,
    TlsFailure,
    TlsOption,
)

RECORD = Tlsa(3, 1, 1, b"\x01" * 32)
USABLE = HostDane(DaneState.USABLE, (RECORD,))
GOOD, OTHER = MxHost("mx.acme.test"), MxHost("mx.evil.test")
ENFORCE = StsPolicy("1", StsMode.ENFORCE, ("mx.acme.test", "*.backup.test"), 86_400)
TESTING = StsPolicy("1", StsMode.TESTING, ("mx.acme.test",), 86_400)
OFF = StsPolicy("1", StsMode.NONE, (), 86_400)


def site(policy: StsPolicy | None = None, *hosts: MxHost, **changes: object) -> Site:
    return Site("site", "other", hosts or (GOOD, OTHER), sts=StsFound(policy), **changes)  # type: ignore[arg-type]


def on(option: TlsOption, policy: StsPolicy | None = None, host: MxHost = GOOD) -> Terms | Barred:
    return terms(host, secured(site(policy), option))


@pytest.mark.parametrize(
    ("option", "demand"),
    [
        ("none", Demand.NONE),
        ("opportunistic", Demand.OPPORTUNISTIC),
        ("require", Demand.ENCRYPTED),
        ("verify", Demand.VERIFIED),
        ("requiretls", Demand.VERIFIED),
    ],
)
def test_without_a_policy_the_option_decides(option: str, demand: Demand) -> None:
    """T-10: each option has its demand, and the event names it."""
    assert on(TlsOption(option)) == Terms(demand, option)
    assert on(TlsOption(option), OFF) == Terms(demand, option)


@pytest.mark.parametrize("option", [TlsOption.OPPORTUNISTIC, TlsOption.REQUIRE, TlsOption.VERIFY])
def test_an_enforced_policy_binds(option: TlsOption) -> None:
    """T-06: only hosts it names, with a certificate that holds; another host is not used at all."""
    assert on(option, ENFORCE) == Terms(Demand.VERIFIED, "sts")
    barred = on(option, ENFORCE, OTHER)
    assert isinstance(barred, Barred)
    assert (barred.policy, barred.failure) == ("sts", TlsFailure.VALIDATION_FAILURE)
    assert "mx.evil.test" in barred.detail


def test_a_testing_policy_only_looks() -> None:
    """T-06: delivered as without it, the shortfall told; what the sender demands more stays."""
    assert on(TlsOption.OPPORTUNISTIC, TESTING) == Terms(
        Demand.OPPORTUNISTIC, "opportunistic", is_testing=True
    )
    stranger = on(TlsOption.REQUIRE, TESTING, OTHER)
    assert isinstance(stranger, Terms)
    assert (stranger.demand, stranger.is_testing) == (Demand.ENCRYPTED, True)
    assert "mx.evil.test" in stranger.doubt
    assert on(TlsOption.VERIFY, TESTING) == Terms(Demand.VERIFIED, "verify")


@pytest.mark.parametrize("policy", [None, ENFORCE, TESTING])
@pytest.mark.parametrize("option", [o for o in TlsOption if o is not TlsOption.NONE])
def test_dane_beats_sts(option: TlsOption, policy: StsPolicy | None) -> None:
    """T-07, T-08: secure records decide alone, also for a host that MTA-STS does not name, and a broken lookup bars the
    host whatever MTA-STS says."""
    for name in ("mx.acme.test", "mx.evil.test"):
        assert on(option, policy, MxHost(name, dane=USABLE)) == Terms(Demand.DANE, "dane", (RECORD,))
        barred = on(option, policy, MxHost(name, dane=HostDane(DaneState.BROKEN, detail="SERVFAIL")))
        assert barred == Barred("dane", TlsFailure.DNSSEC_INVALID, "SERVFAIL")


def test_unusable_records_demand_encryption() -> None:
    """T-07: nobody to verify, but never in clear; a sender who wants more gets more."""
    host = MxHost("mx.acme.test", dane=HostDane(DaneState.UNUSABLE))
    assert on(TlsOption.OPPORTUNISTIC, None, host) == Terms(Demand.ENCRYPTED, "dane")
    assert on(TlsOption.VERIFY, None, host) == Terms(Demand.VERIFIED, "verify")


@pytest.mark.parametrize("policy", [ENFORCE, TESTING])
def test_who_waives_it_is_not_bound(policy: StsPolicy) -> None:
    """T-10: `TLS-Required: No` and `none` leave policies of the domain aside; the option itself stays."""
    for dane in (USABLE, HostDane(DaneState.BROKEN)):
        host = MxHost("mx.evil.test", dane=dane)
        waived = secured(site(policy), TlsOption.OPPORTUNISTIC, ignores_policy=True)
        assert terms(host, waived) == Terms(Demand.OPPORTUNISTIC, "opportunistic")
        assert terms(host, secured(site(policy), TlsOption.NONE)) == Terms(Demand.NONE, "none")


def test_a_static_route_knows_no_policy() -> None:
    """The operator's word: the domain's policy is about its MX hosts."""
    relay = site(ENFORCE, OTHER, is_static=True)
    assert secured(relay, TlsOption.OPPORTUNISTIC) == Security()
    assert terms(OTHER, Security()) == Terms(Demand.OPPORTUNISTIC, "opportunistic")


def test_the_stronger_of_sender_and_operator() -> None:
    """A sender's wish adds to what is set for the way; only `none` takes away, and only opportunism."""
    rank = list(TlsOption)
    order = ["none", "opportunistic", "require", "verify", "requiretls"]
    for sender, path in product(rank, rank):
        got = order.index(asked(sender, path))
        if sender == "none":
            assert got == (order.index(path) if order.index(path) > 1 else 0)
        elif sender == "opportunistic":
            assert got == order.index(path)
        else:
            assert got == max(order.index(sender), order.index(path))


def test_domains_share_a_path_only_where_policies_come_to_the_same() -> None:
    """Same MX set: another policy text with the same effect may share, one with another effect may not."""
    same = StsPolicy("2", StsMode.ENFORCE, ("*.acme.test", "other.test"), 600)
    less = StsPolicy("3", StsMode.ENFORCE, ("*.evil.test", "mx.acme.test"), 600)
    base = secured(site(ENFORCE), TlsOption.OPPORTUNISTIC)
    assert secured(site(same), TlsOption.OPPORTUNISTIC) == base
    for policy in (None, TESTING, less):
        assert secured(site(policy), TlsOption.OPPORTUNISTIC) != base
    with_dane = MxHost("mx.acme.test", dane=USABLE)
    vouched = secured(site(None, with_dane, is_vouched=True), TlsOption.OPPORTUNISTIC)
    assert vouched != secured(site(), TlsOption.OPPORTUNISTIC)
    assert secured(site(is_vouched=True), TlsOption.OPPORTUNISTIC) == secured(site(), TlsOption.OPPORTUNISTIC)


def test_requiretls_needs_somebody_who_vouches() -> None:
    """T-10, RFC 8689 section 4.2.1: DNSSEC or an enforced policy, or the operator's own route."""
    wanted = TlsOption.REQUIRETLS
    assert insecure_way(secured(site(), wanted))
    assert insecure_way(secured(site(TESTING), wanted))
    assert not insecure_way(secured(site(ENFORCE), wanted))
    assert not insecure_way(secured(site(is_vouched=True), wanted))
    assert not insecure_way(secured(site(is_static=True), wanted))
    assert not insecure_way(secured(site(), TlsOption.VERIFY))


def test_what_a_report_names() -> None:
    """RFC 8460 section 4.2: the lines of the policy, TLSA records as they are presented, or that there is none."""
    sts = reported(GOOD, StsFound(ENFORCE))
    assert (sts.type, sts.mx_patterns) == (PolicyType.STS, ENFORCE.mx)
    assert sts.lines == (
        "version: STSv1",
        "mode: enforce",
        "mx: mx.acme.test",
        "mx: *.backup.test",
        "max_age: 86400",
    )
    dane = reported(MxHost("mx.acme.test", dane=USABLE), StsFound(ENFORCE))
    assert (dane.type, dane.lines) == (PolicyType.TLSA, (f"3 1 1 {'01' * 32}",))
    assert reported(GOOD, StsFound()).type is PolicyType.NONE
    assert reported(GOOD, StsFound(OFF)).type is PolicyType.NONE
    assert reported(GOOD, StsFound(fault=TlsFailure.STS_POLICY_FETCH_ERROR)).type is PolicyType.STS


def test_who_vouches_in_events() -> None:
    """The word for `tls.verified`."""
    assert [verified_by(demand, "x") for demand in Demand] == ["none", "none", "none", "pkix", "dane"]
    assert verified_by(Demand.VERIFIED, "sts") == "sts"
