"""From what happened to what it means: facts of a session, failures before one, and refusals of our own become
settlements. Nothing here waits, asks a clock or keeps anything.
"""

from typing import Any, assert_never, cast

from msgspec import Struct

from mta.classify.classifier import Classifier, classify_local, disposition
from mta.compose.spec import ComposeFailed
from mta.delivery.reference import Reference
from mta.delivery.router import NoRoute
from mta.delivery.security import verified_by
from mta.model.outcome import Attempt, Bounced, Deferred, Delivered, Failed, Stage
from mta.model.path import EgressSource, Site
from mta.model.reply import Reply
from mta.smtp.connection import Connection
from mta.smtp.fact import Accepted, Impossible, Lost, Refused, Unsent
from mta.smtp.opening import ConnectFailed, Unserved
from mta.smtp.settings import Pattern

_BY_BDAT = (Pattern.CB, Pattern.E)


class Tried(Struct, frozen=True, gc=False):
    """The part of an attempt that is known before a connection is. `at` is the time it is written down."""

    number: int
    at: float
    source: EgressSource
    site: str


def of(fact: Accepted | Refused | Lost | Impossible | Unsent) -> Reference[Any]:
    """Whose transaction it was."""
    return cast(Reference[Any], fact.transaction.tag)


def delivered(tried: Tried, connection: Connection, fact: Accepted, now: float) -> Delivered:
    command = "BDAT" if connection.pattern in _BY_BDAT else "."
    attempt = _in_session(tried, connection, now, fact.smtp_s, Stage.END_OF_DATA, fact.reply, command)
    return Delivered(attempt)


def not_delivered(
    tried: Tried,
    connection: Connection,
    fact: Refused | Lost | Impossible,
    now: float,
    provider: str,
    classifier: Classifier,
) -> Bounced | Deferred:
    """`now` is of the loop's clock, as the connection's."""
    match fact:
        case Refused(stage=stage, command=command, reply=reply, smtp_s=smtp_s):
            attempt = _in_session(tried, connection, now, smtp_s, stage, reply, command)
            verdict = classifier.classify(stage, reply, provider=provider)
        case Lost(stage=stage, detail=detail, reply=reply, ambiguous=ambiguous, smtp_s=smtp_s):
            attempt = _in_session(
                tried, connection, now, smtp_s, stage, reply, "", detail, is_ambiguous=ambiguous
            )
            verdict = classifier.classify(stage, reply, provider=provider, detail=detail, ambiguous=ambiguous)
        case Impossible(kind=kind, detail=detail):
            attempt = _in_session(tried, connection, now, 0.0, Stage.LOCAL, None, "", detail)
            verdict = classify_local(kind, detail)
        case _:
            assert_never(fact)
    settled = disposition(attempt, verdict)
    assert not isinstance(settled, Delivered)
    return settled


def never_sent(tried: Tried, connection: Connection, now: float) -> Deferred:
    """Connection after connection ended before it said anything about this message."""
    detail = "the connection ended before MAIL was answered"
    attempt = _in_session(tried, connection, now, 0.0, Stage.MAIL, None, "", detail)
    return Deferred(attempt, classify_local("lost", detail))


def not_connected(
    tried: Tried, failure: ConnectFailed, provider: str, classifier: Classifier
) -> Bounced | Deferred:
    """S-16: whatever happened before MAIL, even a 5yz, is no verdict on a recipient. The exceptions are a site all of
    whose hosts say that they take no mail (RFC 7504), and one none of whose hosts promises what was asked for."""
    attempt = Attempt(
        number=tried.number,
        at=tried.at,
        stage=failure.stage,
        reply=failure.reply,
        detail=failure.detail,
        source=tried.source.name,
        source_ip=tried.source.address,
        ehlo=tried.source.ehlo,
        site=tried.site,
    )
    if isinstance(failure, Unserved):
        return Bounced(attempt, classify_local(failure.kind, failure.detail))
    verdict = classifier.classify(failure.stage, failure.reply, provider=provider, detail=failure.detail)
    return Deferred(attempt, verdict)


def not_routed(number: int, at: float, route: NoRoute) -> Bounced | Deferred:
    attempt = Attempt(number=number, at=at, stage=Stage.DNS, detail=route.detail)
    verdict = classify_local(route.kind, route.detail)
    return Bounced(attempt, verdict) if route.is_permanent else Deferred(attempt, verdict)


def not_secured(number: int, at: float, site: Site, detail: str) -> Bounced | Deferred:
    """What was asked for cannot be had on the way to this domain (RFC 8689 section 4.2: to be returned), or not as far
    as can be known now."""
    attempt = Attempt(number=number, at=at, stage=Stage.LOCAL, detail=detail, site=site.name)
    settled = disposition(attempt, classify_local("requiretls" if site.sts.is_sure else "tls", detail))
    assert not isinstance(settled, Delivered)
    return settled


def not_composed(number: int, at: float, failed: ComposeFailed) -> Failed | Deferred:
    """A message that cannot be generated is over; a key or a worker of ours that is missing is tried again."""
    if not failed.is_local_fault:
        return Failed(at, failed.code, failed.detail)
    return misconfigured(number, at, failed.detail)


def misconfigured(number: int, at: float, detail: str) -> Deferred:
    attempt = Attempt(number=number, at=at, stage=Stage.LOCAL, detail=detail)
    return Deferred(attempt, classify_local("local", detail))


def _in_session(
    tried: Tried,
    connection: Connection,
    now: float,
    smtp_s: float,
    stage: Stage,
    reply: Reply | None,
    command: str,
    detail: str = "",
    *,
    is_ambiguous: bool = False,
) -> Attempt:
    source = tried.source
    return Attempt(
        number=tried.number,
        at=tried.at,
        stage=stage,
        reply=reply,
        command=command,
        detail=detail,
        ambiguous=is_ambiguous,
        source=source.name,
        source_ip=connection.local_ip,
        ehlo=source.ehlo,
        site=tried.site,
        mx_host=connection.host,
        mx_ip=connection.peer_ip,
        session_id=connection.id,
        session_seq=connection.served,
        session_s=now - connection.opened_at,
        smtp_s=smtp_s,
        tls_version=connection.tls_version,
        tls_cipher=connection.tls_cipher,
        tls_policy=connection.tls_policy if connection.tls_version else "",
        tls_verified=verified_by(connection.tls_demand, connection.tls_policy),
    )
