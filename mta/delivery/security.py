"""What protects one connection: from what the sender asks, what the domain publishes and what its host has, to what
has to be reached before mail goes over it. Pure.

Rules:
- DANE before MTA-STS: where a host has secure TLSA records they decide, and a good MTA-STS policy mends nothing
  (RFC 8461 section 2, T-08);
- a policy binds the domain it was found for, never another one that shares its hosts: so what it comes to is part of
  the key of a path (`Security`);
- what a sender asks for only adds, but for `none` and a message that says `TLS-Required: No`;
- an operator's static route is the operator's word: no policy of the domain is looked at.
"""

from functools import lru_cache

from msgspec import Struct

from mta.dns.policy import mx_matches, policy_lines
from mta.model.path import MxHost, Security, Site, StsFound
from mta.model.tls import DaneState, Demand, PolicyType, StsMode, StsPolicy, Tlsa, TlsFailure, TlsOption

_RANK = (TlsOption.NONE, TlsOption.OPPORTUNISTIC, TlsOption.REQUIRE, TlsOption.VERIFY, TlsOption.REQUIRETLS)
_DEMANDS = {
    TlsOption.NONE: Demand.NONE,
    TlsOption.OPPORTUNISTIC: Demand.OPPORTUNISTIC,
    TlsOption.REQUIRE: Demand.ENCRYPTED,
    TlsOption.VERIFY: Demand.VERIFIED,
    TlsOption.REQUIRETLS: Demand.VERIFIED,
}
_STRENGTH = {
    Demand.NONE: 0,
    Demand.OPPORTUNISTIC: 1,
    Demand.ENCRYPTED: 2,
    Demand.VERIFIED: 3,
    Demand.DANE: 4,
}


class Terms(Struct, frozen=True, gc=False):
    """`policy` names what the demand comes from, a word of the event contract: dane, sts or an option. `is_testing`:
    try to reach what the policy would demand, report where that fails, and deliver all the same. `doubt` is what such
    a policy finds wrong before anything was tried."""

    demand: Demand
    policy: str
    tlsa: tuple[Tlsa, ...] = ()
    is_testing: bool = False
    doubt: str = ""


class Barred(Struct, frozen=True, gc=False):
    """This host may not be used at all."""

    policy: str
    failure: TlsFailure
    detail: str


class Policy(Struct, frozen=True, gc=False):
    """What a TLS report names as the policy of a session (RFC 8460 section 4.2)."""

    type: PolicyType
    lines: tuple[str, ...] = ()
    mx_patterns: tuple[str, ...] = ()


_NO_POLICY = Policy(PolicyType.NONE)
_PLAIN = {
    (option, is_vouched): Security(option, is_vouched=is_vouched)
    for option in TlsOption
    for is_vouched in (False, True)
}
"""What almost every message has: made once."""


def asked(sender: TlsOption, path: TlsOption) -> TlsOption:
    """One option of two: the stronger of what the sender asks for and what the operator set for the way. The sender's
    `none` gives way to no more than opportunism."""
    if sender is TlsOption.NONE:
        return path if _RANK.index(path) > 1 else sender
    if sender is TlsOption.OPPORTUNISTIC:
        return path
    return max(sender, path, key=_RANK.index)


def secured(site: Site, sender: TlsOption, *, ignores_policy: bool = False) -> Security:
    """The key of what goes to one domain of the site."""
    option = asked(sender, site.tls)
    policy = site.sts.policy
    if site.is_static:
        return _PLAIN[option, option is TlsOption.REQUIRETLS]
    if ignores_policy or option is TlsOption.NONE:
        return Security(option, ignores_policy=ignores_policy)
    is_vouched = site.is_vouched and _counts(site, option)
    if policy is None or policy.mode is StsMode.NONE:
        return _PLAIN[option, is_vouched]
    names = tuple(sorted(host.name for host in site.hosts))
    return Security(option, policy.mode, _admitted(policy, names), is_vouched)


def terms(host: MxHost, security: Security) -> Terms | Barred:
    """What a connection to `host` has to reach."""
    option = security.option
    wanted = Terms(_DEMANDS[option], str(option))
    if option is TlsOption.NONE or security.ignores_policy:
        return wanted
    match host.dane.state:
        case DaneState.BROKEN:
            return Barred("dane", TlsFailure.DNSSEC_INVALID, host.dane.detail)
        case DaneState.USABLE:
            return Terms(Demand.DANE, "dane", host.dane.records)
        case DaneState.UNUSABLE:
            return _stronger(wanted, Terms(Demand.ENCRYPTED, "dane"))
        case DaneState.ABSENT:
            return _by_sts(host, security, wanted)


def insecure_way(security: Security) -> str:
    """Why the way to a domain cannot be promised to be secure, although REQUIRETLS asks for it: nothing vouches for
    the names of its MX hosts (RFC 8689 section 4.2.1). "" where all is well."""
    is_sure = security.is_vouched or security.sts_mode is StsMode.ENFORCE
    if security.option is not TlsOption.REQUIRETLS or is_sure:
        return ""
    return (
        "5.7.30 REQUIRETLS: neither DNSSEC nor an enforced MTA-STS policy vouches for the domain's MX hosts"
    )


def reported(host: MxHost, found: StsFound) -> Policy:
    """The policy that a session with `host` is counted under; `found` is what is known of the domain's MTA-STS."""
    if host.dane.state is not DaneState.ABSENT:
        lines = tuple(f"{r.usage} {r.selector} {r.matching} {r.data.hex()}" for r in host.dane.records)
        return Policy(PolicyType.TLSA, lines, (host.name,))
    sts = found.policy
    if sts is None:
        return Policy(PolicyType.STS) if found.fault is not None else _NO_POLICY
    if sts.mode is StsMode.NONE:
        return _NO_POLICY
    return Policy(PolicyType.STS, policy_lines(sts), sts.mx)


def verified_by(demand: Demand, policy: str) -> str:
    """What vouches for whom we talk to, in the words of the event contract."""
    if demand is Demand.DANE:
        return "dane"
    if demand is Demand.VERIFIED:
        return "sts" if policy == "sts" else "pkix"
    return "none"


def _by_sts(host: MxHost, security: Security, wanted: Terms) -> Terms | Barred:
    if security.sts_mode is StsMode.NONE:
        return wanted
    is_admitted = host.name in security.sts_hosts
    fault = "" if is_admitted else f"{host.name} is no MX host of the domain's MTA-STS policy"
    if security.sts_mode is StsMode.ENFORCE:
        if fault:
            return Barred("sts", TlsFailure.VALIDATION_FAILURE, fault)
        return _stronger(wanted, Terms(Demand.VERIFIED, "sts"))
    if _STRENGTH[wanted.demand] >= _STRENGTH[Demand.VERIFIED] and not fault:
        return wanted
    return Terms(wanted.demand, wanted.policy, is_testing=True, doubt=fault)


def _counts(site: Site, option: TlsOption) -> bool:
    """Whether it makes a difference that DNSSEC holds for the MX set: else such domains share the connections, and the
    limits, of those for which it does not."""
    return option is TlsOption.REQUIRETLS or any(
        host.dane.state is not DaneState.ABSENT for host in site.hosts
    )


@lru_cache(maxsize=256)  # a policy may have 30 kB, and strangers write them
def _admitted(policy: StsPolicy, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if mx_matches(policy, name))


def _stronger(wanted: Terms, policy: Terms) -> Terms:
    """The policy's at equal strength: it is the reason that does not change from sender to sender."""
    return wanted if _STRENGTH[wanted.demand] > _STRENGTH[policy.demand] else policy
