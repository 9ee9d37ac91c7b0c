"""Sessions as TLS reports count them: once for each domain, under that domain's policy."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from mta.delivery.opening import TlsTrouble
from mta.delivery.reference import Reference
from mta.delivery.tls_reports import TlsReports
from mta.model.path import MxHost, Site, StsFound
from mta.model.reply import Reply
from mta.model.tls import (
    DaneState,
    Demand,
    HostDane,
    PolicyType,
    StsMode,
    StsPolicy,
    Tlsa,
    TlsDoubt,
    TlsFailure,
    TlsSession,
)
from mta.smtp.connection import Connection
from tests.unit.delivery.refs import SOURCE, ref

HOST = MxHost("mx.acme.test", addresses=("192.0.2.1",))
SITE = Site("mx.acme.test", "other", (HOST,))
POLICY = StsFound(StsPolicy("1", StsMode.ENFORCE, ("mx.acme.test",), 600))


def to(domain: str, sts: StsFound = POLICY) -> Reference[Any]:
    one = ref(domain=domain)
    one.sts = sts
    return one


def connection(**changes: Any) -> Connection:
    known = {
        "host": "mx.acme.test",
        "peer_ip": "192.0.2.1",
        "local_ip": "192.0.2.9",
        "tls_version": "TLSv1.3",
        "tls_demand": Demand.VERIFIED,
        "tls_doubt": None,
        "offer": SimpleNamespace(starttls=False),
        "banner": Reply(220, ("mx.acme.test ESMTP",)),
    }
    return cast(Connection, Hashable(**(known | changes)))


class Hashable(SimpleNamespace):
    __hash__ = object.__hash__


class Kept:
    def __init__(self) -> None:
        self.sessions: list[TlsSession] = []
        self.doubted: list[str] = []
        self.reports = TlsReports(SOURCE, self.doubted.append, self.sessions.append)


def test_a_session_counts_once_for_each_domain() -> None:
    """However many messages it carries; the next connection is another session."""
    kept = Kept()
    one, two = connection(), connection()
    for domain in ("a.test", "a.test", "b.test", "a.test"):
        kept.reports.note_session(one, SITE, to(domain))
    kept.reports.note_session(two, SITE, to("a.test"))
    assert [session.domain for session in kept.sessions] == ["a.test", "b.test", "a.test"]
    first = kept.sessions[0]
    assert (first.failure, first.policy_type, first.mx_patterns) == (None, PolicyType.STS, ("mx.acme.test",))
    assert (first.mx_host, first.mx_ip, first.source_ip, first.mx_helo) == (
        "mx.acme.test",
        "192.0.2.1",
        "192.0.2.9",
        "mx.acme.test",
    )


def test_each_domain_has_its_own_policy() -> None:
    """Two domains on one connection: what one publishes is not said of the other."""
    kept = Kept()
    one = connection()
    kept.reports.note_session(one, SITE, to("a.test"))
    kept.reports.note_session(one, SITE, to("b.test", StsFound()))
    assert [session.policy_type for session in kept.sessions] == [PolicyType.STS, PolicyType.NONE]


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"tls_version": ""}, TlsFailure.STARTTLS_NOT_SUPPORTED),
        ({"tls_version": "", "offer": SimpleNamespace(starttls=True)}, TlsFailure.VALIDATION_FAILURE),
        (
            {"tls_doubt": TlsDoubt(TlsFailure.CERTIFICATE_EXPIRED, "since May")},
            TlsFailure.CERTIFICATE_EXPIRED,
        ),
    ],
)
def test_what_a_session_lacks_is_told(changes: dict[str, Any], failure: TlsFailure) -> None:
    """Mail went out, and the report says what the policy would not have let pass."""
    kept = Kept()
    kept.reports.note_session(connection(**changes), SITE, to("a.test", StsFound()))
    assert [session.failure for session in kept.sessions] == [failure]
    assert kept.sessions[0].detail


def test_a_policy_that_could_not_be_had_is_a_failure() -> None:
    """RFC 8460 section 4.3.2: the session came about, the policy did not."""
    kept = Kept()
    broken = StsFound(fault=TlsFailure.STS_WEBPKI_INVALID, detail="expired")
    kept.reports.note_session(connection(), SITE, to("a.test", broken))
    (session,) = kept.sessions
    assert (session.policy_type, session.failure, session.detail) == (
        PolicyType.STS,
        TlsFailure.STS_WEBPKI_INVALID,
        "expired",
    )


def test_a_session_that_did_not_come_about_counts_for_all_who_waited() -> None:
    """Once for each domain, with what it failed of; DANE is reported by its records."""
    kept = Kept()
    dane = MxHost("mx.acme.test", dane=HostDane(DaneState.USABLE, (Tlsa(3, 1, 1, b"\x01\x02"),)))
    trouble = TlsTrouble(dane, "192.0.2.1", TlsDoubt(TlsFailure.VALIDATION_FAILURE, "another key"), False)
    kept.reports.note_troubles([trouble], [to("a.test"), to("b.test"), to("a.test")])
    assert sorted(session.domain for session in kept.sessions) == ["a.test", "b.test"]
    assert {(s.policy_type, s.policy, s.failure) for s in kept.sessions} == {
        (PolicyType.TLSA, ("3 1 1 0102",), TlsFailure.VALIDATION_FAILURE)
    }
    kept.reports.note_troubles([], [to("c.test")])
    assert len(kept.sessions) == 2


def test_t06_policies_that_kept_mail_back_are_doubted() -> None:
    """T-06: once for a try, however many hosts failed; also where nobody counts; a domain without one is not."""
    kept = Kept()
    troubles = [
        TlsTrouble(HOST, ip, TlsDoubt(TlsFailure.VALIDATION_FAILURE, "x"), False) for ip in ("a", "b")
    ]
    waiting = [to("a.test"), to("b.test", StsFound()), to("a.test")]
    kept.reports.note_troubles(troubles, waiting)
    assert kept.doubted == ["a.test"]
    assert sorted(session.domain for session in kept.sessions) == ["a.test", "a.test", "b.test", "b.test"]
    quiet = TlsReports(SOURCE, kept.doubted.append, None)
    quiet.note_troubles(troubles, waiting)
    quiet.note_session(connection(), SITE, to("a.test"))
    assert kept.doubted == ["a.test"] * 2
    assert not quiet._told


def test_routes_and_waivers_are_nobodys_policy() -> None:
    """An operator's route, and mail that wants no TLS, are no news for the domain."""
    kept = Kept()
    static = Site("relay", "other", (HOST,), is_static=True)
    kept.reports.note_session(connection(), static, to("a.test"))
    kept.reports.note_session(connection(tls_demand=Demand.NONE), SITE, to("a.test"))
    trouble = TlsTrouble(HOST, "", TlsDoubt(TlsFailure.VALIDATION_FAILURE, ""), True)
    kept.reports.note_troubles([trouble], [to("a.test")])
    assert kept.sessions == []
