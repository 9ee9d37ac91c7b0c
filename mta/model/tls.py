"""What protects the way to a domain: what was asked for, what the domain publishes, what a session came to."""

from enum import StrEnum

from msgspec import Struct


class TlsOption(StrEnum):
    """What a sender or a route asks for. What a domain publishes (DANE, MTA-STS) binds beside it, but for `none`."""

    OPPORTUNISTIC = "opportunistic"
    """TLS where it works."""
    NONE = "none"
    """No TLS."""
    REQUIRE = "require"
    """Encrypted or not at all."""
    VERIFY = "verify"
    """And the certificate is valid for the MX host."""
    REQUIRETLS = "requiretls"
    """And the next hop promises the same for the rest of the way (RFC 8689)."""


class Demand(StrEnum):
    """What one connection has to reach before mail goes over it."""

    NONE = "none"
    """STARTTLS is not even tried."""
    OPPORTUNISTIC = "opportunistic"
    """Tried; in clear where it fails (RFC 7435)."""
    ENCRYPTED = "encrypted"
    VERIFIED = "verified"
    """A chain to a trusted root, and a name that is the MX host's (RFC 8461 section 4.1)."""
    DANE = "dane"
    """A certificate that one of the TLSA records names (RFC 7672)."""


class Tlsa(Struct, frozen=True, gc=False):
    """One TLSA record (RFC 6698 section 2.1), its fields as they came."""

    usage: int
    selector: int
    matching: int
    data: bytes


class DaneState(StrEnum):
    """What DNSSEC says of one MX host (RFC 7672 section 2.2)."""

    ABSENT = "absent"
    """No secure TLSA records, or an insecure way to them: DANE does not apply."""
    USABLE = "usable"
    UNUSABLE = "unusable"
    """Secure records, none of which can be used: TLS is mandatory, whom it is with is not known."""
    BROKEN = "broken"
    """The question failed, or its answer is bogus: the host may not be used."""


class HostDane(Struct, frozen=True, gc=False):
    """`records` are the usable ones; `detail` says what was wrong with the others, or with the lookup. `base` is the
    name they were found under, the MX host or what it is an alias of: it goes into SNI, and a certificate below a trust
    anchor is checked for it (RFC 7672 sections 3.2.2 and 8.1)."""

    state: DaneState = DaneState.ABSENT
    records: tuple[Tlsa, ...] = ()
    detail: str = ""
    base: str = ""


NO_DANE = HostDane()


class StsMode(StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class StsPolicy(Struct, frozen=True, gc=False):
    """A policy of a domain (RFC 8461 section 3.2). `mx` are lower-case patterns: a name, or `*.` and the rest of one.
    `id` is that of the TXT record it was fetched for."""

    id: str
    mode: StsMode
    mx: tuple[str, ...]
    max_age_s: int


class TlsFailure(StrEnum):
    """Result types of RFC 8460 section 4.3."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_POLICY_FETCH_ERROR = "sts-policy-fetch-error"
    STS_POLICY_INVALID = "sts-policy-invalid"
    STS_WEBPKI_INVALID = "sts-webpki-invalid"


class TlsDoubt(Struct, frozen=True, gc=False):
    """What TLS with a host fails of, as it is reported, and in words."""

    failure: TlsFailure
    detail: str


class PolicyType(StrEnum):
    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class TlsSession(Struct, frozen=True, gc=False):
    """One session, or the failure to get one, under the policy of one domain: what a TLS report counts (RFC 8460).

    `policy` are the lines of that policy as they are reported: those of an MTA-STS policy, or TLSA records in
    presentation form. `failure` None: a success. `at` is seconds since the epoch; empty text is unknown."""

    domain: str
    at: float
    policy_type: PolicyType
    policy: tuple[str, ...] = ()
    mx_patterns: tuple[str, ...] = ()
    failure: TlsFailure | None = None
    detail: str = ""
    mx_host: str = ""
    mx_ip: str = ""
    source_ip: str = ""
    mx_helo: str = ""
