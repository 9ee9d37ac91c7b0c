"""Where mail goes and where it comes from."""

from msgspec import Struct

from mta.model.login import Login
from mta.model.tls import NO_DANE, HostDane, StsMode, StsPolicy, TlsFailure, TlsOption


class MxHost(Struct, frozen=True, gc=False):
    """One target of a site: a host name, its port, and the addresses found for it (none: resolve at connect)."""

    name: str
    port: int = 25
    addresses: tuple[str, ...] = ()
    preference: int = 0
    dane: HostDane = NO_DANE


class StsFound(Struct, frozen=True, gc=False):
    """What a domain's MTA-STS came to. `fault`: it has a record, and no usable policy is known. `is_sure`: another look
    would find the same."""

    policy: StsPolicy | None = None
    fault: TlsFailure | None = None
    detail: str = ""
    is_sure: bool = True


NO_STS = StsFound()


class Site(Struct, frozen=True):
    """Where a domain's mail goes. `name` is canonical and stands for the MX set, which other domains may share;
    `hosts` are in the order to try, all there are if it `is_whole`. The rest is of the domain: `tls` what the operator
    set for the way, `sts` its own policy; `is_vouched`: DNSSEC holds for its MX set. `login` is shown to a host that
    has proven who it is, and to no other."""

    name: str
    provider: str
    hosts: tuple[MxHost, ...]
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    is_static: bool = False
    is_whole: bool = True
    sts: StsFound = NO_STS
    is_vouched: bool = False
    login: Login | None = None


class EgressSource(Struct, frozen=True, gc=False):
    """Our sending identity. An empty `address` lets the kernel choose."""

    name: str
    ehlo: str
    address: str = ""


class EgressPool(Struct, frozen=True):
    """A weighted set of sources: (source, weight). One of weight 0 stands by for the others; at
    least one has more."""

    name: str
    sources: tuple[tuple[EgressSource, int], ...]


class Security(Struct, frozen=True, gc=False):
    """What has to hold on the way, as far as it does not depend on the host: what was asked for, and what the domain
    publishes. `sts_hosts` are the MX hosts that its MTA-STS policy admits: domains whose policies come to the same
    may share connections. `is_vouched` where DNSSEC holds for the MX set; `ignores_policy`: the message says
    `TLS-Required: No` (RFC 8689 section 3)."""

    option: TlsOption = TlsOption.OPPORTUNISTIC
    sts_mode: StsMode = StsMode.NONE
    sts_hosts: tuple[str, ...] = ()
    is_vouched: bool = False
    ignores_policy: bool = False


OPEN = Security()


class EgressPath(Struct, frozen=True, gc=False):
    """(source, site, security): what queues, throttles and connection pools are keyed by. A site's name, not the
    object, so that a path stays the same when host order or addresses change; its security, because a domain's policy
    may not bind, nor loosen, what goes to another domain by the same hosts."""

    source: str
    site: str
    security: Security = OPEN
