from types import SimpleNamespace
from typing import Any, cast

import pytest

from mta.compose.spec import ComposeFailed
from mta.delivery import attempt as attempts
from mta.delivery.attempt import Tried
from mta.delivery.router import NoRoute
from mta.model.outcome import BounceClass, Bounced, Deferred, Failed, Scope, Stage
from mta.model.path import Site, StsFound
from mta.model.reply import Reply
from mta.model.tls import Demand
from mta.smtp.connection import Connection
from mta.smtp.fact import Accepted, Impossible, Lost, Obstacle, Refused, Transaction
from mta.smtp.opening import ConnectRefused, LacksRequireTls, NoMailHere, NoRequireTls
from mta.smtp.settings import Pattern
from tests.unit.delivery.refs import CLASSIFIER, SOURCE, envelope, ref

TRIED = Tried(2, 1000.0, SOURCE, "site")
CONNECTION = cast(
    Connection,
    SimpleNamespace(
        local_ip="127.0.0.9",
        host="mx.d.test",
        peer_ip="192.0.2.1",
        id="s1",
        served=3,
        opened_at=10.0,
        tls_version="TLSv1.3",
        tls_cipher="c",
        tls_policy="sts",
        tls_demand=Demand.VERIFIED,
        pattern=Pattern.CB,
    ),
)
TRANSACTION = Transaction(envelope(ref()))


def test_delivered_carries_the_whole_way() -> None:
    """Who, from where, to whom, in which session, by what reply, how long."""
    reply = Reply(250, ("2.0.0 ok",), "2.0.0")
    made = attempts.delivered(TRIED, CONNECTION, Accepted(TRANSACTION, reply, 0.25), 12.0).attempt
    assert (made.number, made.at, made.stage, made.reply) == (2, 1000.0, Stage.END_OF_DATA, reply)
    assert (made.source, made.source_ip, made.ehlo, made.site) == (
        "one",
        "127.0.0.9",
        "one.acme.test",
        "site",
    )
    assert (made.mx_host, made.mx_ip, made.session_id, made.session_seq) == (
        "mx.d.test",
        "192.0.2.1",
        "s1",
        3,
    )
    assert (made.session_s, made.smtp_s) == (2.0, 0.25)
    assert made.command == "BDAT"
    assert (made.tls_version, made.tls_policy, made.tls_verified) == ("TLSv1.3", "sts", "sts")


@pytest.mark.parametrize(
    ("fact", "kind", "bounce_class"),
    [
        (
            Refused(TRANSACTION, Stage.RCPT, "RCPT", Reply(550, ("x",), "5.1.1"), 0.1),
            Bounced,
            "invalid_recipient",
        ),
        (Refused(TRANSACTION, Stage.RCPT, "RCPT", Reply(450, ("x",), "4.2.1"), 0.1), Deferred, ""),
        (Lost(TRANSACTION, Stage.MAIL, "closed", None, False, 0.1), Deferred, "connection_lost"),
        (Lost(TRANSACTION, Stage.END_OF_DATA, "closed", None, True, 0.1), Deferred, "connection_lost"),
        (Lost(TRANSACTION, Stage.END_OF_DATA, "stray", Reply(550, ("x",)), True, 0.1), Deferred, ""),
        (Impossible(TRANSACTION, Obstacle.SIZE, "too large"), Bounced, "message_too_large"),
        (Impossible(TRANSACTION, Obstacle.SMTPUTF8, "no"), Bounced, "unsupported_feature"),
        (Impossible(TRANSACTION, Obstacle.REQUIRETLS, "5.7.30 no"), Bounced, "tls_required"),
    ],
)
def test_only_a_well_formed_5yz_bounces(fact: Any, kind: type, bounce_class: str) -> None:
    """Everything else defers; an untrusted reply after the dot is never the end (S-14)."""
    settled = attempts.not_delivered(TRIED, CONNECTION, fact, 12.0, "other", CLASSIFIER)
    assert type(settled) is kind
    assert not bounce_class or settled.verdict.bounce_class == bounce_class
    assert settled.attempt.ambiguous == getattr(fact, "ambiguous", False)
    assert settled.attempt.number == 2


SETTLED = {
    # code: at MAIL, RCPT, DATA, end of data
    421: "dddd",
    450: "dddd",
    451: "dddd",
    452: "dddd",
    454: "dddd",
    455: "dddd",
    499: "dddd",
    500: "bbbb",
    501: "bbbb",
    503: "bbbb",
    521: "bbbb",
    530: "bbbb",
    535: "bbbb",
    541: "bbbb",
    550: "bbbb",
    551: "bbbb",
    552: "bdbb",  # to RCPT it may mean 452 (RFC 5321 section 4.5.3.1.10)
    553: "bbbb",
    554: "bbbb",
    555: "bbbb",
    556: "bbbb",
    571: "bbbb",
    599: "bbbb",
}
FROM_MAIL = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END_OF_DATA)


@pytest.mark.parametrize("code", SETTLED)
def test_s16_stage_by_code(code: int) -> None:
    """S-16, B5, B6, S-06: a 5yz from MAIL on bounces, all else is tried again; none before RCPT blames the recipient,
    and a bare code suppresses him at no stage."""
    for stage, letter in zip(FROM_MAIL, SETTLED[code], strict=True):
        fact = Refused(TRANSACTION, stage, "x", Reply(code, ("no",)), 0.1)
        settled = attempts.not_delivered(TRIED, CONNECTION, fact, 12.0, "other", CLASSIFIER)
        assert type(settled) is {"d": Deferred, "b": Bounced}[letter], stage
        assert "suppress" not in settled.verdict.actions
        if stage is Stage.MAIL:
            assert settled.verdict.accused != "recipient"
            assert settled.verdict.scope is not Scope.RECIPIENT
    for stage in (Stage.CONNECT, Stage.HELO, Stage.TLS, Stage.AUTH):
        settled = attempts.not_connected(
            TRIED, ConnectRefused(stage, "no", Reply(code, ("no",))), "other", CLASSIFIER
        )
        assert isinstance(settled, Deferred), stage
        assert settled.verdict.scope in (Scope.HOST, Scope.CONNECTION)


def test_s17_452_to_the_only_recipient() -> None:
    """S-17, B21: deferred, as too many recipients."""
    reply = Reply(452, ("4.5.3 too many",), "4.5.3")
    settled = attempts.not_delivered(
        TRIED, CONNECTION, Refused(TRANSACTION, Stage.RCPT, "RCPT", reply, 0.1), 12.0, "other", CLASSIFIER
    )
    assert isinstance(settled, Deferred)
    assert settled.verdict.bounce_class is BounceClass.TOO_MANY_RECIPIENTS


def test_5yz_before_mail_is_no_verdict_on_a_recipient() -> None:
    """S-16: a banner of 554 defers."""
    failure = ConnectRefused(Stage.CONNECT, "554 go away", Reply(554, ("go away",)))
    settled = attempts.not_connected(TRIED, failure, "other", CLASSIFIER)
    assert isinstance(settled, Deferred)
    assert (settled.attempt.stage, settled.attempt.source_ip) == (Stage.CONNECT, "127.0.0.1")


def test_a_site_that_takes_no_mail_is_no_domain_for_it() -> None:
    """521/556 (RFC 7504), the one exception to S-16: each host greeted with 521."""
    failure = NoMailHere(Stage.CONNECT, "521 no mail here", Reply(521, ("no mail here",)))
    settled = attempts.not_connected(TRIED, failure, "other", CLASSIFIER)
    assert isinstance(settled, Bounced)
    assert settled.verdict.bounce_class is BounceClass.INVALID_DOMAIN
    assert settled.attempt.reply == failure.reply


def test_t10_a_site_that_promises_nothing_gets_nothing() -> None:
    """T-10, REQUIRETLS (RFC 8689 section 4.2.1): given back where no host offers it; one host is no verdict."""
    settled = attempts.not_connected(TRIED, NoRequireTls(Stage.TLS, "5.7.30 no"), "other", CLASSIFIER)
    assert isinstance(settled, Bounced)
    assert (settled.verdict.bounce_class, settled.verdict.detail) == (BounceClass.TLS_REQUIRED, "5.7.30 no")
    settled = attempts.not_connected(TRIED, LacksRequireTls(Stage.TLS, "5.7.30 no"), "other", CLASSIFIER)
    assert isinstance(settled, Deferred)
    assert settled.verdict.bounce_class is BounceClass.TLS_REQUIRED


@pytest.mark.parametrize(("is_sure", "kind"), [(True, Bounced), (False, Deferred)])
def test_who_vouches_for_the_way_may_be_known_another_time(is_sure: bool, kind: type) -> None:
    """T-10: REQUIRETLS is given back where nobody vouches, and waits where a lookup of MTA-STS failed."""
    site = Site("site", "other", (), sts=StsFound(is_sure=is_sure))
    settled = attempts.not_secured(1, 12.0, site, "5.7.30 nobody vouches")
    assert isinstance(settled, kind)
    assert settled.verdict.bounce_class is BounceClass.TLS_REQUIRED


def test_never_sent_is_a_lost_connection() -> None:
    """Connections that end again and again before MAIL count as an attempt in the end."""
    settled = attempts.never_sent(TRIED, CONNECTION, 12.0)
    assert settled.verdict.bounce_class is BounceClass.CONNECTION_LOST
    assert not settled.attempt.ambiguous


@pytest.mark.parametrize(("is_permanent", "kind"), [(True, Bounced), (False, Deferred)])
def test_no_route_ends_or_waits(is_permanent: bool, kind: type) -> None:
    """As the resolver's word says."""
    word = "null_mx" if is_permanent else "servfail"
    settled = attempts.not_routed(1, 5.0, NoRoute(word, "why", is_permanent))
    assert type(settled) is kind
    assert (settled.attempt.stage, settled.attempt.at, settled.verdict.detail) == (Stage.DNS, 5.0, "why")


def test_what_cannot_be_composed_is_over_unless_it_is_our_fault() -> None:
    """A template error fails; a missing key defers as `local`."""
    over = attempts.not_composed(1, 5.0, ComposeFailed(0, "m", "template", "line 3"))
    assert over == Failed(5.0, "template", "line 3")
    again = attempts.not_composed(1, 5.0, ComposeFailed(0, "m", "dkim", "no key", is_local_fault=True))
    assert isinstance(again, Deferred)
    assert (again.verdict.bounce_class, again.verdict.detail) == (BounceClass.LOCAL, "no key")
